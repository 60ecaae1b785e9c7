"""Fitted habits of frameworks and chips: few named factors, each pooled, with shifts of framework and chip family.

A factor's logarithm is ``pooled + framework shift + family shift``; a framework or family without runs of its own has no
shift and takes the pooled value with a wider interval. ``catalog/data/fitted/serving.json`` holds them, one set
fitted on all runs and one without each chip and each model (validation/fit/serving.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suanli.serving._deploy import Deployment, Tables
from suanli.serving._steady import GRID, Habits, Lanes

Array = NDArray[np.float64]

NAMES: Mapping[str, str] = {
    "dense": "factor on GEMM time where it is bound by compute (many tokens a step)",
    "weights": "factor on GEMM and expert time where it is bound by reading weights (few tokens a step)",
    "experts": "factor on the time of routed experts, beside the above",
    "other": "factor on element-wise operators, norms and recurrent state",
    "cache": "factor on the time of reading the KV cache in decode",
    "prompt": "factor on attention over prompts",
    "links": "factor on collectives",
    "host": "s a step that the host adds",
    "layer": "s a layer and step that launches add",
    "front": "s a running sequence and step for sampling and streaming",
    "first": "s from a request's arrival to its first step",
    "cohort": "share of rounds in which all running requests start together",
    "group": "weight of prompts that share a step on each other's first token",
    "interference": "factor on the work of a prompt beside decoding requests",
}
"""Names and meanings of the factors."""

_TURN = 8.0  # log2 of the tokens a step at which reading weights and computing weigh alike


def factors(parameters: Mapping[str, Any], frameworks: Sequence[str], families: Sequence[str]) -> dict[str, Array]:
    """Return each named factor as an array over runs, from a parameter set as stored."""
    out = {}
    for name in NAMES:
        log = np.full(len(frameworks), float(parameters["pooled"][name]))
        for table, keys in (("framework", frameworks), ("family", families)):
            shifts = parameters.get(table, {})
            log = log + np.array([float(shifts.get(k, {}).get(name, 0.0)) for k in keys])
        out[name] = np.exp(log)
    return out


def lanes_of(tables: Tables, tune: Mapping[str, Array], cache_tokens: Array) -> Lanes:
    """Return the lanes of ``tables`` (one a row) under the factors ``tune``; ``cache_tokens`` is a rank's capacity."""
    compute = 1.0 / (1.0 + np.exp(-(np.log2(GRID) - _TURN)))[None, :]
    bound = tune["dense"][:, None] ** compute * tune["weights"][:, None] ** (1.0 - compute)
    p, a = tables.parts, tables.attention
    linear = bound * (p[:, 0] + tune["experts"][:, None] * p[:, 1])
    linear = linear + tune["other"][:, None] * p[:, 2] + tune["links"][:, None] * p[:, 3]
    return Lanes(
        linear=linear,
        host_s=tune["host"] + tune["layer"] * tables.layers + a.attention_s,
        kv_s=tune["cache"] * a.kv_s,
        sequence_s=tune["cache"] * a.sequence_s + tune["front"],
        prompt_s=tune["prompt"] * a.prompt_s,
        cross_s=tune["prompt"] * a.cross_s,
        seats=tables.seats,
        capacity=cache_tokens,
        budget=tables.budget,
        mixes=tables.mixes,
        ranks=tables.ranks,
        verify=tables.verify,
        accepted=tables.accepted,
    )


def habits_of(tune: Mapping[str, Array]) -> Habits:
    """Return the scheduling habits among the factors."""
    return Habits(
        cohort=np.minimum(tune["cohort"], 1.5),
        group=tune["group"],
        interference=tune["interference"],
        first_s=tune["first"],
    )


def fitted_set(name: str = "final") -> Mapping[str, Any]:
    """Return a stored parameter set: ``final`` or the one fitted without a group (``chip:h100-sxm``)."""
    from suanli.catalog import fitted

    stored = fitted("serving")
    found: Mapping[str, Any] = stored["final"] if name == "final" else stored["left_out"][name]
    return found


_UNSEEN = 1.25  # a framework or chip family without runs of its own widens the interval by this factor


def sigma(metric: str, deployment: Deployment, *, scheme: str = "chip") -> float:
    """Return the log-standard deviation of a prediction of ``metric`` for ``deployment``.

    It is the spread of runs left out of the fit (``scheme``: by chip or by model), wider where the framework or the chip's
    family had no runs at all.
    """
    from suanli.catalog import fitted

    stored = fitted("serving")
    base = float(stored["spread"][scheme].get(metric, 0.4))
    final = stored["final"]
    if deployment.chip.family not in final["family"]:
        base *= _UNSEEN
    if deployment.scheduler.name not in final["framework"]:
        base *= _UNSEEN
    return base
