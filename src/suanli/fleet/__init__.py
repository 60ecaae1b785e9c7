"""The planner: what to order, build, lease and run, under dated rules and many futures."""

from suanli.fleet._backtest import Test, backtest, effect_of_rule
from suanli.fleet._backtest import rows as backtest_rows
from suanli.fleet._budgets import budget_variant, diff
from suanli.fleet._case import Case, example_folders, load_case
from suanli.fleet._changes import OfferChange, ruling_changes
from suanli.fleet._lots import Lots, whole_lots
from suanli.fleet._output import check_writable, document, write_plan
from suanli.fleet._plan import Options, Outlook, Plan, solve
from suanli.fleet._schema import CaseSpec
from suanli.fleet._tornado import Swing, tornado

__all__ = [
    "Case",
    "CaseSpec",
    "Lots",
    "OfferChange",
    "Options",
    "Outlook",
    "Plan",
    "Swing",
    "Test",
    "backtest",
    "backtest_rows",
    "budget_variant",
    "check_writable",
    "diff",
    "document",
    "effect_of_rule",
    "example_folders",
    "load_case",
    "ruling_changes",
    "solve",
    "tornado",
    "whole_lots",
    "write_plan",
]
