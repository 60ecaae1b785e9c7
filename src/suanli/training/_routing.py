"""Routing of tokens to experts: capacity, dropped tokens, and the fullest chip under a stated skew."""

from __future__ import annotations

from math import erf, log, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InputError
from suanli.training._facts import Facts

Array = NDArray[np.float64]


def received(f: Facts, ep: Array) -> Array:
    """Return the rows that a chip's experts process over those of balanced routing.

    With a capacity factor every expert takes as many rows as its capacity, filled or padded (GShard, 2006.16668;
    Switch, 2101.03961). Without one no token is dropped and the fullest chip of the group sets the pace: its share over
    the mean under a stated skew, else 1 (the calibrated unevenness applies to time).
    """
    return np.where(f.capacity > 0, f.capacity, np.where(f.skew > 0, fullest(f, ep), 1.0))


def fullest(f: Facts, ep: Array) -> Array:
    """Return the load of the fullest chip of an expert-parallel group over the mean, dropless, at the model's skew.

    Loads of experts are taken as independent with coefficient of variation ``skew``; a chip adds up experts / ep of
    them; the largest of n normal variables lies about sqrt(2 ln n) above the mean (its leading term, an upper bound).
    """
    local = np.maximum(f.experts / ep, 1.0)
    return 1.0 + f.skew / np.sqrt(local) * np.sqrt(2.0 * np.log(np.maximum(ep, 1.0)))


def dropped_share(capacity: ArrayLike, skew: float) -> Array:
    """Return the share of token-to-expert assignments beyond capacity; ``capacity`` 0 drops none.

    Loads of experts are log-normal with mean 1 and coefficient of variation ``skew``: what lies above the capacity
    factor c is E[(X - c)+] = N(d1) - c N(d2). Raises InputError for values below zero.
    """
    c = np.atleast_1d(np.asarray(capacity, dtype=np.float64))
    if np.any(c < 0) or skew < 0:
        raise InputError(f"capacity {c.min():g} and skew {skew:g} must not be below zero")
    if skew == 0:
        return np.where(c > 0, np.maximum(0.0, 1.0 - c), 0.0)
    width = sqrt(log(1.0 + skew * skew))

    def above(factor: float) -> float:
        d = (-log(factor) + 0.5 * width * width) / width
        return _normal(d) - factor * _normal(d - width)

    return np.array([above(float(x)) if x > 0 else 0.0 for x in c])


def _normal(x: float) -> float:
    """Return the standard normal distribution at ``x``."""
    return 0.5 * (1.0 + erf(x / sqrt(2.0)))
