"""Fit serving's habits on measured runs: ``python -m validation.fit.serving [FILE ...]``.

Writes src/suanli/catalog/data/fitted/serving.json: one set fitted on all rows, and one without each chip and each
model (architecture). The loss is the absolute log error, smoothed near 0, with every distinct configuration counted
once and what hides its settings weighs less; shifts of frameworks, releases and chip families are shrunk towards 0.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from suanli.estimates import Z80
from suanli.files import write_json
from suanli.scoring._serving_predict import METRICS, Prepared, kinds_of, predict, prepare, widening
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
    "layer": np.log(1.5e-5),
    "front": np.log(5e-6),
    "eager": np.log(3e-4),
    "first": np.log(0.02),
    "fresh": 0.0,
    "arrive": np.log(2e-3),
    "cohort": np.log(0.15),
    "varied": np.log(0.1),
    "group": np.log(1.0),
    "wait": np.log(5.0),
    "cold": np.log(1.2),
    "interference": 0.0,
    "client": np.log(7e-5),
    "short": np.log(8.0),
    "accept": np.log(0.7),
    "offline": 0.0,
    "tuned": 0.0,
    "bounded": 0.0,
    "queue": 0.0,
}
"""Logarithms from which the fit starts, and towards which pooled values are weakly drawn."""

WIDTH: Mapping[str, float] = {
    "host": 1.0,
    "layer": 0.35,
    "front": 1.0,
    "first": 1.0,
    "cohort": 1.0,
    "varied": 1.0,
    "group": 1.5,
    "wait": 1.5,
    "eager": 0.7,
    "fresh": 0.7,
    "client": 0.7,
    "short": 0.5,
    "accept": 0.15,
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
    "eager",
    "first",
    "cohort",
    "varied",
    "group",
    "wait",
    "cold",
    "interference",
    "client",
    "offline",
    "tuned",
    "bounded",
    "queue",
)
BY_RELEASE = ("host", "layer", "front")
BY_FAMILY = ("dense", "weights", "cache", "links", "bulk")
STARTS = 4  # of the fit, beside the prior's centre
SHIFT = 0.2  # prior log-standard deviation of a framework's or family's shift
RELEASE_SHIFT = 0.1  # the same of a release, beside its framework's; 0.2 met runs left out no better
WIDE_SHIFT = 0.4  # the same for habits that frameworks choose freely
FREE = ("host", "front", "first", "arrive", "cohort", "varied", "group", "wait", "client", "queue")
STEP = 2e-3  # of the slopes
FEW = 25  # configurations below which leaving a group out moves the fit too little for more than one step
REPEATS = 16  # rows of one configuration beyond which their mean gains no more
POWER = 0.25  # weight of a configuration by its rows: their scatter is part of the error only
MANY = 12  # runs from which a kind has a spread of its own
SOFT = 0.15  # log error below which the loss is quadratic


def names_of(cases: Sequence[Case]) -> list[tuple[str, str, str]]:
    """Return (table, key, name) of every number fitted: pooled values, then shifts of what occurs in ``cases``."""
    out = [("pooled", "", name) for name in START]
    frameworks = sorted({c.framework for c in cases})
    releases = sorted({c.release for c in cases} - {""})
    families = sorted({c.chip.family for c in cases})
    out += [("framework", f, name) for f in frameworks for name in BY_FRAMEWORK]
    out += [("release", r, name) for r in releases for name in BY_RELEASE]
    return out + [("family", f, name) for f in families for name in BY_FAMILY]


def as_parameters(names: Sequence[tuple[str, str, str]], values: Array) -> dict[str, Any]:
    """Return fitted numbers as a stored parameter set."""
    out: dict[str, Any] = {"pooled": {}, "framework": {}, "release": {}, "family": {}}
    for (table, key, name), value in zip(names, values, strict=True):
        if table == "pooled":
            out["pooled"][name] = float(value)
        else:
            out[table].setdefault(key, {})[name] = float(value)
    return out


def as_values(names: Sequence[tuple[str, str, str]], parameters: Mapping[str, Any]) -> Array:
    """Return a parameter set as numbers in the order of ``names``; what it lacks is 0."""
    pooled = {**START, **parameters["pooled"]}
    return np.array(
        [
            pooled[name] if table == "pooled" else parameters.get(table, {}).get(key, {}).get(name, 0.0)
            for table, key, name in names
        ]
    )


def prior(names: Sequence[tuple[str, str, str]]) -> tuple[Array, Array]:
    """Return (centre, log-standard deviation) of each number."""
    centre = np.array([START[name] if table == "pooled" else 0.0 for table, _, name in names])
    return centre, np.array([_width(table, name) for table, _, name in names])


def _width(table: str, name: str) -> float:
    """Return the prior log-standard deviation of a number of a table."""
    if table == "pooled":
        return WIDTH.get(name, 0.35)
    if table == "release":
        return RELEASE_SHIFT
    return WIDE_SHIFT if name in FREE else SHIFT


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
            c.release,
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
        means = {k: float(np.exp(np.mean(v))) for k, v in logs.items()}
        out.append(replace(members[0], measured=means, repeats=len(members)))
    return out


def targets(ready: Prepared) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return (log measured, weight) by metric; see _weight."""
    n = len(ready.cases)
    logs = {m: np.full(n, np.nan) for m in METRICS}
    for i, c in enumerate(ready.cases):
        for m, value in c.measured.items():
            logs[m][i] = np.log(value)
    weight = np.array([_weight(c) * min(c.repeats, REPEATS) ** POWER for c in ready.cases])
    return logs, {"ttft": 0.85 * weight, "tpot": 1.0 * weight, "output_rate": 1.0 * weight}


def _weight(case: Case) -> float:
    """Return the weight of a case: less where the run hides more than it tells."""
    if case.speculative:
        return 0.2
    if case.source == "GPUSTACK":  # one client process sends a thousand streams, and is often what limits the rate
        return 0.4
    return 0.5 if case.mode == "disagg" else 1.0


@dataclass(frozen=True, slots=True)
class Problem:
    """Cases with what least squares needs of them: logs measured, weights, the numbers' names and their prior."""

    ready: Prepared
    names: Sequence[tuple[str, str, str]]
    logs: Mapping[str, Array]
    weights: Mapping[str, Array]
    centre: Array
    width: Array

    def residuals(self, x: Array) -> Array:
        """Return the cases' residuals, then the prior's, at the numbers ``x``."""
        found = predict(self.ready, as_parameters(self.names, x))
        parts = []
        for m in METRICS:
            error = np.nan_to_num(np.clip(np.log(found[m]) - self.logs[m], -3.0, 3.0), nan=0.0)
            # sqrt of a smoothed absolute value, so that the sum of squares is the robust loss
            size = np.sqrt(2.0 * (np.sqrt(1.0 + (error / SOFT) ** 2) - 1.0))
            parts.append(self.weights[m] * np.sign(error) * size)
        return np.concatenate([*parts, 2.0 * (x - self.centre) / self.width])

    def slopes(self, x: Array, base: Array) -> Array:
        """Return the residuals' slopes at ``x``, where they are ``base``."""
        moves = moved(self.ready, self.names)
        out = np.zeros((base.size, x.size))
        for members in groups_of(moves):
            there = x.copy()
            there[members] += STEP
            change = (self.residuals(there) - base) / STEP
            for j in members:
                out[:, j] = np.where(moves[:, j], change, 0.0)
        return out


def problem(ready: Prepared, names: Sequence[tuple[str, str, str]]) -> Problem:
    """Return the problem of fitting the numbers ``names`` to the cases of ``ready``."""
    logs, weights = targets(ready)
    centre, width = prior(names)
    return Problem(ready, names, logs, weights, centre, width)


def fit(task: Problem, start: Array, *, steps: int) -> Array:
    """Return the numbers that fit the cases best, within ``steps`` steps from ``start``."""
    found = least_squares(
        task.residuals, start, jac=lambda x: task.slopes(x, task.residuals(x)), max_nfev=steps, x_scale=task.width
    )
    return np.asarray(found.x)


def best_fit(task: Problem, *, steps: int) -> Array:
    """Return the fit of least loss among those from the prior's centre and from ``STARTS`` draws around it.

    The loss has many minima that differ by a few thousandths, and a point in what is left out.
    """
    rng = np.random.default_rng(0)
    draws = [0.5 * task.width * rng.standard_normal(task.centre.size) for _ in range(STARTS)]
    found = [fit(task, task.centre + draw, steps=steps) for draw in (np.zeros_like(task.centre), *draws)]
    losses = [0.5 * float(np.sum(task.residuals(x) ** 2)) for x in found]
    print("losses: " + ", ".join(f"{loss:.1f}" for loss in losses), flush=True)
    return found[int(np.argmin(losses))]


def one_step(base: Array, slopes: Array, x: Array, rows: NDArray[np.bool_], held: NDArray[np.bool_]) -> Array:
    """Return the numbers after one Gauss-Newton step of the residuals at ``rows``; those ``held`` stay."""
    a, b = slopes[np.ix_(rows, ~held)], base[rows]
    out = x.copy()
    step = np.linalg.lstsq(a.T @ a + 1e-9 * np.eye(a.shape[1]), -(a.T @ b), rcond=None)[0]
    out[~held] += np.clip(step, -1.0, 1.0)
    return out


def moved(ready: Prepared, names: Sequence[tuple[str, str, str]]) -> NDArray[np.bool_]:
    """Return which residuals each number moves: a shift only those of its own runs."""
    keys = {
        "framework": np.array([c.framework for c in ready.cases]),
        "release": np.array([c.release for c in ready.cases]),
        "family": np.array([c.chip.family for c in ready.cases]),
    }
    own = np.ones((len(ready.cases), len(names)), dtype=bool)
    for j, (table, key, _) in enumerate(names):
        if table in keys:
            own[:, j] = keys[table] == key
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


def spreads(ready: Prepared, predictions: Mapping[str, Array], sets: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the log-standard deviation by metric, and by metric and kind of run, whose central 80 % holds 80 %.

    ``sets`` are the parameter sets that judged the cases; what widens a case's interval is divided out first. A kind
    of fewer than MANY runs has none of its own.
    """
    logs, _ = targets(ready)
    kinds = [kinds_of(c) for c in ready.cases]
    factor = np.array([widening(c, s) for c, s in zip(ready.cases, sets, strict=True)])
    out = {}
    for m in METRICS:
        size = np.abs(np.log(predictions[m]) - logs[m]) / factor
        for name in ("", *sorted({k for each in kinds for k in each})):
            mine = np.array([not name or name in each for each in kinds])
            found = size[mine & np.isfinite(size)]
            if found.size >= (1 if not name else MANY):
                out[f"{m}/{name}" if name else m] = float(np.quantile(found, 0.8)) / Z80
    return out


def leave_out(task: Problem, values: Array, group: Callable[[Case], str], *, steps: int) -> dict[str, Any]:
    """Return the parameter set without each group; shifts that only the group's runs could tell are left out of it.

    Each set starts one Gauss-Newton step from ``values``, with the slopes there less the group's; a group of FEW
    configurations or more goes ``steps`` steps on.
    """
    ready, names = task.ready, task.names
    labels = np.array([group(c) for c in ready.cases])
    base = task.residuals(values)
    slopes = task.slopes(values, base)
    sets: dict[str, Any] = {}
    for label in sorted(set(labels)):
        mine = labels == label
        left: dict[str, set[str]] = {"framework": set(), "release": set(), "family": set()}
        for case, out in zip(ready.cases, mine, strict=True):
            if not out:
                left["framework"].add(case.framework)
                left["release"].add(case.release)
                left["family"].add(case.chip.family)
        lost = np.array([table in left and key not in left[table] for table, key, _ in names])
        kept = np.concatenate([np.tile(~mine, len(METRICS)), np.ones(len(names), dtype=bool)])
        start = np.where(lost, task.centre, values)
        x = one_step(base, slopes, start, kept, lost)
        if mine.sum() >= FEW:
            x = fit(problem(ready.only(~mine), names), x, steps=steps)
        found = as_parameters(names, x)
        for table, keys in left.items():
            found[table] = {key: shifts for key, shifts in found[table].items() if key in keys}
        sets[label] = found
        print(f"  without {label}: {int(mine.sum())} configurations", flush=True)
    return sets


def judged(ready: Prepared, sets: Mapping[str, Any], group: Callable[[Case], str]) -> dict[str, Array]:
    """Return predictions of each case by the set without its group."""
    labels = np.array([group(c) for c in ready.cases])
    out = {m: np.full(len(ready.cases), np.nan) for m in METRICS}
    for label in sorted(set(labels)):
        mine = labels == label
        found = predict(ready.only(mine), sets[label])
        for m in METRICS:
            out[m][mine] = found[m]
    return out


def chip_of(case: Case) -> str:
    """Return the group of a case's chip."""
    return chip_group(case.chip)


def model_of(case: Case) -> str:
    """Return the group of a case's model."""
    return model_group(case.model)


def summary(ready: Prepared, predictions: Mapping[str, Array], title: str) -> None:
    """Print the median absolute error by metric and mode."""
    logs, _ = targets(ready)
    modes = np.array([c.mode for c in ready.cases])
    text = []
    for m in METRICS:
        for mode in ("closed", "rate", "full", "offline", "server", "interactive", "disagg"):
            error = np.exp(np.log(predictions[m]) - logs[m])[modes == mode] - 1.0
            error = error[np.isfinite(error)]
            if error.size:
                text.append(
                    f"{m}/{mode} {100 * np.median(np.abs(error)):.1f}% ({100 * np.median(error):+.0f}) n={error.size}"
                )
    print(title, "; ".join(text), flush=True)


def main(arguments: Sequence[str]) -> None:
    """Fit on the files named, or on the project's own copy, and store the sets.

    ``--warm`` starts from the stored sets alone, ``--quick`` prints a fit of all runs and stores nothing.
    """
    quick, warm = "--quick" in arguments, "--warm" in arguments
    files = [Path(a) for a in arguments if not a.startswith("--")] or sorted(DATA.glob("*.parquet"))
    began = time.perf_counter()
    _, cases, _ = read_cases(files)
    ready = prepare(distinct(cases))
    names = names_of(ready.cases)
    print(f"{len(cases)} rows, {len(ready.cases)} configurations, {len(names)} numbers", flush=True)
    start = as_values(names, json.loads(OUT.read_text(encoding="utf-8"))["final"]) if warm else prior(names)[0]
    task = problem(ready, names)
    summary(ready, predict(ready, as_parameters(names, start)), "start:")
    values = fit(task, start, steps=5) if warm else best_fit(task, steps=6 if quick else 20)
    final = as_parameters(names, values)
    summary(ready, predict(ready, final), f"fitted ({time.perf_counter() - began:.0f} s):")
    if quick:
        show(final)
        return
    sets = {**leave_out(task, values, chip_of, steps=3), **leave_out(task, values, model_of, steps=3)}
    write_json(OUT, stored(ready, final, sets, files, len(cases)))
    print(f"wrote {OUT.name} in {time.perf_counter() - began:.0f} s")


def show(parameters: Mapping[str, Any]) -> None:
    """Print a parameter set as factors."""
    print({k: round(float(np.exp(v)), 5) for k, v in parameters["pooled"].items()})
    for table in ("framework", "release", "family"):
        for key, shifts in parameters[table].items():
            print(table, key, {k: round(float(np.exp(v)), 2) for k, v in shifts.items()})


def stored(
    ready: Prepared, final: Mapping[str, Any], sets: Mapping[str, Any], files: Sequence[Path], rows: int
) -> dict[str, Any]:
    """Return what serving.json holds: the sets, how to find a row's, and the spread of the runs left out."""
    spread = {"in_sample": spreads(ready, predict(ready, final), [final] * len(ready.cases))}
    for name, group in (("chip", chip_of), ("model", model_of)):
        found = judged(ready, sets, group)
        summary(ready, found, f"left out by {name}:")
        spread[name] = spreads(ready, found, [sets[group(c)] for c in ready.cases])
    return {
        "final": final,
        "left_out": sets,
        "groups_of": "a row's chip by its catalogue id (chip:ID); its model by architecture (model:ID)",
        "spread": spread,
        "fitted_on": [
            {"file": f.name, "sha256": hashlib.sha256(f.read_bytes()).hexdigest(), "rows": rows} for f in files
        ],
        "date": date.today().isoformat(),
    }


if __name__ == "__main__":
    main(sys.argv[1:])
