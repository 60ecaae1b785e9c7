"""Where data files lie: the catalogue's own folder, and a user's folder that takes precedence by name."""

from __future__ import annotations

import os
from pathlib import Path

DATA = Path(__file__).parent / "data"
VARIABLE = "SUANLI_CATALOG"


def user_folder() -> Path | None:
    """Return the user's catalogue folder: the one that SUANLI_CATALOG names, else ./catalog, else None.

    Raises InputError where SUANLI_CATALOG names no folder.
    """
    named = os.environ.get(VARIABLE)
    if named:
        folder = Path(named)
        if not folder.is_dir():
            from suanli.errors import InputError

            raise InputError(f"{VARIABLE}: '{named}' is no folder")
        return folder.resolve()
    here = Path("catalog").resolve()
    return here if here.is_dir() else None


def user_file(name: str) -> Path | None:
    """Return the file ``name`` of the user's folder, or None where there is none."""
    folder = user_folder()
    if folder is None:
        return None
    path = folder / name
    return path if path.is_file() else None


def rulebook_path() -> Path:
    """Return the path of the rule file: rules.yaml of the user's folder, else the catalogue's own."""
    return user_file("rules.yaml") or DATA / "rules" / "rules.yaml"
