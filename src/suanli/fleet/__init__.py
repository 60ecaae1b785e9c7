"""The planner: what to order, build, lease and run, under dated rules and many futures."""

from suanli.fleet._backtest import Rolled, Test, backtest, effect_of_rule, rolling, rolling_row
from suanli.fleet._backtest import rows as backtest_rows
from suanli.fleet._budgets import budget_variant
from suanli.fleet._case import Case, example_folders, load_case, new_case
from suanli.fleet._changes import OfferChange, ruling_changes
from suanli.fleet._difference import diff
from suanli.fleet._lots import Lots, whole_lots
from suanli.fleet._output import check_writable, document, write_plan
from suanli.fleet._plan import Options, Outlook, Plan, going_on, solve
from suanli.fleet._schema import CaseSpec
from suanli.fleet._tornado import Swing, tornado
from suanli.fleet._work import NO_WORK, Work, with_shared, work_beside, work_in

__all__ = [
    "NO_WORK",
    "Case",
    "CaseSpec",
    "Lots",
    "OfferChange",
    "Options",
    "Outlook",
    "Plan",
    "Rolled",
    "Swing",
    "Test",
    "Work",
    "backtest",
    "backtest_rows",
    "budget_variant",
    "check_writable",
    "diff",
    "document",
    "effect_of_rule",
    "example_folders",
    "going_on",
    "load_case",
    "new_case",
    "rolling",
    "rolling_row",
    "ruling_changes",
    "solve",
    "tornado",
    "whole_lots",
    "with_shared",
    "work_beside",
    "work_in",
    "write_plan",
]
