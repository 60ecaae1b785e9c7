"""A few joint futures that stand for all: balanced in every risk by itself, and between the risks that matter to cost.

Every outcome of every risk takes part as often as its odds say (at least once where there is room), and the weights of
the futures make the odds of every outcome exact. Which outcomes meet in one future is chosen so that the dearest pairs
of risks are met in proportion, too. The distance that is made small is that between the kept futures and all joint
ones for costs built of the risks' own effects and of their products (a maximum mean discrepancy; Gretton et al. 2012,
Hickernell 1998), whose expectation over all joint futures is known without drawing any.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
STARTS = 4
SWEEPS = 6
SWAPS = 4000
SEED = 20250122
AHEAD = 64
"""Pairs whose swaps are weighed at once, until one is made."""
FLOOR = 0.02
"""Least importance of a risk: an effect that the reference plan does not feel may still steer another plan."""


def balanced(odds: Sequence[Array], importance: Array, n: int) -> tuple[Ints, Array, float]:
    """Return (outcomes [n, F], weights [n], distance) of ``n`` futures that stand for all joint outcomes.

    ``odds`` are those of each risk's outcomes, ``importance`` [F] the risks' parts in the variance of cost. The
    distance is relative to that of the single likeliest future.
    """
    part = np.maximum(importance / max(float(importance.sum()), 1e-300), FLOOR)
    best: Ints | None = None
    least = np.inf
    for start in range(STARTS):
        picks = _swapped(_columns(odds, n, np.random.default_rng(SEED + start)), part, SEED + start)
        _, found = _weighted(picks, odds, part)
        if found < least - 1e-12:
            best, least = picks, found
    assert best is not None
    picks = best[np.lexsort(best.T[::-1])]
    weights, found = _weighted(picks, odds, part)
    alone = _kernel(np.array([[int(np.argmax(o)) for o in odds]]), odds, part)[0, 0] - 1.0
    return picks, weights, float(np.sqrt(max(found, 0.0) / alone)) if alone > 0 else 0.0


def _counts(odds: Array, n: int) -> Ints:
    """Return how many of ``n`` futures have each outcome: by odds, none left out needlessly."""
    share = odds * n
    counts = np.floor(share + 1e-9).astype(np.int64)
    if n >= 2 * len(odds):
        counts = np.maximum(counts, (odds > 0).astype(np.int64))
    while counts.sum() > n:
        counts[int(np.argmax(counts - share))] -= 1
    while counts.sum() < n:
        counts[int(np.argmax(share - counts))] += 1
    return counts


def _columns(odds: Sequence[Array], n: int, rng: np.random.Generator) -> Ints:
    return np.stack([rng.permutation(np.repeat(np.arange(len(o)), _counts(o, n))) for o in odds], axis=1)


def _kernel(picks: Ints, odds: Sequence[Array], part: Array) -> Array:
    """Return [n, n]: product over the risks of 1 + importance x (1 / odds where outcomes agree, less 1)."""
    out = np.ones((len(picks), len(picks)))
    for i, o in enumerate(odds):
        x = picks[:, i]
        out *= 1.0 + part[i] * ((x[:, None] == x[None, :]) / np.maximum(o[x], 1e-9)[:, None] - 1.0)
    return out


def _swapped(picks: Ints, part: Array, seed: int) -> Ints:
    """Return the outcomes after swaps between futures, within one risk at a time, that lower the distance.

    Alike weights and the odds of the futures themselves: each risk by itself stays as balanced as it is.
    """
    n, risks = picks.shape
    rng = np.random.default_rng(seed)
    own = [np.bincount(picks[:, i]) / n for i in range(risks)]
    factor = [_kernel(picks[:, [i]], [own[i]], part[[i]]) for i in range(risks)]
    total = np.prod(factor, axis=0)
    pairs = np.array([(a, b) for a in range(n) for b in range(a)], dtype=np.int64).reshape(-1, 2)
    for _ in range(SWEEPS):
        better = False
        for i in rng.permutation(risks).tolist():
            rest = total / factor[i]
            some = pairs[rng.permutation(len(pairs))[: max(1, SWAPS // risks)]]
            at = 0
            while at < len(some):
                ahead = some[at : at + AHEAD]
                unlike = picks[ahead[:, 0], i] != picks[ahead[:, 1], i]
                found = np.flatnonzero(unlike & (_gains(rest, factor[i], ahead) > 1e-12))
                if not len(found):
                    at += AHEAD
                    continue
                at += int(found[0]) + 1
                a, b = ahead[found[0]]
                picks[[a, b], i] = picks[[b, a], i]
                order = np.arange(n)
                order[[a, b]] = b, a
                factor[i] = factor[i][np.ix_(order, order)]
                better = True
            total = rest * factor[i]
        if not better:
            break
    return picks


def _gains(rest: Array, factor: Array, pairs: Ints) -> Array:
    """Return [P]: by how much the distance falls where the two futures of a pair swap their outcomes of a risk.

    ``rest`` [n, n] is the kernel without the risk, ``factor`` [n, n] the risk's own. Only the agreement of the two with
    the others changes, and it changes places.
    """
    a, b = pairs.T
    terms = (rest[a] - rest[b]) * (factor[a] - factor[b])
    each = np.arange(len(pairs))
    return np.asarray(terms.sum(axis=1) - terms[each, a] - terms[each, b])


def _weighted(picks: Ints, odds: Sequence[Array], part: Array) -> tuple[Array, float]:
    """Return (weights [n], squared distance): the odds of every outcome exact where they can be, the distance least."""
    n = len(picks)
    kernel = _kernel(picks, odds, part)
    root = np.linalg.cholesky(kernel + 1e-9 * np.eye(n) * np.trace(kernel) / n).T
    rows = [np.ones(n)] + [(picks[:, i] == k).astype(float) for i, o in enumerate(odds) for k in range(len(o))]
    wanted = [1.0] + [float(p) for o in odds for p in o]
    held = np.array(rows)
    floor = 0.1 / n
    firm = 1e3 * float(np.sqrt(np.trace(kernel)))
    system = np.concatenate([root, firm * held])
    target = np.concatenate([-root @ np.full(n, floor), firm * (np.array(wanted) - held @ np.full(n, floor))])
    weights = nnls(system, target)[0] + floor
    weights = weights / weights.sum()
    return weights, float(weights @ kernel @ weights) - 1.0


def weighed(picks: Ints, odds: Sequence[Array]) -> Array:
    """Return weights [n] of given futures that keep the ``odds`` of every outcome where they can be kept."""
    return _weighted(picks, odds, np.full(len(odds), 1.0 / max(1, len(odds))))[0]
