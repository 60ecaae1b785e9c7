"""Small pieces of HTML: escaped text, tables, tiles, figures in two widths, and the page around them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from suanli.reports._theme import inline_svg


def text(value: object) -> str:
    """Return ``value`` escaped for HTML."""
    return escape(str(value))


def paragraph(value: object, kind: str = "") -> str:
    """Return a paragraph, of the CSS class ``kind``."""
    css = f' class="{kind}"' if kind else ""
    return f"<p{css}>{text(value)}</p>"


def tiles(pairs: Iterable[tuple[str, str]]) -> str:
    """Return big numbers with what they mean below, from (number, meaning) pairs."""
    inner = "".join(f'<div class="tile"><b>{text(number)}</b><span>{text(what)}</span></div>' for number, what in pairs)
    return f'<div class="tiles">{inner}</div>'


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Iterable[str] = ()) -> str:
    """Return a table that scrolls sideways where it is too wide; the columns in ``numbers`` are right-aligned."""
    right = set(numbers)
    kinds = [' class="n"' if c in right else "" for c in columns]
    head = "".join(f"<th{k}>{text(c)}</th>" for c, k in zip(columns, kinds, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{k}>{text(cell)}</td>" for cell, k in zip(row, kinds, strict=True)) + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def folded(summary: str, inner: str) -> str:
    """Return ``inner`` behind a line that opens it."""
    return f"<details><summary>{text(summary)}</summary>{inner}</details>"


def figure(caption: str, draw: Callable[[int], Any], *, desk: int, phone: int) -> str:
    """Return a chart at a desk's and at a phone's width, of which the page shows the one that fits."""
    pictures = "".join(
        f'<div class="{kind}">{inline_svg(draw(width))}</div>' for kind, width in (("desk", desk), ("phone", phone))
    )
    return (
        f'<figure role="img" aria-label="{text(caption)}"><figcaption>{text(caption)}</figcaption>{pictures}</figure>'
    )


def page(title: str, sections: Sequence[tuple[str, str]], head: str) -> str:
    """Return one page that needs nothing else: ``head`` on top, then (title, HTML) sections with links to each."""
    css = files("suanli.reports").joinpath("page.css").read_text(encoding="utf-8")
    named = [(f"s{i}", name, body) for i, (name, body) in enumerate(sections) if body]
    links = "".join(f'<a href="#{key}">{text(name)}</a>' for key, name, _ in named)
    body = "".join(f'<h2 id="{key}">{text(name)}</h2>{inner}' for key, name, inner in named)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{css}</style></head>"
        f"<body><main>{head}<nav>{links}</nav>{body}</main></body></html>\n"
    )
