"""Design: a chip that is not made yet, from its parts to area, power, yield, cost and schedule."""

from suanli.design._area import die_blocks as die_areas
from suanli.design._evaluate import Design, evaluate
from suanli.design._mapping import DATAFLOWS, GemmCycles, best_dataflow, gemm_cycles, tile_cycles
from suanli.design._power import Activity
from suanli.design._power import power_blocks as power_parts
from suanli.design._presets import BuildFacts, DesignFile, design_file, preset, presets
from suanli.design._process import Constants, calibrated, mids, table
from suanli.design._schedule import Schedule
from suanli.design._spec import SERDES, DesignSpec
from suanli.design._terms import BuildTerms, Stage, build_terms

__all__ = [
    "DATAFLOWS",
    "SERDES",
    "Activity",
    "BuildFacts",
    "BuildTerms",
    "Constants",
    "Design",
    "DesignFile",
    "DesignSpec",
    "GemmCycles",
    "Schedule",
    "Stage",
    "best_dataflow",
    "build_terms",
    "calibrated",
    "design_file",
    "die_areas",
    "evaluate",
    "gemm_cycles",
    "mids",
    "power_parts",
    "preset",
    "presets",
    "table",
    "tile_cycles",
]
