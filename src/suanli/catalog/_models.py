"""Models: presets as data files, and any Hugging Face ``config.json`` on disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, replace
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from suanli.catalog._folder import DATA, user_folder
from suanli.catalog._hf import from_config
from suanli.catalog._model_names import ModelResolution, read_name, squeeze, with_pointless
from suanli.errors import InputError, nearest
from suanli.files import read_json
from suanli.kinds import Model

Presets = Mapping[str, tuple[Model, tuple[str, ...]]]


def model(name: str) -> Model:
    """Return the model that ``name`` means: a ``config.json`` (or its folder) on disk, an id or another spelling.

    A number format in the spelling ("-FP8", "-NVFP4") replaces ``weight_format``. Raises UnknownNameError, or
    InputError for a bad file.
    """
    path = Path(name)
    if name.endswith(".json") or (path / "config.json").is_file():
        return _read_file(path if path.suffix == ".json" else path / "config.json")
    found = resolve_model(name)
    base = _presets(user_folder())[found.id][0]
    return replace(base, weight_format=found.weight_format) if found.weight_format else base


def models() -> tuple[Model, ...]:
    """Return all models: the user's first, then the catalogue's in the order of their files."""
    return tuple(m for m, _ in _presets(user_folder()).values())


def resolve_model(text: str) -> ModelResolution:
    """Return the id of the model that ``text`` spells, what was taken, and the weight format where one is named.

    Raises UnknownNameError with the nearest name where it spells none.
    """
    return _resolved(text, user_folder())


@cache
def _resolved(text: str, folder: Path | None) -> ModelResolution:
    presets = _presets(folder)
    if text in presets:
        return ModelResolution(text, f"'{text}' is {presets[text][0].name}")
    return read_name(text, _spellings(folder), {i: m.name for i, (m, _) in presets.items()})


@cache
def _spellings(folder: Path | None) -> Mapping[str, str]:
    """Return the id behind every squeezed id, name and alias; an id outranks a name, a name an alias."""
    presets = _presets(folder)
    out: dict[str, str] = {squeeze(i): i for i in presets}
    for name, (item, _) in presets.items():
        out.setdefault(squeeze(item.name), name)
    for name, (_, aliases) in presets.items():
        for alias in aliases:
            out.setdefault(squeeze(alias), name)
    return with_pointless(out)


@cache
def _presets(folder: Path | None) -> Presets:
    """Return every preset with its aliases by id, the user's before ours."""
    own: dict[str, tuple[Model, tuple[str, ...]]] = {}
    if folder is not None:
        for path in sorted((folder / "models").glob("*.json")):
            document = read_json(path)
            entries = _entries(document, path) if isinstance(document, list) else [(_of_config(document, path), ())]
            own |= {m.id: (m, aliases) for m, aliases in entries}
    return own | {i: entry for i, entry in _catalogue().items() if i not in own}


@cache
def _catalogue() -> Presets:
    out: dict[str, tuple[Model, tuple[str, ...]]] = {}
    for path in sorted((DATA / "models").glob("*.json")):
        for item, aliases in _entries(read_json(path), path):
            if item.id in out:
                raise InputError(f"{path}: id: '{item.id}' occurs twice")
            out[item.id] = (item, aliases)
    return out


def _read_file(path: Path) -> Model:
    document = read_json(path)
    if isinstance(document, list):
        entries = list(_entries(document, path))
        if len(entries) != 1:
            raise InputError(f"{path}: holds {len(entries)} models; put the file into catalog/models and name one")
        return entries[0][0]
    return _of_config(document, path)


def _of_config(document: Any, path: Path) -> Model:
    if not isinstance(document, dict):
        raise InputError(f"{path}: expected a Hugging Face configuration (an object), found {type(document).__name__}")
    name = path.parent.name if path.name == "config.json" else path.stem
    return from_config(document, where=str(path), name=name)


def _entries(document: list[Any], path: Path) -> Iterable[tuple[Model, tuple[str, ...]]]:
    for position, entry in enumerate(document, 1):
        if not isinstance(entry, dict):
            raise InputError(f"{path}: entry {position}: expected an object, found {type(entry).__name__}")
        where = f"{path}: {entry.get('id', f'entry {position}')}"
        aliases = tuple(entry.pop("aliases", ()))
        yield _build(Model, entry, where), aliases


def _build(kind: Any, data: Mapping[str, Any], where: str) -> Any:
    """Return ``data`` as the dataclass ``kind``, nested dataclasses and tuples included."""
    inner = _nested(kind)
    for name in data:
        if name not in inner:
            close = nearest(name, inner)
            hint = f"did you mean '{close}'?" if close else f"allowed: {', '.join(inner)}"
            raise InputError(f"{where}: {name}: unknown field; {hint}")
    for field in fields(kind):
        if field.default is MISSING and field.default_factory is MISSING and field.name not in data:
            raise InputError(f"{where}: {field.name}: is missing")
    values = {}
    for name, value in data.items():
        below = inner[name]
        if below is not None and isinstance(value, dict):
            value = _build(below, value, f"{where}: {name}")
        elif isinstance(value, list):
            value = tuple(value)
        values[name] = value
    return kind(**values)


@cache
def _nested(kind: Any) -> Mapping[str, type[Any] | None]:
    """Return for each field of the dataclass ``kind`` the dataclass it holds, or None."""
    out: dict[str, type[Any] | None] = {}
    for name, hint in get_type_hints(kind).items():
        choices = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        out[name] = next((c for c in choices if hasattr(c, "__dataclass_fields__")), None)
    return out
