"""A chip from parts: what a designer chooses."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np

from suanli.design._process import memory_named, node_named
from suanli.errors import InputError, unknown_name
from suanli.estimates import Array
from suanli.kinds import BITS

Style = Literal["array", "gpu"]
Package = Literal["cowos-s", "cowos-l", "organic"]
Cooling = Literal["air", "liquid"]
PACKAGES: tuple[Package, ...] = ("cowos-s", "cowos-l", "organic")
HOSTS: tuple[str, ...] = ("none", "pcie3", "pcie4", "pcie5", "pcie6")
SERDES = 112e9 / 8.0
"""Bytes per second of one 112 Gb/s lane, one direction."""
DEFAULT_FORMATS: tuple[tuple[str, float], ...] = (("bf16", 1.0), ("fp8", 2.0), ("int8", 2.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignSpec:
    """A chip to be designed. Numbers may be arrays that broadcast together: the candidate axis leads.

    Everything counted is of one logic die; ``dies`` alike share the package. ``cores`` are made, ``spare_cores`` of
    them may fail. A core has ``arrays`` MAC arrays of ``rows`` x ``cols``, ``vector_lanes`` fp32 lanes, ``scratchpad``
    and ``registers`` (B). ``formats`` names each number format with its rate in MACs a MAC unit and cycle.
    ``shared_sram`` (B) lies outside the cores, tagged where ``cache``. ``memory_sites`` PHYs (HBM stacks or 32-bit
    channels) are made, ``spare_sites`` of them idle; ``site_bandwidth`` (B/s) and ``site_capacity`` (B) are None for
    the technology's own. ``lanes`` are SerDes lanes of ``lane_rate`` (B/s, one way) to other chips, of which
    ``scale_out_lanes`` leave the scale-up domain; ``short_reach`` lanes drive neighbours only. ``d2d`` (B/s, one
    way) joins the dies. ``clock`` in Hz.
    """

    name: str = "design"
    style: Style = "array"
    node: str = "N5"
    dies: Any = 1
    cores: Any = 16
    spare_cores: Any = 0
    arrays: Any = 1
    rows: Any = 64
    cols: Any = 64
    formats: tuple[tuple[str, float], ...] = DEFAULT_FORMATS
    vector_lanes: Any = 64
    scratchpad: Any = 2.0**20
    registers: Any = 0.0
    shared_sram: Any = 64.0 * 2.0**20
    cache: bool = False
    clock: Any = 1.4e9
    memory: str = "hbm3"
    memory_sites: Any = 2
    spare_sites: Any = 0
    site_bandwidth: Any = None
    site_capacity: Any = None
    lanes: Any = 16
    scale_out_lanes: Any = 0
    lane_rate: Any = SERDES
    short_reach: bool = False
    scale_up_domain: int = 8
    d2d: Any = 0.0
    host: str = "pcie5"
    host_lanes: Any = 16
    package: Package = "cowos-s"
    cooling: Cooling = "air"
    power_cap: float | None = None
    vendor: str = ""
    designer_country: str = ""
    maker_country: str = ""
    year: int | None = None

    def __post_init__(self) -> None:
        """Spell node and memory as the data do. Raise InputError for unknown names, bad numbers, clashing shapes."""
        object.__setattr__(self, "node", node_named(self.node))
        object.__setattr__(self, "memory", memory_named(self.memory))
        for what, value, known in (("package", self.package, PACKAGES), ("host", self.host, HOSTS)):
            if value not in known:
                raise unknown_name(what, str(value), known)
        if not self.formats:
            raise InputError(f"{self.name}: formats: empty; a MAC needs at least one of {', '.join(BITS)}")
        for name, rate in self.formats:
            if name not in BITS:
                raise unknown_name("format", name, BITS)
            if not rate > 0.0:
                raise InputError(f"{self.name}: formats: {name} at rate {rate}; a format without a MAC has no rate")
        self._check_numbers()

    def _check_numbers(self) -> None:
        for name in POSITIVE:
            if np.any(~(np.asarray(getattr(self, name), dtype=float) > 0.0)):
                raise InputError(f"{self.name}: {name}: must be above 0, found {np.min(getattr(self, name))}")
        for name in (*COUNTS, "site_bandwidth", "site_capacity"):
            value = getattr(self, name)
            if value is not None and np.any(~(np.asarray(value, dtype=float) >= 0.0)):
                raise InputError(f"{self.name}: {name}: must not be negative, found {np.min(value)}")
        for less, more in (("spare_cores", "cores"), ("spare_sites", "memory_sites"), ("scale_out_lanes", "lanes")):
            if np.any(np.asarray(getattr(self, less)) > np.asarray(getattr(self, more))):
                raise InputError(
                    f"{self.name}: {less} {np.max(getattr(self, less))} exceeds {more} {np.min(getattr(self, more))}"
                )
        try:
            self.shape  # noqa: B018 - broadcasting is the check
        except ValueError as error:
            raise InputError(f"{self.name}: arrays of different length: {error}") from error

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape that all numbers broadcast to; (1,) where all are scalars."""
        sizes = [np.shape(getattr(self, n)) for n in (*POSITIVE, *COUNTS)]
        return np.broadcast_shapes((1,), *sizes)

    def array(self, name: str) -> Array:
        """Return the number ``name`` as an array of the spec's shape."""
        return np.broadcast_to(np.asarray(getattr(self, name), dtype=np.float64), self.shape)


POSITIVE: tuple[str, ...] = ("dies", "cores", "rows", "cols", "clock", "lane_rate")
"""Numbers of a spec that must be above zero."""

COUNTS: tuple[str, ...] = (
    "spare_cores", "arrays", "vector_lanes", "scratchpad", "registers", "shared_sram", "memory_sites", "spare_sites",
    "lanes", "scale_out_lanes", "d2d", "host_lanes",
)  # fmt: skip
"""Numbers of a spec that may be zero."""

NUMBERS: frozenset[str] = frozenset(POSITIVE) | frozenset(COUNTS) | {"site_bandwidth", "site_capacity"}


def take(spec: DesignSpec, index: int) -> DesignSpec:
    """Return candidate ``index`` of ``spec`` as a spec of plain numbers."""
    changed: dict[str, Any] = {}
    for field in fields(spec):
        value = getattr(spec, field.name)
        if field.name in NUMBERS and value is not None and np.ndim(value):
            changed[field.name] = float(np.broadcast_to(value, spec.shape)[index])
        else:
            changed[field.name] = value
    return DesignSpec(**changed)


def macs(spec: DesignSpec) -> Array:
    """Return the MAC units of one die, spares included."""
    return spec.array("cores") * spec.array("arrays") * spec.array("rows") * spec.array("cols")


def active_share(spec: DesignSpec) -> Array:
    """Return the share of a die's cores that is sold."""
    return 1.0 - spec.array("spare_cores") / spec.array("cores")


def peak(spec: DesignSpec, name: str) -> Array:
    """Return the dense peak of format ``name`` (FLOP/s or OP/s) of the package: 2 x MACs x rate x clock.

    Raises InputError where the MAC arrays do not have the format.
    """
    rates = dict(spec.formats)
    if name not in rates:
        raise InputError(f"{spec.name}: no MAC for format {name}; the arrays have {', '.join(rates)}")
    out: Array = 2.0 * macs(spec) * active_share(spec) * rates[name] * spec.array("clock") * spec.array("dies")
    return out


def vector_peak(spec: DesignSpec) -> Array:
    """Return the fp32 peak (FLOP/s) of the package's vector units."""
    lanes = spec.array("cores") * active_share(spec) * spec.array("vector_lanes")
    out: Array = 2.0 * lanes * spec.array("clock") * spec.array("dies")
    return out


def total_processing(spec: DesignSpec) -> Array:
    """Return the total processing performance (TPP): max over formats of dense TOPS x bits (88 FR 73458, 3A090)."""
    rate = max(r * BITS[name] for name, r in spec.formats)
    macs_per_s = macs(spec) * active_share(spec) * spec.array("clock") * spec.array("dies")
    matrix = 2.0 * macs_per_s * rate / 1e12
    out: Array = np.maximum(matrix, vector_peak(spec) * BITS["fp32"] / 1e12)
    return out
