"""The space of chips that a search looks through: which numbers vary, and between which ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

from suanli.design._process import Constants, memory_named, node_named
from suanli.design._spec import DEFAULT_FORMATS, Cooling, DesignSpec, Package
from suanli.errors import InputError
from suanli.estimates import Array

MIB = 2.0**20


@dataclass(frozen=True, slots=True)
class Axis:
    """A number of a spec that varies: from ``low`` to ``high``, "linear" or "log", in whole steps of ``step`` (0:
    real).

    With ``choices`` the number is one of them.
    """

    low: float
    high: float
    scale: str = "linear"
    step: float = 0.0
    choices: tuple[float, ...] = ()

    def at(self, unit: Array) -> Array:
        """Return the values at positions ``unit`` in [0, 1)."""
        if self.choices:
            index = np.minimum((unit * len(self.choices)).astype(int), len(self.choices) - 1)
            return np.asarray(np.asarray(self.choices, dtype=np.float64)[index])
        if self.scale == "log":
            value = self.low * (self.high / self.low) ** unit
        else:
            value = self.low + (self.high - self.low) * unit
        return np.asarray(np.round(value / self.step) * self.step if self.step else value, dtype=np.float64)

    def where(self, value: float) -> float:
        """Return the position in [0, 1) of ``value``: the inverse of ``at`` up to rounding."""
        if self.choices:
            return (min(range(len(self.choices)), key=lambda i: abs(self.choices[i] - value)) + 0.5) / len(self.choices)
        if self.scale == "log":
            unit = np.log(max(value, self.low) / self.low) / np.log(self.high / self.low)
        else:
            unit = (value - self.low) / (self.high - self.low)
        return float(np.clip(unit, 0.0, 1.0 - 1e-9))


AXES: Mapping[str, Axis] = {
    "cores": Axis(4, 160, "log", 1),
    "rows": Axis(0, 0, choices=(16, 32, 64, 96, 128, 192, 256)),
    "arrays": Axis(0, 0, choices=(1, 2, 4)),
    "vector_lanes": Axis(0, 0, choices=(32, 64, 128, 256, 512)),
    "scratchpad": Axis(0.125 * MIB, 16 * MIB, "log", 0.125 * MIB),
    "shared_sram": Axis(0, 768 * MIB, "linear", 8 * MIB),
    "clock": Axis(0.5e9, 1.9e9, "linear", 0.01e9),
    "memory_sites": Axis(1, 8, "linear", 1),
    "lanes": Axis(0, 96, "linear", 8),
}
"""Numbers that the search varies; arrays are square, and spare cores follow the cores."""

DRAM_SITES = Axis(2, 16, "linear", 2)
SPARE = 0.04
"""Share of the cores that may fail, rounded up where there are eight or more."""

FORMAT_SETS: tuple[tuple[tuple[str, float], ...], ...] = (DEFAULT_FORMATS, (("bf16", 1.0), ("int8", 2.0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """Nodes, memories, numbers of dies and formats to try, and the axes between."""

    node: str = "N5"
    memories: tuple[str, ...] = ("hbm2e", "hbm3", "hbm3e", "lpddr5x", "gddr6")
    dies: tuple[int, ...] = (1,)
    formats: tuple[tuple[tuple[str, float], ...], ...] = FORMAT_SETS[:1]
    cooling: Cooling = "air"
    domain: int = 8
    axes: Mapping[str, Axis] = field(default_factory=lambda: dict(AXES))
    designer_country: str = "US"
    maker_country: str = "TW"

    def kinds(self, year: int, c: Constants) -> tuple[tuple[str, int, Any], ...]:
        """Return the (memory, dies, formats) to try, of memories in volume in ``year``. Raises InputError for none."""
        known = [m for m in self.memories if m == "none" or float(np.ravel(c[f"{memory_named(m)}.year"])[0]) <= year]
        if not known:
            raise InputError(f"none of the memories {', '.join(self.memories)} is in volume in {year}")
        return tuple(product(known, self.dies, self.formats))


def spec_at(
    space: Space, kind: tuple[str, int, Any], unit: Mapping[str, Array], *, name: str = "candidates"
) -> DesignSpec:
    """Return the candidates of ``kind`` at positions ``unit`` in [0, 1) of each axis."""
    memory, dies, formats = kind
    hbm = memory.startswith("hbm")
    values: dict[str, Any] = {a: found.at(unit[a]) for a, found in space.axes.items() if a != "memory_sites"}
    sites = (space.axes["memory_sites"] if hbm else DRAM_SITES).at(unit["memory_sites"])
    cores = values["cores"]
    package: Package = "organic" if not hbm and dies == 1 else "cowos-s"
    return DesignSpec(
        name=name, node=node_named(space.node), dies=dies, **values, cols=values["rows"],
        spare_cores=np.where(cores >= 8, np.ceil(cores * SPARE), 0.0),
        formats=formats, memory=memory, memory_sites=np.maximum(sites, 1.0) if memory != "none" else 0.0,
        scale_out_lanes=np.minimum(8.0, values["lanes"]), scale_up_domain=space.domain,
        d2d=500e9 if dies > 1 else 0.0, package=package, cooling=space.cooling, vendor="design",
        designer_country=space.designer_country, maker_country=space.maker_country,
    )  # fmt: skip


def draws(
    space: Space, kinds: tuple[tuple[str, int, Any], ...], n: int, *, chunk: int, seed: int
) -> Iterator[DesignSpec]:
    """Yield ``n`` candidates in specs of at most ``chunk``, spread evenly over ``kinds``, repeatable by ``seed``."""
    rng = np.random.default_rng(seed)
    left = {i: n // len(kinds) + (i < n % len(kinds)) for i in range(len(kinds))}
    while any(left.values()):
        for i, kind in enumerate(kinds):
            size = min(chunk, left[i])
            if size:
                left[i] -= size
                yield spec_at(space, kind, {axis: rng.random(size) for axis in space.axes})


def positions(space: Space, spec: DesignSpec) -> Array:
    """Return the positions in [0, 1) of one candidate on each axis of ``space``."""
    hbm = spec.memory.startswith("hbm")
    axes = {name: DRAM_SITES if name == "memory_sites" and not hbm else axis for name, axis in space.axes.items()}
    return np.array([axis.where(float(np.ravel(getattr(spec, name))[0])) for name, axis in axes.items()])
