"""Design files: a spec with its assumptions, as shipped or as a user writes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from suanli.design._spec import DesignSpec
from suanli.errors import InputError, unknown_name
from suanli.quantities import parse
from suanli.sources import Source

UNITS: Mapping[str, str] = {
    "clock": "Hz",
    "scratchpad": "byte",
    "registers": "byte",
    "shared_sram": "byte",
    "site_bandwidth": "byte/s",
    "site_capacity": "byte",
    "lane_rate": "byte/s",
    "d2d": "byte/s",
    "power_cap": "W",
}
"""Fields of a design file that are quantities, with the unit of a bare number."""

FOLDER = Path(str(files("suanli.catalog"))) / "data" / "process" / "designs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """What a field of a design rests on."""

    field: str
    text: str
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildFacts:
    """What is known of a project: months as "2024-06", ``volume`` in chips."""

    start: str
    tape_out_window: tuple[str, str] | None
    volume: float
    ramp_months: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignFile:
    """A spec with its title, assumptions and, where it is a project, its build facts."""

    spec: DesignSpec
    title: str
    assumptions: tuple[Assumption, ...]
    build: BuildFacts | None
    path: Path


def presets() -> tuple[str, ...]:
    """Return the names of the designs that Suanli ships."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def preset(name: str) -> DesignSpec:
    """Return the shipped design ``name``. Raises UnknownNameError with the nearest name."""
    return design_file(name).spec


@cache
def design_file(name: str | Path) -> DesignFile:
    """Return a shipped design by name, or one read from a YAML file by path.

    Raises UnknownNameError for a name that is neither, InputError (file:line: field: ...) for a file that is malformed.
    """
    path = Path(name)
    if path.suffix not in {".yaml", ".yml"}:
        if str(name) not in presets():
            raise unknown_name("design", str(name), presets())
        path = FOLDER / f"{name}.yaml"
    return _read(path)


def _read(path: Path) -> DesignFile:
    from suanli.design._schema import DesignEntry
    from suanli.files import read_model

    raw = read_model(path, DesignEntry)
    values: dict[str, Any] = {}
    for field in fields(DesignSpec):
        value = getattr(raw, field.name)
        if value is None:
            continue
        if field.name in UNITS:
            try:
                value = parse(str(value), UNITS[field.name])
            except InputError as error:
                raise InputError(f"{path}: {field.name}: {error}") from error
        values[field.name] = tuple((k, float(v)) for k, v in value.items()) if field.name == "formats" else value
    try:
        spec = DesignSpec(**values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    notes = tuple(
        Assumption(field=a.field, text=a.text, source=Source(a.source, date=a.date, kind=a.kind))
        for a in raw.assumptions
    )
    build = None if raw.build is None else BuildFacts(**raw.build.model_dump())
    return DesignFile(spec=spec, title=raw.title, assumptions=notes, build=build, path=path)
