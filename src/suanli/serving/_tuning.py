"""Fitted habits: few named factors, each pooled, with shifts of framework, release and chip family.

A factor's logarithm is ``pooled + framework shift + release shift + family shift``; a framework or family without runs
of its own has no shift and takes the pooled value with a wider interval, a release without runs takes its framework's.
``catalog/data/fitted/serving.json`` holds them, one set fitted on all runs and one without each chip and each model
(validation/fit/serving.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suanli.serving._deploy import Deployment, Tables
from suanli.serving._steady import GRID, Habits, Lanes

Array = NDArray[np.float64]

NAMES: Mapping[str, str] = {
    "dense": "factor on GEMM time where it is bound by compute (many tokens a step)",
    "weights": "factor on GEMM time where it is bound by reading weights (few tokens a step)",
    "experts": "factor on the time of routed experts where it is bound by compute",
    "expert_weights": "factor on the time of routed experts where it is bound by reading weights",
    "other": "factor on element-wise operators, norms and recurrent state",
    "cache": "factor on the time of reading the KV cache in decode",
    "prompt": "factor on attention over prompts",
    "latent": "factor on latent attention (MLA), beside the two above",
    "links": "factor on collectives of few tokens, bound by latency",
    "bulk": "factor on collectives of many tokens, bound by bandwidth",
    "host": "s a step that the host adds",
    "layer": "s a layer and step that launches add",
    "front": "s a running sequence and step for sampling and streaming",
    "eager": "s a layer that a step with prompts takes at least: its launches, which no graph holds",
    "first": "s from a request's arrival to its first step",
    "fresh": "factor on the delay before the first step where all answers are alike",
    "arrive": "s that the front end takes to accept a request, one after another",
    "cohort": "share of rounds in which all running requests start together, where all answers are alike",
    "varied": "the same where lengths vary",
    "group": "prompts that one meets on its way, where all answers are alike",
    "wait": "decode steps that a prompt waits where several attention ranks start prompts together",
    "cold": "factor on all step times of a server as installed, without warm-up",
    "interference": "factor on the work of a prompt beside decoding requests",
    "client": "s a token that one client process and the front end take together",
    "short": "mean length of answers in chats over their harmonic mean",
    "accept": "probability that the next drafted token is accepted",
    "offline": "factor on the rate of maximum-load runs with a full queue",
    "tuned": "the same for MLPerf, whose submissions are tuned",
    "bounded": "factor on the rate of MLPerf runs within latency limits",
    "queue": "factor on the TTFT of MLPerf runs within latency limits",
}
"""Names and meanings of the factors."""

_PROMPTS = 512.0  # tokens a step above which frameworks capture no graphs
_TURN = 8.0  # log2 of the tokens a step at which reading weights and computing weigh alike


def factors(
    parameters: Mapping[str, Any], frameworks: Sequence[str], families: Sequence[str], releases: Sequence[str]
) -> dict[str, Array]:
    """Return each named factor as an array over runs, from a parameter set as stored.

    ``releases`` are keys as ``release_of`` gives them; one that the set lacks, or "", shifts nothing.
    """
    out = {}
    distinct, where = {}, {}
    for table, keys in (("framework", frameworks), ("release", releases), ("family", families)):
        distinct[table], where[table] = np.unique(np.array(keys, dtype=str), return_inverse=True)
    for name in NAMES:
        log = np.full(len(frameworks), float(parameters["pooled"][name]))
        for table in distinct:
            shifts = parameters.get(table, {})
            log = log + np.array([float(shifts.get(k, {}).get(name, 0.0)) for k in distinct[table]])[where[table]]
        out[name] = np.exp(log)
    return out


def lanes_of(tables: Tables, tune: Mapping[str, Array], cache_tokens: Array) -> Lanes:
    """Return the lanes of ``tables`` (one a row) under the factors ``tune``; ``cache_tokens`` is a rank's capacity."""
    compute = 1.0 / (1.0 + np.exp(-(np.log2(GRID) - _TURN)))[None, :]
    p, a = tables.parts, tables.attention
    linear = p[:, 0] * tune["dense"][:, None] ** compute * tune["weights"][:, None] ** (1.0 - compute)
    routed = tune["experts"][:, None] ** compute * tune["expert_weights"][:, None] ** (1.0 - compute)
    linear = linear + routed * p[:, 1] + tune["other"][:, None] * p[:, 2]
    linear = linear + tune["bulk"][:, None] ** compute * tune["links"][:, None] ** (1.0 - compute) * p[:, 3]
    eager = tune["eager"][:, None] * tables.layers[:, None] * (GRID >= _PROMPTS)[None, :]
    linear = np.maximum(linear, eager)
    latent = np.where(tables.latent, tune["latent"], 1.0)
    return Lanes(
        linear=linear,
        host_s=tune["host"] + tune["layer"] * tables.layers + latent * a.attention_s,
        kv_s=latent * tune["cache"] * a.kv_s,
        sequence_s=latent * tune["cache"] * a.sequence_s + tune["front"],
        prompt_s=latent * tune["prompt"] * a.prompt_s,
        cross_s=latent * tune["prompt"] * a.cross_s,
        seats=tables.seats,
        capacity=cache_tokens,
        budget=tables.budget,
        mixes=tables.mixes,
        reserves=tables.reserves,
        ranks=tables.ranks,
        verify=tables.verify,
        accepted=tables.accepted,
    )


def slowed(lanes: Lanes, factor: Array) -> Lanes:
    """Return ``lanes`` with every step time multiplied by ``factor``."""
    return replace(
        lanes,
        linear=lanes.linear * factor[:, None],
        **{name: getattr(lanes, name) * factor for name in ("host_s", "kv_s", "sequence_s", "prompt_s", "cross_s")},
    )


def drafting(lanes: Lanes, drafts: Array, accept: Array, layers: Array) -> Lanes:
    """Return ``lanes`` that draft so many tokens a step, each accepted with ``accept`` if the one before was.

    A draft costs a layer of the model's ``layers``; a step then yields 1 + a + ... + a^drafts tokens. Lanes without
    drafts stay as they are.
    """
    on = drafts > 0
    sure = np.minimum(accept, 0.999)
    tokens = (1.0 - sure ** (drafts + 1.0)) / (1.0 - sure)
    more = 1.0 + drafts / layers
    return replace(
        lanes,
        linear=lanes.linear * more[:, None],
        host_s=lanes.host_s * more,
        verify=np.where(on, drafts + 1.0, lanes.verify),
        accepted=np.where(on, tokens, lanes.accepted),
    )


def habits_of(tune: Mapping[str, Array]) -> Habits:
    """Return the scheduling habits among the factors."""
    return Habits(
        cohort=np.minimum(tune["cohort"], 1.5),
        varied=np.minimum(tune["varied"], 1.5),
        group=tune["group"],
        interference=tune["interference"],
        first_s=tune["first"],
        arrive_s=tune["arrive"],
        wait=tune["wait"],
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

    It is the spread of latency-bound runs left out of the fit (``scheme``: by chip or by model), wider where the
    framework or the chip's family had no runs at all.
    """
    from suanli.catalog import fitted

    stored = fitted("serving")
    table = stored["spread"][scheme]
    kinds = (f"{metric}/server/{deployment.scheduler.name}", f"{metric}/server", metric)
    base = float(next(table[k] for k in kinds if k in table))
    final = stored["final"]
    if deployment.chip.family not in final["family"]:
        base *= _UNSEEN
    if deployment.scheduler.name not in final["framework"]:
        base *= _UNSEEN
    return base
