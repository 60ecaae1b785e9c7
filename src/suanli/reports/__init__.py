"""Charts, tables and pages made of results."""

from suanli.reports._backtest_report import write_backtest
from suanli.reports._plan_report import write_charts, write_report
from suanli.reports._rules_charts import life_chart, plane_chart, timeline_chart
from suanli.reports._theme import INK, MUTED, PALETTE, inline_svg, save_chart, svg, themed

__all__ = [
    "INK",
    "MUTED",
    "PALETTE",
    "inline_svg",
    "life_chart",
    "plane_chart",
    "save_chart",
    "svg",
    "themed",
    "timeline_chart",
    "write_backtest",
    "write_charts",
    "write_report",
]
