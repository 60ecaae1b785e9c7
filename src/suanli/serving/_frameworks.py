"""Names of serving frameworks, and the room's table of them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

_DATA = Path(__file__).parent / "data" / "frameworks.yaml"


@cache
def table() -> dict[str, Any]:
    """Return the table of schedulers and of the words that name frameworks."""
    from suanli.files import plain, read_yaml

    tree: dict[str, Any] = plain(read_yaml(_DATA))
    return tree


def frameworks() -> tuple[str, ...]:
    """Return the names of the frameworks with a scheduler of their own."""
    return tuple(table()["schedulers"])


def framework_of(text: str) -> str:
    """Return the framework that a free text names: the first of the table's words that occurs in it."""
    low = text.casefold()
    for word, name in table()["words"].items():
        if word in low:
            return str(name)
    return low.strip()
