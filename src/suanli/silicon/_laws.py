"""The law of time: an operator's ideal work on each resource, slowed by measured efficiencies.

    t = overhead + (compute^p + memory^p + cache^p)^(1/p)
    compute = ideal compute time x (1 + exp(coefficients . features)), and so for memory and cache

A slow-down is never below 1, so nothing runs above the format's peak nor above DRAM bandwidth for bytes that no cache
holds; features know shapes, cores and cache but neither peak nor bandwidth, so more of either is never slower.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InputError

Array = NDArray[np.float64]

PARTS: tuple[str, ...] = ("overhead", "compute", "memory", "cache")
_CAP = 30.0  # exp() of more is no efficiency


@dataclass(frozen=True, slots=True)
class Work:
    """Ideal seconds on each resource (arrays of one shape), and the features that efficiencies depend on."""

    compute: Array
    memory: Array
    cache: Array
    features: Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Law:
    """Measured efficiencies of one operator in one format: a named coefficient per feature and part.

    ``sharpness`` is the exponent p of the sum over resources (large: the slowest alone counts); ``sigma`` the
    standard deviation of the logarithm of measured over predicted.
    """

    coefficients: Mapping[str, Mapping[str, float]]
    sharpness: float
    sigma: float
    source: str = ""
    shifts: Mapping[str, float] = field(default_factory=dict)

    def shifted(self, shifts: Mapping[str, float]) -> Law:
        """Return the law with each part's logarithm moved by ``shifts`` (of a kind, family, chip or kernel)."""
        moved = {part: self.shifts.get(part, 0.0) + shifts.get(part, 0.0) for part in PARTS}
        return Law(self.coefficients, self.sharpness, self.sigma, self.source, moved)


def slope(law: Law, part: str, features: Mapping[str, Array], shape: tuple[int, ...]) -> Array:
    """Return coefficients . features of one ``part`` over arrays of ``shape``."""
    out = np.full(shape, law.shifts.get(part, 0.0))
    for name, value in law.coefficients.get(part, {}).items():
        out += value if name == "one" else value * features[name]
    return np.clip(out, -_CAP, _CAP, out=out)


def parts_of(law: Law, work: Work) -> dict[str, Array]:
    """Return seconds of overhead and on each resource, before they are joined."""
    shape = work.compute.shape
    out = {"overhead": np.exp(slope(law, "overhead", work.features, shape))}
    for part in PARTS[1:]:
        ideal: Array = getattr(work, part)
        out[part] = ideal * (1.0 + np.exp(slope(law, part, work.features, shape)))
    return out


def join(parts: Mapping[str, Array], sharpness: float) -> Array:
    """Return the operator's time from its ``parts``: overhead plus the p-norm of the resources."""
    top = np.maximum(np.maximum(parts["compute"], parts["memory"]), parts["cache"])
    scale = np.where(top > 0.0, top, 1.0)
    total = sum((parts[name] / scale) ** sharpness for name in PARTS[1:])
    out: Array = parts["overhead"] + np.where(top > 0.0, scale * total ** (1.0 / sharpness), 0.0)
    return out


@dataclass(frozen=True, slots=True)
class Measured:
    """Operators under a law: seconds of overhead and on each resource, and their joint time."""

    law: Law
    parts: Mapping[str, Array]

    @property
    def seconds(self) -> Array:
        """Seconds of each operator."""
        return join(self.parts, self.law.sharpness)


def measure(law: Law, work: Work) -> Measured:
    """Return the operators in ``work`` under ``law``."""
    return Measured(law, parts_of(law, work))


def law_from(raw: Mapping[str, Any], *, where: str) -> Law:
    """Return the law stored as ``raw`` in a fitted file. Raises InputError where a part is missing."""
    missing = [name for name in ("overhead", "compute", "memory", "sharpness", "sigma") if name not in raw]
    if missing:
        raise InputError(f"{where}: {missing[0]}: is missing")
    coefficients = {part: {str(k): float(v) for k, v in raw.get(part, {}).items()} for part in PARTS}
    return Law(coefficients, float(raw["sharpness"]), float(raw["sigma"]), str(raw.get("source", "")))
