"""Joint futures: a few that stand for all, fresh draws for the test, and the one that happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from suanli.fleet._figure import month_of, ordinal
from suanli.fleet._lines import Line
from suanli.fleet._reduction import balanced
from suanli.fleet._risks import Space, space_of
from suanli.fleet._schema import CaseSpec, Effect, Factor, Outcome, View

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
GROUPS = 8
"""Latin hypercubes that a test on fresh futures is drawn in: their means tell how sure the test is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Futures:
    """Scenarios as arrays; axis 0 is the scenario.

    ``delivered`` [S, J] share of what the curve promises; ``slip`` [S, J] months; ``open`` [S, J, T] deliveries and
    orders possible; ``usable`` [S, J, T] use possible; ``price`` [S, J, T] and ``demand`` [S, W, T] factors.
    ``picks`` [S, F] are the outcomes of the ``risks``; ``error`` the distance to all ``joint`` futures, relative to
    that of a single one; ``group`` [S] the Latin hypercube that a fresh future belongs to.
    """

    names: tuple[str, ...]
    probability: Array
    delivered: Array
    slip: Ints
    open: NDArray[np.bool_]
    usable: NDArray[np.bool_]
    price: Array
    demand: Array
    error: float = 0.0
    joint: int = 0
    risks: tuple[str, ...] = ()
    picks: Ints = field(default_factory=lambda: np.zeros((0, 0), dtype=np.int64))
    group: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def n(self) -> int:
        """Number of scenarios."""
        return len(self.names)


def reduced(
    spec: CaseSpec,
    view: View,
    lines: Sequence[Line],
    months: Sequence[str],
    *,
    n: int,
    live: Sequence[bool] | None = None,
    importance: Array | None = None,
) -> Futures:
    """Return the joint futures of a view, or ``n`` that stand for them where there are more.

    The odds of every outcome are kept, and the mean of every figure that has a range: the futures in which an outcome
    happens stand for strata of it. ``importance`` [F] are the risks' parts in the variance of cost, alike if None.
    ``live`` [J] says which lines can be ordered or are on their way: a risk that touches none of them is left out.
    """
    space = space_of(spec, view, lines, live)
    if space.joint <= n:
        picks, odds = _every(space)
        error = 0.0
    else:
        parts = np.ones(len(space.odds)) if importance is None else importance
        picks, odds, error = balanced(space.odds, parts, n)
    return _of_picks(spec, space, lines, months, picks=picks, odds=odds, error=error)


def again(spec: CaseSpec, view: View, lines: Sequence[Line], months: Sequence[str], like: Futures) -> Futures:
    """Return the futures of ``like`` for a case whose figures have changed: the same outcomes, odds and values anew."""
    from suanli.fleet._reduction import weighed

    whole = space_of(spec, view, lines)
    index = {f.id: i for i, f in enumerate(whole.factors)}
    kept = [index[name] for name in like.risks]
    space = Space(tuple(whole.factors[i] for i in kept), tuple(whole.odds[i] for i in kept))
    odds = weighed(like.picks, space.odds) if like.n < space.joint else _chance(space, like.picks)
    return _of_picks(spec, space, lines, months, picks=like.picks, odds=odds, error=like.error)


def one_by_one(
    spec: CaseSpec, view: View, lines: Sequence[Line], months: Sequence[str], live: Sequence[bool]
) -> tuple[Futures, tuple[Array, ...]]:
    """Return (the likeliest future, then those that differ in one outcome of one risk; the odds of each risk)."""
    space = space_of(spec, view, lines, live)
    likely = np.array([int(np.argmax(o)) for o in space.odds], dtype=np.int64)
    rows = [likely]
    for i, odds in enumerate(space.odds):
        for k in range(len(odds)):
            if k != likely[i]:
                row = likely.copy()
                row[i] = k
                rows.append(row)
    picks = np.stack(rows)
    odds = np.full(len(picks), 1.0 / len(picks))
    return _of_picks(spec, space, lines, months, picks=picks, odds=odds, error=0.0), space.odds


def fresh(spec: CaseSpec, view: View, lines: Sequence[Line], months: Sequence[str], *, n: int, seed: int) -> Futures:
    """Return ``n`` futures drawn anew: outcomes by their odds, each figure from its range, a change's month from its
    window.

    They come in eight independent Latin hypercubes (one where there are fewer than 16): the mean over a hypercube
    strays less than that of as many free draws, and how far the eight stray tells how sure the mean is.
    """
    space = space_of(spec, view, lines)
    rng = np.random.default_rng(seed)
    group = np.sort(np.arange(n) % (GROUPS if n >= 2 * GROUPS else 1))
    picks = np.zeros((n, len(space.odds)), dtype=np.int64)
    for i, odds in enumerate(space.odds):
        picks[:, i] = np.minimum(np.searchsorted(np.cumsum(odds), _strata(group, rng)), len(odds) - 1)
    every: list[list[tuple[Effect, Outcome]]] = [[] for _ in range(n)]
    for i, factor in enumerate(space.factors):
        for k, outcome in enumerate(factor.outcomes):
            here = np.flatnonzero(picks[:, i] == k)
            months_of = _strata(group, rng)
            for effect in outcome.effects:
                values = triangular(effect, _strata(group, rng))
                for s in here:
                    every[s].append((_valued(effect, float(values[s])), _dated(outcome, float(months_of[s]), view)))
    names = tuple(f"fresh {i + 1}" for i in range(n))
    made = _futures(spec, every, lines, months, names=names, odds=np.full(n, 1.0 / n), error=0.0, joint=n)
    return _with(made, group=group)


def _strata(group: Ints, rng: np.random.Generator) -> Array:
    """Return [n] numbers between 0 and 1: in every group one from each of as many strata, in random order."""
    out = np.zeros(len(group))
    for g in np.unique(group):
        here = np.flatnonzero(group == g)
        out[here] = (rng.permutation(len(here)) + rng.random(len(here))) / len(here)
    return out


def _dated(outcome: Outcome, u: float, view: View) -> Outcome:
    """Return an outcome whose change falls into the month at quantile ``u`` of its window, not before the view."""
    if outcome.window is None:
        return outcome
    first, last = (ordinal(m) for m in outcome.window)
    first = min(max(first, ordinal(view.orders_from)), last)
    month = month_of(first + min(int(u * (last + 1 - first)), last - first))
    return outcome.model_copy(update={"window": (month, month)})


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
        risks=futures.risks,
        picks=futures.picks[i] if len(futures.picks) else futures.picks,
        group=futures.group[i] if len(futures.group) else futures.group,
    )


# ------------------------------------------------------------------------------------------------------------ inside


def _with(futures: Futures, **change: object) -> Futures:
    return replace(futures, **change)  # type: ignore[arg-type]


def _every(space: Space) -> tuple[Ints, Array]:
    """Return every joint outcome that can happen, and its odds."""
    sizes = [np.flatnonzero(o > 0) for o in space.odds]
    picks = np.array(list(product(*sizes)), dtype=np.int64).reshape(space.joint, len(sizes))
    return picks, _chance(space, picks)


def _chance(space: Space, picks: Ints) -> Array:
    odds = np.ones(len(picks))
    for i, o in enumerate(space.odds):
        odds *= o[picks[:, i]]
    return np.asarray(odds / odds.sum())


def triangular(effect: Effect, u: Array) -> Array:
    """Return the quantiles ``u`` of an effect's range: triangular, highest at its value; zero where it has none."""
    if effect.value is None:
        return np.zeros(len(u))
    low, high, mode = _range(effect)
    if high <= low:
        return np.full(len(u), low)
    rise, fall = (high - low) * (mode - low), (high - low) * (high - mode)
    return np.where(u * (high - low) < mode - low, low + np.sqrt(u * rise), high - np.sqrt((1.0 - u) * fall))


def _range(effect: Effect) -> tuple[float, float, float]:
    assert effect.value is not None
    low, high = effect.value.ends()
    return low, high, min(max(effect.value.si, low), high)


def strata_means(effect: Effect, edges: Array) -> Array:
    """Return the mean of an effect's triangular range in each stratum between quantiles ``edges`` (0 to 1)."""
    low, high, mode = _range(effect)
    if high <= low:
        return np.full(len(edges) - 1, low)
    c = (mode - low) / (high - low)
    rise, fall = (high - low) * (mode - low), (high - low) * (high - mode)
    left, right = np.minimum(edges, c), np.maximum(edges, c)
    below = low * left + 2.0 / 3.0 * np.sqrt(rise) * left**1.5
    above = high * (right - c) - 2.0 / 3.0 * np.sqrt(fall) * ((1.0 - c) ** 1.5 - (1.0 - right) ** 1.5)
    return np.asarray(np.diff(below + above) / np.diff(edges))


def _of_picks(
    spec: CaseSpec,
    space: Space,
    lines: Sequence[Line],
    months: Sequence[str],
    *,
    picks: Ints,
    odds: Array,
    error: float,
) -> Futures:
    """Return the futures of joint outcomes; those that share an outcome stand for strata of its figures' ranges.

    A slip stands at its mean, so that deliveries keep few classes.
    """
    every: list[list[tuple[Effect, Outcome]]] = [[] for _ in picks]
    rng = np.random.default_rng(0)
    for i, factor in enumerate(space.factors):
        for k, outcome in enumerate(factor.outcomes):
            here = np.flatnonzero(picks[:, i] == k)
            for effect in outcome.effects if len(here) else ():
                order = rng.permutation(len(here))
                share = np.cumsum(odds[here][order]) / odds[here].sum()
                edges = np.concatenate([[0.0], share[:-1], [1.0]]) if effect.what != "slip" else np.array([0.0, 1.0])
                values = strata_means(effect, edges) if effect.value is not None else np.zeros(len(edges) - 1)
                for place, s in enumerate(here[order]):
                    every[s].append((_valued(effect, float(values[place % len(values)])), outcome))
    made = _futures(
        spec, every, lines, months, names=_names(space.factors, picks), odds=odds, error=error, joint=space.joint
    )
    return _with(made, risks=tuple(f.id for f in space.factors), picks=picks)


def _valued(effect: Effect, value: float) -> Effect:
    if effect.value is None:
        return effect
    return effect.model_copy(update={"value": effect.value.model_copy(update={"value": value})})


def _names(factors: Sequence[Factor], picks: Ints) -> tuple[str, ...]:
    """Return what happens in each future, in words; alike ones are numbered."""
    out: list[str] = []
    for pick in picks:
        told = [f"{f.id}: {f.outcomes[k].title}" for f, k in zip(factors, pick, strict=True) if f.outcomes[k].effects]
        name = "; ".join(told) or "no surprise"
        alike = sum(1 for x in out if x == name or x.startswith(f"{name} ("))
        out.append(name if alike == 0 else f"{name} ({alike + 1})")
    return tuple(out)


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
