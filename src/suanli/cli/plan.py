"""``suanli plan CASE``: what to order, build, lease and run, under dated rules and many futures."""

from __future__ import annotations

import datetime as dt
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from suanli.cli.common import JsonPath, console, emit_json
from suanli.errors import InputError


def register(app: typer.Typer) -> None:
    """Add ``plan`` to the application."""
    app.command("plan", help="Find the cheapest robust path of what to build, buy and lease for a case.")(plan)


def plan(
    case: Annotated[
        str, typer.Argument(metavar="CASE", help="A case folder, a shipped case, 'new', 'diff' or 'report'.")
    ],
    others: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[A B]",
            help="new FOLDER [CASE]: a case to start from; diff A B: two plans compared; report DIR: its page anew.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder for the plan; default results/CASE.")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="DATE", help="Plan with what was known on this day only.")
    ] = None,
    go_on: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="PLAN", help="Go on from a plan's folder: what it began by then stands, the rest is anew."
        ),
    ] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(
            "--budget", metavar="B", help="A variant of the case, or POT:YEAR=MONEY, e.g. 'abroad:2025=USD 7 bn'."
        ),
    ] = None,
    scenarios: Annotated[
        int | None, typer.Option("--scenarios", min=1, max=500, help="Joint futures kept; default as the case says.")
    ] = None,
    fresh: Annotated[int, typer.Option("--fresh", min=0, max=5000, help="Fresh futures for the test.")] = 96,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the fresh futures.")] = 1,
    tornado: Annotated[
        int, typer.Option("--tornado", min=0, max=200, help="Inputs to move to both ends of their range.")
    ] = 0,
    lots: Annotated[
        float, typer.Option("--lots", min=0.0, help="Seconds to look for a plan in whole lots; 0: none.")
    ] = 0.0,
    export: Annotated[
        str | None, typer.Option("--export", metavar="KIND", help="Write the tables too as 'csv' or 'xlsx'.")
    ] = None,
    charts: Annotated[bool, typer.Option("--charts", help="Write every chart as SVG and PNG too.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Print all of the answer, not one screen of it.")] = False,
    json_path: JsonPath = None,
) -> None:
    """Plan a case, print what a director needs, and write report, plan.json and tables."""
    if case == "diff":
        _diff(others or [], json_path, full=full)
        return
    if case == "report":
        _again(others or [], charts=charts)
        return
    if case == "new":
        _new(others or [], json_path)
        return
    if others:
        raise InputError(f"plan takes one case, found also '{others[0]}'")
    gc.set_threshold(100_000)  # most of what a plan makes lives to its end: looking it through again finds nothing
    from suanli import fleet

    loaded = fleet.load_case(case)
    asked = fleet.Options(
        scenarios=scenarios,
        seed=seed,
        fresh=fresh,
        as_of=_day(as_of),
        budget=fleet.budget_variant(loaded.spec, budget) if budget else None,
    )
    if go_on is not None:
        asked = fleet.going_on(loaded, asked, go_on)
    folder = out if out is not None else Path("results") / loaded.name
    fleet.check_writable(folder)
    work = fleet.with_shared(fleet.work_beside(folder, loaded.spec, asked, tornado))
    with _progress() as tell:
        found = fleet.solve(loaded, options=asked, progress=tell, work=work)
        swings = fleet.tornado(found, most=tornado, tell=lambda text: tell(text, 0.96), work=work) if tornado else ()
        if lots:
            tell("whole lots", 0.965)
        whole = fleet.whole_lots(found.main, seconds=lots) if lots else None
        tell("report and tables", 0.97)
        finish = partial(_report, charts=charts)
        body = fleet.write_plan(found, folder, finish=finish, export=export, swings=swings, lots=whole)
    work.done()
    from suanli.cli._plan_summary import summary

    screen = console(json_path)
    for part in summary(body, full=full):
        screen.print(part)
    screen.print(f"[dim]Written to {folder}: report.html, plan.json, tables. Ask: suanli explain {folder} FIGURE[/dim]")
    emit_json(json_path, body)


def _report(folder: Path, *, charts: bool) -> None:
    """Write report.html beside the plan, and its charts where asked for."""
    from suanli.reports import write_charts, write_report

    write_report(folder)
    if charts:
        write_charts(folder)


def _day(text: str | None) -> dt.date | None:
    if text is None:
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"--as-of: '{text}' is not a date such as 2025-01-22") from error


def _again(folders: list[str], *, charts: bool) -> None:
    """Write the report of a finished plan again, and its charts where asked for."""
    if len(folders) != 1:
        raise InputError("plan report takes one folder with a plan: suanli plan report DIR [--charts]")
    folder = Path(folders[0])
    _report(folder, charts=charts)
    console().print(f"[dim]Written to {folder}: report.html{', charts' if charts else ''}[/dim]")


def _new(names: list[str], json_path: str | None) -> None:
    """Copy a shipped case to start from."""
    from suanli import fleet

    if not 1 <= len(names) <= 2:
        raise InputError("plan new takes a new folder, and if you like a shipped case: suanli plan new FOLDER [CASE]")
    folder = fleet.new_case(Path(names[0]), *names[1:])
    listed = ", ".join(sorted(p.name for p in folder.iterdir()))
    console(json_path).print(
        f"{folder}: {listed}\nEdit them (docs/case.md says what each field is), then: suanli plan {folder}"
    )
    emit_json(json_path, {"case": str(folder), "files": listed.split(", ")})


def _diff(folders: list[str], json_path: str | None, *, full: bool) -> None:
    from suanli import fleet
    from suanli.cli._plan_diff import difference

    if len(folders) != 2:
        raise InputError("plan diff takes two folders with plans: suanli plan diff A B")
    body = fleet.diff(Path(folders[0]), Path(folders[1]))
    screen = console(json_path)
    for part in difference(body, full=full):
        screen.print(part)
    emit_json(json_path, body)


@contextmanager
def _progress() -> Iterator[Callable[[str, float], None]]:
    """Show a bar on standard error while the plan is made; yields what tells it (text, share done)."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=1.0)

        def tell(text: str, share: float) -> None:
            done = max(share, bar.tasks[0].completed)  # the bar never goes back
            bar.update(task, description=text[:48].ljust(48), completed=done)

        yield tell
