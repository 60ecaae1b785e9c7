"""The fastest strategy of each of several pools by branch and bound: what cannot win is not looked at.

A layout's step takes at least the time of its quickest switches with every stage as fast as the mean one. Layouts are
looked at in the order of that bound, until it exceeds the fastest strategy found that fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InfeasibleError
from suanli.training._evaluate import Prepared, step_time
from suanli.training._offers import Offers
from suanli.training._parameters import Parameters
from suanli.training._ranking import Setting, Step, fits_nowhere, steps_of
from suanli.training._search import Found, chosen, prepare_grid, ranked, rows_of, visit
from suanli.training._space import Layout, Space, layouts, space_of, valid, why_none

Array = NDArray[np.float64]

_ROUNDING = 1e-9  # of a bound, which adds up the same numbers in arrays of other shapes


def quickest(prepared: Prepared) -> Prepared:
    """Return the candidates without the settings of switches that only cost time: recomputation and offloading.

    Nothing recomputed and no activations moved are the first settings of their axes where a search has several.
    """
    s = prepared.strategies
    return replace(
        prepared,
        strategies=replace(
            s,
            recompute=_first(s.recompute),
            recompute_share=_first(s.recompute_share),
            offload_activations=_first(s.offload_activations),
        ),
    )


def _first(switch: Array) -> Array:
    """Return the first setting of a switch that lies along an axis of its own."""
    return switch.reshape(-1)[:1].reshape((1,) * switch.ndim)


def least_time(prepared: Prepared, parameters: Parameters) -> Array:
    """Return seconds a step that no setting of the switches of each layout goes below, whether it fits or not."""
    quick = quickest(prepared)
    seconds = step_time(quick, parameters, even=True)
    n = prepared.batch.size
    out = np.where(valid(quick.strategies), seconds, np.inf).reshape(-1, n).min(axis=0)
    return np.asarray(out * (1.0 - _ROUNDING))


def fastest(prepared: Prepared, of: Space, parameters: Parameters, room: float) -> Found:
    """Return a search of only those layouts that may hold the fastest strategy within ``room`` bytes a chip.

    Its best is that of a whole search, ties included; where nothing fits every layout was looked at.
    """
    bound = least_time(prepared, parameters) / prepared.batch
    return visit(prepared, of, parameters, room, order=np.argsort(bound, kind="stable"), bound=bound)


def fastest_steps(settings: Sequence[Setting], offers: Offers, parameters: Parameters) -> list[Step | InfeasibleError]:
    """Return the fastest step of each of several pools of one chip, or why there is none.

    As many chips of a pool are used as degrees in whole numbers can. ``settings`` differ in chips and batch alone, so
    that operators and collectives that pools share are timed once.
    """
    one = settings[0]
    room = one.site.chip.memory_bytes or np.inf
    each = [_layouts(s, offers) for s in settings]
    if not any(each):
        return [_no_degrees(s, offers) for s in settings]
    whole = space_of([x for found in each for x in found], offers)
    prepared = prepare_grid(one.site, one.facts, whole, seq=one.seq, era=one.era, precision=one.precision)
    ends = np.cumsum([len(found) for found in each])
    out: list[Step | InfeasibleError] = []
    for setting, count, end in zip(settings, map(len, each), ends, strict=True):
        if not count:
            out.append(_no_degrees(setting, offers))
            continue
        part = rows_of(prepared, slice(end - count, end))
        of = Space(grid=part.strategies, batch=part.batch, n_layouts=count, shape=whole.shape)
        out.append(_best(setting, fastest(part, of, parameters, room), parameters, room))
    return out


def _layouts(s: Setting, offers: Offers) -> list[Layout]:
    return layouts(
        s.facts,
        n_chips=s.n_chips,
        batch=s.batch,
        seq=s.seq,
        domain=s.site.domain,
        exact=False,
        schedules=s.era.schedules,
        offers=offers,
    )


def _no_degrees(s: Setting, offers: Offers) -> InfeasibleError:
    return InfeasibleError(why_none(s.facts, n_chips=s.n_chips, batch=s.batch, seq=s.seq, pins={}, offers=offers))


def _best(setting: Setting, found: Found, parameters: Parameters, room: float) -> Step | InfeasibleError:
    """Return the fastest step of a search, or the error that says why nothing fits."""
    best = np.array(ranked(found, top=1), dtype=np.intp)
    if not best.size:
        return fits_nowhere(setting, found, room)
    return steps_of(setting, chosen(found, best, found.switch[best]), parameters)[0]
