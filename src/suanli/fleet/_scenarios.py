"""Joint futures: outcomes of the case's risks, their probabilities, their reduction, and fresh draws for the test."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InputError
from suanli.fleet._figure import ordinal
from suanli.fleet._lines import Line
from suanli.fleet._schema import CaseSpec, Effect, Factor, Outcome, View
from suanli.fleet._schema_offers import Build

Array = NDArray[np.float64]
MOST_JOINT = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Futures:
    """Scenarios as arrays; axis 0 is the scenario.

    ``delivered`` [S, J] share of what the curve promises; ``slip`` [S, J] months; ``open`` [S, J, T] deliveries and
    orders possible; ``usable`` [S, J, T] use possible; ``price`` [S, J, T] and ``demand`` [S, W, T] factors.
    """

    names: tuple[str, ...]
    probability: Array
    delivered: Array
    slip: NDArray[np.int64]
    open: NDArray[np.bool_]
    usable: NDArray[np.bool_]
    price: Array
    demand: Array
    error: float = 0.0
    joint: int = 0

    @property
    def n(self) -> int:
        """Number of scenarios."""
        return len(self.names)


@dataclass(frozen=True, slots=True)
class _Space:
    factors: tuple[Factor, ...]
    odds: tuple[Array, ...]


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


def reduced(
    spec: CaseSpec,
    view: View,
    lines: Sequence[Line],
    months: Sequence[str],
    *,
    n: int,
    live: Sequence[bool] | None = None,
) -> Futures:
    """Return the joint futures of a view reduced to ``n`` by fast forward selection.

    ``error`` is the transport distance between the joint and the reduced distribution over that of a single
    scenario; ``joint`` is how many there were. ``live`` [J] says which lines can be ordered or are on their way: a
    risk that touches none of them is left out.
    """
    space = _space(spec, view, lines, live if live is not None else [True] * len(lines))
    picks, odds = _joint(space)
    features = np.stack([_feature(spec, space.factors, p, lines, months) for p in picks])
    keep, weights, error = forward_selection(features, odds, n)
    every = [_effects(space.factors, picks[k]) for k in keep]
    names = tuple(_name(space.factors, picks[k]) for k in keep)
    return _futures(spec, every, lines, months, names=names, odds=weights, error=error, joint=len(picks))


def fresh(spec: CaseSpec, view: View, lines: Sequence[Line], months: Sequence[str], *, n: int, seed: int) -> Futures:
    """Return ``n`` futures drawn anew: outcomes by their odds, each figure from its range (triangular)."""
    space = _space(spec, view, lines, [True] * len(lines))
    rng = np.random.default_rng(seed)
    draws = np.stack([rng.choice(len(o), size=n, p=o) for o in space.odds], axis=1) if space.odds else np.zeros((n, 0))
    every = [[_drawn(e, rng) for e in _effects(space.factors, tuple(row))] for row in draws.astype(int)]
    names = tuple(f"fresh {i + 1}" for i in range(n))
    return _futures(spec, every, lines, months, names=names, odds=np.full(n, 1.0 / n), error=0.0, joint=n)


def actual(spec: CaseSpec, lines: Sequence[Line], months: Sequence[str]) -> Futures:
    """Return the one future that happened: the outcomes that the case states, without effect where it states none."""
    factors = {f.id: f for f in spec.factors}
    chosen = [o for h in spec.happened for o in factors[h.factor].outcomes if o.id == h.outcome]
    effects = [(e, o) for o in chosen for e in o.effects]
    return _futures(spec, [effects], lines, months, names=("what happened",), odds=np.ones(1), error=0.0, joint=1)


def mean_future(futures: Futures) -> Futures:
    """Return the single scenario of expected values: mean shares, prices and demand; the likelier side of each rule."""
    p = futures.probability

    def mean(values: Array) -> Array:
        return np.tensordot(p, values, axes=1)[None]

    likely_open = np.tensordot(p, futures.open.astype(float), axes=1)[None] >= 0.5
    likely_use = np.tensordot(p, futures.usable.astype(float), axes=1)[None] >= 0.5
    slip = np.rint(mean(futures.slip.astype(float))).astype(np.int64)
    return Futures(
        names=("expected values",),
        probability=np.ones(1),
        delivered=mean(futures.delivered),
        slip=slip,
        open=likely_open,
        usable=likely_use,
        price=mean(futures.price),
        demand=mean(futures.demand),
    )


def select(futures: Futures, which: Sequence[int]) -> Futures:
    """Return some of the scenarios, their probabilities made to add up to one."""
    i = np.asarray(which)
    p = futures.probability[i]
    return Futures(
        names=tuple(futures.names[k] for k in which),
        probability=p / p.sum(),
        delivered=futures.delivered[i],
        slip=futures.slip[i],
        open=futures.open[i],
        usable=futures.usable[i],
        price=futures.price[i],
        demand=futures.demand[i],
        error=futures.error,
        joint=futures.joint,
    )


def forward_selection(features: Array, odds: Array, n: int) -> tuple[list[int], Array, float]:
    """Return (kept, their probabilities, relative transport error) of the ``n`` best scenarios.

    Fast forward selection (Heitsch and Roemisch 2003): add, one by one, the scenario that most lowers the
    probability-weighted distance of all to the nearest kept; the dropped give their weight to the nearest.
    """
    square = (features * features).sum(axis=1)
    distance = np.sqrt(np.maximum(square[:, None] + square[None, :] - 2.0 * features @ features.T, 0.0))
    nearest = np.full(len(odds), np.inf)
    kept: list[int] = []
    first = float("nan")
    for _ in range(min(n, len(odds))):
        totals = (odds[:, None] * np.minimum(nearest[:, None], distance)).sum(axis=0)
        totals[kept] = np.inf
        best = int(np.argmin(np.round(totals, 12)))
        kept.append(best)
        nearest = np.minimum(nearest, distance[:, best])
        first = float(totals[best]) if len(kept) == 1 else first
    owner = np.array(kept)[np.argmin(distance[:, kept], axis=1)]
    weights = np.array([odds[owner == k].sum() for k in kept])
    error = float((odds * nearest).sum()) / first if first > 0 else 0.0
    return kept, weights / weights.sum(), error


# ------------------------------------------------------------------------------------------------------------ inside


def _space(spec: CaseSpec, view: View, lines: Sequence[Line], live: Sequence[bool]) -> _Space:
    factors = tuple(f for f in open_factors(spec, view) if _matters(f, spec, lines, live))
    return _Space(factors, tuple(outcome_probabilities(f, view.orders_from, view.known_to) for f in factors))


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


def _joint(space: _Space) -> tuple[list[tuple[int, ...]], Array]:
    """Return joint outcomes and their odds: all where they are few, else a sample whose every factor keeps its odds.

    The sample is stratified by factor (as in a Latin hypercube), with a fixed seed.
    """
    sizes = [len(o) for o in space.odds]
    if math.prod(sizes) <= MOST_JOINT:
        picks = np.array(list(product(*(range(k) for k in sizes))), dtype=int).reshape(math.prod(sizes), len(sizes))
        odds = np.ones(len(picks))
        for i, o in enumerate(space.odds):
            odds *= o[picks[:, i]]
        live = odds > 0
        return [tuple(int(v) for v in row) for row in picks[live]], odds[live] / odds[live].sum()
    rng = np.random.default_rng(20250122)
    levels = (np.arange(MOST_JOINT) + 0.5) / MOST_JOINT
    columns = [np.searchsorted(np.cumsum(o) - 1e-12, rng.permutation(levels)) for o in space.odds]
    rows = np.stack(columns, axis=1)
    unique, counts = np.unique(rows, axis=0, return_counts=True)
    return [tuple(int(v) for v in row) for row in unique], counts / counts.sum()


def _effects(factors: Sequence[Factor], pick: Sequence[int]) -> list[tuple[Effect, Outcome]]:
    return [(e, f.outcomes[k]) for f, k in zip(factors, pick, strict=True) for e in f.outcomes[k].effects]


def _drawn(item: tuple[Effect, Outcome], rng: np.random.Generator) -> tuple[Effect, Outcome]:
    effect, outcome = item
    if effect.value is None:
        return item
    low, high = effect.value.ends()
    if high <= low:
        return item
    value = float(rng.triangular(low, min(max(effect.value.si, low), high), high))
    return effect.model_copy(update={"value": effect.value.model_copy(update={"value": value})}), outcome


def _name(factors: Sequence[Factor], pick: Sequence[int]) -> str:
    told = [f"{f.id}: {f.outcomes[k].title}" for f, k in zip(factors, pick, strict=True) if f.outcomes[k].effects]
    return "; ".join(told) or "no surprise"


def _feature(
    spec: CaseSpec, factors: Sequence[Factor], pick: Sequence[int], lines: Sequence[Line], months: Sequence[str]
) -> Array:
    """Return what sets a joint outcome apart: deliveries, months open, prices and demand, in shares."""
    f = _futures(spec, [_effects(factors, pick)], lines, months, names=("",), odds=np.ones(1), error=0.0, joint=1)
    got = f.delivered[0] * f.open[0].mean(axis=1) * (1.0 - np.minimum(f.slip[0], 24) / 24.0)
    j, w = max(1, len(lines)), max(1, f.demand.shape[1])
    parts = (got / j**0.5, f.usable[0].mean(axis=1) / j**0.5, f.price[0].mean(axis=1) / j**0.5)
    return np.concatenate([*parts, f.demand[0].mean(axis=1) / w**0.5])


def _window(effect: Effect, outcome: Outcome, months: Sequence[str]) -> NDArray[np.bool_]:
    since = effect.since
    if outcome.window is not None and since is None:
        a, b = (ordinal(m) for m in outcome.window)
        first = (a + b) // 2
    else:
        first = ordinal(since) if since is not None else ordinal(months[0])
    last = ordinal(effect.until) if effect.until is not None else ordinal(months[-1])
    return np.array([first <= ordinal(m) <= last for m in months])


def _futures(
    spec: CaseSpec,
    every: Sequence[Sequence[tuple[Effect, Outcome]]],
    lines: Sequence[Line],
    months: Sequence[str],
    *,
    names: tuple[str, ...],
    odds: Array,
    error: float,
    joint: int,
) -> Futures:
    s, j, t, w = len(every), len(lines), len(months), len(spec.services)
    out = Futures(
        names=names,
        probability=odds,
        delivered=np.ones((s, j)),
        slip=np.zeros((s, j), dtype=np.int64),
        open=np.ones((s, j, t), dtype=bool),
        usable=np.ones((s, j, t), dtype=bool),
        price=np.ones((s, j, t)),
        demand=np.ones((s, w, t)),
        error=error,
        joint=joint,
    )
    for k, effects in enumerate(every):
        for effect, outcome in effects:
            _apply(out, k, effect, _window(effect, outcome, months), spec, lines)
    np.clip(out.delivered, 0.0, 1.0, out=out.delivered)
    return out


def _apply(
    out: Futures, k: int, effect: Effect, when: NDArray[np.bool_], spec: CaseSpec, lines: Sequence[Line]
) -> None:
    value = effect.value.si if effect.value is not None else 0.0
    if effect.what == "demand":
        for w, service in enumerate(spec.services):
            if not {service.id, service.region, "*"}.isdisjoint(effect.on):
                out.demand[k, w, when] *= value
        return
    base = {f.id: f.phones.si for f in spec.foundries}
    for j, line in enumerate(lines):
        offer = line.offer
        if effect.what == "phones":
            foundry = offer.wafers.foundry if offer is not None and offer.wafers is not None else None
            if foundry in effect.on and foundry is not None:
                out.delivered[k, j] *= (1.0 - value) / (1.0 - base[foundry])
            continue
        project = offer is not None and offer.build is not None and offer.build in effect.on
        if not (project or line.answers_to(effect.on)):
            continue
        if effect.what == "delivered" and line.stock is None:
            out.delivered[k, j] *= value
        elif effect.what == "slip" and line.stock is None:
            out.slip[k, j] += round(value)
        elif effect.what == "price":
            out.price[k, j, when] *= value
        elif effect.what == "closes":
            out.open[k, j, when] = False
        elif effect.what == "stops":
            out.open[k, j, when] = False
            out.usable[k, j, when] = False
