"""Every figure of a plan with its value, unit, formula and inputs, down to sourced values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suanli.fleet._inputs import offer_inputs, part_inputs
from suanli.fleet._needs import rebuilt
from suanli.fleet._plan import Outlook, Plan
from suanli.fleet._provenance import Node, serve_figure, sourced, train_figure
from suanli.fleet._results import Row, grouped, spread
from suanli.fleet._solve import Solved, Trial, served_share
from suanli.fleet._units import unit_costs
from suanli.fleet.mathematics._base import ABSENT
from suanli.sources import Figure

Array = NDArray[np.float64]
Add = Callable[[Figure], Figure]
SOLUTION = "solution of the two-stage programme (docs/mathematics.md) over the futures of the view"
SERVED = "worth of requests served over worth of those asked for"
SERVED_YEAR = "mean over the year's months and the futures of requests served over asked for"
DRAWN = f"drawn on the pot in the year: {SOLUTION}"
SHARE = "chip spending with the group over all chip spending of the pot"
ORDERED = f"chips ordered in the quarter: {SOLUTION}"
ODDS = "probability of the futures in which the run is done by its deadline"
DONE = "part of the run's tokens trained by its deadline, mean over the futures"
VSS = "value of the stochastic solution: mean cost of the plan made on expected values less that of this plan"
EVPI = "expected value of perfect information: mean cost of this plan less the mean of the best with each future known"
COST = "sum of its parts, discounted, mean over the futures"
GAIN = "what the plan saves on fresh futures over the one made on expected values"
REGRET = "mean over the futures of cost less the best with that future known"


def figures_of(plan: Plan, every: Mapping[tuple[str, str], Mapping[str, list[Row]]]) -> dict[str, Figure]:
    """Return the figures of a plan by key; ``every`` holds the tables of each (view, variant)."""
    out: dict[str, Figure] = {}

    def add(figure: Figure) -> Figure:
        out[figure.name] = figure
        return figure

    for service, chip in plan.tables.serve:
        add(serve_figure(plan.case.spec, plan.tables, service, chip))
    for run, chip in plan.tables.train:
        add(train_figure(plan.case.spec, plan.tables, run, chip))
    for one in rebuilt(plan.case.spec, plan.tables):
        for figure in (one.figure, *one.others):
            if figure is not None:
                add(figure)
    for outlook in plan.outlooks:
        for variant in plan.variants:
            _plan_figures(plan, outlook, variant.id, every[outlook.view.id, variant.id], add, out)
    for _, figure in unit_costs(plan, plan.outlooks[0], plan.variants[0].id):
        add(figure)
    main = {"cost of the plan": out[f"{plan.outlooks[0].view.id}.{plan.variants[0].id}.cost"]}
    for figure in chain(_worth_figures(plan, main), _trial_figures(plan.trial, main), _differences(plan, out)):
        add(figure)
    return out


def _spread(name: str, usd: Array, probability: Array, formula: str, inputs: Mapping[str, Node]) -> Figure:
    """Return the figure of what every future costs or gains: its mean, 10th and 90th percentile."""
    mean, low, high = spread(usd, probability)
    return Figure(name, mean, "USD", formula, inputs, low, high)


def _plan_figures(
    plan: Plan, outlook: Outlook, variant: str, tables: Mapping[str, list[Row]], add: Add, out: dict[str, Figure]
) -> None:
    prefix = f"{outlook.view.id}.{variant}"
    budgets: dict[str, Node] = {"budgets": add(_budget_figure(outlook, variant, plan, prefix))}
    _cost_figures(outlook, variant, tables, add, prefix, budgets)
    _service_figures(outlook, variant, tables, add, out, prefix, budgets)
    yearly = budget_inputs(outlook, variant, plan)
    for row in tables["money"]:
        own = {k: v for k, v in yearly.items() if k.startswith(f"budget.{row['pot']}")}
        add(Figure(f"{prefix}.money.{row['pot']}.{row['year']}", row["planned"], "USD", DRAWN, own))
    for row in tables["share"]:
        if row["reached"] is not None:
            stated = next(s for s in outlook.spec.shares if s.id == row["share"])
            target = {"target": sourced(outlook.spec, f"share.{stated.id}", stated.minimum, "%")}
            add(Figure(f"{prefix}.share.{row['share']}.{row['year']}", row["reached"], "%", SHARE, target))
    _run_figures(outlook, tables, add, out, prefix)


def _cost_figures(
    outlook: Outlook,
    variant: str,
    tables: Mapping[str, list[Row]],
    add: Add,
    prefix: str,
    budgets: dict[str, Node],
) -> None:
    """Add the cost of each part of a plan, and of the whole."""
    solved = outlook.plans[variant]
    odds = solved.program.setting.futures.probability
    rests = part_inputs(outlook, tables["orders"], prefix)
    parts: dict[str, Node] = {}
    for name, values in cost_parts(solved).items():
        inputs = {**rests.get(name, {}), **budgets}
        parts[name] = add(_spread(f"{prefix}.cost.{name}", values * 1e6, odds, f"expected {name}: {SOLUTION}", inputs))
    add(_spread(f"{prefix}.cost", solved.costs * 1e6, odds, COST, parts))


def _service_figures(
    outlook: Outlook,
    variant: str,
    tables: Mapping[str, list[Row]],
    add: Add,
    out: dict[str, Figure],
    prefix: str,
    budgets: dict[str, Node],
) -> None:
    """Add the share of demand served, in all and by service and year, and the orders in between."""
    solved, spec = outlook.plans[variant], outlook.spec
    mean, low, high = spread(served_share(solved.program, solved.answer.x), solved.program.setting.futures.probability)
    demands = {s.id: sourced(spec, f"demand.{s.id}", _last_point(s), "") for s in spec.services}
    add(Figure(f"{prefix}.served", mean, "%", SERVED, {**demands, **budgets}, low, high))
    _order_figures(outlook, tables, add, prefix, budgets)
    for (service, year), (mean, low, high) in _by_year(tables["service"]).items():
        rates = {k: out[k] for k in out if k.startswith(f"rate.{service}.")}
        inputs: dict[str, Node] = {**rates, f"demand.{service}": demands[service]}
        add(Figure(f"{prefix}.served.{service}.{year}", mean, "%", SERVED_YEAR, inputs, low, high))


def _order_figures(
    outlook: Outlook, tables: Mapping[str, list[Row]], add: Add, prefix: str, budgets: dict[str, Node]
) -> None:
    offers = {o.id: o for o in outlook.spec.offers}
    for (offer, quarter), chips in grouped(tables["orders"], ("offer", "quarter"), "chips"):
        inputs: dict[str, Node] = {**offer_inputs(outlook.spec, offers[offer]), **budgets}
        add(Figure(f"{prefix}.orders.{offer}.{quarter}", chips, "chip", ORDERED, inputs))


def _run_figures(
    outlook: Outlook, tables: Mapping[str, list[Row]], add: Add, out: dict[str, Figure], prefix: str
) -> None:
    for run in outlook.spec.runs:
        rows = [r for r in tables["training"] if r["run"] == run.id]
        odds = sum(r["probability"] for r in rows if r["finish"])
        done = sum(r["probability"] * r["done"] for r in rows)
        rates = {k: out[k] for k in out if k.startswith(f"rate.{run.id}.")}
        inputs: dict[str, Node] = dict(rates)
        if run.tokens != "compute-optimal":
            inputs["tokens"] = sourced(outlook.spec, f"{run.id}.tokens", run.tokens, "token")
        inputs["experiments"] = sourced(outlook.spec, f"{run.id}.experiments", run.experiments, "")
        add(Figure(f"{prefix}.run.{run.id}.odds", odds, "%", ODDS, inputs))
        add(Figure(f"{prefix}.run.{run.id}.done", done, "%", DONE, inputs))


def _worth_figures(plan: Plan, main: Mapping[str, Node]) -> Iterator[Figure]:
    """Yield what planning on futures is worth, what knowing them would be, and what the kept ones miss."""
    worth, futures = plan.worth, plan.main.program.setting.futures
    yield Figure("worth.vss", worth.vss * 1e6, "USD", VSS, main)
    yield Figure("worth.evpi", worth.evpi * 1e6, "USD", EVPI, main)
    yield _spread("worth.regret", worth.regret * 1e6, futures.probability, REGRET, main)
    missed = f"mean discrepancy of {futures.n} futures from {futures.joint} joint ones, over that of the likeliest one"
    yield Figure("worth.reduction_error", futures.error, "%", missed, {})


def _trial_figures(trial: Trial | None, main: Mapping[str, Node]) -> Iterator[Figure]:
    """Yield what the plan and the one made on expected values cost on fresh futures, and the gain between them."""
    if trial is None:
        return
    equal = np.full(len(trial.costs), 1.0 / len(trial.costs))
    for name, costs in (("plan", trial.costs), ("deterministic", trial.deterministic)):
        told = f"mean cost over {len(costs)} fresh futures, first stage held"
        yield _spread(f"trial.{name}", costs * 1e6, equal, told, main)
    yield _spread("trial.gain", (trial.deterministic - trial.costs) * 1e6, equal, GAIN, main)


def _differences(plan: Plan, out: Mapping[str, Figure]) -> Iterator[Figure]:
    """Yield what the rules of a later view cost: its plan's cost and service against the first view's."""
    first = plan.outlooks[0]
    for outlook in plan.outlooks[1:]:
        for variant in plan.variants:
            for what, unit in (("served", "%"), ("cost", "USD")):
                earlier, later = (out[f"{one.view.id}.{variant.id}.{what}"] for one in (first, outlook))
                yield Figure(
                    f"{later.name}.change",
                    later.value - earlier.value,
                    unit,
                    f"{what} {outlook.view.title} less {what} {first.view.title}",
                    {"later": later, "earlier": earlier},
                )


def _budget_figure(outlook: Outlook, variant: str, plan: Plan, prefix: str) -> Figure:
    grid = outlook.plans[variant].grid
    total = float(grid.budget[np.isfinite(grid.budget)].sum()) * 1e6
    stated = budget_inputs(outlook, variant, plan)
    return Figure(f"{prefix}.budget", total, "USD", "sum of the yearly budgets in force, at the case's rates", stated)


def budget_inputs(outlook: Outlook, variant: str, plan: Plan) -> dict[str, Node]:
    """Return the budgets in force under a variant as sourced values."""
    chosen = next((v for v in plan.variants if v.id == variant), None)
    out: dict[str, Node] = {}
    for pot in outlook.spec.pots:
        amounts = {b.year: b.amount for b in pot.budgets}
        if chosen is not None:
            amounts |= {b.year: b.amount for b in chosen.budgets.get(pot.id, [])}
        for year, amount in sorted(amounts.items()):
            out[f"budget.{pot.id}.{year}"] = sourced(outlook.spec, f"budget.{pot.id}.{year}", amount, "money")
    return out


def cost_parts(solved: Solved) -> dict[str, Array]:
    """Return the cost of every scenario in MUSD by part; the parts add up to the cost."""
    p, x = solved.program, solved.answer.x
    c = p.setting.columns
    parts: dict[str, Sequence[NDArray[np.int64]]] = {
        "orders": [c.order[j] for j in range(p.setting.grid.J) if not p.setting.grid.lines[j].leased],
        "leases": [c.order[j] for j in range(p.setting.grid.J) if p.setting.grid.lines[j].leased]
        + [c.use.ravel(), *[v.ravel() for v in c.train.values()]],
        "power of new machines": list(c.stock.values()),
        "sites": [c.power.ravel()],
        "projects": [c.project],
        "unserved requests": [c.short.ravel()],
        "unfinished runs": [c.miss.ravel()],
        "missing shares": [c.gap.ravel()],
    }
    out: dict[str, Array] = {"machines there already": p.fixed.copy()}
    for name, groups in parts.items():
        columns = np.concatenate([np.asarray(g).ravel() for g in groups]) if groups else np.zeros(0, dtype=np.int64)
        columns = columns[columns != ABSENT]
        held = np.zeros(c.n)
        held[columns] = x[columns]
        out[name] = np.asarray(p.costs @ held)
    return out


def _by_year(rows: Sequence[Row]) -> dict[tuple[str, str], tuple[float, float, float]]:
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row["service"], row["month"][:4]), []).append(row)
    return {
        key: tuple(float(np.mean([r[name] for r in group])) for name in ("served", "served_p10", "served_p90"))  # type: ignore[misc]
        for key, group in found.items()
    }


def _last_point(service: Any) -> Any:
    point = service.demand[-1]
    return point.users if point.users is not None else point.rate
