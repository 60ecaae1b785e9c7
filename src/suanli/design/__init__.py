"""Design: a chip that is not made yet, from its parts to area, power, yield, cost and schedule."""

import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from suanli.design._area import die_blocks as die_areas
from suanli.design._area import hbm_sites_that_fit, perimeter, shoreline
from suanli.design._binding import Held, Moved, binding, doubts, sensitivities
from suanli.design._checks import Flag, require
from suanli.design._evaluate import Design, evaluate
from suanli.design._field import FIELD, Beside, against_field
from suanli.design._figures import area_figure, cost_figure, price_figure
from suanli.design._find import Found, Search, base_rates, cost_of_rules, judge, pareto, search
from suanli.design._floorplan import floorplan
from suanli.design._jobs import SCALES, Job, parse_jobs
from suanli.design._mapping import DATAFLOWS, GemmCycles, best_dataflow, gemm_cycles, tile_cycles
from suanli.design._pictures import breakdown_chart, field_chart, floorplan_chart, front_chart, plane_chart
from suanli.design._power import Activity, capped_clock, voltage
from suanli.design._power import power_blocks as power_parts
from suanli.design._presets import BuildFacts, DesignFile, design_file, preset, presets
from suanli.design._process import MEMORIES, NODES, Constants, calibrated, memory_named, mids, node_named, table
from suanli.design._rules import ACTS, Place, rulings, worst
from suanli.design._schedule import Schedule
from suanli.design._score import JobRate, activity_of, job_rate
from suanli.design._search import OBJECTIVES, Limits
from suanli.design._space import AXES, Axis, Space
from suanli.design._spec import SERDES, DesignSpec, macs, peak, take, total_processing
from suanli.design._terms import BuildTerms, Stage, build_terms

__all__ = [
    "ACTS",
    "AXES",
    "DATAFLOWS",
    "FIELD",
    "MEMORIES",
    "NODES",
    "OBJECTIVES",
    "SCALES",
    "SERDES",
    "Activity",
    "Axis",
    "Beside",
    "BuildFacts",
    "BuildTerms",
    "Constants",
    "Design",
    "DesignFile",
    "DesignSpec",
    "Flag",
    "Found",
    "GemmCycles",
    "Held",
    "Job",
    "JobRate",
    "Limits",
    "Moved",
    "Place",
    "Schedule",
    "Search",
    "Space",
    "Stage",
    "activity_of",
    "against_field",
    "area_figure",
    "base_rates",
    "best_dataflow",
    "binding",
    "breakdown_chart",
    "build_terms",
    "calibrated",
    "capped_clock",
    "cost_figure",
    "cost_of_rules",
    "design_file",
    "die_areas",
    "doubts",
    "evaluate",
    "field_chart",
    "floorplan",
    "floorplan_chart",
    "front_chart",
    "gemm_cycles",
    "hbm_sites_that_fit",
    "job_rate",
    "judge",
    "macs",
    "memory_named",
    "mids",
    "node_named",
    "pareto",
    "parse_jobs",
    "peak",
    "perimeter",
    "plane_chart",
    "power_parts",
    "preset",
    "presets",
    "price_figure",
    "require",
    "rulings",
    "search",
    "sensitivities",
    "shoreline",
    "table",
    "take",
    "tile_cycles",
    "total_processing",
    "voltage",
    "worst",
]


class _Room(ModuleType):
    """This room, which called as ``suanli.design(...)`` searches for a chip."""

    def __call__(self, jobs: str | Sequence[Job], **options: Any) -> Search:
        """Return the chips worth building for ``jobs`` (as ``parse_jobs`` or ``search`` take them)."""
        return search(parse_jobs(jobs) if isinstance(jobs, str) else jobs, **options)


sys.modules[__name__].__class__ = _Room
