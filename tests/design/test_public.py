"""The room's public face."""

from __future__ import annotations

import ast
from pathlib import Path

import suanli.design as room


def test_all_names_what_is_public() -> None:
    tree = ast.parse(Path(room.__file__).read_text(encoding="utf-8"))
    ours = [n for n in tree.body if isinstance(n, ast.ImportFrom) and (n.module or "").startswith("suanli.")]
    assert set(room.__all__) == {a.asname or a.name for n in ours for a in n.names}
    assert all(getattr(room, name).__doc__ for name in room.__all__ if callable(getattr(room, name)))
