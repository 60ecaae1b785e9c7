"""Score vTrain's measured iterations, single node or many: step time of small GPT models on A100."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from suanli.files import read_table
from suanli.scoring._result import Scored
from suanli.scoring._training_rows import Row
from suanli.scoring._training_score import BASELINE, distinct, scored_frame
from suanli.scoring._vtrain_rows import read_vtrain


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
    frame, _ = scored_frame(few, spread="vtrain")
    wide = frame[index].with_columns(
        pl.Series("id", [row.id for row in rows]),
        pl.Series("measured", [float(row.measured or np.nan) for row in rows]),
    )
    from suanli import catalog

    groups = catalog.fitted("training")["left_out"]
    left = sum(1 for row in rows if row.title in groups)
    return Scored(
        kind="vtrain",
        n_rows=total,
        rows=wide,
        skipped=skipped,
        groups=("source", "group"),
        fitted={"left_out": left, "final": len(rows) - left},
        baseline_name=BASELINE,
        notes=("vTrain's rows are judged by parameters fitted without models of their hidden size and depth",),
    )
