"""Controls: what dated export rules say of a chip, a place, a party and a use. Not legal advice."""

from suanli.controls._book import RULESETS, Rulebook, load_rulebook
from suanli.controls._chips import query_of_chip
from suanli.controls._domains import Range
from suanli.controls._query import Query, query_of_row
from suanli.controls._screen import screen
from suanli.controls._vocabulary import activities, countries, country, parse_facts, vocabulary

__all__ = [
    "RULESETS",
    "Query",
    "Range",
    "Rulebook",
    "activities",
    "countries",
    "country",
    "load_rulebook",
    "parse_facts",
    "query_of_chip",
    "query_of_row",
    "screen",
    "vocabulary",
]
