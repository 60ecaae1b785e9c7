"""Charts, tables and pages made of results."""

from suanli.reports._plan_report import write_charts, write_report
from suanli.reports._theme import INK, MUTED, PALETTE, inline_svg, save_chart, svg, themed

__all__ = ["INK", "MUTED", "PALETTE", "inline_svg", "save_chart", "svg", "themed", "write_charts", "write_report"]
