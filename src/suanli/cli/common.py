"""What commands share: the --json option, tables on the console, progress."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from suanli.files import to_json, write_json

JsonPath = Annotated[
    str | None,
    typer.Option("--json", metavar="PATH", help="Write the answer as JSON to PATH ('-': standard output)."),
]


def console(json_path: str | None = None) -> Console:
    """Return the console for people: standard output, or standard error where JSON goes to standard output."""
    return Console(stderr=json_path == "-", soft_wrap=False, highlight=False)


def emit_json(path: str | None, data: Any) -> None:
    """Write ``data`` as JSON to ``path`` (whole or not at all), to standard output for '-', nowhere for None."""
    if path is None:
        return
    if path == "-":
        sys.stdout.write(to_json(data) + "\n")
    else:
        write_json(Path(path), data)


def table(
    title: str | None, columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[str] = ()
) -> Table:
    """Return a Rich table; the columns named in ``right`` are right-aligned numbers."""
    out = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    numbers = set(right)
    for name in columns:
        out.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    for row in rows:
        out.add_row(*row)
    return out
