"""Score serving runs: TTFT, TPOT and output rate of the closed form against measured rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from suanli.catalog import fitted
from suanli.estimates import Z80
from suanli.scoring._result import Scored, error_metrics
from suanli.scoring._serving_predict import METRICS, Prepared, predict, prepare, roofline, sigmas
from suanli.scoring._serving_rows import Case, chip_group, model_group, read_cases

Array = NDArray[np.float64]
Frames = dict[str, pl.DataFrame]

GROUPS: tuple[str, ...] = ("source", "mode", "kind", "chip", "framework", "model", "precision")


def score(files: Sequence[Path]) -> Scored:
    """Return predictions beside the runs in ``files``.

    A row whose chip took part in the fit is judged by the parameters fitted without that chip; one of a new chip
    whose model took part by those without the model; every other row by the final ones. The same rows judged without
    their model are reported beside, under "without_model". Aggregated and MLPerf rows make the headline metrics;
    disaggregated rows stand in the group kind=disaggregated only.
    """
    stored = fitted("serving")
    n, cases, skipped = read_cases(files)
    ready = prepare(cases)
    by_chip = [_set_for(stored, first=chip_group(c.chip), then=model_group(c.model)) for c in ready.cases]
    by_model = [_set_for(stored, first=model_group(c.model), then=chip_group(c.chip)) for c in ready.cases]
    base = [roofline(c) for c in ready.cases]
    rows = _rows(ready, _predict(ready, by_chip, stored), by_chip, base, stored)
    other = _rows(ready, _predict(ready, by_model, stored), by_model, base, stored)
    main = rows.filter(pl.col("kind") == "aggregated")
    apart = rows.filter(pl.col("kind") == "disaggregated")
    unable = [(c.id, "does not fit the stated chips at any load") for c in _without(ready, rows)]
    left = sum(name != "final" for name in by_chip)
    return Scored(
        kind="serving",
        n_rows=n,
        rows=main,
        skipped=[*skipped, *ready.skipped, *unable],
        groups=GROUPS,
        fitted={"left_out": left, "final": len(by_chip) - left},
        baseline_name="roofline without queue",
        notes=_notes(ready.cases),
        extra={
            "without_model": _metrics(other.filter(pl.col("kind") == "aggregated")),
            "disaggregated": {
                **_metrics(apart),
                "without_model": _metrics(other.filter(pl.col("kind") != "aggregated")),
            },
        },
    )


def _notes(cases: Sequence[Case]) -> list[str]:
    partly = sum(c.partly for c in cases)
    return [
        "a row is judged by parameters fitted without its chip; without_model repeats the rows without their model",
        "disaggregated rows are not in the metrics; they stand under 'disaggregated'",
        *(
            [f"the tpot of {partly} rows is not scored: a reasoning parser shows the client only part"]
            if partly
            else []
        ),
    ]


def _metrics(rows: pl.DataFrame) -> dict[str, Any]:
    return {m: error_metrics(part) for m in METRICS if (part := rows.filter(pl.col("metric") == m)).height}


def _set_for(stored: Mapping[str, Any], *, first: str, then: str) -> str:
    """Return the name of the parameter set that judges a case: of the first group that took part, else final."""
    for name in (first, then):
        if name in stored["left_out"]:
            return name
    return "final"


def _predict(ready: Prepared, sets: Sequence[str], stored: Mapping[str, Any]) -> Mapping[str, Array]:
    """Return predictions where each case takes its own parameter set."""
    out = {m: np.full(len(ready.cases), np.nan) for m in METRICS}
    labels = np.array(sets)
    for name in sorted(set(sets)):
        mine = labels == name
        parameters = stored["final"] if name == "final" else stored["left_out"][name]
        found = predict(ready.only(mine), parameters)
        for m in METRICS:
            out[m][mine] = found[m]
    return out


def _rows(
    ready: Prepared,
    found: Mapping[str, Array],
    sets: Sequence[str],
    base: Sequence[Mapping[str, float | None]],
    stored: Mapping[str, Any],
) -> pl.DataFrame:
    """Return one line a case and metric that is both measured and predicted."""
    lines: list[tuple[Any, ...]] = []
    for i, (case, name) in enumerate(zip(ready.cases, sets, strict=True)):
        spread = sigmas(case, name, stored)
        for m, measured in case.measured.items():
            value = float(found[m][i])
            if not np.isfinite(value) or value <= 0:
                continue
            half = Z80 * spread[m]
            lines.append(
                (
                    case.id,
                    m,
                    measured,
                    value,
                    value * np.exp(-half),
                    value * np.exp(half),
                    base[i][m],
                    case.source,
                    case.mode,
                    "disaggregated" if case.mode == "disagg" else "aggregated",
                    case.chip.id,
                    case.framework,
                    case.model.id,
                    case.precision,
                    name,
                )
            )
    names = ("id", "metric", "measured", "predicted", "p10", "p90", "baseline", "source", "mode", "kind")
    text = {"id", "metric", "source", "mode", "kind"}
    schema = {k: pl.String if k in text else pl.Float64 for k in names}
    schema |= dict.fromkeys(("chip", "framework", "model", "precision", "parameters"), pl.String)
    return pl.DataFrame(lines, schema=schema, orient="row")


def _without(ready: Prepared, rows: pl.DataFrame) -> list[Case]:
    """Return the cases for which no metric could be predicted."""
    done = set(rows["id"].to_list())
    return [c for c in ready.cases if c.id not in done]
