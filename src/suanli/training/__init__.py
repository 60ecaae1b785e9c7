"""Training: step time, memory, goodput and the best strategy of a run, with its interval."""

from suanli.training._comm import Site, site_of
from suanli.training._eras import Era, era, era_for, eras
from suanli.training._evaluate import Prepared, memory_of, parts_of, prepare, step_time
from suanli.training._facts import Facts, facts, model_flop, stack, total_weights
from suanli.training._memory import Memory
from suanli.training._parameters import (
    Parameters,
    effect_sd,
    fitted_parameters,
    parameters_of,
    prior_parameters,
    priors,
)
from suanli.training._step import PARTS
from suanli.training._strategy import RECOMPUTE, SCHEDULES, SHARDING, Strategies, describe, strategies

__all__ = [
    "PARTS",
    "RECOMPUTE",
    "SCHEDULES",
    "SHARDING",
    "Era",
    "Facts",
    "Memory",
    "Parameters",
    "Prepared",
    "Site",
    "Strategies",
    "describe",
    "effect_sd",
    "era",
    "era_for",
    "eras",
    "facts",
    "fitted_parameters",
    "memory_of",
    "model_flop",
    "parameters_of",
    "parts_of",
    "prepare",
    "prior_parameters",
    "priors",
    "site_of",
    "stack",
    "step_time",
    "strategies",
    "total_weights",
]
