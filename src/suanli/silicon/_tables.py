"""The room's tables in data/, and what they say of a kernel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def table(name: str) -> dict[str, Any]:
    """Return the table data/``name``.json (cached: not to be changed)."""
    raw: dict[str, Any] = json.loads(files("suanli.silicon").joinpath(f"data/{name}.json").read_text(encoding="utf-8"))
    return raw


def entry_of(found: Mapping[str, Any], kernel: str) -> dict[str, Any]:
    """Return what the table ``found`` says of ``kernel``: its default, with the first entry that matches part of it."""
    name = kernel.casefold()
    matching = (entry for entry in found["kernels"] if any(part in name for part in entry["match"]))
    return {**found["default"], **next(matching, {})}
