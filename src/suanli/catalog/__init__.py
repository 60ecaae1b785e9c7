"""The catalogue: chips, switches, models, prices, rules and events, each with its source."""

from suanli.catalog._chips import chip, chips, resolve_chip, write_chip
from suanli.catalog._costs import Cost, chips_of, cost, cost_row, costs, figure_at, price, rent, rents
from suanli.catalog._events import Contradiction, Event, event, events
from suanli.catalog._fitted import fitted
from suanli.catalog._folder import rulebook_path
from suanli.catalog._model_names import ModelResolution
from suanli.catalog._models import model, models, resolve_model
from suanli.catalog._names import Resolution
from suanli.catalog._switches import switch, switches
from suanli.catalog._tables import Column, schema

__all__ = [
    "Column",
    "Contradiction",
    "Cost",
    "Event",
    "ModelResolution",
    "Resolution",
    "chip",
    "chips",
    "chips_of",
    "cost",
    "cost_row",
    "costs",
    "event",
    "events",
    "figure_at",
    "fitted",
    "model",
    "models",
    "price",
    "rent",
    "rents",
    "resolve_chip",
    "resolve_model",
    "rulebook_path",
    "schema",
    "switch",
    "switches",
    "write_chip",
]
