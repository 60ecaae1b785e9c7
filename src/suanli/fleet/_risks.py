"""Risks: the odds of each outcome as seen on a day, and which risks bear on a plan at all."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InputError
from suanli.fleet._figure import ordinal
from suanli.fleet._lines import Line
from suanli.fleet._schema import CaseSpec, Factor, View
from suanli.fleet._schema_offers import Build

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Space:
    """Risks that bear on a plan, and the odds of their outcomes."""

    factors: tuple[Factor, ...]
    odds: tuple[Array, ...]

    @property
    def joint(self) -> int:
        """Number of joint outcomes that can happen."""
        return math.prod(int((o > 0).sum()) for o in self.odds)


def outcome_probabilities(factor: Factor, start: str, known_to: dt.date | None = None) -> Array:
    """Return the probabilities of a factor's outcomes, seen from month ``start``.

    A window takes the chance that the change falls into it and not before; an outcome without probability takes the
    rest. Raises InputError where they exceed one.
    """
    out = np.full(len(factor.outcomes), np.nan)
    last = max((ordinal(o.window[1]) for o in factor.outcomes if o.window), default=ordinal(start))
    first = first_change(factor, last + 1 - ordinal(start), known_to)
    for i, outcome in enumerate(factor.outcomes):
        if outcome.window is not None:
            a = max(0, ordinal(outcome.window[0]) - ordinal(start))
            b = max(a, ordinal(outcome.window[1]) + 1 - ordinal(start))
            out[i] = float(first[a:b].sum())
        elif outcome.probability is not None:
            out[i] = outcome.probability.si
    rest = 1.0 - float(np.nansum(out))
    if rest < -1e-9:
        raise InputError(f"factors: probabilities of '{factor.id}' exceed one by {-rest:.3g}")
    out[np.isnan(out)] = max(0.0, rest)
    shares: Array = out / out.sum()
    return shares


def first_change(factor: Factor, months: int, known_to: dt.date | None = None) -> Array:
    """Return the chance that a relevant change falls first into each of the next ``months``.

    Counted rules make a steady chance h: exp(-h t) - exp(-h (t + 1)). A jurisdiction's process is a chain of calm and
    active months whose rules begin at their fitted rates: a month brings a relevant change with the chance
    (1 - exp(-rate)) x relevance of its state. The history ends on the hazard's day or on ``known_to``.
    """
    hazard, months = factor.hazard, max(months, 0)
    if hazard is None:
        return np.zeros(months)
    until = min(hazard.until, known_to) if known_to is not None else hazard.until
    if hazard.jurisdiction is None:
        h = hazard_rate(factor)
        return np.asarray(np.exp(-h * np.arange(months)) - np.exp(-h * np.arange(1, months + 1)))
    from suanli.controls import history, load_rulebook, regimes

    past = [c for c in history(hazard.jurisdiction) if c.day < until.isoformat()]
    if len(past) < 2:  # too few to fit: a steady chance, half a change added so that none is never certain
        counted = (until - dt.date.fromisoformat(load_rulebook().first_day)).days / 30.4375
        h = (len(past) + 0.5) / counted * hazard.relevant.si
        return np.asarray(np.exp(-h * np.arange(months)) - np.exp(-h * np.arange(1, months + 1)))
    process = regimes((hazard.jurisdiction,), until=until.isoformat())[0]
    hit = (1.0 - np.exp(-process.rate)) * hazard.relevant.si
    state = np.array([1.0 - process.active[-1], process.active[-1]])
    out = np.zeros(months)
    for t in range(months):
        state = state @ process.move
        out[t] = float(state @ hit)
        state = state * (1.0 - hit)
    return out


def hazard_rate(factor: Factor) -> float:
    """Return the monthly chance of a relevant change: dated changes over the months counted, times their relevance."""
    if factor.hazard is None or factor.hazard.since is None:
        return 0.0
    months = (factor.hazard.until - factor.hazard.since).days / 30.4375
    return len(factor.hazard.rules) / months * factor.hazard.relevant.si


def build_factor(build: Build) -> Factor:
    """Return the risk that a chip project carries: all stages at the first try, one repeated, or none."""
    odds = [s.odds.si for s in build.stages]
    clean = math.prod(odds)
    late = min(1.0 - clean, sum((1 - o) * build.odds_second.si * clean / o for o in odds if o > 0))
    slip = max((s.retry_months for s in build.stages), default=0)
    source = build.stages[0].odds.source
    offers = [build.id]
    return Factor.model_validate(
        {
            "id": f"project:{build.id}",
            "sentence": f"{build.name}: every stage at the first try, one repeated, or the project fails.",
            "outcomes": [
                {"id": "clean", "title": "all stages at the first try", "probability": _given(clean, source)},
                {
                    "id": "repeat",
                    "title": f"one stage repeated, {slip} months late",
                    "probability": _given(late, source),
                    "effects": [{"on": offers, "what": "slip", "value": {"value": float(slip), "source": source}}],
                },
                {
                    "id": "fails",
                    "title": "the project fails",
                    "effects": [{"on": offers, "what": "delivered", "value": {"value": 0.0, "source": source}}],
                },
            ],
        }
    )


def _given(value: float, source: str) -> dict[str, object]:
    return {"value": value, "source": source}


def open_factors(spec: CaseSpec, view: View) -> tuple[Factor, ...]:
    """Return the risks that are open in a view, those of chip projects included."""
    stated = [f for f in spec.factors if view.factors is None or f.id in view.factors]
    return (*stated, *(build_factor(b) for b in spec.builds))


def space_of(spec: CaseSpec, view: View, lines: Sequence[Line], live: Sequence[bool] | None = None) -> Space:
    """Return the risks open in a view that touch a line that is ``live`` [J] (all if None), or a service, with odds."""
    alive = live if live is not None else [True] * len(lines)
    factors = tuple(f for f in open_factors(spec, view) if _matters(f, spec, lines, alive))
    return Space(factors, tuple(_odds(f, spec, view) for f in factors))


def _odds(factor: Factor, spec: CaseSpec, view: View) -> Array:
    """Return the odds of a risk's outcomes: certain where the view knows how it turned out."""
    day = view.facts_to or view.known_to
    known = [h.outcome for h in spec.happened if h.factor == factor.id and h.known_from and h.known_from <= day]
    if known:
        return np.array([float(o.id == known[-1]) for o in factor.outcomes])
    return outcome_probabilities(factor, view.orders_from, view.known_to)


def _matters(factor: Factor, spec: CaseSpec, lines: Sequence[Line], live: Sequence[bool]) -> bool:
    """Return whether a risk touches a line that can be ordered or is on its way, or a service."""
    offers = [x.offer for x, on in zip(lines, live, strict=True) if on and x.offer is not None]
    alive = [x for x, on in zip(lines, live, strict=True) if on]
    for effect in (e for o in factor.outcomes for e in o.effects):
        if effect.what == "demand":
            if any(not {s.id, s.region, "*"}.isdisjoint(effect.on) for s in spec.services):
                return True
        elif effect.what == "phones":
            if any(o.wafers is not None and o.wafers.foundry in effect.on for o in offers):
                return True
        elif any(x.answers_to(effect.on) for x in alive) or any(o.build in effect.on for o in offers if o.build):
            return True
    return False
