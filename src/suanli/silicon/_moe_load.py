"""How many rows the experts of the most loaded chip compute, and how they spread over its experts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Blocks = Callable[[Array], Array]

_RANGE = 200.0  # largest over smallest load where there are fewer rows than experts
_FULLEST = 0.8  # share of all tokens that the most popular expert may take, in the measured tables' routing
_MEDIAN = 0.56  # of so many draws times the share above it, at the median of the largest
_SLACK = 1e-9  # of a row, so that rounding of a quotient starts no block


@dataclass(frozen=True, slots=True)
class Load:
    """What the most loaded chip computes (arrays of one shape).

    ``rows`` in its ``awake`` experts of ``local``; its kernel is given ``tokens`` with ``slots``, top_k each.
    ``blocks`` tells to how many blocks of so many rows each expert's are padded, over all experts.
    """

    rows: Array
    awake: Array
    local: Array
    tokens: Array
    slots: Array
    blocks: Blocks


def load_of(tokens: Array, top_k: Array, n_experts: Array, ep: Array, skew: Array, *, pile: str = "") -> Load:
    """Return the load of the most loaded of ``ep`` chips; all arrays have one shape.

    Balanced (``skew`` 0): every chip has its share. Else the loads of experts are independent draws with density
    x^-skew (between 1 and 0.8 tokens; with fewer rows than experts, over a range of 200), scaled to the sum of all
    rows and rounded, what rounding leaves dealt out one by one; the fullest chip is the largest of ``ep`` sums
    (power_law_logits_v3 in aiconfigurator's collector/helper.py, whose draws these expectations follow within 5 %).
    ``pile`` "all": the kernel computes the rows of other chips' experts as well, in one of its own; "reached": those
    of the tokens that reach this chip, which alone it is given.
    """
    local = n_experts / ep
    rows = tokens * top_k / ep
    awake = np.clip(rows, 1.0, local)
    skewed = np.nonzero(skew > 0.0)
    uneven: Blocks | None = None
    if skewed[0].size:
        some = [a[skewed] for a in (tokens, top_k, n_experts, ep, skew)]
        rows[skewed], awake[skewed], uneven = _uneven(*some)
    given = tokens
    if pile == "reached":
        reached = np.where(skew > 0.0, rows / np.sqrt(1.0 + (rows / tokens) ** 2), tokens * np.minimum(1.0, top_k / ep))
        given = np.where(ep > 1.0, np.clip(reached, 1.0, tokens), tokens)
    others = np.maximum(given * top_k - rows, 0.0) if pile else np.zeros_like(rows)

    def blocks(high: Array) -> Array:
        out = awake * np.ceil(rows / awake / high - _SLACK)
        if uneven is not None:
            out[skewed] = uneven(high[skewed])
        return np.maximum(out, rows / high) + np.ceil(others / high - _SLACK)

    return Load(rows + others, awake, local, given, given * top_k, blocks)


def _uneven(tokens: Array, top_k: Array, n_experts: Array, ep: Array, skew: Array) -> tuple[Array, Array, Blocks]:
    """Return rows and awake experts of the fullest chip under a power law, and what counts its blocks."""
    local = n_experts / ep
    mean_load = tokens * top_k / n_experts
    few = mean_load <= 1.0
    top = np.where(few, _RANGE, np.maximum(_FULLEST * tokens, 2.0))
    weight = _between(1.0, top, skew, 0.0)
    mean = _between(1.0, top, skew, 1.0) / weight
    scale = mean_load / mean
    excess = _fullest(top, skew, mean, n_experts, ep) / mean
    # A load below one half rounds to nothing; what is lost so is dealt out.
    least = np.clip(0.5 / scale, 1.0, top)
    own = _between(least, top, skew, 0.0) / weight
    own_rows = scale * _between(least, top, skew, 1.0) / weight
    dealt = np.clip(mean_load - own_rows, 0.0, 1.0 - own)
    even = mean_load * local
    most = np.minimum(tokens * top_k, tokens * local)
    few_rows = np.clip(local * (dealt + own_rows * excess), 1.0, most)
    rows = np.where(few, few_rows, np.clip(even * excess, np.maximum(even, 1.0), most))
    share = np.where(few, (own + dealt) * np.sqrt(np.maximum(few_rows / even, 1.0)), own + 0.5 * dealt)
    awake = np.minimum(np.clip(local * share, 1.0, local), np.maximum(rows, 1.0))
    scale = scale * rows / even

    # Of the experts beyond one block, each counts its rows in blocks and on average a half one more.
    tilt = _off_one(1.0 - skew)
    top_share = top**tilt
    share_of, rows_of = local / (tilt * weight), local * scale / ((tilt + 1.0) * weight)

    def blocks(high: Array) -> Array:
        above = np.clip(high / scale, 1.0, top)
        above_share = above**tilt
        over = share_of * (top_share - above_share)
        over_rows = rows_of * (top_share * top - above_share * above)
        out: Array = awake + np.maximum(over_rows / high - 0.5 * over, 0.0)
        return out

    return rows, awake, blocks


def _fullest(top: Array, skew: Array, mean: Array, n_experts: Array, ep: Array) -> Array:
    """Return the mean load of an expert on the fullest chip: many draws' normal sum, or its one hottest expert."""
    local = n_experts / ep
    square = _between(1.0, top, skew, 2.0) / _between(1.0, top, skew, 0.0)
    deviation = np.sqrt(np.maximum(square - mean * mean, 0.0))
    tilt = _off_one(1.0 - skew)
    hottest = (1.0 + (top**tilt - 1.0) * (1.0 - _MEDIAN / n_experts)) ** (1.0 / tilt)
    alone = np.where(ep > 1.0, (hottest + (local - 1.0) * mean) / local, mean)
    out: Array = np.maximum(np.minimum(mean + deviation / np.sqrt(local) * _largest(ep), top), alone)
    return out


def _largest(draws: Array) -> Array:
    """Return about the expected largest of so many standard normal draws (0 for one)."""
    several = np.maximum(draws, 2.0)
    out: Array = np.where(draws > 1.0, np.sqrt(2.0 * np.log(several)) * (1.0 - 0.35 / np.log2(several + 1.0)), 0.0)
    return out


def _between(low: Array | float, high: Array, skew: Array, power: float) -> Array:
    """Return the integral of x^(power - skew) from ``low`` to ``high``."""
    rise = _off_one(power + 1.0 - skew)
    out: Array = (high**rise - np.asarray(low) ** rise) / rise
    return out


def _off_one(rise: Array) -> Array:
    """Return ``rise``, but never so near to nothing that a power's integral is its logarithm's."""
    return np.where(np.abs(rise) < 1e-3, 1e-3, rise)
