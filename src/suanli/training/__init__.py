"""Training: step time, memory, goodput and the best strategy of a run, with its interval."""

from suanli.training._comm import Site, site_of
from suanli.training._eras import Era, era, era_for, eras
from suanli.training._evaluate import Prepared, memory_of, parts_of, prepare, step_time, total_memory
from suanli.training._facts import Facts, active_weights, facts, model_flop, stack, total_weights
from suanli.training._feed import Feed, feed_of, load_time, waiting
from suanli.training._flag_file import FlagFile, read_flags
from suanli.training._flags import megatron_flags, mindspeed_flags, torchtitan_options
from suanli.training._goodput import Goodput, daly_interval, goodput, operations
from suanli.training._memory import Memory
from suanli.training._mixed import Mixed, mixed
from suanli.training._offers import EVERYTHING, Offers, offers_of
from suanli.training._parameters import (
    LIGHT,
    Parameters,
    effect_sd,
    fitted_parameters,
    parameters_of,
    prior_parameters,
    priors,
    sigma_of,
)
from suanli.training._pipeline import Lengths, Work, timeline
from suanli.training._profile import Profile, as_measured, measured_ratios, profile_of, read_profile
from suanli.training._quality import Comparison, Trained, compare, loss_of, seconds_for, tokens_by, tokens_for
from suanli.training._ranking import (
    Choice,
    Ranking,
    Setting,
    Step,
    memory_by_stage,
    memory_table,
    search,
    setting_of,
    step,
)
from suanli.training._rates import checkpoint_bytes, joint_rate, power_of, rate_table
from suanli.training._routing import dropped_share
from suanli.training._scaling import (
    LossLaw,
    Optimum,
    compute_optimal,
    delivered_compute,
    loss,
    loss_law,
    loss_laws,
    quality_gap,
)
from suanli.training._step import PARTS
from suanli.training._strategy import CONTEXT, RECOMPUTE, SCHEDULES, SHARDING, Strategies, describe, strategies
from suanli.training._table import layout_table, strategy_tables
from suanli.training._trace import picture, picture_svg, pipeline_events

__all__ = [
    "CONTEXT",
    "EVERYTHING",
    "LIGHT",
    "PARTS",
    "RECOMPUTE",
    "SCHEDULES",
    "SHARDING",
    "Choice",
    "Comparison",
    "Era",
    "Facts",
    "Feed",
    "FlagFile",
    "Goodput",
    "Lengths",
    "LossLaw",
    "Memory",
    "Mixed",
    "Offers",
    "Optimum",
    "Parameters",
    "Prepared",
    "Profile",
    "Ranking",
    "Setting",
    "Site",
    "Step",
    "Strategies",
    "Trained",
    "Work",
    "active_weights",
    "as_measured",
    "checkpoint_bytes",
    "compare",
    "compute_optimal",
    "daly_interval",
    "delivered_compute",
    "describe",
    "dropped_share",
    "effect_sd",
    "era",
    "era_for",
    "eras",
    "facts",
    "feed_of",
    "fitted_parameters",
    "goodput",
    "joint_rate",
    "layout_table",
    "load_time",
    "loss",
    "loss_law",
    "loss_laws",
    "loss_of",
    "measured_ratios",
    "megatron_flags",
    "memory_by_stage",
    "memory_of",
    "memory_table",
    "mindspeed_flags",
    "mixed",
    "model_flop",
    "offers_of",
    "operations",
    "parameters_of",
    "parts_of",
    "picture",
    "picture_svg",
    "pipeline_events",
    "power_of",
    "prepare",
    "prior_parameters",
    "priors",
    "profile_of",
    "quality_gap",
    "rate_table",
    "read_flags",
    "read_profile",
    "search",
    "seconds_for",
    "setting_of",
    "sigma_of",
    "site_of",
    "stack",
    "step",
    "step_time",
    "strategies",
    "strategy_tables",
    "timeline",
    "tokens_by",
    "tokens_for",
    "torchtitan_options",
    "total_memory",
    "total_weights",
    "waiting",
]
