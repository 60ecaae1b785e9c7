"""Load of expert ranks under a stated popularity of experts, with copies of the most asked for (EPLB)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InputError

Array = NDArray[np.float64]

_LAYERS = 12  # layers drawn: each has other popular experts, lying on other ranks
_SEED = 20_250_101


def placed(popularity: Array, ranks: int, redundant: int) -> Array:
    """Return the share of routed tokens of each of ``ranks`` when ``redundant`` copies of the busiest experts are made.

    Without copies, experts lie in their order, equally many a rank. With them, each copy goes to the expert whose
    copies carry most, and copies are packed heaviest first on the emptiest rank with a free place, as DeepSeek's
    expert-parallel load balancer does. A token goes to any copy with equal chance.
    """
    n = popularity.size
    share = popularity / popularity.sum()
    if redundant == 0:
        return np.array([part.sum() for part in np.array_split(share, ranks)])
    copies = np.ones(n)
    for _ in range(redundant):
        copies[np.argmax(share / copies)] += 1.0
    load = np.repeat(share / copies, copies.astype(np.intp))
    places = int(np.ceil(load.size / ranks))
    total, held = np.zeros(ranks), np.zeros(ranks, dtype=np.intp)
    for weight in np.sort(load)[::-1]:
        rank = int(np.argmin(np.where(held < places, total, np.inf)))
        total[rank] += weight
        held[rank] += 1
    return total


@lru_cache(maxsize=4096)
def fullest(n_experts: int, top_k: int, ranks: int, skew: float, redundant: int, tokens: int) -> float:
    """Return how many times its even share of rows the busiest of ``ranks`` gets in a step, on average over layers.

    ``tokens`` are those of all ranks, each going to ``top_k`` different experts, the k-th most popular with a chance in
    proportion to k**-``skew`` (at most once a token); rows of a step vary as independent draws do. 1 for a skew of 0,
    which stands for a router that balances every step, and for one rank. Raises InputError for a skew below 0 or
    copies that are not a whole number a rank.
    """
    if skew < 0:
        raise InputError(f"an expert skew is at least 0, got {skew:g}")
    if redundant < 0 or (n_experts + redundant) % ranks:
        raise InputError(f"{n_experts} experts and {redundant} copies do not divide over {ranks} expert ranks")
    if ranks == 1 or skew == 0.0:
        return 1.0
    chance = chances(n_experts, top_k, skew)
    rng = np.random.default_rng(_SEED)
    worst = []
    for _ in range(_LAYERS):
        share = placed(rng.permutation(chance), ranks, redundant)
        rows = share * tokens * top_k
        drawn = rng.normal(rows, np.sqrt(np.maximum(rows * (1.0 - share), 0.0)), (8, ranks)).max(axis=1)
        worst.append(np.clip(drawn / (tokens * top_k / ranks), 1.0, ranks).mean())
    return float(np.mean(worst))


def chances(n_experts: int, top_k: int, skew: float) -> Array:
    """Return the chance of each expert to be among a token's ``top_k``: a power law held below 1 that adds up to it."""
    weight = np.arange(1, n_experts + 1, dtype=np.float64) ** -skew
    low, high = 0.0, float(n_experts * top_k) / weight.min()
    for _ in range(80):
        middle = 0.5 * (low + high)
        enough = np.minimum(middle * weight / weight.sum(), 1.0).sum() >= top_k
        low, high = (low, middle) if enough else (middle, high)
    out: Array = np.minimum(high * weight / weight.sum(), 1.0)
    return out
