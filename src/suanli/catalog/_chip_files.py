"""A user's chip file: YAML with units as text, in and out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from suanli.errors import InputError, nearest
from suanli.files import read_model
from suanli.kinds import FORMATS, Chip
from suanli.quantities import parse
from suanli.sources import Kind, Source


def _reader(unit: str) -> Callable[[Any], float]:
    """Return what reads a field in ``unit``: text with a unit, or a number in that unit; not below 0."""

    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError(f"write a quantity such as '1 {unit}'")
        try:
            number = parse(str(value), unit)
        except InputError as error:
            raise ValueError(str(error)) from None
        if number < 0:
            raise ValueError("is negative")
        return number

    return read


Rate = Annotated[float, BeforeValidator(_reader("FLOP/s"))]
Bytes = Annotated[float, BeforeValidator(_reader("B"))]
Bandwidth = Annotated[float, BeforeValidator(_reader("B/s"))]
Power = Annotated[float, BeforeValidator(_reader("W"))]
Area = Annotated[float, BeforeValidator(_reader("m**2"))]
Frequency = Annotated[float, BeforeValidator(_reader("Hz"))]
Money = Annotated[float, BeforeValidator(_reader("USD"))]
Plain = Annotated[float, BeforeValidator(_reader(""))]


def _iso(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.date) else str(value) if isinstance(value, int) else value


Day = Annotated[str, BeforeValidator(_iso)]


class SourceEntry(BaseModel):
    """Where figures were read."""

    model_config = ConfigDict(extra="forbid")

    ref: str
    date: Day = ""
    kind: Kind = "reported"
    note: str = ""


class ChipFile(BaseModel):
    """The fields of a chip file; all but the first three may be left out, which means unknown."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(min_length=1, pattern=r"^[a-z0-9][a-z0-9.+-]*$")
    name: str
    peak: dict[str, Rate]
    vendor: str = ""
    family: str = ""
    memory_bytes: Bytes | None = None
    memory_bandwidth: Bandwidth | None = None
    memory_kind: str = ""
    year: int | None = Field(default=None, ge=1990, le=2100)
    process: str = ""
    die_area_m2: Area | None = None
    n_logic_dies: int | None = Field(default=None, ge=1)
    io_die_area_m2: Area | None = None
    transistors: Plain | None = None
    tdp_w: Power | None = None
    clock_hz: Frequency | None = None
    n_cores: int | None = Field(default=None, ge=1)
    sram_bytes: Bytes | None = None
    l2_bytes: Bytes | None = None
    scale_up_kind: str = ""
    scale_up_bandwidth: Bandwidth | None = None
    scale_up_domain: int | None = Field(default=None, ge=1)
    scale_out_bandwidth: Bandwidth | None = None
    form_factor: str = ""
    price_usd: Money | None = None
    tpp: Plain | None = None
    designer_country: str = ""
    maker_country: str = ""
    verified: str = ""
    notes: str = ""
    source: SourceEntry = Field(default_factory=lambda: SourceEntry(ref="user file"))
    field_sources: dict[str, SourceEntry] = Field(default_factory=dict)

    @field_validator("peak")
    @classmethod
    def _formats(cls, peak: dict[str, float]) -> dict[str, float]:
        for name in peak:
            if name not in FORMATS:
                close = nearest(name, FORMATS)
                hint = f"did you mean '{close}'?" if close else f"allowed: {', '.join(FORMATS)}"
                raise ValueError(f"unknown number format '{name}'; {hint}")
        return peak


def read_chip(path: Path) -> Chip:
    """Return the chip that the YAML file ``path`` describes.

    Raises InputError: one line with file, line, field, what was found and the nearest name.
    """
    entry = read_model(path, ChipFile)
    values = {name: getattr(entry, name) for name in ChipFile.model_fields}
    values["source"] = _source(entry.source)
    values["field_sources"] = {name: _source(s) for name, s in entry.field_sources.items()}
    return Chip(**values)


def _source(entry: SourceEntry) -> Source:
    return Source(ref=entry.ref, date=entry.date, kind=entry.kind, note=entry.note)


def to_yaml(chip: Chip) -> str:
    """Return ``chip`` as the text of a chip file: SI numbers with their unit, unknown fields left out."""
    from io import StringIO

    from ruamel.yaml import YAML

    out: dict[str, Any] = {}
    for item in fields(Chip):
        value = getattr(chip, item.name)
        if item.name == "source":
            out[item.name] = _entry(value)
        elif item.name == "field_sources":
            if value:
                out[item.name] = {name: _entry(source) for name, source in value.items()}
        elif item.name == "peak":
            out[item.name] = {fmt: f"{rate!r} FLOP/s" for fmt, rate in value.items()}
        elif value is not None and (value != "" or item.name == "name"):
            unit = UNITS.get(item.name)
            out[item.name] = f"{value!r} {unit}" if unit else value
    stream = StringIO()
    writer = YAML()
    writer.width = 4096
    writer.dump(out, stream)
    return stream.getvalue()


UNITS: Mapping[str, str] = {
    "memory_bytes": "B",
    "memory_bandwidth": "B/s",
    "die_area_m2": "m**2",
    "io_die_area_m2": "m**2",
    "tdp_w": "W",
    "clock_hz": "Hz",
    "sram_bytes": "B",
    "l2_bytes": "B",
    "scale_up_bandwidth": "B/s",
    "scale_out_bandwidth": "B/s",
    "price_usd": "USD",
}


def _entry(source: Source) -> dict[str, str]:
    return {
        name: value for name in ("ref", "date", "kind", "note") if (value := getattr(source, name)) or name == "ref"
    }
