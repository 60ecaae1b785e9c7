"""Backtest: plan with what was known on a day, then meet what happened."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from suanli.errors import InputError
from suanli.fleet._case import Case, rule_ids
from suanli.fleet._engines import Tables, tables_of
from suanli.fleet._figure import ordinal, unknown_part
from suanli.fleet._frozen import NOTHING, Frozen
from suanli.fleet._kept import kept_tables
from suanli.fleet._lines import THOUSAND, Array, month_list
from suanli.fleet._plan import Options, Outlook, grid_for, outlook, solve_outlook, variants_of, views_of
from suanli.fleet._program import Program, program
from suanli.fleet._rolling import Planner, rolled
from suanli.fleet._scenarios import actual, fresh
from suanli.fleet._schema import Variant, View
from suanli.fleet._solve import (
    Decision,
    Margin,
    Solved,
    decision,
    deterministic,
    evaluate,
    margin,
    served_share,
    solve_plan,
    trial,
)
from suanli.fleet._work import NO_WORK, Work
from suanli.fleet.mathematics._base import ABSENT

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """One day's plans against what happened: costs in MUSD, shares served by worth, thousand chips refused.

    ``refused`` counts orders of the plan on futures that rulings or suppliers would not have allowed any more.
    ``ahead`` is by how much the plan on futures was cheaper on fresh futures of that day, before anything happened.
    """

    day: dt.date
    orders_from: str
    plan: float
    deterministic: float
    perfect: float
    served: float
    served_deterministic: float
    refused: float
    ordered: float
    ahead: Margin | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rolled:
    """Plans made anew on each day over what was begun, met by what happened; costs in MUSD from the first day on.

    ``once`` and ``once_deterministic`` decide everything on the first day; ``perfect`` knows it all.
    """

    days: tuple[dt.date, ...]
    plan: float
    deterministic: float
    once: float
    once_deterministic: float
    perfect: float
    refused: float
    refused_deterministic: float
    served: float
    served_deterministic: float


Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What a backtest was asked for, and what all its days share."""

    case: Case
    tables: Tables
    variant: Variant | None
    scenarios: int | None
    fresh: int
    tell: Tell


def backtest(
    case: Case,
    days: Sequence[dt.date],
    *,
    variant: str | None = None,
    scenarios: int | None = None,
    fresh: int = 48,
    work: Work = NO_WORK,
    tell: Tell = lambda _: None,
) -> tuple[Test, ...]:
    """Return, for each day, how the plan on futures and the plan on expected values met what happened.

    Both plan with the rules published and the facts known on the day. What happened: every rule and fact of the case's
    last view, and the outcomes under ``happened``. Perfect knows it all. ``fresh`` futures compare the two before
    anything happened. Raises InputError for a day outside the horizon.
    """
    asked = _asked(case, variant, scenarios, fresh, work=work, tell=tell)
    return tuple(work.kept(f"day-{day}", partial(_one, asked, day), Test) for day in days)


def rolling(
    case: Case,
    days: Sequence[dt.date],
    *,
    variant: str | None = None,
    scenarios: int | None = None,
    work: Work = NO_WORK,
    tell: Tell = lambda _: None,
) -> Rolled:
    """Return how plans made anew on each day, over what was begun, met what happened, beside plans made once.

    Raises InputError for a day outside the horizon, or days out of order.
    """
    days = tuple(days)
    if list(days) != sorted(set(days)):
        raise InputError("--as-of: days of a rolling plan must rise")
    asked = _asked(case, variant, scenarios, 0, work=work, tell=tell)
    first = views_of(case.spec, Options(as_of=days[0]))[0]
    truth, p = _truth(asked, first)
    starts = [ordinal(views_of(case.spec, Options(as_of=d))[0].orders_from) - ordinal(case.spec.horizon.first)
              for d in days]  # fmt: skip
    if len(set(starts)) < len(starts):
        raise InputError("--as-of: days of a rolling plan must lie in different months")
    tell("best plan with everything known")
    best = solve_plan(p.setting.grid, truth.rates, p.setting.futures, truth.shares)
    found: dict[str, tuple[float, float, float]] = {}
    for name, on_futures in (("futures", True), ("mean", False)):
        planner = _planner(asked, truth, on_futures=on_futures)
        met = work.kept(f"rolling-{name}", partial(_rolled, p, days, starts, planner), _Met)
        found[name], found[f"{name} once"] = met.anew, met.once
    return Rolled(
        days=days,
        plan=found["futures"][0],
        deterministic=found["mean"][0],
        once=found["futures once"][0],
        once_deterministic=found["mean once"][0],
        perfect=float(best.costs[0]),
        served=found["futures"][1],
        served_deterministic=found["mean"][1],
        refused=found["futures"][2],
        refused_deterministic=found["mean"][2],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Met:
    """(Cost in MUSD, share served, thousand chips refused) of planning anew, and of planning once."""

    anew: tuple[float, float, float]
    once: tuple[float, float, float]


def _rolled(p: Program, days: Sequence[dt.date], starts: Sequence[int], planner: Planner) -> _Met:
    total, stages = rolled(p, days, starts, planner)
    return _Met(anew=_met(p, total), once=_met(p, stages[0].decision))


def _asked(case: Case, variant: str | None, scenarios: int | None, fresh: int, *, work: Work, tell: Tell) -> _Asked:
    wanted = _variant(case, variant)
    tell("rates of every chip and workload")
    tables = kept_tables(work, case.spec, tell)
    return _Asked(case=case, tables=tables, variant=wanted, scenarios=scenarios, fresh=fresh, tell=tell)


def _planner(asked: _Asked, truth: Outlook, *, on_futures: bool) -> Planner:
    """Return what plans on a day over what is frozen, on futures or on expected values."""

    def plan(day: dt.date, frozen: Frozen) -> Decision:
        kind = "futures" if on_futures else "expected values"
        asked.tell(f"plan of {day} on {kind}, over {len(frozen.orders)} orders begun")
        then, mine, mean = _then(asked, day, frozen, both=False, on_futures=on_futures)
        made = mine if on_futures else mean
        assert made is not None
        return _on(truth, then, made)

    return plan


def _then(
    asked: _Asked, day: dt.date, frozen: Frozen, *, both: bool, on_futures: bool = True
) -> tuple[Outlook, Solved | None, Solved | None]:
    """Return (what was known on a day, the plan on futures, the plan on expected values), as far as asked for."""
    options = Options(as_of=day, scenarios=asked.scenarios, frozen=frozen)
    then = outlook(asked.case.spec, views_of(asked.case.spec, options)[0], asked.tables, options)
    grid = grid_for(then, asked.variant)
    mine = solve_outlook(then, asked.variant) if both or on_futures else None
    mean = deterministic(grid, then.rates, then.futures, then.shares) if both or not on_futures else None
    return then, mine, mean


def _truth(asked: _Asked, view: View) -> tuple[Outlook, Program]:
    """Return (what happened, its programme) from a view's first month on."""
    last = asked.case.spec.views[-1]
    truth = outlook(asked.case.spec, replace_view(view, last.known_to), asked.tables, Options())
    grid = replace(grid_for(truth, asked.variant), cvar=(0.0, 1.0))
    futures = actual(truth.spec, truth.lines, month_list(truth.spec))
    return truth, program(grid, truth.rates, futures, truth.shares)


def _met(p: Program, held: Decision) -> tuple[float, float, float]:
    """Return (cost in MUSD, share served, thousand chips refused) of a decision in what happened."""
    costs, answer = evaluate(p, held)
    kept = float(held.order[p.setting.columns.order != ABSENT].sum())
    return float(costs[0]), float(served_share(p, answer.x)[0]), max(0.0, float(held.order.sum()) - kept)


def _one(asked: _Asked, day: dt.date) -> Test:
    asked.tell(f"plans of {day}")
    then, mine, mean = _then(asked, day, NOTHING, both=True)
    assert mine is not None
    assert mean is not None
    ahead = _ahead(asked, then, mine, mean)
    asked.tell(f"what happened after {day}")
    truth, p = _truth(asked, then.view)
    best = solve_plan(p.setting.grid, truth.rates, p.setting.futures, truth.shares)
    held = _on(truth, then, mine)
    plan, other = _met(p, held), _met(p, _on(truth, then, mean))
    return Test(
        day=day,
        orders_from=then.view.orders_from,
        plan=plan[0],
        deterministic=other[0],
        perfect=float(best.costs[0]),
        served=plan[1],
        served_deterministic=other[1],
        refused=plan[2],
        ordered=float(held.order.sum()),
        ahead=ahead,
    )


def _ahead(asked: _Asked, then: Outlook, mine: Solved, mean: Solved) -> Margin | None:
    if asked.fresh < 2:
        return None
    drawn = fresh(then.spec, then.view, then.lines, month_list(then.spec), n=asked.fresh, seed=1)
    return margin(trial(mine, then.rates, then.shares, mean, drawn))


def _variant(case: Case, name: str | None) -> Variant | None:
    if name is None:
        return None
    known = variants_of(case.spec, Options())
    for variant in known:
        if variant.id == name:
            return variant
    raise unknown_part("variant", name, [v.id for v in known])


def replace_view(view: View, known_to: dt.date) -> View:
    """Return a view with the same first month of orders that knows every rule and fact."""
    return view.model_copy(update={"id": "truth", "title": "what happened", "known_to": known_to, "facts_to": None})


def _on(truth: Outlook, then: Outlook, solved: Solved) -> Decision:
    """Return a plan's decision in the lines of what happened (a line unknown then has no orders)."""
    index = {x.id: j for j, x in enumerate(then.lines)}
    made = decision(solved)
    order = np.stack([made.order[index[x.id]] if x.id in index else np.zeros(made.order.shape[1]) for x in truth.lines])
    return replace(made, order=order)


def compute_by_month(solved: Solved, tables: Tables) -> Array:
    """Return [T]: the dense bf16 FLOP/s of the chips that may run, mean over the futures."""
    from suanli.fleet._results import stock_paths

    g, p = solved.grid, solved.program
    peak = np.array([tables.chips[x.chip].peak.get("bf16", 0.0) for x in g.lines])
    there = stock_paths(p, solved.answer.x) * (g.run[None] & p.setting.futures.usable)
    return np.asarray(np.einsum("s,sjt,j->t", p.setting.futures.probability, there, peak, optimize=True) * THOUSAND)


def effect_of_rule(
    case: Case, rule: str, *, variant: str | None = None, tell: Callable[[str], None] = lambda _: None
) -> list[Row]:
    """Return, by month, the compute that may run (FLOP/s, dense bf16) in the last view's plan with and without a rule.

    The question is the rule's, not the buyer's: what it takes, and when. Raises UnknownNameError for a rule that the
    book does not have.
    """
    known = rule_ids()
    if rule not in known:
        raise unknown_part("rule", rule, known)
    tell("rates of every chip and workload")
    tables = tables_of(case.spec)
    view = case.spec.views[-1]
    paths = []
    for without in ("", rule):
        tell(f"plan without {without}" if without else "plan with every rule")
        base = outlook(case.spec, view, tables, Options(), without=without)
        paths.append(compute_by_month(solve_outlook(base, _variant(case, variant)), tables))
    months = month_list(case.spec)
    return [
        {"month": m, "with": float(a), "without": float(b), "taken": 0.0 if b <= 0 else float(1.0 - a / b)}
        for m, a, b in zip(months, *paths, strict=True)
    ]


def rows(tests: Sequence[Test]) -> list[Row]:
    """Return the tests as rows: USD, shares, chips."""
    return [
        {"as_of": t.day.isoformat(), "orders_from": t.orders_from, "plan": t.plan * 1e6,
         "deterministic": t.deterministic * 1e6, "perfect": t.perfect * 1e6, "regret": (t.plan - t.perfect) * 1e6,
         "regret_deterministic": (t.deterministic - t.perfect) * 1e6, "served": t.served,
         "served_deterministic": t.served_deterministic, "chips_ordered": t.ordered * THOUSAND,
         "chips_refused": t.refused * THOUSAND, "ahead": None if t.ahead is None else margin_row(t.ahead)}
        for t in tests
    ]  # fmt: skip


def rolling_row(r: Rolled) -> Row:
    """Return a rolling backtest as a row: regrets in USD, shares, chips."""
    return {
        "days": [d.isoformat() for d in r.days], "perfect": r.perfect * 1e6,
        "regret": (r.plan - r.perfect) * 1e6, "regret_deterministic": (r.deterministic - r.perfect) * 1e6,
        "regret_once": (r.once - r.perfect) * 1e6,
        "regret_once_deterministic": (r.once_deterministic - r.perfect) * 1e6,
        "served": r.served, "served_deterministic": r.served_deterministic,
        "chips_refused": r.refused * THOUSAND, "chips_refused_deterministic": r.refused_deterministic * THOUSAND,
    }  # fmt: skip


def margin_row(m: Margin) -> Row:
    """Return a margin as a row: USD, and the share of futures in which the plan on futures is cheaper."""
    return {"usd": m.mean * 1e6, "low": m.low * 1e6, "high": m.high * 1e6, "better_in": m.better, "futures": m.n}
