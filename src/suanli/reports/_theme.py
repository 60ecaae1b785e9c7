"""The look of every picture: one palette that reads on light and dark grounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from suanli.errors import InputError
from suanli.files import whole, write_json, write_text

# Okabe-Ito (Color Universal Design, 2008), reordered; distinguishable with colour-blind eyes, on white and near-black.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C8C8C", "#B8A800", "#7A5CC2", "#A0522D")
INK, MUTED, GRID = "#1b1f24", "#6a737d", "#d8dee4"
_CSS_NAMES = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--grid)"}
Spec = dict[str, Any]
"""A chart as plain Vega-Lite, for those that would cost Altair many copies."""
_SUFFIXES = (".svg", ".png", ".html", ".json")


def themed(chart: Any, *, width: int = 720, height: int | None = None) -> Any:
    """Return an Altair ``chart`` in the house's look; ``width`` and ``height`` in pixels of the plot area.

    A specification keeps its own size.
    """
    if isinstance(chart, Mapping):
        return {**chart, "config": _look_of_specs()}
    size = {"width": width} if height is None else {"width": width, "height": height}
    if isinstance(getattr(chart, "width", None), (int, float)):
        size.pop("width")  # a chart that left room for its labels keeps its own
    if hasattr(chart, "properties") and not any(hasattr(chart, k) for k in ("hconcat", "vconcat", "concat", "spec")):
        chart = chart.properties(**size)
    return _looking(chart)


@cache
def _look_of_specs() -> Spec:
    """Return the house's look as Vega-Lite's configuration."""
    import altair as alt

    look: Spec = _looking(alt.Chart("").mark_bar()).to_dict(validate=False)["config"]
    return look


def _looking(chart: Any) -> Any:
    font = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
    text = {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"}
    return (
        chart.configure(background="transparent", font=font)
        .configure_view(stroke=None)
        .configure_range(category=list(PALETTE))
        .configure_axis(labelColor=MUTED, titleColor=MUTED, gridColor=GRID, domainColor=GRID, tickColor=GRID, **text)
        # Numbers and dates never come near a limit, and every text that has one is measured twice.
        .configure_axisQuantitative(labelLimit=0)
        .configure_axisTemporal(labelLimit=0)
        .configure_legend(labelColor=INK, titleColor=MUTED, orient="bottom", columns=4, labelLimit=220, **text)
        .configure_title(color=INK, subtitleColor=MUTED, fontSize=15, subtitleFontSize=12, anchor="start", offset=10)
        .configure_header(labelColor=INK, titleColor=MUTED)
    )


def titled(chart: Any, title: str) -> Any:
    """Return a chart, or the specification of one, under a title."""
    return {**chart, "title": title} if isinstance(chart, Mapping) else chart.properties(title=title)


@contextmanager
def unchecked() -> Iterator[None]:
    """Let Altair build charts without checking every step against Vega-Lite's schema; tests check the whole."""
    from altair.utils.schemapi import debug_mode

    with debug_mode(False):
        yield


def _spec(chart: Any) -> Spec:
    return dict(chart) if isinstance(chart, Mapping) else chart.to_dict(validate=False)


def svg(chart: Any) -> str:
    """Return a themed chart as SVG text."""
    import vl_convert

    return str(vl_convert.vegalite_to_svg(_spec(chart)))


def inline_svg(chart: Any) -> str:
    """Return a themed chart as SVG for a page: ink follows the page's light or dark colours, width its column."""
    text = svg(chart)
    for colour, name in _CSS_NAMES.items():
        text = text.replace(colour, name).replace(colour.upper(), name)
    return text


def save_chart(chart: Any, path: Path) -> None:
    """Write a themed chart to ``path`` as SVG, PNG, HTML or Vega-Lite JSON by its suffix, whole or not at all.

    Raises InputError for another suffix or a folder that can't be written.
    """
    suffix = path.suffix.lower()
    if suffix == ".svg":
        write_text(path, svg(chart))
    elif suffix == ".png":
        import vl_convert

        data = vl_convert.vegalite_to_png({**_spec(chart), "background": "white"}, scale=2)
        with whole(path) as temporary:
            temporary.write_bytes(data)
    elif suffix == ".html":
        import vl_convert

        write_text(path, str(vl_convert.vegalite_to_html(_spec(chart), bundle=True)))
    elif suffix == ".json":
        write_json(path, _spec(chart))
    else:
        raise InputError(f"{path}: a picture ends in one of {', '.join(_SUFFIXES)}")
