"""``suanli screen CHIP``: what the dated export rules say of a chip, a place, a party and a use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from suanli.cli.common import JsonPath, console, emit_json, table
from suanli.controls import (
    Query,
    Range,
    activities,
    countries,
    country,
    outcome_texts,
    parse_facts,
    query_of_chip,
    screen,
)
from suanli.kinds import Ruling, Threshold

CUSTOM = "custom"
NOT_ADVICE = (
    "This explains published rules and cites them. It is not legal advice, and no clearance: a person who is "
    "responsible must confirm it."
)
_START = {"export": "US", "weights_export": "US", "reexport": "", "foundry_export": ""}
"""Where an item leaves unless stated, for acts in which it moves; "" is unknown."""

_COLOURS = {"free": "green", "conditional": "yellow", "restricted": "red", "open": "magenta"}


def register(app: typer.Typer) -> None:
    """Add ``screen`` to the application."""
    acts = ", ".join(activities())
    app.command(
        "screen", help=f"Say what the dated export rules say of a chip, a place, a party and a use. Acts: {acts}."
    )(run)


def run(
    chip: Annotated[
        str,
        typer.Argument(metavar="CHIP", help="Chip by any spelling or a chip file; 'custom': by --fact alone."),
    ],
    to: Annotated[
        str, typer.Option("--to", metavar="CC", help="Where it goes or stays (ISO alpha-2; HK counts as CN).")
    ],
    date: Annotated[str, typer.Option("--date", metavar="DAY", help="Day of the act, as 2025-04-15.")],
    owner: Annotated[
        str, typer.Option("--owner", metavar="CC", help="Headquarters of the buyer or user; left out: unknown.")
    ] = "",
    parent: Annotated[
        str, typer.Option("--parent", metavar="CC", help="Headquarters of its ultimate parent; left out: unknown.")
    ] = "",
    activity: Annotated[str, typer.Option("--activity", metavar="ACT", help="The act.")] = "export",
    ship_from: Annotated[
        str,
        typer.Option(
            "--ship-from",
            metavar="CC",
            help="Where it leaves; an export: US; nothing moves: the place; else unknown.",
        ),
    ] = "",
    ruleset: Annotated[
        str, typer.Option("--ruleset", help="as_enforced (practice) or as_written (the Diffusion text applied).")
    ] = "as_enforced",
    fact: Annotated[
        list[str] | None,
        typer.Option("--fact", metavar="KEY=VALUE", help="A fact of the case; numbers may be ranges: low..high."),
    ] = None,
    party: Annotated[
        str, typer.Option("--party", metavar="NAME|LIST|FOOTNOTE", help="A party listed by name on the date.")
    ] = "",
    rules: Annotated[
        Path | None, typer.Option("--rules", metavar="FILE", help="A rule file whose entries are added to ours.")
    ] = None,
    json_path: JsonPath = None,
) -> None:
    """Print the ruling with its arithmetic, distances, citations and what a person must check."""
    query, taken = question(
        chip,
        to=to,
        date=date,
        owner=owner,
        parent=parent,
        activity=activity,
        ship_from=ship_from,
        facts=parse_facts(";".join(fact or ())),
        party=party,
    )
    ruling = screen(query, ruleset=ruleset, rulebook=rules)
    emit_json(json_path, as_json(query, ruling, ruleset))
    show(console(json_path), query, ruling, ruleset, taken)


def question(
    chip: str,
    *,
    to: str,
    date: str,
    owner: str,
    parent: str,
    activity: str,
    ship_from: str,
    facts: dict[str, Any],
    party: str,
) -> tuple[Query, str]:
    """Return the query that the options state, and what the chip's name was taken for."""
    start = ship_from or {"export": "US", "weights_export": "US", "reexport": "", "foundry_export": ""}.get(
        activity, to
    )
    if chip.casefold() == CUSTOM:
        bare = Query(
            date=date,
            activity=activity,
            ship_from=start,
            destination=to,
            supplier=CUSTOM,
            chip=CUSTOM,
            end_user_hq=owner,
            ultimate_parent_hq=parent,
            listed_party=party,
            facts=facts,
        )
        return bare, "an item stated by its facts"
    from suanli import catalog

    found = catalog.chip(chip)
    taken = found.name if chip.endswith((".yaml", ".yml")) else catalog.resolve_chip(chip).taken
    query = query_of_chip(
        found,
        to=to,
        owner=owner,
        parent=parent,
        date=date,
        activity=activity,
        ship_from=start,
        facts=facts,
        listed_party=party,
    )
    return query, taken


def as_json(query: Query, ruling: Ruling, ruleset: str) -> dict[str, Any]:
    """Return the ruling and what was asked as plain data."""
    asked = {f.name: _plain(getattr(query, f.name)) for f in fields(query)}
    return {"query": asked, "ruleset": ruleset, "group": ruling.group, **asdict(ruling), "note": NOT_ADVICE}


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: a range as its ends, an open end as null."""
    if isinstance(value, Range):
        return {"low": value.low, "high": value.high if isfinite(value.high) else None}
    return {k: _plain(v) for k, v in value.items()} if isinstance(value, Mapping) else value


def show(out: Console, query: Query, ruling: Ruling, ruleset: str, taken: str) -> None:
    """Print ``ruling`` for people."""
    out.print(f"[bold]{query.chip}[/bold] ({taken}), by {query.supplier or 'an unknown supplier'}")
    out.print(
        f"{query.activity} from {_place(query.ship_from)} to {_place(query.destination)} on {query.date}, {ruleset}"
    )
    out.print(
        f"user headquartered in {_place(query.end_user_hq)}, ultimate parent in {_place(query.ultimate_parent_hq)}"
    )
    for name, value in query.facts.items():
        out.print(f"  {name} = {value}", style="dim", markup=False)
    out.print()
    out.print(Text(outcome_texts()[ruling.outcome], style=f"bold {_COLOURS[ruling.group]}"))
    out.print(
        f"{ruling.outcome} ({ruling.group}); paragraph {ruling.eccn}; presumption {ruling.presumption}; "
        f"confidence {ruling.confidence}"
    )
    if ruling.decided_by:
        out.print(f"decided by {', '.join(ruling.decided_by)}")
    if ruling.depends_on:
        _section(out, "Depends on", ruling.depends_on.split("; "))
    _figures(out, ruling)
    _section(
        out,
        "Rules that spoke",
        (f"{r.rule} ({r.citation}): {r.text}" if r.citation else r.text for r in ruling.remarks),
    )
    _section(out, "Sources disagree", ruling.contradictions)
    _section(out, "To check", ruling.to_check)
    out.print(f"\n{NOT_ADVICE}", style="italic")


def _figures(out: Console, ruling: Ruling) -> None:
    rows = [(name, "unknown" if value is None else _number(value)) for name, value in ruling.arithmetic.items()]
    out.print()
    out.print(table("Arithmetic", ("figure", "value"), rows, right=("value",)))
    if ruling.thresholds:
        out.print()
        lines = [
            (t.name, _number(t.value), f"{t.op} {_number(t.limit)}", distance(t), t.unit, t.rule)
            for t in ruling.thresholds
        ]
        out.print(
            table(
                "Distance to each threshold",
                ("figure", "value", "limit", "distance", "unit", "rule"),
                lines,
                right=("value",),
            )
        )


def distance(t: Threshold) -> str:
    """Return how far a figure is from its limit, in the figure's own unit and in per cent of the limit."""
    if t.value is None:
        return "depends"
    gap = t.value - t.limit
    relative = f" ({gap / t.limit:+.1%})" if t.limit else ""
    return "exactly at" if gap == 0 else f"{'+' if gap > 0 else '-'}{_number(abs(gap))}{relative}"


def _number(value: float | None) -> str:
    if value is None:
        return "unknown"
    if value == round(value) or abs(value) >= 1e5:
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 1e3 else f"{value:.4g}"


def _place(code: str) -> str:
    if not code:
        return "an unknown place"
    return f"{code.upper()} ({countries()[code.upper()]})" if code.upper() in countries() else country(code)


def _section(out: Console, title: str, lines: Iterable[str]) -> None:
    found = list(lines)
    if found:
        out.print(f"\n[bold]{title}[/bold]")
        for line in found:
            out.print(f"- {line}", markup=False)
