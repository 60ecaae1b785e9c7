"""The sourced constants of silicon: areas, energies, prices and times, each with its range."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import as_file, files
from typing import Any

import numpy as np

from suanli.errors import InputError, unknown_name
from suanli.estimates import Z80, Array
from suanli.sources import Source, Sourced

Constants = Mapping[str, Any]
"""Constant -> value in SI units: a float, or an array with a leading axis of samples."""

_UNITS: Mapping[str, tuple[str, float]] = {
    "1": ("", 1.0),
    "um2": ("m2", 1e-12),
    "mm2": ("m2", 1e-6),
    "mm": ("m", 1e-3),
    "Mibit/mm2": ("B/m2", 2.0**20 / 8.0 / 1e-6),
    "M/mm2": ("1/m2", 1e12),
    "1/cm2": ("1/m2", 1e4),
    "pJ": ("J", 1e-12),
    "pJ/B": ("J/B", 1e-12),
    "pJ/bit": ("J/B", 8e-12),
    "W": ("W", 1.0),
    "W/mm2": ("W/m2", 1e6),
    "GHz": ("Hz", 1e9),
    "GB/s": ("B/s", 1e9),
    "MB": ("B", 1e6),
    "KiB": ("B", 2.0**10),
    "MiB": ("B", 2.0**20),
    "GiB": ("B", 2.0**30),
    "USD": ("USD", 1.0),
    "USD/GiB": ("USD/B", 2.0**-30),
    "MUSD": ("USD", 1e6),
    "month": ("s", 365.25 * 86400.0 / 12.0),
}
"""Units of the data files -> the SI unit and its factor."""

NODES: tuple[str, ...] = ("N16", "N12", "S8", "N7", "N7P", "N6", "N5", "N4", "N3", "SN2")
"""Process nodes that the data describe: TSMC's, Samsung's 8 nm class (S8) and SMIC's N+2 (SN2)."""

MEMORIES: tuple[str, ...] = (
    "none", "hbm2", "hbm2e", "hbm3", "hbm3e", "gddr6", "gddr7", "lpddr5", "lpddr5x",
)  # fmt: skip
"""Memory technologies: a site is an HBM stack or a 32-bit channel of GDDR or LPDDR."""

_FILES = ("area", "nodes", "power", "memory", "cost", "priors")
_NODE_ALIASES: Mapping[str, str] = {"SMIC N+2": "SN2", "N+2": "SN2", "N7+": "N7P", "4N": "N4", "5NM": "N5", "7NM": "N7"}


@cache
def table() -> Mapping[str, Sourced]:
    """Return every constant by id, in SI units. Raises InputError where a data file is malformed."""
    from suanli.design._schema import ConstantsFile
    from suanli.files import read_model

    out: dict[str, Sourced] = {}
    for name in _FILES:
        with as_file(files("suanli.catalog") / "data" / "process" / f"{name}.yaml") as path:
            for datum in read_model(path, ConstantsFile).constants:
                if datum.id in out:
                    raise InputError(f"{path}: {datum.id}: stated twice")
                out[datum.id] = _sourced(datum, str(path))
    return out


def _sourced(datum: Any, path: str) -> Sourced:
    if datum.unit not in _UNITS:
        raise InputError(f"{path}: {datum.id}: unknown unit '{datum.unit}'; allowed: {', '.join(_UNITS)}")
    if not 0.0 < datum.low <= datum.mid <= datum.high:
        raise InputError(
            f"{path}: {datum.id}: low, mid, high must be positive and rise: {datum.low}, {datum.mid}, {datum.high}"
        )
    unit, factor = _UNITS[datum.unit]
    source = Source(datum.source, date=datum.date, kind=datum.kind, note=datum.note)
    low, mid, high = (float(v) * factor for v in (datum.low, datum.mid, datum.high))
    return Sourced(name=datum.id, value=mid, unit=unit, source=source, low=low, high=high)


def node_named(text: str) -> str:
    """Return the process node written in ``text`` ("N5", "4N", "SMIC N+2"). Raises UnknownNameError."""
    plain = text.strip().upper()
    name = _NODE_ALIASES.get(plain, plain)
    if name not in NODES:
        raise unknown_name("node", text, (*NODES, *_NODE_ALIASES))
    return name


def memory_named(text: str) -> str:
    """Return the memory technology written in ``text`` ("HBM3e"). Raises UnknownNameError."""
    name = text.strip().casefold().replace("-", "") or "none"
    if name not in MEMORIES:
        raise unknown_name("memory", text, MEMORIES)
    return name


@cache
def mids() -> Constants:
    """Return the middle value of every constant, times the multipliers that published dies calibrate."""
    return {name: datum.value for name, datum in table().items()}


def sampled(n: int, *, seed: int = 1) -> Constants:
    """Return ``n`` joint samples of every constant, each of shape (n, 1) to broadcast over candidates.

    The logarithm of a constant is normal on either side of its middle, with low and high as the 10th and 90th
    percentile; constants are independent. A constant whose range is a point stays a float.
    """
    rng = np.random.default_rng(seed)
    out: dict[str, Any] = {}
    for name, datum in table().items():
        normal = rng.standard_normal((n, 1))
        assert datum.low is not None
        assert datum.high is not None
        if datum.low == datum.high:
            out[name] = datum.value
            continue
        down, up = np.log(datum.value / datum.low) / Z80, np.log(datum.high / datum.value) / Z80
        out[name] = datum.value * np.exp(np.where(normal < 0.0, down, up) * normal)
    return out


@cache
def _named_by(start: str) -> tuple[str, ...]:
    """Return the constants that ``start`` names: one id, or every id that begins with it and a point."""
    hit = tuple(name for name in table() if name == start or name.startswith(f"{start}."))
    if not hit:
        raise InputError(f"fitted ppa: multiplier '{start}' names no constant")
    return hit


def calibrated(constants: Constants, multipliers: Mapping[str, Any]) -> Constants:
    """Return ``constants`` with those named in ``multipliers`` (an id, or the start of several) scaled."""
    out = dict(constants)
    for start, factor in multipliers.items():
        for name in _named_by(start):
            out[name] = out[name] * factor
    return out


def quantiles(samples: Array) -> tuple[Array, Array]:
    """Return the 10th and 90th percentile over the leading axis of ``samples``."""
    low, high = np.quantile(samples, [0.1, 0.9], axis=0)
    return np.asarray(low), np.asarray(high)
