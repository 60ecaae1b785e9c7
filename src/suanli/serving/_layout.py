"""How a model is laid over chips for serving, and whether it fits their memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from suanli.errors import InputError
from suanli.kinds import Chip, Model
from suanli.quantities import GIB
from suanli.serving._formats import Formats

_CONTEXT_BYTES = 2.0 * GIB  # driver context, graphs, communication buffers of one process
_ACTIVATION_COPIES = 12.0  # hidden-wide 16-bit buffers a token of a step that live at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Chips of one copy: ``tp`` x ``pp`` x ``dp``; ``dp`` counts attention ranks that share the experts.

    Experts lie on ``ep`` of the ``tp`` x ``dp`` chips of a stage, each expert's width over the rest. ``replicas``
    copies serve side by side.
    """

    tp: int = 1
    pp: int = 1
    dp: int = 1
    ep: int = 1
    replicas: int = 1

    @property
    def chips(self) -> int:
        """Chips of one copy."""
        return self.tp * self.pp * self.dp

    @property
    def n_chips(self) -> int:
        """Chips of all copies."""
        return self.chips * self.replicas

    @property
    def moe_tp(self) -> int:
        """Chips over which one expert's width is spread."""
        return max(1, self.tp * self.dp // self.ep)

    def __str__(self) -> str:
        """Return the layout as people write it: TP8, DP8 EP8, PP2 TP4 x 2."""
        names = (("PP", self.pp), ("DP", self.dp), ("TP", self.tp), ("EP", self.ep))
        text = " ".join(f"{n}{v}" for n, v in names if v > 1) or "TP1"
        return text + (f" x {self.replicas}" if self.replicas > 1 else "")


def check(layout: Layout, model: Model) -> None:
    """Raise InputError where the degrees don't fit each other or the model."""
    for name in ("tp", "pp", "dp", "ep", "replicas"):
        value = getattr(layout, name)
        if value < 1:
            raise InputError(f"{name} is {value}; it must be at least 1")
    if model.experts is None and (layout.ep > 1):
        raise InputError(f"ep is {layout.ep}, but {model.name} has no experts")
    if (layout.tp * layout.dp) % layout.ep:
        raise InputError(f"ep {layout.ep} does not divide the {layout.tp * layout.dp} chips of a stage (tp x dp)")
    if model.experts is not None and layout.ep > model.experts.n_experts:
        raise InputError(f"ep {layout.ep} is above the {model.experts.n_experts} experts of {model.name}")
    if layout.pp > model.n_layers:
        raise InputError(f"pp {layout.pp} is above the {model.n_layers} layers of {model.name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes on the fullest chip: weights, what a step needs, what is left for the cache (negative: does not fit)."""

    weights: float
    working: float
    cache: float
    sequence: float
    context: float

    @property
    def fits(self) -> bool:
        """Whether weights fit and one sequence of the asked context beside them."""
        return self.cache >= self.sequence

    @property
    def short(self) -> float:
        """Bytes a chip lacks; 0 where it fits."""
        return max(0.0, self.sequence - self.cache)

    @property
    def sequences(self) -> float:
        """Sequences of the asked context that fit one rank."""
        return max(0.0, self.cache) / self.sequence if self.sequence > 0 else 0.0


def weight_bytes(model: Model, formats: Formats, layout: Layout) -> float:
    """Return the bytes of weights on one chip of ``layout``."""
    from suanli.workloads import parameters

    parts = parameters(model).parts
    routed = parts.get("routed_experts", 0.0)
    wide = parts.get("embedding", 0.0) + (0.0 if model.tied_embeddings else parts.get("head", 0.0))
    rest = sum(v for k, v in parts.items() if k not in ("routed_experts", "embedding", "head", "mtp"))
    experts = routed * formats.expert_bytes / (layout.ep * layout.moe_tp)
    return (experts + (rest * formats.weight_bytes + wide * 2.0) / layout.tp) / layout.pp


def working_bytes(model: Model, budget: int) -> float:
    """Return the bytes beside weights and cache that a step of ``budget`` tokens needs on a chip."""
    return _CONTEXT_BYTES + _ACTIVATION_COPIES * 2.0 * model.hidden * budget


@lru_cache(maxsize=65536)
def sequence_bytes(model: Model, formats: Formats, layout: Layout, context: float) -> float:
    """Return the bytes that a sequence of ``context`` tokens keeps on one chip; latents are whole on every chip."""
    from suanli.workloads import kv_bytes_per_sequence, state_bytes_per_sequence

    split = 1 if model.latent is not None else min(layout.tp, max(model.n_kv_heads, 1))
    cache = float(kv_bytes_per_sequence(model, formats.kv, context)) / (layout.pp * split)
    return cache + state_bytes_per_sequence(model) / (layout.pp * layout.tp)


def memory(
    model: Model, chip: Chip, formats: Formats, layout: Layout, *, context: float, budget: int, share: float
) -> Memory:
    """Return what the memory of one chip holds when the engine takes ``share`` of it and a step ``budget`` tokens.

    ``context`` is a sequence's mean length in tokens. Raises InputError for a chip of unknown memory.
    """
    if chip.memory_bytes is None:
        raise InputError(f"the memory of chip '{chip.id}' is unknown; serving needs it")
    sequence = sequence_bytes(model, formats, layout, context)
    weights = weight_bytes(model, formats, layout)
    working = working_bytes(model, budget)
    return Memory(
        weights=weights,
        working=working,
        cache=chip.memory_bytes * share - weights - working,
        sequence=sequence,
        context=context,
    )
