"""What every kind of validation returns, and the metrics made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

Metrics = dict[str, float | int | None]


@dataclass(frozen=True, slots=True)
class Scored:
    """Predictions beside measurements.

    ``rows`` has a line a row and metric: ``id, metric, measured, predicted, p10, p90, baseline`` (strings for
    controls, where p10, p90 and baseline are null), ``source`` and the columns named in ``groups``. ``skipped`` lists
    (id, reason). ``fitted`` counts the rows by the parameters that judged them ("left_out" or "final").
    """

    kind: str
    n_rows: int
    rows: pl.DataFrame
    skipped: Sequence[tuple[str, str]] = ()
    groups: Sequence[str] = ("source",)
    fitted: Mapping[str, int] = field(default_factory=dict)
    baseline_name: str = ""
    notes: Sequence[str] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


def error_metrics(rows: pl.DataFrame, *, predicted: str = "predicted") -> Metrics:
    """Return the error metrics of ``rows`` in per cent; errors are ``predicted / measured - 1``.

    ``bias_pct`` is the mean over sources of their mean error; coverage and width are of the 80 % interval and None
    for a prediction without one.
    """
    error = (rows[predicted] / rows["measured"] - 1.0).to_numpy()
    size = 100.0 * np.abs(error)
    bias = (
        rows.select("source")
        .with_columns(pl.Series("e", error))
        .group_by("source", maintain_order=True)
        .agg(pl.col("e").mean())
    )
    out: Metrics = {
        "n": rows.height,
        "mean_abs_pct": float(size.mean()),
        "median_abs_pct": float(np.median(size)),
        "p90_abs_pct": float(np.quantile(size, 0.9)),
        "max_abs_pct": float(size.max()),
        "bias_pct": 100.0 * float(bias["e"].to_numpy().mean()),
        "coverage_80_pct": None,
        "width_80_pct": None,
    }
    if predicted == "predicted":
        inside = (rows["measured"] >= rows["p10"]) & (rows["measured"] <= rows["p90"])
        width = ((rows["p90"] - rows["p10"]) / rows["predicted"]).to_numpy()
        out["coverage_80_pct"] = 100.0 * float(inside.to_numpy().mean())
        out["width_80_pct"] = 100.0 * float(np.median(width))
    return out


def agreement(rows: pl.DataFrame) -> Metrics:
    """Return the share of ``rows`` whose predicted label is the measured one."""
    same = (rows["predicted"] == rows["measured"]).to_numpy()
    return {"n": rows.height, "agree_pct": 100.0 * float(same.mean())}


def report(scored: Scored) -> dict[str, Any]:
    """Return the JSON form of ``scored``, as the contract of ``suanli validate`` states it."""
    labels = scored.kind == "controls"
    measure = agreement if labels else error_metrics
    metrics = {m: measure(rows) for m, rows in _by(scored.rows, "metric")}
    by_group = {
        f"{column}={value}": {m: measure(part) for m, part in _by(rows, "metric")}
        for column in scored.groups
        if column in scored.rows.columns
        for value, rows in _by(scored.rows, column)
    }
    baseline: dict[str, Metrics] = {}
    if not labels:
        known = scored.rows.filter(pl.col("baseline").is_not_null())
        baseline = {m: error_metrics(rows, predicted="baseline") for m, rows in _by(known, "metric")}
    return {
        "kind": scored.kind,
        "n_rows": scored.n_rows,
        "n_scored": scored.rows["id"].n_unique() if scored.rows.height else 0,
        "skipped": [{"id": i, "reason": r} for i, r in scored.skipped],
        "metrics": metrics,
        "by_group": by_group,
        "baseline": baseline,
        "baseline_name": scored.baseline_name,
        "parameters": dict(scored.fitted),
        "notes": list(scored.notes),
        **scored.extra,
    }


def _by(rows: pl.DataFrame, column: str) -> list[tuple[str, pl.DataFrame]]:
    """Return (value, rows) for each value of ``column`` in order of its text; nulls are left out."""
    if not rows.height:
        return []
    parts = rows.drop_nulls(column).partition_by(column, as_dict=True)
    return sorted(((str(key[0]), part) for key, part in parts.items()), key=lambda pair: pair[0])
