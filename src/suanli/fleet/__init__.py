"""The planner: what to order, build, lease and run, under dated rules and many futures."""

from suanli.fleet._backtest import Test, backtest, compute_by_month
from suanli.fleet._backtest import rows as backtest_rows
from suanli.fleet._budgets import budget_variant, diff
from suanli.fleet._case import Case, example_folders, load_case
from suanli.fleet._output import check_writable, document, write_plan
from suanli.fleet._plan import Options, Outlook, Plan, solve
from suanli.fleet._schema import CaseSpec

__all__ = [
    "Case",
    "CaseSpec",
    "Options",
    "Outlook",
    "Plan",
    "Test",
    "backtest",
    "backtest_rows",
    "budget_variant",
    "check_writable",
    "compute_by_month",
    "diff",
    "document",
    "example_folders",
    "load_case",
    "solve",
    "write_plan",
]
