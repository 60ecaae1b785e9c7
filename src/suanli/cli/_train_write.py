"""Files of ``suanli train``: a timeline, a picture, and tables of strategies."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from suanli.errors import InputError

if TYPE_CHECKING:
    from suanli.training import Ranking


def write_files(
    ranking: Ranking, *, trace: Path | None, picture: Path | None, parquet: Path | None, everything: Path | None
) -> None:
    """Write what is asked for, each file whole or not at all. Raises InputError for a suffix that says no format."""
    from suanli.files import whole, write_json, write_text
    from suanli.training import layout_table, picture_svg, pipeline_events

    if everything is not None and everything.suffix not in {".parquet", ".ndjson", ".jsonl"}:
        raise InputError(f"all: '{everything}' must end in .parquet, .ndjson or .jsonl")
    if trace is not None:
        write_json(trace, {"traceEvents": pipeline_events(ranking.best), "displayTimeUnit": "ms"})
    if picture is not None:
        write_text(picture, picture_svg(ranking.best))
    if parquet is not None:
        with whole(parquet) as temporary:
            layout_table(ranking).write_parquet(temporary)
    if everything is not None:
        _write_all(everything, ranking)


def _write_all(path: Path, ranking: Ranking) -> None:
    """Write every strategy frame by frame, so that memory holds a million of them at a time."""
    import polars as pl

    from suanli.files import whole
    from suanli.training import strategy_tables

    with whole(path) as temporary:
        if path.suffix != ".parquet":
            with temporary.open("wb") as file:
                for frame in strategy_tables(ranking):
                    frame.write_ndjson(file)
            return
        with TemporaryDirectory() as folder:
            parts = []
            for i, frame in enumerate(strategy_tables(ranking)):
                parts.append(Path(folder) / f"{i:06d}.parquet")
                frame.write_parquet(parts[-1])
            pl.scan_parquet(parts).sink_parquet(temporary)
