"""Score operator times on measured tables: GEMM, attention, MLA, MoE, element-wise work, collectives."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from suanli.catalog import resolve_chip
from suanli.errors import InputError, UnknownNameError
from suanli.estimates import Z80
from suanli.files import read_table
from suanli.scoring._ops_comm import handles, predict_comm
from suanli.scoring._ops_predict import predict_ops
from suanli.scoring._result import Scored, error_metrics

_NEEDED = ("chip", "op", "measured_latency_s")
_COLUMNS = ("id", "metric", "measured", "predicted", "p10", "p90", "baseline", "source", "chip", "op", "dtype")


def score(files: Sequence[Path]) -> Scored:
    """Return predictions beside the operator tables in ``files``.

    A row of a chip that took part in fitting is judged with parameters fitted without its fifth of the shapes, every
    other row with the final ones; ``extra`` adds the error with each such chip left out of the fit entirely.
    Raises InputError for a file that is no table of operators.
    """
    parts: list[pl.DataFrame] = []
    skipped: list[tuple[str, str]] = []
    total = 0
    for path in files:
        frame = read_table(path)
        missing = [name for name in _NEEDED if name not in frame.columns]
        if missing:
            raise InputError(f"{path}: column '{missing[0]}' is missing; needed: {', '.join(_NEEDED)}")
        total += frame.height
        for some, reasons in _predicted(path, frame):
            parts.append(some)
            skipped += reasons
    rows = pl.concat(parts)
    return Scored(
        kind="ops",
        n_rows=total,
        rows=rows.select(_COLUMNS),
        skipped=skipped,
        groups=("source", "chip", "op", "dtype"),
        fitted=dict(rows["fitted"].value_counts().iter_rows()),
        baseline_name="datasheet roofline",
        notes=_notes(rows),
        extra={"chip_left_out": _without_chip(rows)},
    )


def _without_chip(rows: pl.DataFrame) -> dict[str, Any]:
    """Return the metrics of each measured chip under the parameters fitted without it."""
    known = rows.filter(pl.col("without_chip").is_not_nan()).with_columns(
        predicted=pl.col("without_chip"),
        p10=pl.col("without_chip") * (-Z80 * pl.col("sigma_new")).exp(),
        p90=pl.col("without_chip") * (Z80 * pl.col("sigma_new")).exp(),
    )
    out: dict[str, Any] = {}
    for key, part in known.group_by("chip", maintain_order=True):
        by_op = {str(k[0]): error_metrics(p) for k, p in part.group_by("op", maintain_order=True)}
        out[str(key[0])] = {"latency": error_metrics(part), "by_op": by_op}
    return out


def _notes(rows: pl.DataFrame) -> list[str]:
    """Return a line a chip that took part in fitting: its error when it is left out altogether."""
    lines = []
    for chip, found in _without_chip(rows).items():
        m = found["latency"]
        lines.append(
            f"{chip} left out of the fit: median {m['median_abs_pct']:.1f} %, bias {m['bias_pct']:+.1f} %, "
            f"80 % interval holds {m['coverage_80_pct']:.0f} % at width {m['width_80_pct']:.0f} % (n {m['n']})"
        )
    return lines


def _predicted(path: Path, frame: pl.DataFrame) -> list[tuple[pl.DataFrame, list[tuple[str, str]]]]:
    """Return the scored rows of one table and (id, reason) of the others: operators, then collectives."""
    frame = frame.with_row_index("row")
    comm = frame["op"].map_elements(lambda op: handles(str(op)), return_dtype=pl.Boolean).fill_null(value=False)
    return [
        found(path, part)
        for found, part in ((_operators, frame.filter(~comm)), (_collectives, frame.filter(comm)))
        if part.height
    ]


def _operators(path: Path, frame: pl.DataFrame) -> tuple[pl.DataFrame, list[tuple[str, str]]]:
    found = predict_ops(frame)
    label = np.where(found.left_out, "left_out", "final")
    rows = _rows(path, frame).with_columns(
        predicted=found.predicted,
        p10=found.predicted * np.exp(-Z80 * found.sigma),
        p90=found.predicted * np.exp(Z80 * found.sigma),
        baseline=found.baseline,
        chip=pl.Series(found.chip.tolist(), dtype=pl.String),
        fitted=pl.Series(label.tolist(), dtype=pl.String),
        without_chip=found.without_chip,
        sigma_new=found.sigma_new,
    )
    row = frame["row"].to_list()
    skipped = [(f"{path.name}:{row[i]}", reason) for i, reason in sorted(found.reason.items())]
    return rows.filter(pl.col("predicted").is_not_nan()), skipped


def _collectives(path: Path, frame: pl.DataFrame) -> tuple[pl.DataFrame, list[tuple[str, str]]]:
    predicted, p10, p90, baseline, fitted = predict_comm(frame)
    without = predict_comm(frame, leave="chip")
    new = np.array([label == "left_out" for label in without[4]])
    spread = np.log(without[2] / without[1]) / (2.0 * Z80)
    rows = _rows(path, frame).with_columns(
        chip=pl.col("chip").replace(_ids(frame["chip"])),
        predicted=predicted,
        p10=p10,
        p90=p90,
        baseline=baseline,
        fitted=pl.Series(fitted, dtype=pl.String),
        without_chip=np.where(new, without[0], np.nan),
        sigma_new=spread,
    )
    known = np.isfinite(predicted) & (rows["measured"].fill_null(0.0) > 0.0).to_numpy()
    lost = [f"{path.name}:{i}" for i in frame["row"].to_numpy()[~known]]
    return rows.filter(pl.Series(known)), [
        (i, "chip, size or measured time of the collective is unknown") for i in lost
    ]


def _ids(names: pl.Series) -> dict[str, str]:
    """Return the catalogue's id of each chip name that it knows."""
    out = {}
    for name in names.drop_nulls().cast(pl.String).unique():
        with suppress(UnknownNameError):
            out[name] = resolve_chip(name).id
    return out


def _rows(path: Path, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the columns that every scored row has from its table."""
    dtype = pl.col("dtype").cast(pl.String) if "dtype" in frame.columns else pl.lit("")
    return frame.select(
        id=pl.lit(f"{path.name}:") + pl.col("row").cast(pl.String),
        metric=pl.lit("latency"),
        measured=pl.col("measured_latency_s").cast(pl.Float64, strict=False),
        source=pl.lit(path.stem),
        chip=pl.col("chip").cast(pl.String),
        op=pl.col("op").cast(pl.String),
        dtype=dtype.fill_null(""),
    )
