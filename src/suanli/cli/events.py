"""``suanli events list|show``: the dated facts of the founding case, with denials and contradictions."""

from __future__ import annotations

import typer

from suanli import catalog
from suanli.catalog import Event
from suanli.cli import _listing
from suanli.cli._listing import Line, Listing, contains, plain, same_year, unless_empty


def _lines(event: Event) -> list[Line]:
    about = [
        Line("date", f"{event.date} (to the {event.date_precision}, {event.date_basis})"),
        Line("actors", ", ".join(event.actors)),
        Line("product", event.product),
        Line("statement", event.statement, event.source),
        Line("certainty", event.certainty),
        Line("cites", event.cites),
    ]
    amounts = [Line(f"quantity: {name}", plain(value), event.source) for name, value in event.quantity.items()]
    against = [Line(f"against {', '.join(c.ids) or 'other facts'}", c.note) for c in event.contradicts]
    rest = [
        Line(n, plain(getattr(event, n))) for n in ("node_nm", "foundry", "planner_use", "note", "kind", "verified")
    ]
    return unless_empty([*about, *amounts, *against, *rest])


LISTING: Listing[Event] = Listing(
    name="events",
    noun="event",
    help="List and show the dated facts of the founding case.",
    entries=catalog.events,
    find=catalog.event,
    columns={
        "id": lambda e: e.id,
        "date": lambda e: e.date,
        "certainty": lambda e: e.certainty,
        "statement": lambda e: e.statement,
    },
    right=(),
    filters={
        "actor": contains(lambda e: " ".join(e.actors)),
        "product": contains(lambda e: e.product),
        "certainty": lambda e, value: e.certainty == value.casefold(),
        "year": same_year(lambda e: int(e.date[:4])),
        "source": contains(lambda e: e.source.ref, lambda e: e.cites),
        "text": contains(lambda e: e.id, lambda e: e.statement, lambda e: e.product),
    },
    title=lambda e: f"{e.id}: {e.product}, {e.date}",
    lines=_lines,
)


def register(app: typer.Typer) -> None:
    """Add ``events`` to the application."""
    _listing.register(app, LISTING)
