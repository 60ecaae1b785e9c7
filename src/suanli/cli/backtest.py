"""``suanli backtest CASE``: plan with what was known on a day, then meet what happened."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from suanli.cli._command import command, option
from suanli.cli.common import JsonPath, console, emit_json, table
from suanli.errors import InputError
from suanli.quantities import show, show_billions, show_money

if TYPE_CHECKING:
    from rich.console import Console

    from suanli.fleet import Case

NOTES = (
    "Regret is against the best plan with everything known; refused are orders that rules cut off.",
    "What happened is one path: it can favour a bet.",
    "Fresh futures of the day, none seen by either plan, are the test of planning on futures.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line asks for, one field an option."""

    case: Annotated[str, typer.Argument(help="A case folder or the name of a shipped case.", metavar="CASE")]
    as_of: Annotated[str | None, option("Days, separated by commas.", metavar="DATES")] = None
    rolling: Annotated[
        bool, option("Plan anew on each day over what was begun, beside planning once.", "--rolling")
    ] = False
    rule: Annotated[str | None, option("Show the compute with and without a rule, by quarter.", metavar="ID")] = None
    budget: Annotated[str | None, option("A budget variant of the case.", metavar="ID")] = None
    scenarios: Annotated[int | None, option("Joint futures kept; default as the case says.", min=1, max=500)] = None
    fresh: Annotated[int, option("Fresh futures that compare the plans of a day.", min=2, max=5000)] = 96
    work: Annotated[
        Path | None, option("Keep finished days here until all are done, so as to go on.", metavar="DIR")
    ] = None
    report: Annotated[Path | None, option("Write a page (.html) or its chart (.svg, .png).", metavar="FILE")] = None
    json_path: JsonPath = None


def register(app: typer.Typer) -> None:
    """Add ``backtest`` to the application."""
    line = "Plan with what was known on each day, then meet what happened."
    app.command("backtest", help=line)(command(Asked, backtest))


def backtest(asked: Asked) -> None:
    """Print the regret of the plan on futures and of the plan on expected values, side by side."""
    from suanli import fleet

    if not asked.as_of and not asked.rule:
        raise InputError("backtest needs --as-of with days, or --rule with a rule's id")
    days = [_day(text) for text in asked.as_of.split(",")] if asked.as_of else []
    case = fleet.load_case(asked.case)
    report = asked.report
    if report is not None and report.suffix.lower() not in {".html", ".svg", ".png"}:
        raise InputError(f"--report: {report} ends in none of .html, .svg, .png")
    body = _effect_of_rule(case, asked.rule, asked) if asked.rule else _regret(case, days, asked)
    if report is not None:
        from suanli.reports import write_backtest

        write_backtest(report, case.spec.title, case.spec.label, body)
    emit_json(asked.json_path, body)


def _regret(case: Case, days: list[dt.date], asked: Asked) -> dict[str, Any]:
    """Print and return the plans of each day against what happened, and where asked for those planned anew."""
    from rich.console import Console

    from suanli import fleet

    work = fleet.NO_WORK
    if asked.work is not None:
        work = fleet.work_in(asked.work, case.spec, days, asked.budget, asked.scenarios, asked.fresh, asked.rolling)
    work = fleet.with_shared(work)
    how: dict[str, Any] = {"variant": asked.budget, "scenarios": asked.scenarios, "work": work}
    with Console(stderr=True).status("reading") as status:
        tests = fleet.backtest(case, days, fresh=asked.fresh, tell=status.update, **how)
        rolled = fleet.rolling(case, days, tell=status.update, **how) if asked.rolling else None
    work.done()
    rows = fleet.backtest_rows(tests)
    screen = _headed(case, asked)
    screen.print(_tests(rows))
    for note in NOTES:
        screen.print(note)
    body: dict[str, Any] = {"case": case.name, "tests": rows, "notes": list(NOTES)}
    if rolled is not None:
        body["rolling"] = fleet.rolling_row(rolled)
        screen.print(_rolled(body["rolling"]))
    return body


def _headed(case: Case, asked: Asked) -> Console:
    """Return the console, the case's title and label printed."""
    screen = console(asked.json_path)
    screen.print(f"[bold]{case.spec.title}[/bold]\n[yellow]{case.spec.label}[/yellow]")
    return screen


def _tests(rows: list[dict[str, Any]]) -> Any:
    columns = ("known to", "regret", "regret on expected values", "served", "refused", "cheaper on fresh futures by")
    title = "Plans made with what was known, and what happened"
    return table(title, columns, [_cells(row) for row in rows], right=columns[1:])


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Return a day's test in words; what the plan on expected values serves stands in brackets."""
    ahead = row["ahead"]
    return (
        row["as_of"],
        show_money(row["regret"], "USD"),
        show_money(row["regret_deterministic"], "USD"),
        f"{show(row['served'], '%')} ({show(row['served_deterministic'], '%')})",
        f"{row['chips_refused']:,.0f} of {row['chips_ordered']:,.0f} chips",
        f"{show_billions(ahead['usd'], ahead['low'], ahead['high'])}, {ahead['futures']} futures",
    )


def _rolled(row: dict[str, Any]) -> Any:
    first, days = row["days"][0], ", ".join(row["days"])
    columns = ("plan", "regret on futures", "regret on expected values")
    return table(
        f"From {first} on: planned once, and anew on {days} over what was begun",
        columns,
        [
            ("once", show_money(row["regret_once"], "USD"), show_money(row["regret_once_deterministic"], "USD")),
            ("anew on each day", show_money(row["regret"], "USD"), show_money(row["regret_deterministic"], "USD")),
        ],
        right=columns[1:],
    )


def _effect_of_rule(case: Case, rule: str, asked: Asked) -> dict[str, Any]:
    """Print by quarter and return by month the compute that may run with and without a rule."""
    from rich.console import Console

    from suanli import fleet

    with Console(stderr=True).status("reading") as status:
        rows = fleet.effect_of_rule(case, rule, variant=asked.budget, tell=status.update)
    cells = [
        (r["month"], show(r["with"], "FLOP/s"), show(r["without"], "FLOP/s"), show(r["taken"], "%"))
        for r in rows
        if r["month"][5:] in {"03", "06", "09", "12"}
    ]
    columns = ("month", "with the rule", "without it", "taken")
    told = table(f"Compute that may run, dense bf16: {rule}", columns, cells, right=columns[1:])
    _headed(case, asked).print(told)
    return {"case": case.name, "rule": rule, "months": rows}


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text.strip())
    except ValueError as error:
        raise InputError(f"--as-of: '{text}' is not a date such as 2025-01-22") from error
