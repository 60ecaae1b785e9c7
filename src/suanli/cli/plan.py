"""``suanli plan CASE``: what to order, build, lease and run, under dated rules and many futures."""

from __future__ import annotations

import datetime as dt
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from suanli.cli._command import command, option
from suanli.cli.common import JsonPath, console, emit_json
from suanli.errors import InputError

if TYPE_CHECKING:
    from suanli.fleet import Case, Options


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line asks for, one field an option."""

    case: Annotated[
        str, typer.Argument(help="A case folder, a shipped case, 'new', 'diff' or 'report'.", metavar="CASE")
    ]
    others: Annotated[
        list[str] | None,
        typer.Argument(
            help="new FOLDER [CASE]: a case to start from; diff A B: two plans compared; report DIR: its page anew.",
            metavar="[A B]",
        ),
    ] = None
    out: Annotated[Path | None, option("Folder for the plan; default results/CASE.", metavar="DIR")] = None
    as_of: Annotated[str | None, option("Plan with what was known on this day only.", metavar="DATE")] = None
    go_on: Annotated[
        Path | None,
        option("Go on from a plan's folder: what it began by then stands, the rest is anew.", "--from", metavar="PLAN"),
    ] = None
    budget: Annotated[
        list[str] | None, option("A variant of the case, or POT:YEAR=MONEY, e.g. 'abroad:2025=USD 7 bn'.", metavar="B")
    ] = None
    scenarios: Annotated[int | None, option("Joint futures kept; default as the case says.", min=1, max=500)] = None
    fresh: Annotated[int, option("Fresh futures for the test.", min=0, max=5000)] = 96
    seed: Annotated[int, option("Seed of the fresh futures.")] = 1
    tornado: Annotated[int, option("Inputs to move to both ends of their range.", min=0, max=200)] = 0
    lots: Annotated[float, option("Seconds to look for a plan in whole lots; 0: none.", min=0.0)] = 0.0
    export: Annotated[str | None, option("Write the tables too as 'csv' or 'xlsx'.", metavar="KIND")] = None
    charts: Annotated[bool, option("Write every chart as SVG and PNG too.", "--charts")] = False
    full: Annotated[bool, option("Print all of the answer, not one screen of it.", "--full")] = False
    json_path: JsonPath = None


def register(app: typer.Typer) -> None:
    """Add ``plan`` to the application."""
    line = "Find the cheapest robust path of what to build, buy and lease for a case."
    app.command("plan", help=line)(command(Asked, plan))


def plan(asked: Asked) -> None:
    """Plan a case, print what a director needs, and write report, plan.json and tables."""
    others = asked.others or []
    if asked.case == "diff":
        _diff(others, asked.json_path, full=asked.full)
    elif asked.case == "report":
        _again(others, charts=asked.charts)
    elif asked.case == "new":
        _new(others, asked.json_path)
    elif others:
        raise InputError(f"plan takes one case, found also '{others[0]}'")
    else:
        _plan(asked)


def _plan(asked: Asked) -> None:
    """Plan a case, write it into its folder, and print one screen of it."""
    gc.set_threshold(100_000)  # most of what a plan makes lives to its end: looking it through again finds nothing
    from suanli import fleet

    case = fleet.load_case(asked.case)
    options = _options(asked, case)
    folder = asked.out if asked.out is not None else Path("results") / case.name
    fleet.check_writable(folder)
    body = _written(asked, case, options, folder)
    from suanli.cli._plan_summary import summary

    screen = console(asked.json_path)
    for part in summary(body, full=asked.full):
        screen.print(part)
    screen.print(f"[dim]Written to {folder}: report.html, plan.json, tables. Ask: suanli explain {folder} FIGURE[/dim]")
    emit_json(asked.json_path, body)


def _options(asked: Asked, case: Case) -> Options:
    """Return how the case is to be planned: futures, day, budgets, and the plan that it goes on from."""
    from suanli import fleet

    options = fleet.Options(
        scenarios=asked.scenarios,
        seed=asked.seed,
        fresh=asked.fresh,
        as_of=_day(asked.as_of),
        budget=fleet.budget_variant(case.spec, asked.budget) if asked.budget else None,
    )
    return options if asked.go_on is None else fleet.going_on(case, options, asked.go_on)


def _written(asked: Asked, case: Case, options: Options, folder: Path) -> dict[str, Any]:
    """Solve the case, write the plan with its report into ``folder`` and return it as its JSON has it."""
    from suanli import fleet

    most, lots = asked.tornado, asked.lots
    work = fleet.with_shared(fleet.work_beside(folder, case.spec, options, most))
    with _progress() as tell:
        found = fleet.solve(case, options=options, progress=tell, work=work)
        swings = fleet.tornado(found, most=most, tell=lambda text: tell(text, 0.96), work=work) if most else ()
        if lots:
            tell("whole lots", 0.965)
        whole = fleet.whole_lots(found.main, seconds=lots) if lots else None
        tell("report and tables", 0.97)
        finish = partial(_report, charts=asked.charts)
        body = fleet.write_plan(found, folder, finish=finish, export=asked.export, swings=swings, lots=whole)
    work.done()
    return body


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
