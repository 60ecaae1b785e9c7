"""Rulings against labelled cases: exact agreement of outcome, paragraph and presumption, and every false clear."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from suanli.controls import Query, answer, load_rulebook, query_of_row
from suanli.errors import InputError, SuanliError
from suanli.files import read_table, read_text
from suanli.kinds import GROUPS
from suanli.scoring._result import Scored

LABELS: tuple[str, ...] = ("outcome", "eccn", "presumption")
_NEEDED = ("ruleset", "date", "activity", *LABELS)


def score(files: Sequence[Path]) -> Scored:
    """Return the rulings on the cases in ``files`` beside their labels.

    A case is decided from its structured columns and ``facts`` alone. ``extra`` has the false clears: cases ruled
    *free* whose label is *restricted* or *open*. Raises InputError for a file that is no case table.
    """
    book = load_rulebook()
    lines: list[dict[str, Any]] = []
    skipped: list[tuple[str, str]] = []
    cleared: list[str] = []
    n_rows = 0
    for path in files:
        for number, row in enumerate(read_cases(path), start=1):
            n_rows += 1
            name = str(row.get("case_id") or f"{path.name}:{number}")
            try:
                query, ruleset = _question(row)
                said = answer(query, ruleset=ruleset, rulebook=book)
            except SuanliError as error:
                skipped.append((name, " ".join(str(error).split())))
                continue
            lines += _lines(name, row, said)
            if GROUPS[said[0]] == "free" and GROUPS[row["outcome"]] in {"restricted", "open"}:
                cleared.append(name)
    return Scored(
        kind="controls",
        n_rows=n_rows,
        rows=_frame(lines),
        skipped=skipped,
        groups=("activity", "ruleset"),
        fitted={"left_out": 0, "final": n_rows - len(skipped)},
        baseline_name="none",
        notes=("nothing is fitted: rulings follow from the rule file alone; not legal advice",),
        extra={"false_clears": {"n": len(cleared), "ids": cleared}},
    )


def read_cases(path: Path) -> list[dict[str, str]]:
    """Return the rows of a case table as text, so that no figure is rounded on the way.

    Raises InputError where the file is missing or lacks a column that every case needs.
    """
    if path.suffix == ".parquet":
        frame = read_table(path)
        rows = [{k: "" if v is None else str(v) for k, v in row.items()} for row in frame.iter_rows(named=True)]
        header: Sequence[str] = frame.columns
    else:
        reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
        header = reader.fieldnames or ()
        rows = [{k: v or "" for k, v in row.items() if k is not None} for row in reader]
    lacking = [name for name in _NEEDED if name not in header]
    if lacking:
        raise InputError(f"{path}: no case table: lacks the column{'s' * (len(lacking) > 1)} {', '.join(lacking)}")
    return rows


def _question(row: Mapping[str, str]) -> tuple[Query, str]:
    if row["outcome"] not in GROUPS:
        raise InputError(f"the label '{row['outcome']}' is no outcome")
    return query_of_row(row), row["ruleset"]


def _lines(name: str, row: Mapping[str, str], said: tuple[str, str, str]) -> list[dict[str, Any]]:
    shared = {"id": name, "source": name.split("-")[0], "activity": row["activity"], "ruleset": row["ruleset"]}
    pairs = zip(LABELS, said, strict=True)
    return [{**shared, "metric": label, "measured": row[label], "predicted": value} for label, value in pairs]


def _frame(lines: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    text = ("id", "metric", "measured", "predicted")
    schema: dict[str, Any] = dict.fromkeys(text, pl.String)
    schema |= dict.fromkeys(("p10", "p90", "baseline"), pl.Float64)
    schema |= dict.fromkeys(("source", "activity", "ruleset"), pl.String)
    filled = [{**dict.fromkeys(schema), **line} for line in lines]
    return pl.DataFrame(filled, schema=schema)
