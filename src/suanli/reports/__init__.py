"""Charts, tables and pages made of results."""

from suanli.reports._backtest_report import write_backtest
from suanli.reports._plan_report import write_charts, write_report
from suanli.reports._rules_charts import life_chart, plane_chart, timeline_chart
from suanli.reports._serving_charts import (
    cost_chart,
    goodput_chart,
    latency_chart,
    mix_chart,
    occupancy_chart,
    pareto_chart,
)
from suanli.reports._serving_report import serving_page, write_serving_report
from suanli.reports._theme import INK, MUTED, PALETTE, inline_svg, save_chart, svg, themed

__all__ = [
    "INK",
    "MUTED",
    "PALETTE",
    "cost_chart",
    "goodput_chart",
    "inline_svg",
    "latency_chart",
    "life_chart",
    "mix_chart",
    "occupancy_chart",
    "pareto_chart",
    "plane_chart",
    "save_chart",
    "serving_page",
    "svg",
    "themed",
    "timeline_chart",
    "write_backtest",
    "write_charts",
    "write_report",
    "write_serving_report",
]
