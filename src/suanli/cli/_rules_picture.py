"""``suanli rules picture``: the plane of TPP and density, legal lives, the timeline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from suanli.errors import InputError, nearest

KINDS = ("plane", "life", "timeline")


def picture(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=f"One of {', '.join(KINDS)}.", show_default=False)],
    out: Annotated[Path, typer.Argument(metavar="FILE", help="SVG, PNG, HTML or Vega-Lite JSON, by its suffix.")],
    date: Annotated[
        list[str] | None,
        typer.Option("--date", metavar="DAY", help="Day of a plane; several (or none: every change) make a slider."),
    ] = None,
    chip: Annotated[list[str] | None, typer.Option("--chip", metavar="CHIP", help="Chips to show.")] = None,
    to: Annotated[str, typer.Option("--to", metavar="CC", help="Destination of a legal life.")] = "CN",
    owner: Annotated[str, typer.Option("--owner", metavar="CC", help="Headquarters of the owner.")] = "CN",
) -> None:
    """Draw what the rules say: over TPP and density, over a chip's life, or over time."""
    from suanli.reports import save_chart

    if kind not in KINDS:
        close = nearest(kind, KINDS)
        hint = f"; did you mean '{close}'?" if close else ""
        raise InputError(f"unknown picture '{kind}', allowed: {', '.join(KINDS)}{hint}")
    save_chart(_chart(kind, out, date or [], chip or [], to.upper(), owner.upper()), out)
    typer.echo(f"written to {out}; not legal advice")


def _chart(kind: str, out: Path, dates: list[str], chips: list[str], to: str, owner: str) -> Any:
    from suanli import catalog, controls
    from suanli.reports import life_chart, plane_chart, timeline_chart

    found = [catalog.chip(name) for name in chips]
    if kind == "timeline":
        return timeline_chart()
    if kind == "life":
        return life_chart(found or [catalog.chip(name) for name in controls.first_sales()], to=to, owner=owner)
    first = controls.load_rulebook().first_day
    days = dates or sorted({c.day for c in controls.history("US") if c.day >= first})
    if len(days) > 1 and out.suffix.lower() in {".svg", ".png"}:
        raise InputError(f"{out}: a slider over {len(days)} days needs an .html file; or name one --date")
    return plane_chart(days, chips=found)
