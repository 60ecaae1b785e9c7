"""Dies from a wafer: how many fit, how many work, and how many can be sold with broken cores."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from suanli.design._process import Constants
from suanli.design._spec import DesignSpec
from suanli.estimates import Array

CORE_OWN: tuple[str, ...] = ("mac", "vector", "control", "local SRAM", "registers")
"""Blocks that belong to a core: a defect there costs the core, not the die."""

REPAIRABLE: tuple[str, ...] = ("shared SRAM",)
"""Blocks with spare rows: only part of their area kills."""


def gross_dies(area: Array, c: Constants) -> Array:
    """Return the dies of ``area`` (m²) on a wafer: pi r²/A - pi d / sqrt(2 A), with scribe and edge.

    Ac = A + 2 s sqrt(A) + s²; N = pi (d/2 - e)²/Ac - pi (d - 2 e)/sqrt(2 Ac) (Chiplet Actuary, Feng and Ma, DAC 2022).
    """
    d, e, s = c["wafer.diameter"], c["wafer.edge"], c["wafer.scribe"]
    cell = area + 2.0 * s * np.sqrt(area) + s * s
    out: Array = np.maximum(np.pi * (d / 2.0 - e) ** 2 / cell - np.pi * (d - 2.0 * e) / np.sqrt(2.0 * cell), 0.0)
    return out


def block_yield(area: Array, defects: ArrayLike, cluster: ArrayLike) -> Array:
    """Return the share of blocks of ``area`` without a killing defect: negative binomial (1 + A D / a)^-a."""
    d, a = np.asarray(defects, dtype=np.float64), np.asarray(cluster, dtype=np.float64)
    out: Array = (1.0 + area * d / a) ** (-a)
    return out


def binomial_tail(n: ArrayLike, spare: ArrayLike, p: ArrayLike) -> Array:
    """Return P(at most ``spare`` of ``n`` cores are broken) where each works with probability ``p``.

    Sum over k = 0..spare of C(n, k) (1 - p)^k p^(n - k): the regularised incomplete beta function I_p(n - k, k + 1).
    """
    from scipy.special import betainc

    made, may, works = np.broadcast_arrays(*[np.asarray(v, dtype=np.float64) for v in (n, spare, p)])
    whole = may >= made
    value = betainc(np.where(whole, 1.0, made - may), may + 1.0, works)
    return np.where(whole, 1.0, value)


def sellable(spec: DesignSpec, areas: Mapping[str, Array], c: Constants) -> dict[str, Array]:
    """Return the shares of dies: ``core`` (a core works), ``rest`` (all else works), ``whole`` and ``sold``.

    A die is sold where all outside its cores works and at most ``spare_cores`` cores do not.
    """
    defects, cluster = c[f"{spec.node}.defects"], c["yield.cluster"]
    cores = spec.array("cores")
    own = np.sum(np.broadcast_arrays(*[areas[b] for b in CORE_OWN]), axis=0) / c["whitespace"]
    soft = np.sum(np.broadcast_arrays(*[areas[b] for b in REPAIRABLE]), axis=0)
    die = np.sum(np.broadcast_arrays(*areas.values()), axis=0)
    hard = np.maximum(die - own - soft, 0.0) + soft * (1.0 - c["yield.repaired"])
    core = block_yield(own / cores, defects, cluster)
    rest = block_yield(hard, defects, cluster)
    return {
        "core": core,
        "rest": rest,
        "whole": rest * core**cores,
        "sold": rest * binomial_tail(cores, spec.array("spare_cores"), core),
    }
