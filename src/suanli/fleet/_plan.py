"""The plan of a case: views, budget variants, what planning on futures is worth, and the way there."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from suanli.errors import InputError
from suanli.fleet._alternatives import Alternative, alternatives
from suanli.fleet._build import as_known, grid_of, shares_of
from suanli.fleet._case import Case
from suanli.fleet._effects import importance
from suanli.fleet._engines import Tables, bills_of, rates_of, run_tokens
from suanli.fleet._figure import month_of, ordinal
from suanli.fleet._frozen import NOTHING, Frozen
from suanli.fleet._grid import Bills, Grid, Rates
from suanli.fleet._kept import kept_plan, kept_tables
from suanli.fleet._lines import Line, lines_of, month_list
from suanli.fleet._program import Program, program
from suanli.fleet._scenarios import Futures, fresh, one_by_one, reduced
from suanli.fleet._schema import CaseSpec, Variant, View
from suanli.fleet._screening import Screening, screening
from suanli.fleet._solve import Solved, Trial, Worth, deterministic, solve_plan, trial, worth
from suanli.fleet._work import NO_WORK, Work
from suanli.fleet.mathematics import Shares

Progress = Callable[[str, float], None]
BASE = "base"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a run was asked for."""

    scenarios: int | None = None
    seed: int = 1
    fresh: int = 96
    slack: float = 0.02
    budget: Variant | None = None
    as_of: dt.date | None = None
    explain: bool = True
    frozen: Frozen = NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """One view of the case: what is known, which lines there are, their rulings, and the plans by budget variant."""

    view: View
    spec: CaseSpec
    lines: tuple[Line, ...]
    left_out: tuple[tuple[str, str], ...]
    screening: Screening
    bills: Bills
    rates: Rates
    futures: Futures
    shares: tuple[Shares, ...]
    plans: Mapping[str, Solved]
    frozen: Frozen = NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A case's plan: outlooks, engine tables, and for the first view and budget what planning on futures is worth."""

    case: Case
    options: Options
    tables: Tables
    outlooks: tuple[Outlook, ...]
    variants: tuple[Variant, ...]
    mean_plan: Solved
    worth: Worth
    trial: Trial | None
    alternatives: tuple[Alternative, ...]
    seconds: Mapping[str, float]

    @property
    def main(self) -> Solved:
        """The plan of the first view and the first budget."""
        return self.outlooks[0].plans[self.variants[0].id]


def solve(
    case: Case,
    *,
    options: Options | None = None,
    progress: Progress = lambda _text, _share: None,
    work: Work = NO_WORK,
) -> Plan:
    """Return the plan of ``case``; finished parts are kept in ``work`` and taken up from there.

    Raises InfeasibleError that names colliding limits, InputError for options that name nothing in the case.
    """
    asked = options or Options()
    seconds: dict[str, float] = {}
    views, variants = views_of(case.spec, asked), variants_of(case.spec, asked)
    progress("rates of every chip and workload", 0.02)
    with _timed(seconds, "engine tables"):
        tables = kept_tables(work, case.spec, lambda text: progress(text, 0.05))
    outlooks = []
    for i, view in enumerate(views):
        progress(f"rulings {view.title}", 0.35 + 0.05 * i)
        with _timed(seconds, "rulings and futures"):
            base = outlook(case.spec, view, tables, asked)
        plans: dict[str, Solved] = {}
        for k, variant in enumerate(variants):
            progress(f"plan {view.title}, {variant.id}", 0.4 + 0.1 * i)
            with _timed(seconds, "plans"):
                last = plans[variants[k - 1].id] if k else None
                plans[variant.id] = _kept_plan(work, f"plan-{i}-{k}", base, variant, last)
        outlooks.append(replace(base, plans=plans))
    first = outlooks[0]
    main = first.plans[variants[0].id]
    with _timed(seconds, "worth of planning"):
        progress("the plan on expected values", 0.6)
        mean_plan = deterministic(main.grid, first.rates, first.futures, first.shares)
        value = work.kept("worth", partial(
            worth, main, first.rates, first.futures, first.shares, mean_plan, lambda text: progress(text, 0.7)
        ), Worth)  # fmt: skip
    progress("fresh futures", 0.85)
    with _timed(seconds, "fresh futures"):
        tried = work.kept("trial", partial(_trial, first, main, mean_plan, asked), Trial) if asked.fresh else None
    progress("near-optimal alternatives", 0.95)
    with _timed(seconds, "alternatives"):
        near = alternatives(main, slack=asked.slack) if asked.explain else ()
    return Plan(
        case=case, options=asked, tables=tables, outlooks=tuple(outlooks), variants=variants, mean_plan=mean_plan,
        worth=value, trial=tried, alternatives=near, seconds=seconds,
    )  # fmt: skip


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Add the seconds that a part of a run takes to ``seconds``."""
    start = time.perf_counter()
    yield
    seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start


def views_of(spec: CaseSpec, options: Options) -> tuple[View, ...]:
    """Return the views of a run: the case's, or the one that ``as_of`` makes."""
    if options.as_of is None:
        return tuple(spec.views)
    month = month_of(ordinal(options.as_of.strftime("%Y-%m")) + 1)
    first, last = spec.horizon.first, spec.horizon.last
    if not ordinal(first) <= ordinal(month) <= ordinal(last):
        raise InputError(f"--as-of {options.as_of}: its next month {month} is outside the horizon {first} to {last}")
    day = options.as_of
    return (
        View(id=f"as-of-{day}", title=f"as known on {day}", known_to=day, orders_from=month, ruleset="as_enforced"),
    )


def going_on(case: Case, options: Options, path: Path) -> Options:
    """Return options that freeze what the plan in folder ``path`` began before the first view decides.

    Raises InputError where no plan is there.
    """
    from suanli.fleet._rolling import frozen_of

    return replace(options, frozen=frozen_of(path, views_of(case.spec, options)[0].orders_from))


def variants_of(spec: CaseSpec, options: Options) -> tuple[Variant, ...]:
    """Return the budget variants of a run: the one asked for, else the case's, else the budgets as stated."""
    if options.budget is not None:
        return (options.budget,)
    return tuple(spec.variants) or (Variant(id=BASE, title="the budgets as stated", budgets={}),)


def outlook(spec: CaseSpec, view: View, tables: Tables, options: Options, *, without: str = "") -> Outlook:
    """Return what a view knows: lines with rates, rulings (a rule left out if asked), bills, futures; no plans yet."""
    known = as_known(spec, view)
    months = month_list(known)
    every = lines_of(known, dict(tables.names))
    rated = {chip for _, chip in (*tables.serve, *tables.train)}
    lines = tuple(x for x in every if x.chip in rated)
    left_out = tuple((x.id, "no rate of its chip is known for any workload") for x in every if x.chip not in rated)
    n = options.scenarios or known.risk.scenarios
    bills = bills_of(known, lines, tables)
    ruled = screening(known, view, every, tables.chips, months, without=without)
    keep = [i for i, x in enumerate(every) if x.chip in rated]
    ruled = replace(ruled, arrive=ruled.arrive[keep], run=ruled.run[keep])
    probe = grid_of(
        known, view, lines, bills=bills, arrive=ruled.arrive, run=ruled.run, tokens=run_tokens(known),
        frozen=options.frozen,
    )  # fmt: skip
    rates, shares = rates_of(known, probe.pools, tables), shares_of(known, lines, probe.years)
    return Outlook(
        view=view,
        spec=known,
        lines=lines,
        left_out=left_out,
        screening=ruled,
        bills=bills,
        rates=rates,
        futures=_kept(known, view, probe, rates, shares, n),
        shares=shares,
        plans={},
        frozen=options.frozen,
    )


def _kept(spec: CaseSpec, view: View, grid: Grid, rates: Rates, shares: tuple[Shares, ...], n: int) -> Futures:
    """Return the futures that the plan is made on, balanced between the risks that matter to a plain plan."""
    live, months = live_lines(grid), grid.months
    plain = reduced(spec, view, grid.lines, months, n=n, live=live)
    if plain.joint <= n:
        return plain
    single, odds = one_by_one(spec, view, grid.lines, months, live)
    parts = importance(grid, rates, shares, futures=plain, single=single, odds=odds)
    return reduced(spec, view, grid.lines, months, n=n, live=live, importance=parts)


def live_lines(grid: Grid) -> list[bool]:
    """Return which lines can still be ordered, or have orders on their way."""
    coming = {j for j, _, _ in grid.due}
    return [bool((grid.order[j] & grid.arrive[j]).any()) or j in coming for j in range(grid.J)]


def grid_for(base: Outlook, variant: Variant | None) -> Grid:
    """Return the arrays of an outlook under one reading of the budgets."""
    return grid_of(
        base.spec, base.view, base.lines, bills=base.bills, arrive=base.screening.arrive, run=base.screening.run,
        tokens=run_tokens(base.spec), variant=variant, frozen=base.frozen,
    )  # fmt: skip


def solve_outlook(base: Outlook, variant: Variant | None, last: Solved | None = None) -> Solved:
    """Return the plan of an outlook under one reading of the budgets, found from that under another, ``last``."""
    start = last.answer if last is not None else None
    return solve_plan(grid_for(base, variant), base.rates, base.futures, base.shares, start=start)


def _kept_plan(work: Work, name: str, base: Outlook, variant: Variant, last: Solved | None) -> Solved:
    def programme() -> Program:
        return program(grid_for(base, variant), base.rates, base.futures, base.shares)

    return kept_plan(work, name, programme, partial(solve_outlook, base, variant, last))


def _trial(first: Outlook, main: Solved, mean_plan: Solved, asked: Options) -> Trial:
    months = month_list(first.spec)
    drawn = fresh(first.spec, first.view, first.lines, months, n=asked.fresh, seed=asked.seed)
    return trial(main, first.rates, first.shares, mean_plan, drawn)
