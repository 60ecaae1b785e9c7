"""Say what the scatter of vTrain's single-node table is, and what any smooth model must lose by it.

Run as ``python -m validation.vtrain_scatter [SINGLE_NODE.csv]``. The table replays one traced pass of one layer for
each hidden size, tensor degree and micro-batch. Those 32 profiles are found by differences between rows, held against
our kernels, and the layouts picked are judged with every other part of a step taken from the table itself.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from suanli.scoring._training_score import regret
from suanli.training import as_measured, profile_of, step_time
from validation._vtrain_table import (
    DATA,
    Profiles,
    Table,
    affine,
    parameters,
    prepared_rows,
    profiles_of,
    replica,
    table_of,
)

Array = NDArray[np.float64]

_CROSSING = 800 * 2**30 / 8.0 / 4.0  # B/s between stages in vTrain's src/predictor.py
_SEED = 1
# Factors on products, attention and passes; the forward share of kernels; seconds of launching forward, backward and of
# a softmax that is not fused; the norm that joins launching and kernels; share of the head's time beyond so many
# seconds by which the host is ahead of the backward pass.
_BOUNDS = (
    *((0.5, 2.0), (0.5, 2.0), (0.5, 3.0), (0.2, 0.5), (0.0, 4e-3), (0.0, 5e-3), (0.0, 2e-3)),
    *((1.0, 8.0), (0.0, 2.0), (0.0, 6e-3)),
)
_START = np.array([1.0, 1.0, 1.0, 0.4, 1.5e-3, 1.5e-3, 5e-4, 2.0, 0.1, 3e-3])


def main(arguments: Sequence[str]) -> None:
    """Print what the table shows of itself."""
    table = table_of(Path(arguments[0]) if arguments else DATA / "single_node.csv")
    found = profiles_of(table)
    updates, entries = repeats(table)
    broken, pairs, worst = disorder(found)
    print(
        f"kernels that recur in several profiles: weight updates, timed on the chip, within {100 * updates:.1f} %; "
        f"entry into the model, timed by the host, {1e6 * entries.min():.0f} to {1e6 * entries.max():.0f} us"
    )
    print(f"more work took less time in {broken} of {pairs} pairs of neighbours, by {100 * worst:.0f} % at most")
    told(table, found, "our layers, vTrain left out", found.predicted)
    fitted, tuned = smooth_models(table, found)
    told(table, found, "ten parameters fitted to them", fitted)
    told(table, found, "ten parameters tuned to lose least", tuned)
    for spread in (0.05, 0.07, _spread(found, fitted)):
        mean, low, high = perfect_model(table, found, fitted, spread)
        print(f"a perfect model, profiles off by {100 * spread:.0f} %: loses {mean:.1f} % ({low:.1f} to {high:.1f})")
    most, cell = dearest(table, found)
    print(
        f"of what our layers lose, {most:.2f} is to the profile hidden {cell[0]}, tp {cell[1]}, micro-batch {cell[2]}"
    )
    ours = regret(table.rows, pl.DataFrame({"predicted": with_profiles(table, found)}))
    if ours is not None:
        print(f"our model, profiles given: loses {ours['mean_pct']:.2f} % (at most {ours['max_pct']:.1f} %)")


def told(table: Table, found: Profiles, name: str, layer: Array) -> None:
    """Print the error of layers' times and what picking by them loses."""
    print(f"{name}: error {100 * _spread(found, layer):.1f} %, loses {lost(table, found, layer).mean():.2f} %")


def _spread(found: Profiles, layer: Array) -> float:
    """Return the standard deviation of the logarithm of layers' times over the profiles'."""
    return float(np.log(layer / found.layer).std())


def repeats(table: Table) -> tuple[float, Array]:
    """Return how far a layer's weight update varies between micro-batches (share), and seconds of entering the model.

    Both are of the same kernels in profiles of other micro-batches. The first is timed on the chip; the second, the
    embedding's forward pass, is a few small kernels that wait for the host: what one stage has over the last of two.
    """
    slopes: dict[tuple[int, int], list[float]] = {}
    entries = []
    for i, (hidden, tp, _) in enumerate(table.cells):
        one, two = (affine(table, i, pp=pp, dp=replica(tp) if pp == 1 else 1) for pp in (1, 2))
        if not np.isfinite(one[3]):
            continue
        slopes.setdefault((hidden, tp), []).append(one[1])
        if np.isfinite(two[3]):
            entries.append(one[2] - two[2])
    spread = max(float(np.ptp(x) / np.mean(x)) for (_, tp), x in slopes.items() if tp > 1)
    return spread, np.array(entries)


def disorder(found: Profiles) -> tuple[int, int, float]:
    """Return in how many neighbouring profiles more work took less time, of how many, and by which share at most.

    Neighbours differ by a factor of two in micro-batch, hidden size or tensor degree, all-reduces taken away; launches
    are as many, unless the fused softmax takes only one of them.
    """
    place = {k: i for i, k in enumerate(zip(found.hidden, found.tp, found.micro_batch, strict=True))}
    shares = []
    for (h, tp, micro), i in place.items():
        for more in ((2 * h, tp, micro), (h, tp, 2 * micro), (h, tp / 2, micro)):
            j = place.get(more)
            if j is not None and found.plain[i] == found.plain[j]:
                shares.append(1.0 - found.layer[j] / found.layer[i])
    less = np.array(shares)
    return int((less > 0).sum()), less.size, float(less.max())


def replayed(table: Table, found: Profiles, layer: Array) -> Array:
    """Return the steps in s of the table with its layers' times replaced by ``layer``, all else as it is."""
    return table.seconds + table.passes * (layer - found.layer)[table.profile]


def lost(table: Table, found: Profiles, layer: Array, truth: Array | None = None) -> Array:
    """Return what the pick by layers of these times loses in each sweep, in per cent.

    ``truth`` are the layers' real times (default: the table's).
    """
    real = table.seconds if truth is None else replayed(table, found, truth)
    real, told = real[table.sweeps], replayed(table, found, layer)[table.sweeps]
    picked = np.take_along_axis(real, told.argmin(axis=1)[:, None], axis=1)[:, 0]
    out: Array = 100.0 * (picked / real.min(axis=1) - 1.0)
    return out


def dearest(table: Table, found: Profiles) -> tuple[float, tuple[int, int, int]]:
    """Return the most per cent that our picks lose because the best row replays one profile, and which profile."""
    best = np.take_along_axis(table.sweeps, table.seconds[table.sweeps].argmin(axis=1)[:, None], axis=1)[:, 0]
    sums = np.bincount(table.profile[best], weights=lost(table, found, found.predicted), minlength=len(table.cells))
    return float(sums.max() / len(best)), table.cells[int(sums.argmax())]


def layers_of(found: Profiles, x: Array) -> Array:
    """Return layers' times by a model of the ten parameters ``x`` (_BOUNDS).

    Launching starts with an empty queue forward; the head, which stands before a profile's backward pass, lets the host
    run ahead of it.
    """
    chip = x[0] * found.products + x[1] * found.attention + x[2] * found.passes
    plain = x[6] * found.plain
    ahead = x[8] * np.maximum(found.head - x[9], 0.0)
    sides = ((x[3], x[4] + plain), (1.0 - x[3], np.maximum(x[5] + plain - ahead, 0.0)))
    forward, backward = (((share * chip) ** x[7] + host ** x[7]) ** (1.0 / x[7]) for share, host in sides)
    out: Array = forward + backward
    return out


def smooth_models(table: Table, found: Profiles, *, rounds: int = 600) -> tuple[Array, Array]:
    """Return layers' times of the ten-parameter model nearest to the profiles, and of the one whose picks lose least.

    Neither is a prediction: both have seen every row, and the second was chosen by the very loss.
    """
    from scipy.optimize import Bounds, differential_evolution, least_squares

    def error(x: Array) -> Array:
        return np.asarray(np.log(layers_of(found, x) / found.layer))

    def loss(x: Array) -> float:
        return float(lost(table, found, layers_of(found, x)).mean())

    low, high = np.array(_BOUNDS).T
    near = least_squares(error, _START, bounds=(low, high), x_scale=_START).x
    least = differential_evolution(
        loss, Bounds(low, high), x0=near, maxiter=rounds, popsize=25, tol=0.0, seed=_SEED, polish=False
    ).x
    return layers_of(found, near), layers_of(found, least)


def perfect_model(table: Table, found: Profiles, layer: Array, spread: float) -> tuple[float, float, float]:
    """Return what picks by the true layers lose (mean, 10 %, 90 %) where each profile is off by ``spread``.

    The truth is ``layer``; tables are drawn (log-normal), as one traced pass of each layer would be.
    """
    random = np.random.default_rng(_SEED)
    noise = np.exp(spread * random.standard_normal((300, layer.size)))
    draws = [lost(table, found, layer, layer * own).mean() for own in noise]
    return float(np.mean(draws)), float(np.quantile(draws, 0.1)), float(np.quantile(draws, 0.9))


def with_profiles(table: Table, found: Profiles) -> Array:
    """Return our predictions (s) of all rows, by parameters that saw none of them, with layers given as measured."""
    out = np.full(len(table.rows), np.nan)
    for model in sorted({r.model.id for r in table.rows}):
        mine = [i for i, r in enumerate(table.rows) if r.model.id == model]
        rows = [table.rows[i] for i in mine]
        own = found.hidden == rows[0].model.hidden
        given = profile_of(source="vTrain", tp=found.tp[own], micro_batch=found.micro_batch[own], both=found.layer[own])
        ready = as_measured(prepared_rows(rows), given, parameters(), precision=rows[0].precision)
        out[mine] = step_time(ready, parameters())
    return out


if __name__ == "__main__":
    main(sys.argv[1:])
