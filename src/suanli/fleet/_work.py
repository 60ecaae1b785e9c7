"""Results of finished parts of a long run, kept beside its output so that a killed run can go on.

Each part is one JSON file, written whole, in a hidden folder that carries a key of everything the results rest on: the
case, what was asked, the versions, the package's own files. Another key empties the folder; a finished run removes it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import numpy as np

from suanli import files
from suanli.errors import InputError

T = TypeVar("T")
SHARED = 24
"""Most parts kept in the user's cache; the oldest go first."""


@dataclass(frozen=True, slots=True)
class Work:
    """Where finished parts are kept; nowhere if ``folder`` is None.

    ``shared`` is a folder for parts that any run of the same inputs may take up, and that stay.
    """

    folder: Path | None = None
    shared: Path | None = None

    def kept(self, name: str, make: Callable[[], T], kind: type[T]) -> T:
        """Return the part kept under ``name``, or make it and keep it. ``kind`` is a dataclass of plain values."""
        if self.folder is None:
            return make()
        file = self.folder / f"{name}.json"
        if file.is_file():
            found: T = _read(json.loads(files.read_text(file)), kind)
            return found
        made = make()
        files.write_text(file, json.dumps(_plain(made), allow_nan=False))  # no indents: a plan has 100,000 numbers
        return made

    def done(self) -> None:
        """Remove what was kept: the run is finished."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


NO_WORK = Work()


def work_beside(out: Path, *parts: object) -> Work:
    """Return where the parts of a run that writes ``out`` are kept: a hidden folder beside it."""
    return work_in(out.parent / f".{out.name}.work", *parts)


def work_in(folder: Path, *parts: object) -> Work:
    """Return the work kept in ``folder`` for a run told by ``parts``; what was kept for another run is removed.

    Raises InputError for a folder that holds something other than kept work.
    """
    key = key_of(*parts)
    mark = folder / "key.json"
    if folder.is_dir() and any(folder.iterdir()) and not mark.is_file():
        raise InputError(f"{folder}: holds something other than kept work; name a new folder")
    if not mark.is_file() or json.loads(files.read_text(mark)).get("key") != key:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        files.write_json(mark, {"key": key})
    return Work(folder)


def with_shared(work: Work) -> Work:
    """Return ``work`` with the user's cache for parts that runs share.

    The environment's SUANLI_CACHE names its folder, an empty one none; else it is suanli in the user's cache folder.
    A folder that cannot be written is left alone.
    """
    asked = os.environ.get("SUANLI_CACHE")
    if asked == "":
        return work
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(asked) if asked else Path(home) / "suanli"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return work
    if not os.access(folder, os.W_OK | os.X_OK):
        return work
    for old in sorted(folder.glob("*.json"), key=lambda p: p.stat().st_mtime)[:-SHARED]:
        old.unlink(missing_ok=True)
    return replace(work, shared=folder)


def key_of(*parts: object) -> str:
    """Return a key of the parts, and of every file of the package by its size and time."""
    from importlib.metadata import version

    import suanli

    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr(part).encode())
    digest.update(version("highspy").encode())
    root = Path(suanli.__file__).parent
    for path in sorted(p for p in root.rglob("*") if p.suffix in {".py", ".json", ".yaml", ".csv", ".parquet"}):
        stat = path.stat()
        digest.update(f"{path.relative_to(root)} {stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, frozenset):
        return [_plain(v) for v in sorted(value)]
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, np.generic):
        return value.item()
    return value


def _read(data: Any, kind: Any) -> Any:
    """Return ``data`` as ``kind``: a dataclass, an array, a date, a tuple, an optional of these, or as it is."""
    if data is None:
        return None
    args = [a for a in get_args(kind) if a is not type(None)]
    if is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        return kind(**{f.name: _read(data[f.name], hints[f.name]) for f in fields(kind)})
    if kind is dt.date:
        return dt.date.fromisoformat(data)
    origin = getattr(kind, "__origin__", None)
    if origin is np.ndarray or kind is np.ndarray:
        return np.asarray(data)
    if origin is frozenset:
        return frozenset(_read(v, args[0]) for v in data)
    if origin is tuple:
        each = args[:1] * len(data) if len(args) == 2 and args[1] is ... else args
        return tuple(_read(v, a) for v, a in zip(data, each, strict=True))
    return _read(data, args[0]) if args and origin is None else data
