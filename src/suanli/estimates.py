"""Predictions with their interval: how uncertainty is carried and combined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

Z80 = 1.2815515655446004  # half-width of a normal distribution's central 80 %, in standard deviations


@dataclass(frozen=True, slots=True)
class Estimate:
    """A prediction over a candidate axis: ``value`` with its 10th and 90th percentiles, in SI units.

    ``breakdown`` splits ``value`` into named parts of the same shape that add up to it;
    ``sources`` names what the prediction rests on.
    """

    value: Array
    p10: Array
    p90: Array
    breakdown: Mapping[str, Array] = field(default_factory=dict)
    sources: tuple[str, ...] = ()


def lognormal(value: ArrayLike, sigma: ArrayLike, *, bias: float = 0.0) -> Estimate:
    """Return an estimate whose logarithm is normal around ``value`` with standard deviation ``sigma``.

    ``bias`` shifts the interval (not the value) by a factor exp(bias), for residuals that are not centred.
    """
    v = np.atleast_1d(np.asarray(value, dtype=np.float64))
    half = Z80 * np.asarray(sigma, dtype=np.float64)
    return Estimate(value=v, p10=v * np.exp(bias - half), p90=v * np.exp(bias + half))


def relative_sigma(estimate: Estimate) -> Array:
    """Return the standard deviation of the logarithm that ``estimate``'s interval implies."""
    out: Array = np.log(estimate.p90 / estimate.p10) / (2.0 * Z80)
    return out


def total(parts: Mapping[str, Estimate], *, correlation: float = 1.0) -> Estimate:
    """Return the sum of ``parts`` with its interval.

    Half-widths add linearly at ``correlation`` 1 and in quadrature at 0; values between mix the variances.
    Raises ValueError for a correlation outside [0, 1].
    """
    if not 0.0 <= correlation <= 1.0:
        raise ValueError(f"correlation {correlation} is outside [0, 1]")
    value = np.sum([p.value for p in parts.values()], axis=0)

    def half(widths: list[Array]) -> Array:
        linear = np.sum(widths, axis=0)
        square = np.sum([w * w for w in widths], axis=0)
        out: Array = np.sqrt(correlation * linear * linear + (1.0 - correlation) * square)
        return out

    return Estimate(
        value=value,
        p10=value - half([p.value - p.p10 for p in parts.values()]),
        p90=value + half([p.p90 - p.value for p in parts.values()]),
        breakdown={name: p.value for name, p in parts.items()},
        sources=tuple(dict.fromkeys(s for p in parts.values() for s in p.sources)),
    )
