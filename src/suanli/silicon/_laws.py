"""The law of time: an operator's ideal work on each resource, slowed by measured efficiencies.

    t = (device^p + host^p)^(1/p)
    device = overhead + before + (compute^p + memory^p + cache^p + exchange^p + vector^p + power^p)^(1/p)
    compute = ideal compute time x (1 + exp(coefficients . features)), and so for the other resources and before
    overhead = one thousand cycles a kernel x exp(coefficients . features)

A slow-down is never below 1, so nothing runs above the format's peak nor above DRAM bandwidth for bytes that no cache
holds; features know shapes, cores and cache but neither peak nor bandwidth, so more of either is never slower.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Slopes = Mapping[str, Mapping[str, float]]
"""Coefficients by part and feature; the feature ``one`` is the constant, ``a*b`` a product of two features."""

RESOURCES: tuple[str, ...] = ("compute", "memory", "cache", "exchange", "vector", "power")
PARTS: tuple[str, ...] = ("overhead", "before", *RESOURCES, "host")
_CAP = 12.0  # exp() of more is no efficiency


def _nothing() -> Array:
    return np.zeros(1)


@dataclass(frozen=True, slots=True)
class Work:
    """Ideal seconds on each resource (arrays of one shape), and the features that efficiencies depend on.

    ``compute``: tiles in waves at the format's peak; ``memory``: bytes beyond the cache at the memory's bandwidth;
    ``cache``: all bytes at the last cache's rate; ``exchange``: what passes between matrix and vector units that share
    no buffer; ``vector``: exponentials and other work beside the matrix units;
    ``power``: the energy of the multiplications over the chip's power limit, which lowers clocks in sustained work;
    ``before``: a pass over operands that must end before the multiplications begin; ``host``: what the host needs to
    launch them, where no graph does, which hides whatever is shorter. ``launch``: 1,000 cycles for each kernel.

    ``held``: in a cold run, the share of the bytes from memory that a warm cache would keep; ``roofline``: the longer
    of true FLOP at peak and all bytes at the memory's bandwidth; ``flop``: true FLOP.
    """

    compute: Array
    memory: Array
    cache: Array
    vector: Array
    power: Array
    roofline: Array
    flop: Array
    launch: float
    features: Mapping[str, Array]
    before: Array = field(default_factory=_nothing)
    host: Array = field(default_factory=_nothing)
    exchange: Array = field(default_factory=_nothing)
    held: Array = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class Law:
    """Measured efficiencies of one operator in one format.

    ``sharpness`` is the exponent p of the sum over resources (large: the slowest alone counts). ``sigma`` is, by the
    part that a row's time mostly goes to, the standard deviation of the logarithm of measured over predicted.
    """

    slopes: Slopes
    sharpness: float
    sigma: Mapping[str, float]

    def shifted(self, shifts: Iterable[tuple[Slopes, float]]) -> Law:
        """Return the law with ``shifts`` (of a kind, family or kernel), each times its weight, added."""
        total = {part: dict(self.slopes.get(part, {})) for part in PARTS}
        for shift, weight in shifts:
            for part, slopes in shift.items():
                for name, value in slopes.items():
                    total[part][name] = total[part].get(name, 0.0) + weight * value
        return replace(self, slopes=total)


def exponent(law: Law, part: str, features: Mapping[str, Array], shape: tuple[int, ...]) -> Array:
    """Return coefficients . features of one ``part`` over arrays of ``shape``."""
    out = np.zeros(shape)
    for name, value in law.slopes.get(part, {}).items():
        if name == "one":
            out += value
        else:
            out += value * feature(features, name)
    return np.clip(out, -_CAP, _CAP, out=out)


def feature(features: Mapping[str, Array], name: str) -> Array:
    """Return the feature ``name``, or the product of two for ``a*b``."""
    first, _, second = name.partition("*")
    return features[first] * features[second] if second else features[first]


def parts_of(law: Law, work: Work) -> dict[str, Array]:
    """Return seconds of each of PARTS, before they are joined."""
    shape = work.compute.shape
    out = {"overhead": work.launch * np.exp(exponent(law, "overhead", work.features, shape))}
    for part in PARTS[1:]:
        ideal: Array = getattr(work, part)
        slow = 1.0 + np.exp(exponent(law, part, work.features, shape)) if ideal.any() else np.ones(shape)
        out[part] = ideal * slow
    if work.held.any():
        out["memory"] = np.maximum(out["memory"], _warm_memory(law, work))
    return out


def _warm_memory(law: Law, work: Work) -> Array:
    """Return the memory's seconds if the run were warm.

    What a cache keeps spares bytes but slows the rest, which come badly spread: without this bound a cold run, judged
    by the efficiency of bytes streamed, might end up faster than a warm one.
    """
    # Of all features "kept" alone differs from a warm run's: by what is held, as nearly all bytes of a cold run miss.
    of_held = law.slopes.get("memory", {}).get("kept", 0.0) * work.held
    slow = 1.0 + np.exp(np.minimum(exponent(law, "memory", work.features, work.compute.shape) + of_held, _CAP))
    return work.memory * (1.0 - work.held) * slow


def join(parts: Mapping[str, Array], sharpness: float) -> Array:
    """Return the operator's time from its ``parts``: the chip's and the host's, which works ahead of it, as a p-norm.

    The chip's is its overhead and what comes before, plus the p-norm of its resources.
    """
    device = parts["overhead"] + parts["before"] + _norm([parts[name] for name in RESOURCES], sharpness)
    return _norm([device, parts["host"]], sharpness) if parts["host"].any() else device


def _norm(values: Sequence[Array], sharpness: float) -> Array:
    top = np.maximum.reduce(values)
    scale = np.where(top > 0.0, top, 1.0)
    total = sum((value / scale) ** sharpness for value in values)
    out: Array = np.where(top > 0.0, scale * total ** (1.0 / sharpness), 0.0)
    return out


@dataclass(frozen=True, slots=True)
class Measured:
    """Operators under a law: seconds of each of PARTS, and their joint time."""

    law: Law
    parts: Mapping[str, Array]
    flop: Array

    @property
    def seconds(self) -> Array:
        """Seconds of each operator."""
        return join(self.parts, self.law.sharpness)

    @property
    def bound(self) -> NDArray[np.int64]:
        """Position in ``PARTS`` of what most of each operator's time goes to."""
        largest: NDArray[np.int64] = np.argmax(np.stack([self.parts[name] for name in PARTS]), axis=0)
        return largest

    @property
    def sigma(self) -> Array:
        """Standard deviation of the logarithm of measured over predicted, of each operator."""
        spread: Array = np.array([self.law.sigma[name] for name in PARTS])[self.bound]
        return spread


def measure(law: Law, work: Work) -> Measured:
    """Return the operators in ``work`` under ``law``."""
    return Measured(law, parts_of(law, work), work.flop)
