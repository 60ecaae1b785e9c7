"""Memory of a stage that takes any number of layers: what is fixed, what each layer adds, what the ends hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suanli.training._evaluate import Prepared, memory_of_stage
from suanli.training._memory import RESERVE, kept_activations, local_weights
from suanli.training._schedule import stage_layers
from suanli.training._step import recipe_of

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes a chip: ``limit`` it has, ``fixed`` beside layers, ``state`` and ``kept`` (a micro-batch) a layer,
    and what the ``first`` (embedding) and the ``last`` stage (head, its work space) hold besides."""

    limit: float
    fixed: Array
    state: Array
    kept: Array
    first: Array
    last: Array


def room_of(prepared: Prepared) -> Room:
    """Return the memory of stages under ZeRO-1 or none, nothing offloaded; every layer is the mean of the model's."""
    f, s, h = prepared.facts, prepared.strategies, prepared.habits
    full, last = stage_layers(f.layers, s.pp, s.vpp)
    middle = local_weights(f, s, stage="middle")
    ends = {stage: local_weights(f, s, stage=stage) for stage in ("first", "last")}
    ranks = np.where(s.sharding > 0, s.dp * s.cp, 1.0)
    expert_ranks = np.where(s.sharding > 0, np.maximum(1.0, s.dp * s.cp * s.tp / (s.ep * s.etp)), 1.0)
    a_weight = 2.0 + h.gradient_bytes + 12.0 / ranks
    an_expert = 2.0 + h.gradient_bytes + 12.0 / expert_ranks
    layers = {"first": full, "last": last}

    def beyond(stage: str) -> Array:
        own = layers[stage] / full
        dense, routed = ends[stage][0] - own * middle[0], ends[stage][1] - own * middle[1]
        return np.maximum(0.0, dense) * a_weight + np.maximum(0.0, routed) * an_expert

    bits8 = 1.0 if prepared.bits < 16 else 0.0
    kept = kept_activations(f, s, recipe_of(h, seq=prepared.seq, bits8=bits8))
    work = {stage: _workspace(prepared, stage, bits8) for stage in ("first", "last")}
    return Room(
        limit=prepared.site.chip.memory_bytes or np.inf,
        fixed=work["first"] + RESERVE,
        state=(middle[0] * a_weight + middle[1] * an_expert) / full,
        kept=kept,
        first=beyond("first"),
        last=beyond("last") + np.maximum(0.0, work["last"] - work["first"]),
    )


def _workspace(prepared: Prepared, stage: str, bits8: float) -> Array:
    return memory_of_stage(prepared, stage, bits8=bits8).workspace
