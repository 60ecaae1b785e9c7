"""The ideal work of routed experts on the most loaded chip: grouped products over the experts that tokens reach."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from suanli.kinds import BITS, Chip
from suanli.silicon._formats import Format, peak_rate
from suanli.silicon._gemm_work import missing
from suanli.silicon._laws import Work
from suanli.silicon._unit import energy_time, unit_of

Array = NDArray[np.float64]

_ROWS = 16.0  # rows to which an expert's share of tokens is padded
_RANGE = 200.0  # largest over smallest load where there are fewer rows than experts
_PILED = 1.0 / 16.0  # mean load of an expert below which one chip has all rows
_FULLEST = 0.8  # share of all tokens that the most popular expert may take, in the measured tables' routing


def routed(tokens: Array, top_k: Array, n_experts: Array, ep: Array, skew: Array) -> tuple[Array, Array]:
    """Return, for the most loaded of ``ep`` chips, the rows it computes and the experts it wakes.

    Balanced (``skew`` 0): every chip has its share. Else the loads of experts are independent draws with density
    x^-skew (between 1 and 0.8 tokens; with fewer rows than experts, over a range of 200), scaled to the sum of all
    rows and rounded; the fullest chip is the largest of ``ep`` sums of them. With very few rows it has them all.
    """
    local = n_experts / ep
    total = tokens * top_k
    mean_load = total / n_experts
    even_rows = total / ep
    top = np.where(mean_load > 1.0, np.maximum(_FULLEST * tokens, 2.0), _RANGE)
    mean, square = _moment(top, skew, 1.0), _moment(top, skew, 2.0)
    deviation = np.sqrt(np.maximum(square - mean * mean, 0.0))
    fullest = np.minimum(mean + deviation / np.sqrt(local) * _largest(ep), top)
    piled = 1.0 + (ep - 1.0) * np.minimum(1.0, _PILED / mean_load)
    rows = np.minimum(even_rows * np.maximum(fullest / mean, piled), np.minimum(total, tokens * local))
    # An expert whose load rounds to nothing stays asleep.
    many = 1.0 - np.log(np.clip(0.5 * mean / mean_load, 1.0, top)) / np.log(top)
    few = mean_load / (1.0 + 0.9 * mean_load)
    awake = local * np.minimum(np.where(mean_load > 1.0, many, few) * piled, 1.0)
    awake = np.clip(awake, 1.0, np.minimum(local, total))
    skewed = skew > 0.0
    even_awake = np.clip(even_rows, 1.0, local)
    return np.where(skewed, np.maximum(rows, awake), even_rows), np.where(skewed, awake, even_awake)


def _largest(draws: Array) -> Array:
    """Return about the expected largest of so many standard normal draws (0 for one)."""
    several = np.maximum(draws, 2.0)
    out: Array = np.where(draws > 1.0, np.sqrt(2.0 * np.log(several)) * (1.0 - 0.35 / np.log2(several + 1.0)), 0.0)
    return out


def _moment(top: Array, skew: Array, power: float) -> Array:
    """Return E[x^power] for the density x^-skew on [1, top]."""
    tilt = np.where(np.abs(skew - 1.0) < 1e-3, 1.001, skew)
    weight = (top ** (1.0 - tilt) - 1.0) / (1.0 - tilt)
    rise = power + 1.0 - tilt
    out: Array = (top**rise - 1.0) / rise / weight
    return out


def moe_work(
    chip: Chip,
    form: Format,
    *,
    tokens: Array,
    hidden: Array,
    inter: Array,
    top_k: Array,
    n_experts: Array,
    tp: Array,
    ep: Array,
    skew: Array,
    gated: bool = True,
    warm: bool = True,
) -> Work:
    """Return the ideal work of the experts' products on the most loaded chip; not ``warm``: weights from memory."""
    unit = unit_of(chip)
    rows, awake = routed(tokens, top_k, n_experts, ep, skew)
    width = inter / tp
    matrices = 3.0 if gated else 2.0
    each = rows / awake
    padded = np.where(skew > 0.0, rows + 0.5 * _ROWS * awake, np.ceil(each / _ROWS) * _ROWS * awake)
    tiles = padded / _ROWS * np.ceil((matrices - 1.0) * width / 128.0)
    waves = tiles / unit.cores
    idle = np.minimum(np.ceil(waves) / waves, unit.cores)
    weights = awake * matrices * hidden * width * form.weight
    moved = rows * (hidden * (form.activation + form.output) + (matrices + 1.0) * width * form.output)
    size = weights + moved
    again = missing(size, size, unit.cache)
    missed = again if warm else weights + missing(moved, moved, unit.cache)
    share = np.log2(size / max(unit.cache, 1e6)) / 4.0
    return Work(
        compute=2.0 * padded * matrices * hidden * width * idle / peak_rate(chip, form.rate),
        memory=missed / unit.bandwidth,
        cache=size / unit.cache_rate,
        vector=np.zeros_like(size),
        power=energy_time(unit, 2.0 * rows * matrices * hidden * width, BITS[form.rate]),
        roofline=np.maximum(2.0 * rows * matrices * hidden * width / peak_rate(chip, form.rate), size / unit.bandwidth),
        flop=2.0 * rows * matrices * hidden * width,
        launch=1e3 / unit.clock,
        features={
            "each": np.log2(np.clip(each, 1.0, 16384.0)) / 4.0 - 1.5,
            "awake": np.log2(np.clip(awake, 1.0, 1024.0)) / 3.0 - 1.5,
            "rows": np.log2(np.clip(rows, 1.0, 1e7)) / 5.0 - 1.5,
            "local": np.log2(np.clip(n_experts / ep, 1.0, 1024.0)) / 3.0 - 1.5,
            "hidden": np.log2(hidden) / 1.0 - 12.0,
            "width": np.log2(np.clip(width, 16.0, 65536.0)) / 3.0 - 3.3,
            "tokens": np.log2(np.clip(tokens, 1.0, 1e6)) / 5.0 - 1.5,
            "idle_share": 1.0 - awake * ep / n_experts,
            "waves": np.clip(np.log2(waves), -6.0, 8.0) / 3.0,
            "many_waves": np.clip(np.log2(waves), 0.0, 8.0) / 3.0,
            "short_each": 16.0 / (each + 16.0),
            "short_width": 128.0 / (width + 128.0),
            "skew": np.minimum(skew, 2.0),
            "kept": 1.0 - again / size,
            "size": np.clip(share, -6.0, 6.0),
            "over": np.clip(share, 0.0, 6.0),
        },
    )
