"""Economics: what a chip-hour, a site, a currency and a token cost, from sourced figures."""

from suanli.economics._defaults import default
from suanli.economics._money import book_value, cost_per_million_tokens, exchange_rate, rent, resale_value
from suanli.economics._owned import HourlyCost, chip_hour, energy_per_hour, owned_cost, owned_cost_per_hour, per_hour
from suanli.economics._site import building_cost, carbon, electricity, energy_per_token, grid_intensity, pue

__all__ = [
    "HourlyCost",
    "book_value",
    "building_cost",
    "carbon",
    "chip_hour",
    "cost_per_million_tokens",
    "default",
    "electricity",
    "energy_per_hour",
    "energy_per_token",
    "exchange_rate",
    "grid_intensity",
    "owned_cost",
    "owned_cost_per_hour",
    "per_hour",
    "pue",
    "rent",
    "resale_value",
]
