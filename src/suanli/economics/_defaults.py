"""Defaults of economic parameters: each is a row of the catalogue's cost table."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from suanli.catalog import cost
from suanli.errors import unknown_name
from suanli.sources import Sourced

_FILE = Path(__file__).parent / "data" / "defaults.csv"


def default(parameter: str) -> Sourced:
    """Return the sourced default of ``parameter`` ("server_factor", "life", ...). Raises UnknownNameError."""
    known = _rows()
    if parameter not in known:
        raise unknown_name("parameter", parameter, known)
    return cost(known[parameter])


@cache
def _rows() -> Mapping[str, str]:
    with _FILE.open(encoding="utf-8", newline="") as file:
        return {row["parameter"]: row["cost"] for row in csv.DictReader(file)}
