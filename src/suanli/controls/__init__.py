"""Controls: what dated export rules say of a chip, a place, a party and a use. Not legal advice."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from suanli.controls._book import RULESETS, Rulebook, load_rulebook
from suanli.controls._chips import query_of_chip
from suanli.controls._domains import Range
from suanli.controls._query import Query, query_of_row
from suanli.controls._screen import screen
from suanli.controls._vocabulary import activities, countries, country, outcome_texts, parse_facts, vocabulary

if TYPE_CHECKING:
    from suanli.controls._mask import GROUP_CODES, mask

__all__ = [
    "GROUP_CODES",
    "RULESETS",
    "Query",
    "Range",
    "Rulebook",
    "activities",
    "countries",
    "country",
    "load_rulebook",
    "mask",
    "outcome_texts",
    "parse_facts",
    "query_of_chip",
    "query_of_row",
    "screen",
    "vocabulary",
]

_ARRAYS = {"GROUP_CODES": "_mask", "mask": "_mask"}
"""Names that need arrays, and where they are: loaded when first asked for, so that one ruling starts quickly."""


def __getattr__(name: str) -> Any:
    """Return a name that needs arrays."""
    if name in _ARRAYS:
        return getattr(import_module(f"suanli.controls.{_ARRAYS[name]}"), name)
    raise AttributeError(f"module 'suanli.controls' has no attribute '{name}'")
