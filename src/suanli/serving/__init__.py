"""Serving: what a fleet of chips can answer, under load."""

from suanli.serving._adapters import Bank, bank_of, different, draw_adapters, hit_rate
from suanli.serving._arrivals import Requests, arrivals, lengths, requests
from suanli.serving._asked import count_of, limits_of, precision_of_weights, rate_of, read_mix
from suanli.serving._balance import fullest
from suanli.serving._burst import all_at_once
from suanli.serving._capacity import Option, capacity_table, options
from suanli.serving._choice import Choice
from suanli.serving._coupled import Link, simulate_pools
from suanli.serving._deploy import Deployment, Tables, cache_tokens, tabulate
from suanli.serving._disagg import pools
from suanli.serving._flags import launch_flags
from suanli.serving._formats import Formats, formats_of
from suanli.serving._frameworks import framework_of, frameworks
from suanli.serving._held import copies_of, held_by_pools, held_share, run_option, sample
from suanli.serving._layout import Layout, Memory, memory
from suanli.serving._layouts import layouts_for
from suanli.serving._mix import Part, Shared, check_peak, day_of, share
from suanli.serving._other import other_options
from suanli.serving._pairs import link_of
from suanli.serving._protocols import Launch, Protocol, Task, launch, mlperf_task, protocol
from suanli.serving._releases import Release, release_asked, release_of, releases
from suanli.serving._schedulers import Scheduler, scheduler
from suanli.serving._search import expert_times, pareto, search, step_lane
from suanli.serving._simulate import Failure, Replay, Scaling, simulate
from suanli.serving._slo import load_curve, most_within, tail
from suanli.serving._steady import Gate, Habits, Lanes, Steady, closed_loop
from suanli.serving._traces import read_trace
from suanli.serving._tuning import drafting, factors, fitted_set, habits_of, lanes_of, sigma, slowed
from suanli.serving._users import Anchor, Demand, anchors, users_to_load
from suanli.serving._variants import bank_for, deploy, tokens_a_step

__all__ = [
    "Anchor",
    "Bank",
    "Choice",
    "Demand",
    "Deployment",
    "Failure",
    "Formats",
    "Gate",
    "Habits",
    "Lanes",
    "Launch",
    "Layout",
    "Link",
    "Memory",
    "Option",
    "Part",
    "Protocol",
    "Release",
    "Replay",
    "Requests",
    "Scaling",
    "Scheduler",
    "Shared",
    "Steady",
    "Tables",
    "Task",
    "all_at_once",
    "anchors",
    "arrivals",
    "bank_for",
    "bank_of",
    "cache_tokens",
    "capacity_table",
    "check_peak",
    "closed_loop",
    "copies_of",
    "count_of",
    "day_of",
    "deploy",
    "different",
    "drafting",
    "draw_adapters",
    "expert_times",
    "factors",
    "fitted_set",
    "formats_of",
    "framework_of",
    "frameworks",
    "fullest",
    "habits_of",
    "held_by_pools",
    "held_share",
    "hit_rate",
    "lanes_of",
    "launch",
    "launch_flags",
    "layouts_for",
    "lengths",
    "limits_of",
    "link_of",
    "load_curve",
    "memory",
    "mlperf_task",
    "most_within",
    "options",
    "other_options",
    "pareto",
    "pools",
    "precision_of_weights",
    "protocol",
    "rate_of",
    "read_mix",
    "read_trace",
    "release_asked",
    "release_of",
    "releases",
    "requests",
    "run_option",
    "sample",
    "scheduler",
    "search",
    "share",
    "sigma",
    "simulate",
    "simulate_pools",
    "slowed",
    "step_lane",
    "tabulate",
    "tail",
    "tokens_a_step",
    "users_to_load",
]
