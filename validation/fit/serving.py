"""Fit serving's habits on measured runs: ``python -m validation.fit.serving [FILE ...]``.

Writes src/suanli/catalog/data/fitted/serving.json: one set fitted on all rows, and one without each chip and each
model (architecture). The loss is the absolute log error, smoothed near 0, with every distinct configuration counted
once and what hides its settings weighs less; shifts of frameworks and chip families are shrunk towards 0.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from suanli.files import write_json
from suanli.scoring._serving_predict import Prepared, predict, prepare
from suanli.scoring._serving_rows import Case, chip_group, model_group, read_cases

Array = NDArray[np.float64]

DATA = Path(__file__).parents[1] / "data" / "serving"
OUT = Path(__file__).parents[2] / "src" / "suanli" / "catalog" / "data" / "fitted" / "serving.json"

START: Mapping[str, float] = {
    "dense": 0.1,
    "weights": 0.1,
    "experts": 0.0,
    "expert_weights": 0.0,
    "other": 0.0,
    "cache": 0.1,
    "prompt": 0.0,
    "latent": 0.0,
    "links": 0.0,
    "bulk": 0.0,
    "host": np.log(1e-3),
    "layer": np.log(5e-6),
    "front": np.log(5e-6),
    "first": np.log(0.02),
    "arrive": np.log(2e-3),
    "cohort": np.log(0.15),
    "varied": np.log(0.1),
    "group": np.log(1.0),
    "wait": np.log(5.0),
    "cold": np.log(1.5),
    "interference": 0.0,
    "offline": 0.0,
    "bounded": 0.0,
    "queue": 0.0,
}
"""Logarithms from which the fit starts, and towards which pooled values are weakly drawn."""

WIDTH: Mapping[str, float] = {
    "host": 1.0,
    "layer": 1.0,
    "front": 1.0,
    "first": 1.0,
    "cohort": 1.0,
    "varied": 1.0,
    "group": 1.5,
    "wait": 1.5,
}
"""Prior log-standard deviation of a pooled value; 0.35 where not named."""

BY_FRAMEWORK = (
    "dense",
    "weights",
    "experts",
    "expert_weights",
    "host",
    "layer",
    "front",
    "first",
    "cohort",
    "varied",
    "group",
    "wait",
    "interference",
)
BY_FAMILY = ("dense", "weights", "experts", "expert_weights", "cache", "links", "bulk", "layer")
SHIFT = 0.25  # prior log-standard deviation of a framework's or family's shift
WIDE_SHIFT = 0.7  # the same for habits that frameworks choose freely
FREE = ("host", "layer", "front", "first", "arrive", "cohort", "varied", "group", "wait")
METRICS = ("ttft", "tpot", "output_rate")
STEP = 2e-3  # of the slopes
SOFT = 0.15  # log error below which the loss is quadratic


def names_of(cases: Sequence[Case]) -> list[tuple[str, str, str]]:
    """Return (table, key, name) of every number fitted: pooled values, then shifts of what occurs in ``cases``."""
    out = [("pooled", "", name) for name in START]
    frameworks = sorted({c.framework for c in cases})
    families = sorted({c.chip.family for c in cases})
    out += [("framework", f, name) for f in frameworks for name in BY_FRAMEWORK]
    return out + [("family", f, name) for f in families for name in BY_FAMILY]


def as_parameters(names: Sequence[tuple[str, str, str]], values: Array) -> dict[str, Any]:
    """Return fitted numbers as a stored parameter set."""
    out: dict[str, Any] = {"pooled": {}, "framework": {}, "family": {}}
    for (table, key, name), value in zip(names, values, strict=True):
        if table == "pooled":
            out["pooled"][name] = float(value)
        else:
            out[table].setdefault(key, {})[name] = float(value)
    return out


def as_values(names: Sequence[tuple[str, str, str]], parameters: Mapping[str, Any]) -> Array:
    """Return a parameter set as numbers in the order of ``names``; what it lacks is 0."""
    return np.array(
        [
            parameters["pooled"][name] if table == "pooled" else parameters[table].get(key, {}).get(name, 0.0)
            for table, key, name in names
        ]
    )


def prior(names: Sequence[tuple[str, str, str]]) -> tuple[Array, Array]:
    """Return (centre, log-standard deviation) of each number."""
    centre = np.array([START[name] if table == "pooled" else 0.0 for table, _, name in names])
    width = [
        WIDTH.get(name, 0.35) if table == "pooled" else (WIDE_SHIFT if name in FREE else SHIFT)
        for table, _, name in names
    ]
    return centre, np.array(width)


def distinct(cases: Sequence[Case]) -> list[Case]:
    """Return one case a configuration, with the geometric mean of what was measured."""
    groups: dict[tuple[Any, ...], list[Case]] = {}
    for c in cases:
        key = (
            model_group(c.model),
            c.chip.id,
            c.n_chips,
            c.layout,
            c.prefill,
            c.decode,
            c.precision,
            c.framework,
            c.version,
            c.mode,
            c.prompt,
            c.answer,
            c.clients,
            c.rate,
            c.speculative,
            c.seats,
            c.kv,
        )
        groups.setdefault(key, []).append(c)
    out = []
    for members in groups.values():
        logs: dict[str, list[float]] = {}
        for m in members:
            for name, value in m.measured.items():
                logs.setdefault(name, []).append(float(np.log(value)))
        out.append(replace(members[0], measured={k: float(np.exp(np.mean(v))) for k, v in logs.items()}))
    return out


def targets(ready: Prepared) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return (log measured, weight) by metric; see _weight."""
    n = len(ready.cases)
    logs = {m: np.full(n, np.nan) for m in METRICS}
    for i, c in enumerate(ready.cases):
        for m, value in c.measured.items():
            logs[m][i] = np.log(value)
    weight = np.array([_weight(c) for c in ready.cases])
    return logs, {"ttft": 0.6 * weight, "tpot": 1.0 * weight, "output_rate": 1.0 * weight}


def _weight(case: Case) -> float:
    """Return the weight of a case: less where the run hides more than it tells."""
    if case.speculative:
        return 0.2
    if case.source == "GPUSTACK":  # one client process sends a thousand streams, and is often what limits the rate
        return 0.4
    return 0.5 if case.mode == "disagg" else 1.0


def fit(
    ready: Prepared, names: Sequence[tuple[str, str, str]], start: Array, *, steps: int, rows: NDArray[np.bool_]
) -> Array:
    """Return the numbers that fit the cases at ``rows``."""
    logs, weights = targets(ready)
    centre, width = prior(names)

    def residuals(x: Array) -> Array:
        found = predict(ready, as_parameters(names, x))
        parts = []
        for m in METRICS:
            error = np.where(rows, np.log(found[m]) - logs[m], 0.0)
            error = np.where(np.isfinite(logs[m]) & rows, np.nan_to_num(error, nan=0.0), 0.0)
            error = np.clip(error, -3.0, 3.0)
            # sqrt of a smoothed absolute value, so that the sum of squares is the robust loss
            parts.append(weights[m] * np.sign(error) * np.sqrt(2.0 * (np.sqrt(1.0 + (error / SOFT) ** 2) - 1.0)))
        return np.concatenate([*parts, 2.0 * (x - centre) / width])

    moves = moved(ready, names)
    probes = groups_of(moves)

    def slopes(x: Array) -> Array:
        base = residuals(x)
        out = np.zeros((base.size, x.size))
        for members in probes:
            there = x.copy()
            there[members] += STEP
            change = (residuals(there) - base) / STEP
            for j in members:
                out[:, j] = np.where(moves[:, j], change, 0.0)
        return out

    found = least_squares(residuals, start, jac=slopes, max_nfev=steps, x_scale=width)
    return np.asarray(found.x)


def moved(ready: Prepared, names: Sequence[tuple[str, str, str]]) -> NDArray[np.bool_]:
    """Return which residuals each number moves: a framework's or family's shift only those of its own runs."""
    frameworks = np.array([c.framework for c in ready.cases])
    families = np.array([c.chip.family for c in ready.cases])
    own = np.ones((len(ready.cases), len(names)), dtype=bool)
    for j, (table, key, _) in enumerate(names):
        if table == "framework":
            own[:, j] = frameworks == key
        elif table == "family":
            own[:, j] = families == key
    return np.vstack([own, own, own, np.eye(len(names), dtype=bool)])


def groups_of(moves: NDArray[np.bool_]) -> list[list[int]]:
    """Return columns that move no residual in common, together: one evaluation gives the slopes of all of them."""
    out: list[tuple[list[int], NDArray[np.bool_]]] = []
    for j in range(moves.shape[1]):
        for members, taken in out:
            if not np.any(taken & moves[:, j]):
                members.append(j)
                taken |= moves[:, j]
                break
        else:
            out.append(([j], moves[:, j].copy()))
    return [members for members, _ in out]


def spreads(ready: Prepared, predictions: Mapping[str, Array]) -> dict[str, float]:
    """Return half the central 80 % of log errors over 1.28 by metric: a robust standard deviation."""
    logs, _ = targets(ready)
    out = {}
    for m in METRICS:
        error = np.log(predictions[m]) - logs[m]
        error = error[np.isfinite(error)]
        if error.size:
            low, high = np.quantile(error, [0.1, 0.9])
            out[m] = float((high - low) / 2.0 / 1.2815515655446004)
    return out


def leave_out(
    ready: Prepared,
    names: Sequence[tuple[str, str, str]],
    values: Array,
    group: Callable[[Case], str],
    *,
    steps: int,
) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return (parameter set without each group, predictions of each group by it)."""
    labels = np.array([group(c) for c in ready.cases])
    sets: dict[str, Any] = {}
    out = {m: np.full(len(ready.cases), np.nan) for m in METRICS}
    centre, _ = prior(names)
    for label in sorted(set(labels)):
        mine = labels == label
        left = {c.framework for c, m in zip(ready.cases, mine, strict=True) if not m}
        families = {c.chip.family for c, m in zip(ready.cases, mine, strict=True) if not m}
        start = values.copy()
        for i, (table, key, _) in enumerate(names):
            if (table == "framework" and key not in left) or (table == "family" and key not in families):
                start[i] = centre[i]
        x = fit(ready, names, start, steps=steps, rows=~mine)
        sets[label] = as_parameters(names, x)
        found = predict(ready, sets[label])
        for m in METRICS:
            out[m][mine] = found[m][mine]
        print(f"  without {label}: {int(mine.sum())} configurations", flush=True)
    return sets, out


def summary(ready: Prepared, predictions: Mapping[str, Array], title: str) -> None:
    """Print the median absolute error by metric and mode."""
    logs, _ = targets(ready)
    modes = np.array([c.mode for c in ready.cases])
    text = []
    for m in METRICS:
        for mode in ("closed", "rate", "offline", "server", "interactive", "disagg"):
            error = np.exp(np.log(predictions[m]) - logs[m])[modes == mode] - 1.0
            error = error[np.isfinite(error)]
            if error.size:
                text.append(
                    f"{m}/{mode} {100 * np.median(np.abs(error)):.1f}% ({100 * np.median(error):+.0f}) n={error.size}"
                )
    print(title, "; ".join(text), flush=True)


def main(arguments: Sequence[str]) -> None:
    """Fit on the files named, or on the project's own copy, and store the sets."""
    quick = "--quick" in arguments
    files = [Path(a) for a in arguments if not a.startswith("--")] or sorted(DATA.glob("*.parquet"))
    began = time.perf_counter()
    _, cases, _ = read_cases(files)
    ready = prepare(distinct(cases))
    names = names_of(ready.cases)
    print(f"{len(cases)} rows, {len(ready.cases)} configurations, {len(names)} numbers", flush=True)
    start, _ = prior(names)
    everything = np.ones(len(ready.cases), dtype=bool)
    summary(ready, predict(ready, as_parameters(names, start)), "start:")
    values = fit(ready, names, start, steps=6 if quick else 11, rows=everything)
    final = as_parameters(names, values)
    summary(ready, predict(ready, final), f"fitted ({time.perf_counter() - began:.0f} s):")
    if quick:
        print({k: round(float(np.exp(v)), 5) for k, v in final["pooled"].items()})
        for table in ("framework", "family"):
            for key, shifts in final[table].items():
                print(table, key, {k: round(float(np.exp(v)), 2) for k, v in shifts.items()})
        return
    by_chip, chip_out = leave_out(ready, names, values, lambda c: chip_group(c.chip), steps=4)
    summary(ready, chip_out, "left out by chip:")
    by_model, model_out = leave_out(ready, names, values, lambda c: model_group(c.model), steps=4)
    summary(ready, model_out, "left out by model:")
    write_json(
        OUT,
        {
            "final": final,
            "left_out": {**by_chip, **by_model},
            "groups_of": "a row's chip by its catalogue id (chip:ID); its model by architecture (model:ID)",
            "spread": {
                "in_sample": spreads(ready, predict(ready, final)),
                "chip": spreads(ready, chip_out),
                "model": spreads(ready, model_out),
            },
            "fitted_on": [
                {"file": f.name, "sha256": hashlib.sha256(f.read_bytes()).hexdigest(), "rows": len(cases)}
                for f in files
            ],
            "date": date.today().isoformat(),
        },
    )
    print(f"wrote {OUT.name} in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
