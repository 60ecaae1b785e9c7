"""Controls: what dated export rules say of a chip, a place, a party and a use. Not legal advice."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from suanli.controls._book import RULESETS, Rule, Rulebook, holds, load_rulebook
from suanli.controls._chips import query_of_chip
from suanli.controls._domains import Range
from suanli.controls._query import Query, query_of_row
from suanli.controls._screen import answer, screen
from suanli.controls._vocabulary import Fact, activities, countries, country, outcome_texts, parse_facts, vocabulary

if TYPE_CHECKING:
    from suanli.controls._diff import Difference, diff
    from suanli.controls._mask import GROUP_CODES, mask
    from suanli.controls._regimes import Futures, Regime, history, regimes, sample_regimes
    from suanli.controls._region import (
        Plane,
        Region,
        Span,
        chips_on_plane,
        distances,
        feasible_region,
        first_sales,
        legal_life,
        months_on_sale,
        near_border,
        plane,
    )

__all__ = [
    "GROUP_CODES",
    "RULESETS",
    "Difference",
    "Fact",
    "Futures",
    "Plane",
    "Query",
    "Range",
    "Regime",
    "Region",
    "Rule",
    "Rulebook",
    "Span",
    "activities",
    "answer",
    "chips_on_plane",
    "countries",
    "country",
    "diff",
    "distances",
    "feasible_region",
    "first_sales",
    "history",
    "holds",
    "legal_life",
    "load_rulebook",
    "mask",
    "months_on_sale",
    "near_border",
    "outcome_texts",
    "parse_facts",
    "plane",
    "query_of_chip",
    "query_of_row",
    "regimes",
    "sample_regimes",
    "screen",
    "vocabulary",
]

_ARRAYS = {
    "Difference": "_diff",
    "Futures": "_regimes",
    "GROUP_CODES": "_mask",
    "Plane": "_region",
    "Regime": "_regimes",
    "Region": "_region",
    "Span": "_region",
    "chips_on_plane": "_region",
    "diff": "_diff",
    "distances": "_region",
    "feasible_region": "_region",
    "first_sales": "_region",
    "history": "_regimes",
    "legal_life": "_region",
    "mask": "_mask",
    "months_on_sale": "_region",
    "near_border": "_region",
    "plane": "_region",
    "regimes": "_regimes",
    "sample_regimes": "_regimes",
}
"""Names that need arrays, and where they are: loaded when first asked for, so that one ruling starts quickly."""


def __getattr__(name: str) -> Any:
    """Return a name that needs arrays."""
    if name in _ARRAYS:
        return getattr(import_module(f"suanli.controls.{_ARRAYS[name]}"), name)
    raise AttributeError(f"module 'suanli.controls' has no attribute '{name}'")
