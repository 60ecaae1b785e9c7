"""The search: every strategy of a space evaluated in blocks of arrays, memory first, the best of each layout kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from suanli.training._comm import Site, Traffic
from suanli.training._eras import Era, habits
from suanli.training._evaluate import Prepared, bits_of, step_time, total_memory, traffic_of
from suanli.training._facts import Facts
from suanli.training._offers import Offers, offers_of
from suanli.training._parameters import Parameters
from suanli.training._profile import Profile, as_measured
from suanli.training._space import Space, space, valid
from suanli.training._step import Habits, kernels_of
from suanli.training._strategy import Strategies
from suanli.training._units import Cut, Units, unit_times

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

_BLOCK = 64  # layouts a block: with all switches its arrays stay in the caches


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search found: for each layout its fastest strategy that fits, and its fastest whether it fits or not.

    ``seconds`` is infinite where nothing fits or nothing was looked at; ``least`` is the least memory in bytes over the
    layout's strategies; ``size`` counts the strategies looked at, ``fitting`` those that fit. ``done`` is the share of
    layouts visited or ruled out (below 1 after an interruption).
    """

    prepared: Prepared
    space: Space
    seconds: Array
    switch: NDArray[np.intp]
    least: Array
    least_switch: NDArray[np.intp]
    size: int
    fitting: int
    done: float


def prepare_grid(site: Site, f: Facts, of: Space, *, seq: int, era: Era, precision: str) -> Prepared:
    """Return a space with its operator and collective times, each computed once on the layouts that share it."""
    s = of.grid
    manners = habits([era], family=site.chip.family)
    bits = bits_of(site, precision)
    length = np.array([float(seq)])
    units = _unit_grid(site, f, s, length=length, precision=precision, manners=manners)
    moves = traffic_of(site, f, s, seq=length, manners=manners, bits=bits)
    return Prepared(
        site=site,
        facts=f,
        strategies=s,
        units=units,
        traffic=Traffic(**{x.name: np.broadcast_to(getattr(moves, x.name), s.tp.shape) for x in fields(Traffic)}),
        habits=manners,
        eras=(era.id,),
        seq=length,
        batch=of.batch,
        bits=bits,
    )


def _unit_grid(site: Site, f: Facts, s: Strategies, *, length: Array, precision: str, manners: Habits) -> Units:
    """Return the unit times of every layout, computed once on the unique (tp, cp, ep, etp, micro-batch)."""
    unique, back = np.unique(np.stack([s.tp, s.cp, s.ep, s.etp, s.micro_batch]), axis=1, return_inverse=True)
    tp, cp, ep, etp, micro = unique
    cut = Cut(tp=tp, cp=cp, ep=ep, etp=etp, micro_batch=micro, seq=length)
    units = unit_times(site.chip, f, cut, kernels_of(manners), precision=precision)
    where = back.reshape(-1)
    return Units(**{x.name: np.broadcast_to(getattr(units, x.name), tp.shape)[where] for x in fields(Units)})


def rows_of(prepared: Prepared, rows: NDArray[np.intp] | slice) -> Prepared:
    """Return the layouts ``rows`` of a prepared grid."""
    s = prepared.strategies
    part = {x.name: (a if (a := getattr(s, x.name)).ndim > 1 else a[rows]) for x in fields(Strategies)}
    return replace(
        prepared,
        batch=prepared.batch[rows],
        strategies=Strategies(**part),
        units=Units(**{x.name: getattr(prepared.units, x.name)[rows] for x in fields(Units)}),
        traffic=Traffic(**{x.name: getattr(prepared.traffic, x.name)[rows] for x in fields(Traffic)}),
    )


def search_space(
    site: Site,
    f: Facts,
    *,
    n_chips: int,
    batch: int,
    seq: int,
    era: Era,
    precision: str,
    parameters: Parameters,
    profile: Profile | None = None,
    memory_limit: float | None = None,
    pins: Mapping[str, int] | None = None,
    exact: bool = True,
    schedules: Sequence[str] | None = None,
    offers: Offers | None = None,
    progress: Callable[[float], None] | None = None,
) -> Found:
    """Return the best strategy of every layout of the whole space; an interruption (Ctrl-C) keeps what was found.

    ``memory_limit`` in bytes a chip (default: the chip's own); ``pins``, ``exact``, ``schedules`` and ``offers`` as for
    ``layouts`` (default: what the era offers); ``profile`` holds measured layers. Raises InfeasibleError where no
    degrees fill the chips.
    """
    of = space(
        f,
        n_chips=n_chips,
        batch=batch,
        seq=seq,
        domain=site.domain,
        pins=pins,
        exact=exact,
        schedules=era.schedules if schedules is None else schedules,
        offers=offers_of(era.id) if offers is None else offers,
    )
    prepared = prepare_grid(site, f, of, seq=seq, era=era, precision=precision)
    prepared = as_measured(prepared, profile, parameters, precision=precision)
    room = memory_limit if memory_limit is not None else (site.chip.memory_bytes or np.inf)
    return visit(prepared, of, parameters, room, order=_scattered(of.n_layouts), progress=progress)


def visit(
    prepared: Prepared,
    of: Space,
    parameters: Parameters,
    room: float,
    *,
    order: Indices,
    bound: Array | None = None,
    progress: Callable[[float], None] | None = None,
) -> Found:
    """Return what layouts hold, looked at in ``order``; ``room`` in bytes a chip. Ctrl-C keeps what was found.

    ``bound`` is seconds a sequence that a layout cannot beat: those beyond the fastest found are left out.
    """
    n = of.n_layouts
    seconds, least = np.full(n, np.inf), np.full(n, np.inf)
    switch, least_switch = np.zeros(n, dtype=np.intp), np.zeros(n, dtype=np.intp)
    size = fitting = done = 0
    best = np.inf
    try:
        for start in range(0, n, _BLOCK):
            rows = order[start : start + _BLOCK]
            rows = rows if bound is None else rows[bound[rows] <= best]
            if rows.size:
                some, fit, found = _block(rows_of(prepared, rows), of, parameters, room)
                size, fitting = size + some, fitting + fit
                seconds[rows], switch[rows], least[rows], least_switch[rows] = found
                best = min(best, float((found[0] / prepared.batch[rows]).min()))
            done = min(n, start + _BLOCK)
            if progress is not None:
                progress(done / n)
    except KeyboardInterrupt:
        if not np.isfinite(seconds).any():
            raise
    return Found(
        prepared=prepared,
        space=of,
        seconds=seconds,
        switch=switch,
        least=least,
        least_switch=least_switch,
        size=size,
        fitting=fitting,
        done=done / n,
    )


def _scattered(n: int) -> Indices:
    """Return ``n`` layouts in an order whose blocks are spread over the space by the golden section.

    An interruption has then seen every kind of layout.
    """
    starts = np.arange(0, n, _BLOCK)
    blocks = np.argsort(np.mod(np.arange(starts.size) * 0.6180339887498949, 1.0), kind="stable")
    return np.concatenate([np.arange(start, min(n, start + _BLOCK)) for start in starts[blocks]])


def _block(
    block: Prepared, of: Space, parameters: Parameters, room: float
) -> tuple[int, int, tuple[Array, NDArray[np.intp], Array, NDArray[np.intp]]]:
    """Return of a block of layouts (strategies, fitting ones, (least seconds, its switch, least bytes, its switch)).

    Memory first: layouts of which nothing fits are not timed.
    """
    n = block.batch.size
    some = np.broadcast_to(valid(block.strategies), (*of.shape, n))
    held = np.where(some, total_memory(block), np.inf).reshape(of.n_switches, n)
    least, least_switch = np.min(held, axis=0), np.argmin(held, axis=0)
    inside = held <= room
    seconds, switch = np.full(n, np.inf), np.zeros(n, dtype=np.intp)
    alive = np.flatnonzero(least <= room)
    if alive.size:
        times = np.broadcast_to(step_time(rows_of(block, alive), parameters), (*of.shape, alive.size))
        times = np.where(inside[:, alive], times.reshape(of.n_switches, -1), np.inf)
        seconds[alive], switch[alive] = np.min(times, axis=0), np.argmin(times, axis=0)
    return int(np.count_nonzero(some)), int(np.count_nonzero(inside)), (seconds, switch, least, least_switch)


def chosen(found: Found, layout: NDArray[np.intp], switch: NDArray[np.intp]) -> Prepared:
    """Return the strategies at (layout, switch) of a search as candidates along one axis."""
    s = found.prepared.strategies
    place = np.unravel_index(switch, found.space.shape)

    def at(a: Array) -> Array:
        if a.ndim == 1:
            return a[layout]
        index = tuple(i if size > 1 else 0 for i, size in zip(place, a.shape[:-1], strict=True))
        return np.broadcast_to(a[(*index, 0)], layout.shape)

    some = rows_of(found.prepared, layout)
    return replace(some, strategies=Strategies(**{x.name: at(getattr(s, x.name)) for x in fields(Strategies)}))


def ranked(found: Found, *, top: int) -> list[int]:
    """Return layouts by tokens/s, the fastest of each (tp, pp, dp, cp, ep) only, as many as ``top`` that fit."""
    s = found.prepared.strategies
    pace = found.seconds / found.prepared.batch
    out: list[int] = []
    seen: set[tuple[float, ...]] = set()
    for i in np.argsort(pace, kind="stable"):
        if not np.isfinite(found.seconds[i]) or len(out) >= top:
            break
        key = tuple(float(a[i]) for a in (s.tp, s.pp, s.dp, s.cp, s.ep))
        if key not in seen:
            seen.add(key)
            out.append(int(i))
    return out
