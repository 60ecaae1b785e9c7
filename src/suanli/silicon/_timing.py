"""How the measured tables timed an operator: weights in turn, launched by a graph or the host, from which operands."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache

import numpy as np
from numpy.typing import NDArray

from suanli.silicon._tables import table

Array = NDArray[np.float64]

TURNS = 6.0  # weight matrices that most tables use in turn, so that one alone does not stay in cache
_HOST = 2e-5  # s; no host launches a layer's kernels from Python in less


@dataclass(frozen=True, slots=True)
class Timing:
    """How an operator is timed: ``turns`` weight matrices take turns, with ``fill`` no more than fill the last cache.

    ``eager``: the host launches each call on its own, so that its time shows; ``quantises``: narrow activations arrive
    in 16 bits and are quantised within the time; ``absorbed``: latent attention's prefill reads the shared latent, as
    decode does.
    """

    turns: float = TURNS
    fill: bool = False
    eager: bool = False
    quantises: bool = True
    absorbed: bool = False

    def cycled(self, weights: Array, cache: float) -> Array:
        """Return the bytes that pass through a ``cache`` (B) before one matrix of ``weights`` bytes comes again."""
        turns = np.clip(np.ceil(cache / weights), 1.0, self.turns) if self.fill else self.turns
        out: Array = turns * weights
        return out

    @property
    def host(self) -> float:
        """Seconds that the host needs for a call at least; none where a graph launches it."""
        return _HOST if self.eager else 0.0


USUAL = Timing()
"""How most tables are timed, and how engines run: launched by a graph, narrow activations quantised first."""


@cache
def timing_of(kernel: str, form: str, op: str = "gemm") -> Timing:
    """Return how ``op`` (gemm, attention, moe, mla) in ``form`` by ``kernel`` ("framework/kernel") was timed."""
    for entry in table("timing")["kernels"]:
        matches = kernel.startswith(entry["match"]) and form in entry.get("formats", [form])
        if matches and op in entry.get("ops", ["gemm"]):
            return Timing(**{field.name: entry[field.name] for field in fields(Timing) if field.name in entry})
    return USUAL
