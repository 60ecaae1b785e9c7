"""Score vTrain's measured iterations, single node or many: step time of small GPT models on A100."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from suanli import catalog
from suanli.files import read_table
from suanli.scoring._result import Scored, error_metrics
from suanli.scoring._training_rows import Row
from suanli.scoring._training_score import BASELINE, distinct, regret, scored_frame, told
from suanli.scoring._vtrain_rows import WHOLE_VTRAIN, read_vtrain


def score(files: Sequence[Path]) -> Scored:
    """Return predicted beside measured iteration times. Raises InputError for a file that is no vTrain table."""
    rows: list[Row] = []
    skipped: list[tuple[str, str]] = []
    total = 0
    for path in files:
        total += read_table(path).height
        good, bad = read_vtrain(path)
        rows += good
        skipped += bad
    few, index = distinct(rows)
    groups = catalog.fitted("training")["left_out"]
    took_part = np.array([row.title in groups for row in rows], dtype=bool)
    near = _measured(scored_frame(few, spread="vtrain")[0], index, rows)
    far = _measured(scored_frame(few, spread="vtrain_apart", without=WHOLE_VTRAIN)[0], index, rows)
    wide = pl.concat([far.filter(took_part), near.filter(~took_part)])[
        np.argsort(np.argsort(~took_part, kind="stable"))
    ]
    left = int(took_part.sum())
    extra: dict[str, Any] = {}
    notes = ["rows that took part in the fit are judged by parameters that saw none of vTrain's rows"]
    if left:
        extra["without_size"] = {"step_time": error_metrics(near.filter(took_part))}
        mean = extra["without_size"]["step_time"]["mean_abs_pct"]
        notes.append(
            f"by parameters that saw its machine, but no model of their hidden size and depth: {mean:.1f} % mean"
        )
    lost = regret(rows, wide)
    if lost is not None:
        extra["regret"] = lost
        notes.append(told(lost))
    return Scored(
        kind="vtrain",
        n_rows=total,
        rows=wide,
        skipped=skipped,
        groups=("source", "group"),
        fitted={"left_out": left, "final": len(rows) - left},
        baseline_name=BASELINE,
        notes=notes,
        extra=extra,
    )


def _measured(frame: pl.DataFrame, index: NDArray[np.intp], rows: Sequence[Row]) -> pl.DataFrame:
    """Return the predictions of distinct rows spread over all, each with its own name and measurement."""
    return frame[index].with_columns(
        pl.Series("id", [row.id for row in rows]),
        pl.Series("measured", [float(row.measured or np.nan) for row in rows]),
    )
