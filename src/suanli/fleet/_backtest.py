"""Backtest: plan with what was known on a day, then meet what happened."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from suanli.fleet._case import Case, rule_ids
from suanli.fleet._engines import Tables, tables_of
from suanli.fleet._figure import unknown_part
from suanli.fleet._lines import THOUSAND, Array, month_list
from suanli.fleet._plan import Options, Outlook, grid_for, outlook, solve_outlook, variants_of, views_of
from suanli.fleet._program import program
from suanli.fleet._scenarios import actual
from suanli.fleet._schema import Variant, View
from suanli.fleet._solve import Decision, Solved, decision, deterministic, evaluate, served_share, solve_plan
from suanli.fleet.mathematics._base import ABSENT

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """One day's plans against what happened: costs in MUSD, shares served by worth, thousand chips refused.

    ``refused`` counts orders of the plan on futures that rulings or suppliers would not have allowed any more.
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


def backtest(
    case: Case,
    days: Sequence[dt.date],
    *,
    variant: str | None = None,
    scenarios: int | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[Test, ...]:
    """Return, for each day, how the plan on futures and the plan on expected values met what happened.

    Both plan with the rules published and the facts known on the day. What happened: every rule and fact of the case's
    last view, and the outcomes under ``happened``. Perfect knows it all. Raises InputError for a day outside the
    horizon.
    """
    tell("rates of every chip and workload")
    tables = tables_of(case.spec)
    return tuple(_one(case, day, tables, variant, scenarios, tell) for day in days)


def _one(
    case: Case, day: dt.date, tables: Tables, variant: str | None, scenarios: int | None, tell: Callable[[str], None]
) -> Test:
    tell(f"plans of {day}")
    options = Options(as_of=day, scenarios=scenarios)
    view = views_of(case.spec, options)[0]
    wanted = _variant(case, variant)
    then = outlook(case.spec, view, tables, options)
    mine = solve_outlook(then, wanted)
    mean = deterministic(mine.grid, then.rates, then.futures, then.shares)
    tell(f"what happened after {day}")
    last = case.spec.views[-1]
    truth_view = replace_view(view, last.known_to)
    truth = outlook(case.spec, truth_view, tables, options)
    grid = replace(grid_for(truth, wanted), cvar=(0.0, 1.0))
    futures = actual(truth.spec, truth.lines, month_list(truth.spec))
    p = program(grid, truth.rates, futures, truth.shares)
    best = solve_plan(grid, truth.rates, futures, truth.shares)
    found = []
    for solved in (mine, mean):
        held = _on(truth, then, solved)
        costs, answer = evaluate(p, held)
        found.append((float(costs[0]), float(served_share(p, answer.x)[0])))
    held = _on(truth, then, mine)
    kept = float(held.order[p.setting.columns.order != ABSENT].sum())
    return Test(
        day=day,
        orders_from=view.orders_from,
        plan=found[0][0],
        deterministic=found[1][0],
        perfect=float(best.costs[0]),
        served=found[0][1],
        served_deterministic=found[1][1],
        refused=max(0.0, float(held.order.sum()) - kept),
        ordered=float(held.order.sum()),
    )


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
         "chips_refused": t.refused * THOUSAND}
        for t in tests
    ]  # fmt: skip
