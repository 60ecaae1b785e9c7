"""Design: a chip that is not made yet, from its parts to area, power, yield, cost and schedule."""

from suanli.design._area import die_blocks as die_areas
from suanli.design._evaluate import Design, evaluate
from suanli.design._power import Activity
from suanli.design._power import power_blocks as power_parts
from suanli.design._process import Constants, calibrated, mids, table
from suanli.design._spec import SERDES, DesignSpec

__all__ = [
    "SERDES",
    "Activity",
    "Constants",
    "Design",
    "DesignSpec",
    "calibrated",
    "die_areas",
    "evaluate",
    "mids",
    "power_parts",
    "table",
]
