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

    A collective of a library such as NCCL runs in the fastest of its protocols: *low latency*, a flag beside each word
    (``base`` + ``step`` a ring step, ``low_rate`` of the link); *lines* of 128 bytes with one flag (``line_base`` more,
    ``line_step``, ``line_rate``; a rate of 0: not over these links); and *bulk* (``fill`` bytes more, to fill the
    pipeline, ``rate`` of the link). The last two also copy each chip's own part, at ``own`` times what sending it
    would take. Starts are at a clock of ``clock_hz`` and take as many cycles at any other (0: they follow no clock).
    ``crowding`` is the exponent with which n chips share a host bridge, n / 2 to the power (links without a switch).
    ``reduce_rate`` is the share of the link under in-network reduction, ``reduce_fill`` the bytes it starts up with.
    An all-to-all starts in ``exchange_base`` and ``exchange_step`` a peer, and sends at ``exchange_low`` of the link,
    or ``exchange_fill`` bytes later at ``exchange_rate``; a single pair in ``pair_base`` at ``pair_rate``.
    Kernels of serving frameworks: ``once_base``, ``once_rate`` (every chip reads all others), ``twice_base``,
    ``twice_rate`` (reduce-scatter, then gather), up to ``kernel_limit`` bytes.
    ``eager_floor`` is the host's time to launch one collective without a graph, ``copy_rate`` the share of memory
    bandwidth at which an eager call copies its result.
    """

    clock_hz: float
    base: float
    step: float
    low_rate: float
    line_base: float
    line_step: float
    line_rate: float
    fill: float
    rate: float
    own: float
    crowding: float
    reduce_rate: float
    reduce_fill: float
    exchange_base: float
    exchange_step: float
    exchange_low: float
    exchange_fill: float
    exchange_rate: float
    pair_base: float
    pair_rate: float
    once_base: float
    once_rate: float
    twice_base: float
    twice_rate: float
    kernel_limit: float
    eager_floor: float
    copy_rate: float


STARTS: tuple[str, ...] = (
    "base",
    "step",
    "line_base",
    "line_step",
    "exchange_base",
    "exchange_step",
    "pair_base",
    "once_base",
    "twice_base",
)
"""Parameters that are spent in the chip's own instructions, and so follow its clock."""
HOST = "host"
"""The entry of stored families that says what an unmeasured host takes to launch."""


def law_of(family: str, families: Families | None = None, *, clock_hz: float = 0.0) -> Law:
    """Return the parameters of ``family``: measured, estimated from published figures, or those of its nearest kin.

    Starts are those of a chip at ``clock_hz`` (Hz; 0: of the chips that were measured). ``families`` replaces the
    stored final ones (the fit scores rows with parameters fitted without them). Raises InputError for a family without
    parameters or kin.
    """
    if families is not None:
        return _build(_find(family, families), clock_hz)
    return _final(family, clock_hz)


@lru_cache(maxsize=1024)
def _final(family: str, clock_hz: float) -> Law:
    return _build(_find(family, stored()["final"]["families"]), clock_hz)


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

    "pcie4@l40s" is one measured host of a family, "pcie4@l40s@vllm 1.0" another that served one version's
    measurements, "nvlink4#trtllm" a family under the kernels of one framework.
    """
    plain, mark, software = family.partition("#")
    general, _, host = plain.partition("@")
    first = f"{general}@{host.partition('@')[0]}" if host else general
    chain = tuple(dict.fromkeys((first, general, *links()["kin"].get(general, ()))))
    other = (plain,) if "@" in host else ()
    return (*other, *(f"{name}#{software}" for name in chain), *chain) if mark else (*other, *chain)


def _find(family: str, families: Families) -> Mapping[str, float]:
    estimated = links()["families"]
    for name in kin(family):
        if name in families:
            return families[name] if measured_here(family, name) else {**families[name], **families.get(HOST, {})}
        if name in estimated:
            own = estimated[name]
            return {**_find(own["like"], families), **own}
    known = sorted({n.partition("@")[0].partition("#")[0] for n in (*families, *estimated)} - {HOST})
    raise InputError(f"no parameters for links of family '{family}'; known: {', '.join(known)}")


def measured_here(family: str, name: str) -> bool:
    """Return whether ``name`` is ``family`` itself, or the same links under other software."""
    return name.partition("#")[0].partition("@")[0] == family.partition("#")[0].partition("@")[0]


def _build(values: Mapping[str, float], clock_hz: float) -> Law:
    at = float(values["clock_hz"])
    pace = at / clock_hz if at and clock_hz else 1.0
    return Law(**{f.name: float(values[f.name]) * (pace if f.name in STARTS else 1.0) for f in fields(Law)})
