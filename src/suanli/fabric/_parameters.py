"""Measured efficiencies and latencies of link families: data of the catalogue, read here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from suanli import catalog
from suanli.errors import InputError

Families = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """Parameters of one link family: times in s, rates as shares of the link's bandwidth, sizes in bytes.

    A collective of a library such as NCCL runs in the faster of two protocols: *low latency* (``base`` + ``step`` a
    ring step, ``low_rate`` of the link) and *bulk* (``fill`` bytes more, to fill the pipeline; ``rate`` x (1 - ``loss``
    / n) of the link under an all-reduce, ``one_way`` of that under collectives that move each byte once).
    ``crowding`` is the exponent with which n chips share a host bridge, n / 2 to the power (links without a switch).
    ``reduce_rate`` is the share of the link under in-network reduction, ``reduce_fill`` the bytes it starts up with,
    ``exchange_base`` and ``exchange_step`` the start of an all-to-all and its time a peer, ``pair_base`` and
    ``pair_rate`` those of a single pair. Kernels of serving frameworks: ``once_base``, ``once_rate`` (every chip reads
    all others), ``twice_base``, ``twice_rate`` (reduce-scatter, then gather), up to ``kernel_limit`` bytes.
    ``eager_floor`` is the host's time to launch one collective without a graph, ``copy_rate`` the share of memory
    bandwidth at which an eager call copies its result.
    """

    base: float
    step: float
    low_rate: float
    fill: float
    rate: float
    loss: float
    one_way: float
    crowding: float
    reduce_rate: float
    reduce_fill: float
    exchange_base: float
    exchange_step: float
    pair_base: float
    pair_rate: float
    once_base: float
    once_rate: float
    twice_base: float
    twice_rate: float
    kernel_limit: float
    eager_floor: float
    copy_rate: float


def law_of(family: str, families: Families | None = None) -> Law:
    """Return the parameters of ``family``: measured, estimated from published figures, or those of its nearest kin.

    ``families`` replaces the stored final ones (the fit scores rows with parameters fitted without them).
    Raises InputError for a family without parameters or kin.
    """
    if families is not None:
        return _build(_find(family, families))
    return _final(family)


@lru_cache(maxsize=128)
def _final(family: str) -> Law:
    return _build(_find(family, stored()["final"]["families"]))


def stored() -> dict[str, Any]:
    """Return the fitted parameters of the fabric as the fit script wrote them."""
    return catalog.fitted("fabric")


@cache
def links() -> dict[str, Any]:
    """Return what is known of links beside measurements: spellings, kin, estimated families."""
    path = Path(__file__).parent / "data" / "links.json"
    out: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return out


def kin(family: str) -> tuple[str, ...]:
    """Return the families whose parameters stand for ``family``, itself first, the nearest next.

    "pcie4@l40s" is one measured host of a family, "nvlink4#trtllm" a family under the kernels of one framework.
    """
    plain, mark, software = family.partition("#")
    general = plain.partition("@")[0]
    chain = tuple(dict.fromkeys((plain, general, *links()["kin"].get(general, ()))))
    return (*(f"{name}#{software}" for name in chain), *chain) if mark else chain


def _find(family: str, families: Families) -> Mapping[str, float]:
    estimated = links()["families"]
    for name in kin(family):
        if name in families:
            return families[name]
        if name in estimated:
            own = estimated[name]
            return {**_find(own["like"], families), **own}
    raise InputError(f"no parameters for links of family '{family}'; known: {', '.join((*families, *estimated))}")


def _build(values: Mapping[str, float]) -> Law:
    return Law(**{f.name: float(values[f.name]) for f in fields(Law)})
