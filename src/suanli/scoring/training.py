"""Score measured LLM training runs: step time, by parameters fitted without the row's source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from suanli.errors import InputError
from suanli.files import read_table
from suanli.scoring._result import Scored, error_metrics
from suanli.scoring._training_rows import Row, read_rows
from suanli.scoring._training_score import BASELINE, regret, scored_frame, told

_NEEDED = ("chip", "n_chips", "n_layers", "hidden", "n_heads", "seq_len")


def score(files: Sequence[Path]) -> Scored:
    """Return predicted beside measured step times of every row that states a time or tokens/s.

    Raises InputError for a file that is no table of training runs.
    """
    rows: list[Row] = []
    skipped: list[tuple[str, str]] = []
    total = 0
    for path in files:
        frame = read_table(path)
        lacking = [c for c in _NEEDED if c not in frame.columns]
        if lacking:
            raise InputError(f"{path}: column '{lacking[0]}' is missing; a table of training runs has it")
        total += frame.height
        good, bad = read_rows(frame.iter_rows(named=True), stem=path.stem)
        rows += [row for row in good if row.measured]
        skipped += [(row.id, "neither a step time nor tokens/s") for row in good if not row.measured]
        skipped += bad
    if not rows:
        return Scored(kind="training", n_rows=total, rows=_empty(), skipped=skipped, groups=("source", "chip"))
    frame, fitted = scored_frame(rows)
    complete = frame.filter(pl.col("complete"))
    extra: dict[str, Any] = {}
    notes: list[str] = []
    if complete.height:
        extra["complete_rows"] = {"step_time": error_metrics(complete)}
        mean = extra["complete_rows"]["step_time"]["mean_abs_pct"]
        notes.append(f"rows whose configuration is complete: {complete.height}, mean error {mean:.1f} %")
    lost = regret(rows, frame)
    if lost is not None:
        extra["regret"] = lost
        notes.append(told(lost))
    return Scored(
        kind="training",
        n_rows=total,
        rows=frame,
        skipped=skipped,
        groups=("source", "chip", "era"),
        fitted=fitted,
        baseline_name=BASELINE,
        notes=notes,
        extra=extra,
    )


def _empty() -> pl.DataFrame:
    """Return the rows of a file in which nothing can be scored."""
    text = dict.fromkeys(("id", "metric", "source", "chip"), pl.String)
    numbers = dict.fromkeys(("measured", "predicted", "p10", "p90", "baseline"), pl.Float64)
    return pl.DataFrame(schema={**text, **numbers})
