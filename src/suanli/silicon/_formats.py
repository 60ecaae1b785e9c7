"""Number formats of operators: bytes per element, and the chip's rate that each uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from suanli.errors import InputError, nearest
from suanli.kinds import BITS, Chip
from suanli.silicon._tables import table


@dataclass(frozen=True, slots=True)
class Format:
    """How an operator's numbers move: bytes per activation, weight and output element, block scales counted in.

    ``rate`` names the format of the chip's peak at which they are multiplied.
    """

    name: str
    rate: str
    activation: float
    weight: float
    output: float


@cache
def _table() -> tuple[Mapping[str, Format], Mapping[str, str]]:
    raw = table("formats")["formats"]
    formats = {
        name: Format(name, entry["rate"], float(entry["a"]), float(entry["w"]), float(entry["o"]))
        for name, entry in raw.items()
    }
    names = {name: name for name in formats}
    for name, entry in raw.items():
        names.update(dict.fromkeys(entry["aliases"], name))
    return formats, names


def format_of(dtype: str) -> Format:
    """Return the format called ``dtype`` (bf16, fp8, fp8_block, sq, nvfp4, int4_wo, ... or an alias).

    Raises InputError naming the nearest format.
    """
    formats, names = _table()
    name = names.get(dtype.casefold())
    if name is None:
        close = nearest(dtype, names)
        hint = f"did you mean '{close}'?" if close else f"known: {', '.join(formats)}"
        raise InputError(f"unknown number format '{dtype}'; {hint}")
    return formats[name]


def rate_of(dtype: str) -> str:
    """Return the format of the chip's peak at which products in ``dtype`` run. Raises InputError for no format."""
    return format_of(dtype).rate


def peak_rate(chip: Chip, rate: str) -> float:
    """Return the dense peak (FLOP/s) of ``chip`` in the format ``rate``.

    Raises InputError where the chip states none, naming the nearest format it has.
    """
    value = chip.peak.get(rate)
    if value is not None:
        return value
    stated = [f for f in chip.peak if chip.peak[f] > 0.0]
    if not stated:
        raise InputError(f"chip '{chip.id}' states no peak rate in any format")
    wider = [f for f in stated if BITS[f] >= BITS[rate]] or stated
    close = min(wider, key=lambda f: (abs(BITS[f] - BITS[rate]), _sort(f) != _sort(rate), f))
    raise InputError(f"chip '{chip.id}' has no rate for {rate}; the nearest format it has is {close}")


def _sort(name: str) -> str:
    return "int" if name.startswith("int") else "float"
