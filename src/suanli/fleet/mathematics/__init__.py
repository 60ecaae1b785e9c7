"""The mathematics of the plan: one module a family of constraints, each with its sentence, units and equation."""

from suanli.fleet.mathematics import (
    _arrival,
    _balance,
    _demand,
    _firm,
    _money,
    _power,
    _project,
    _rules,
    _share,
    _supply,
    _tokens,
    _use,
    _works,
)
from suanli.fleet.mathematics._arrival import classes
from suanli.fleet.mathematics._base import Block, Classes, Columns, Family, Setting, Shares, pool_of, working
from suanli.fleet.mathematics._money import order_payment, spent_before

FAMILIES: tuple[Family, ...] = (
    _balance.FAMILY,
    _use.FAMILY,
    _demand.FAMILY,
    _tokens.FAMILY,
    _power.FAMILY,
    _works.FAMILY,
    _money.FAMILY,
    _share.FAMILY,
    _supply.FAMILY,
    _supply.WAFERS,
    _supply.PARTS,
    _project.FAMILY,
    _firm.FAMILY,
    _firm.DEADLINE,
)
NOTES: tuple[tuple[str, str, str], ...] = (
    (_arrival.TITLE, _arrival.SENTENCE, _arrival.EQUATION),
    (_rules.TITLE, _rules.SENTENCE, _rules.EQUATION),
)

__all__ = [
    "FAMILIES",
    "NOTES",
    "Block",
    "Classes",
    "Columns",
    "Family",
    "Setting",
    "Shares",
    "classes",
    "order_payment",
    "pool_of",
    "spent_before",
    "working",
]
