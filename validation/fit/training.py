"""Fit the named parameters of the step-time model on measured runs, with each source left out in turn.

Run as ``python -m validation.fit.training [RUNS.csv VTRAIN.csv]``. Maximum a posteriori: squared logarithms of
predicted over measured time (Cauchy beyond two spreads) plus the priors of data/parameters.yaml; sources count by the
square root of their rows, so that a long table does not drown the others, vTrain's grid counts
as one run would, and rows with settings left open count less.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suanli.files import read_table, write_json
from suanli.scoring._training_blocks import Block, blocks, predict
from suanli.scoring._training_rows import Row, read_rows
from suanli.scoring._vtrain_rows import WHOLE_VTRAIN, read_vtrain
from suanli.training import LIGHT, Parameters, effect_sd, priors

Array = NDArray[np.float64]

ROOT = Path(__file__).resolve().parents[2]
DEFAULTS = (ROOT / "validation/data/training/runs.csv", ROOT / "validation/data/vtrain/single_node.csv")
OUT = ROOT / "src/suanli/catalog/data/fitted/training.json"

NOISE = 0.05  # spread of a run's logarithm that no parameter is meant to explain
_SCALE = 2.0  # spreads beyond which a run counts as odd
_STEP = 0.05  # of a standard deviation, for slopes
_FLOOR = 0.055  # spread that runs of one setting on different machines show among themselves
_WIDE = ("bf16", "fp16", "fp32", "tf32")
VTRAIN_STEP = 8  # every eighth row of vTrain's grid takes part: the grid is smooth


@dataclass(frozen=True)
class Data:
    """Rows with a measurement, prepared blocks, and the weight of each row."""

    rows: Sequence[Row]
    parts: Sequence[Block]
    log_measured: Array
    weight: Array


def load(paths: Sequence[Path]) -> list[Row]:
    """Return the measured rows of all files; a file with vTrain's columns is read as such."""
    rows: list[Row] = []
    for path in paths:
        frame = read_table(path)
        if "id" in frame.columns:
            rows += [r for r in read_rows(frame.iter_rows(named=True), stem=path.stem)[0] if r.measured]
        else:
            rows += read_vtrain(path)[0][::VTRAIN_STEP]
    return rows


def data_of(rows: Sequence[Row]) -> Data:
    """Return rows with their operator and collective times, which no parameter changes."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.source] = counts.get(row.source, 0) + 1
    return Data(
        rows=rows,
        parts=blocks(rows),
        log_measured=np.log([r.measured or np.nan for r in rows]),
        weight=np.array(
            [
                2.0 * counts[r.source] ** (-0.6 if r.source == "vtrain" else -0.25) * (0.4 if r.missing else 1.0)
                for r in rows
            ]
        ),
    )


def names_of(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Return the code bases, eras and chip families that occur, and the families with runs in narrow formats."""
    return {
        "kin": sorted({r.era.kin for r in rows}),
        "era": sorted({r.era.id for r in rows}),
        "family": sorted({r.chip.family for r in rows}),
        "narrow": sorted({r.chip.family for r in rows if r.precision not in _WIDE}),
    }


def unpack(x: Array, names: Mapping[str, Sequence[str]]) -> Parameters:
    """Return the parameters at the point ``x`` of standardised deviations from the priors."""
    values = {}
    known = priors()
    for prior, z in zip(known, x, strict=False):
        if prior.kind == "share":
            logit = np.log(prior.value / (1.0 - prior.value)) + prior.sd * z
            values[prior.name] = float(1.0 / (1.0 + np.exp(-logit)))
        else:
            values[prior.name] = float(prior.value * np.exp(prior.sd * z))
    at = len(known)
    effects = {}
    for kind, members in names.items():
        effects[kind] = {m: float(effect_sd(kind) * z) for m, z in zip(members, x[at:], strict=False)}
        at += len(members)
    return Parameters(
        values=values, kin=effects["kin"], era=effects["era"], family=effects["family"], narrow=effects["narrow"]
    )


def errors(data: Data, x: Array) -> Array:
    """Return the logarithm of predicted over measured time of each row at the point ``x``."""
    predicted = predict(data.parts, unpack(x, names_of(data.rows)), len(data.rows))
    return np.asarray(np.log(predicted) - data.log_measured, dtype=np.float64)


def slopes(data: Data, x: Array) -> Array:
    """Return the derivative of each row's error by each parameter (forward differences)."""
    at = errors(data, x)
    columns = []
    for i in range(x.size):
        beside = x.copy()
        beside[i] += _STEP
        columns.append((errors(data, beside) - at) / _STEP)
    return np.stack(columns, axis=1)


def fit(data: Data, keep: NDArray[np.bool_], *, start: Array, slope: Array, rounds: int = 8) -> Array:
    """Return the most likely point given the rows in ``keep``, by reweighted Gauss-Newton steps on fixed ``slope``.

    Cauchy's loss: a run that nothing explains loses its pull instead of bending every parameter.
    """
    x = start
    for _ in range(rounds):
        error = errors(data, x)
        odd = np.sqrt(1.0 + (error / NOISE * data.weight / _SCALE) ** 2)
        weight = np.where(keep, data.weight / NOISE / odd, 0.0)
        a, b = slope * weight[:, None], error * weight
        move = -np.linalg.solve(a.T @ a + np.eye(x.size), a.T @ b + x)
        largest = float(np.abs(move).max())
        x = x + move / max(1.0, largest)
        if largest < 0.01:
            break
    return x


def as_json(p: Parameters) -> dict[str, Any]:
    """Return parameters in their JSON form, to five digits."""

    def short(d: Mapping[str, float]) -> dict[str, float]:
        return {k: float(f"{v:.5g}") for k, v in d.items()}

    effects = {kind: short(getattr(p, kind)) for kind in ("kin", "era", "family", "narrow")}
    return {"values": short(p.values), **effects, "chips": list(p.chips)}


def seen(data: Data, keep: NDArray[np.bool_], p: Parameters) -> Parameters:
    """Return ``p`` without the effects of code bases, eras and families that none of the rows in ``keep`` has."""
    names = names_of([r for r, k in zip(data.rows, keep, strict=True) if k])

    def only(effects: Mapping[str, float], kind: str) -> dict[str, float]:
        return {k: v for k, v in effects.items() if k in names[kind]}

    return Parameters(
        values=p.values,
        kin=only(p.kin, "kin"),
        era=only(p.era, "era"),
        family=only(p.family, "family"),
        narrow=only(p.narrow, "narrow"),
        chips=tuple(sorted({r.chip.id for r, k in zip(data.rows, keep, strict=True) if k})),
    )


def settled(data: Data, keep: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Return the most likely point given the rows in ``keep``, from the priors, and the slopes there."""
    size = len(priors()) + sum(len(members) for members in names_of(data.rows).values())
    x = np.zeros(size)
    for _ in range(4):
        x = fit(data, keep, start=x, slope=slopes(data, x), rounds=4)
    return x, slopes(data, x)


def without(data: Data, keep: NDArray[np.bool_], *, start: Array, slope: Array, name: str) -> tuple[Parameters, Array]:
    """Return the parameters fitted on the rows in ``keep`` and what they predict of the others (s); print its error."""
    p = seen(data, keep, unpack(fit(data, keep, start=start, slope=slope), names_of(data.rows)))
    predicted = predict(data.parts, p, len(data.rows))[~keep]
    error = predicted / np.exp(data.log_measured[~keep]) - 1.0
    runs = np.array([r.source != "vtrain" for r in data.rows])[~keep]
    error = error[runs] if runs.any() else error
    mean, bias = 100.0 * np.abs(error).mean(), 100.0 * error.mean()
    print(f"{name[:70]:70s} n {error.size:3d}  mean {mean:5.1f} %  bias {bias:+5.1f} %", flush=True)
    return p, predicted


def main(arguments: Sequence[str]) -> None:
    """Fit on the files named in ``arguments`` (default: what the project ships) and store the parameters."""
    paths = [Path(a) for a in arguments] or list(DEFAULTS)
    data = data_of(load(paths))
    everything = np.ones(len(data.rows), dtype=bool)
    best, slope = settled(data, everything)
    final = seen(data, everything, unpack(best, names_of(data.rows)))
    left_out: dict[str, Any] = {}
    held, strict = np.full(len(data.rows), np.nan), np.full(len(data.rows), np.nan)
    for group in sorted({r.title for r in data.rows}):
        keep = np.array([r.title != group for r in data.rows])
        p, held[~keep] = without(data, keep, start=best, slope=slope, name=group)
        left_out[group] = as_json(p)
    apart = np.array([r.source != "vtrain" for r in data.rows])
    if not apart.all():
        point, own = settled(data, apart)  # from the priors: not even a slope has seen a row of vTrain
        p, strict[~apart] = without(data, apart, start=point, slope=own, name=WHOLE_VTRAIN)
        left_out[WHOLE_VTRAIN] = as_json(p)
    for family in sorted({r.chip.family for r in data.rows}):
        keep = np.array([r.chip.family != family for r in data.rows])
        without(data, keep, start=best, slope=slope, name=f"chip family {family}")
    spread = spreads(data, np.log(held) - data.log_measured, left_out)
    spread["vtrain_apart"] = robust(np.abs(np.log(strict) - data.log_measured)[~apart].tolist(), 0.12)
    for entry in left_out.values():
        entry["spread"] = spread
    stored = {
        "groups_of": "source_title of a row; for vTrain tables the form, hidden size and layers",
        "fitted_on": [
            {"file": p.name, "sha256": hashlib.sha256(p.read_bytes()).hexdigest(), "date": date.today().isoformat()}
            for p in paths
        ],
        "final": {**as_json(final), "spread": spread},
        "left_out": left_out,
    }
    write_json(OUT, stored)
    report(data, held, final)


def robust(values: Sequence[float], fallback: float) -> float:
    """Return the spread whose 80 % interval holds four in five of the absolute errors ``values``."""
    return fallback if len(values) < 8 else float(f"{np.quantile(values, 0.8) / 1.2816:.4g}")


def spreads(data: Data, error: Array, left_out: Mapping[str, Any]) -> dict[str, float]:
    """Return spreads of left-out errors: of rows whose settings are known, and what missing or unseen ones add."""
    known: list[float] = []
    light: list[float] = []
    missing: list[float] = []
    unseen: list[float] = []
    for row, e in zip(data.rows, error, strict=True):
        if row.source == "vtrain":
            continue
        p = left_out[row.title]
        strange = row.chip.family not in p["family"] or row.era.kin not in p["kin"]
        some = light if row.missing and set(row.missing) <= LIGHT else missing if row.missing else known
        (unseen if strange else some).append(abs(e))

    base = max(_FLOOR, robust(known, 0.07))
    gap = robust(missing, base)
    small = robust(light, gap)
    new = robust(unseen, 2.0 * base)
    vtrain = robust([abs(e) for r, e in zip(data.rows, error, strict=True) if r.source == "vtrain"], 0.12)
    return {
        "base": base,
        "missing_light": float(f"{max(0.0, small**2 - base**2) ** 0.5:.4g}"),
        "missing": float(f"{max(0.0, gap**2 - base**2) ** 0.5:.4g}"),
        "unseen": float(f"{max(0.0, new**2 - base**2) ** 0.5:.4g}"),
        "vtrain": vtrain,
    }


def report(data: Data, held: Array, final: Parameters) -> None:
    """Print the errors of left-out predictions and of the final parameters."""
    measured = np.exp(data.log_measured)
    big = np.array([r.source != "vtrain" for r in data.rows])
    full = big & np.array([not r.missing for r in data.rows])
    for name, p in (("left out", held), ("final", predict(data.parts, final, len(data.rows)))):
        e = p / measured - 1.0
        by = [
            e[[r.source == s for r in data.rows]].mean()
            for s in sorted({r.source for r in data.rows if r.source != "vtrain"})
        ]
        print(
            f"{name}: median {100 * np.median(np.abs(e[big])):.2f} %, mean {100 * np.abs(e[big]).mean():.2f} %, "
            f"complete {100 * np.abs(e[full]).mean():.2f} % ({int(full.sum())}), bias {100 * np.mean(by):+.2f} %"
            + (f", vTrain {100 * np.abs(e[~big]).mean():.2f} %" if (~big).any() else "")
        )


if __name__ == "__main__":
    main(sys.argv[1:])
