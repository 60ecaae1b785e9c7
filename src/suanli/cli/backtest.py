"""``suanli backtest CASE``: plan with what was known on a day, then meet what happened."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from suanli.cli.common import JsonPath, console, emit_json, table
from suanli.errors import InputError
from suanli.quantities import show, show_money

if TYPE_CHECKING:
    from suanli.fleet import Case

NOTES = (
    "Regret is against the best plan with everything known; refused are orders that rules cut off.",
    "What happened is one path: it can favour a bet.",
    "Fresh futures of the day, none seen by either plan, are the test of planning on futures.",
)


def register(app: typer.Typer) -> None:
    """Add ``backtest`` to the application."""
    app.command("backtest", help="Plan with what was known on each day, then meet what happened.")(backtest)


def backtest(
    case: Annotated[str, typer.Argument(metavar="CASE", help="A case folder or the name of a shipped case.")],
    as_of: Annotated[str | None, typer.Option("--as-of", metavar="DATES", help="Days, separated by commas.")] = None,
    rolling: Annotated[
        bool, typer.Option("--rolling", help="Plan anew on each day over what was begun, beside planning once.")
    ] = False,
    rule: Annotated[
        str | None, typer.Option("--rule", metavar="ID", help="Show the compute with and without a rule, by quarter.")
    ] = None,
    budget: Annotated[str | None, typer.Option("--budget", metavar="ID", help="A budget variant of the case.")] = None,
    scenarios: Annotated[
        int | None, typer.Option("--scenarios", min=1, max=500, help="Joint futures kept; default as the case says.")
    ] = None,
    fresh: Annotated[
        int, typer.Option("--fresh", min=2, max=5000, help="Fresh futures that compare the plans of a day.")
    ] = 96,
    work: Annotated[
        Path | None,
        typer.Option("--work", metavar="DIR", help="Keep finished days here until all are done, so as to go on."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="Write a page (.html) or its chart (.svg, .png)."),
    ] = None,
    json_path: JsonPath = None,
) -> None:
    """Print the regret of the plan on futures and of the plan on expected values, side by side."""
    from rich.console import Console

    from suanli import fleet

    if not as_of and not rule:
        raise InputError("backtest needs --as-of with days, or --rule with a rule's id")
    days = [_day(text) for text in as_of.split(",")] if as_of else []
    loaded = fleet.load_case(case)
    if report is not None and report.suffix.lower() not in {".html", ".svg", ".png"}:
        raise InputError(f"--report: {report} ends in none of .html, .svg, .png")
    if rule:
        _rule(loaded, rule, budget, report, json_path)
        return
    kept = fleet.NO_WORK if work is None else fleet.work_in(work, loaded.spec, days, budget, scenarios, fresh, rolling)
    kept = fleet.with_shared(kept)
    rolled = None
    with Console(stderr=True).status("reading") as status:
        tests = fleet.backtest(
            loaded, days, variant=budget, scenarios=scenarios, fresh=fresh, work=kept, tell=status.update
        )
        if rolling:
            rolled = fleet.rolling(loaded, days, variant=budget, scenarios=scenarios, work=kept, tell=status.update)
    kept.done()
    rows = fleet.backtest_rows(tests)
    screen = console(json_path)
    screen.print(f"[bold]{loaded.spec.title}[/bold]\n[yellow]{loaded.spec.label}[/yellow]")
    screen.print(_tests(rows))
    for note in NOTES:
        screen.print(note)
    body: dict[str, Any] = {"case": loaded.name, "tests": rows, "notes": list(NOTES)}
    if rolled is not None:
        body["rolling"] = fleet.rolling_row(rolled)
        screen.print(_rolled(body["rolling"]))
    _write(loaded, report, body)
    emit_json(json_path, body)


def _write(case: Case, report: Path | None, body: dict[str, Any]) -> None:
    """Write the page or chart that was asked for."""
    if report is not None:
        from suanli.reports import write_backtest

        write_backtest(report, case.spec.title, case.spec.label, body)


def _tests(rows: list[dict[str, Any]]) -> Any:
    columns = ("known to", "regret", "regret on expected values", "served", "refused", "cheaper on fresh futures by")
    return table(
        "Plans made with what was known, and what happened",
        columns,
        [
            (
                r["as_of"],
                show_money(r["regret"], "USD"),
                show_money(r["regret_deterministic"], "USD"),
                f"{show(r['served'], '%')} ({show(r['served_deterministic'], '%')})",
                f"{r['chips_refused']:,.0f} of {r['chips_ordered']:,.0f} chips",
                _margin(r["ahead"]),
            )
            for r in rows
        ],
        right=columns[1:],
    )


def _margin(m: dict[str, Any]) -> str:
    """Return a margin with its 95 % interval, in billions."""
    return f"USD {m['usd'] / 1e9:.1f} bn ({m['low'] / 1e9:.1f} to {m['high'] / 1e9:.1f}), {m['futures']} futures"


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


def _rule(case: Case, rule: str, budget: str | None, report: Path | None, json_path: str | None) -> None:
    from rich.console import Console

    from suanli import fleet

    with Console(stderr=True).status("reading") as status:
        rows = fleet.effect_of_rule(case, rule, variant=budget, tell=status.update)
    screen = console(json_path)
    screen.print(f"[bold]{case.spec.title}[/bold]\n[yellow]{case.spec.label}[/yellow]")
    shown = [r for r in rows if r["month"][5:] in {"03", "06", "09", "12"}]
    cells = [
        (r["month"], show(r["with"], "FLOP/s"), show(r["without"], "FLOP/s"), show(r["taken"], "%")) for r in shown
    ]
    columns = ("month", "with the rule", "without it", "taken")
    screen.print(table(f"Compute that may run, dense bf16: {rule}", columns, cells, right=columns[1:]))
    body = {"case": case.name, "rule": rule, "months": rows}
    _write(case, report, body)
    emit_json(json_path, body)


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text.strip())
    except ValueError as error:
        raise InputError(f"--as-of: '{text}' is not a date such as 2025-01-22") from error
