"""The catalogue: chips, switches, models, prices, rules and events, each with its source."""

from suanli.catalog._chips import chip, chips, resolve_chip, write_chip
from suanli.catalog._fitted import fitted
from suanli.catalog._folder import rulebook_path
from suanli.catalog._names import Resolution
from suanli.catalog._switches import switch, switches

__all__ = [
    "Resolution",
    "chip",
    "chips",
    "fitted",
    "resolve_chip",
    "rulebook_path",
    "switch",
    "switches",
    "write_chip",
]
