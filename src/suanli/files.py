"""Files in and out: YAML 1.2 with line numbers, tables, and outputs that are written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

from suanli.errors import InputError, nearest

M = TypeVar("M")


def read_text(path: Path) -> str:
    """Return the text of ``path`` (UTF-8, a BOM is dropped). Raises InputError where it can't be read."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except IsADirectoryError as error:
        raise InputError(f"{path}: is a folder, expected a file") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def read_json(path: Path) -> Any:
    """Return the JSON document in ``path``. Raises InputError with file, line and column where it is none."""
    text = read_text(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}:{error.colno}: not valid JSON: {error.msg}") from error


def read_yaml(path: Path) -> Any:
    """Return the YAML 1.2 document in ``path`` as ruamel's round-trip tree, which knows its line numbers.

    Nothing in the file runs: tags build no objects. Raises InputError with file, line and column.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    text = read_text(path)
    try:
        return YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        problem = " ".join(str(error.problem or error.context or "not YAML").split())
        raise InputError(f"{path}{where}: not valid YAML: {problem}") from error
    except YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error


def line_of(tree: Any, location: Sequence[str | int]) -> int | None:
    """Return the line (from 1) of the node at ``location`` in a tree from read_yaml, as deep as it goes."""
    line: int | None = None
    node: Any = tree
    for step in location:
        marks = getattr(node, "lc", None)
        if marks is None:
            break
        try:
            line = (marks.key(step) if isinstance(node, Mapping) else marks.item(step))[0] + 1
            node = cast("Any", node)[step]
        except (KeyError, IndexError, TypeError):
            break
    if line is None and getattr(node, "lc", None) is not None:
        return int(node.lc.line) + 1
    return line


def plain(tree: Any) -> Any:
    """Return a ruamel tree as plain dicts, lists and scalars."""
    if isinstance(tree, Mapping):
        return {plain(k): plain(v) for k, v in tree.items()}
    if isinstance(tree, list):
        return [plain(v) for v in tree]
    if isinstance(tree, bool) or tree is None:
        return tree
    for kind in (int, float, str):
        if isinstance(tree, kind):
            return kind(tree)
    return tree


def read_model(path: Path, model: type[M]) -> M:
    """Return the YAML file ``path`` read into the pydantic ``model``.

    Raises InputError: one line with file, line, field, what was found, what is allowed and the nearest name.
    """
    tree = read_yaml(path)
    return validate(plain(tree), model, where=str(path), tree=tree)


def validate(data: Any, model: type[M], *, where: str, tree: Any = None) -> M:
    """Return ``data`` as a pydantic ``model``; the first error becomes one InputError line that starts ``where``."""
    from pydantic import BaseModel, ValidationError

    assert issubclass(model, BaseModel)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise InputError(_first_error(error, model, where, tree)) from error


def _first_error(error: Any, model: Any, where: str, tree: Any) -> str:
    errors = error.errors(include_url=False)
    first = errors[0]
    location = [part for part in first["loc"] if not (isinstance(part, str) and part.startswith("function-"))]
    line = line_of(tree, location) if tree is not None else None
    field = ".".join(str(p) for p in location) or "(top)"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        known = _fields_at(model, location[:-1])
        close = nearest(str(location[-1]), known)
        message = "unknown field" + (f"; did you mean '{close}'?" if close else f"; allowed: {', '.join(known)}")
    elif first["type"] == "missing":
        message = "is missing"
    elif "input" in first and not isinstance(first["input"], (dict, list)) and repr(first["input"]) not in message:
        message = f"{message}, found {first['input']!r}"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{where}{f':{line}' if line else ''}: {field}: {message}{more}"


def _fields_at(model: Any, location: Sequence[str | int]) -> list[str]:
    """Return the field names allowed at ``location`` below a pydantic model (best effort through containers)."""
    from pydantic import BaseModel

    def names(kind: Any) -> Iterator[Any]:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield kind
        for arg in getattr(kind, "__args__", ()):
            yield from names(arg)
        if hasattr(kind, "__value__"):
            yield from names(kind.__value__)

    current = [model]
    for step in location:
        following = []
        for kind in current:
            fields = kind.model_fields
            if step in fields:
                following += list(names(fields[step].annotation))
        current = following or current
    return [info.alias or name for kind in dict.fromkeys(current) for name, info in kind.model_fields.items()]


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` and move it there at the end, so that no half file is ever seen.

    Raises InputError where the folder can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    except OSError as error:
        raise InputError(f"{path.parent}: cannot be written ({error.strerror})") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` as a whole."""
    with whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, data: Any) -> None:
    """Write ``data`` to ``path`` as JSON, as a whole; numbers that are not finite are refused."""
    write_text(path, to_json(data) + "\n")


def to_json(data: Any) -> str:
    """Return ``data`` as indented JSON; NumPy scalars and arrays are taken as numbers and lists."""
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False, default=_jsonable)


def _jsonable(value: Any) -> Any:
    for method in ("tolist", "isoformat", "_asdict"):
        convert: Callable[[], Any] | None = getattr(value, method, None)
        if convert is not None:
            return convert()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def read_table(path: Path) -> Any:
    """Return a CSV or Parquet file as a Polars frame. Raises InputError where it is missing, cut or malformed."""
    import polars as pl

    if not path.exists():
        raise InputError(f"{path}: no such file")
    if path.is_dir():
        raise InputError(f"{path}: is a folder, expected a CSV or Parquet file")
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path)
        return pl.read_csv(path, infer_schema_length=None, encoding="utf8")
    except Exception as error:  # polars raises many kinds; all mean that the file is no such table
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: not a readable {path.suffix.lstrip('.') or 'table'} file: {reason}") from error
