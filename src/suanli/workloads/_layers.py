"""The stack of a transformer as groups of like layers, and the widths of their projections."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from suanli.kinds import Model

Mixer = Literal["full", "window", "linear", "compressed"]


@dataclass(frozen=True, slots=True)
class LayerGroup:
    """``count`` layers with the same token mixer and, where ``moe`` is set, experts in place of the dense MLP.

    ``ratio`` is that of compressed attention.
    """

    count: int
    mixer: Mixer
    moe: bool
    ratio: int = 0


@lru_cache(maxsize=512)
def layer_groups(model: Model) -> tuple[LayerGroup, ...]:
    """Return the layers of ``model`` in groups of the same kind, multi-token-prediction layers left out."""
    ratios = model.compressed.ratios if model.compressed is not None else (0,) * model.n_layers
    kinds = Counter((_mixer(model, i), _has_experts(model, i), ratios[i]) for i in range(model.n_layers))
    return tuple(LayerGroup(count, *kind) for kind, count in kinds.items())


def _mixer(model: Model, layer: int) -> Mixer:
    if model.compressed is not None:
        return "compressed"
    if model.linear is not None:
        return "full" if (layer + 1) % model.linear.full_every == 0 else "linear"
    if model.window and not (model.full_every and (layer + 1) % model.full_every == 0):
        return "window"
    return "full"


def _has_experts(model: Model, layer: int) -> bool:
    experts = model.experts
    return experts is not None and layer >= experts.first_layer and (layer + 1) % experts.every == 0


def count_layers(model: Model, *, mixer: Mixer | None = None, moe: bool | None = None) -> int:
    """Return how many layers have this ``mixer`` and these experts; None asks for either."""
    return sum(
        g.count for g in layer_groups(model) if (mixer is None or g.mixer == mixer) and (moe is None or g.moe is moe)
    )


def qkv_width(model: Model) -> int:
    """Return the output width of the joined query, key and value projection (with the gate, where there is one)."""
    queries = model.n_heads * (2 if model.attention_gate else 1)
    return (queries + 2 * model.n_kv_heads) * model.head_dim


def mlp_matrices(model: Model) -> int:
    """Return the number of matrices in an MLP: 3 with a gate, else 2."""
    return 3 if model.gated_mlp else 2


def linear_widths(model: Model) -> tuple[int, int]:
    """Return the output width of a linear-attention layer's input projection, and the width of its values.

    Queries, keys, values, an output gate of the values' width and two gates a head (gated delta net, arXiv 2412.06464;
    Mamba-2 has the same shape up to one gate).
    """
    linear = model.linear
    assert linear is not None
    values = linear.n_heads * linear.v_dim
    keys = (linear.n_k_heads or linear.n_heads) * linear.k_dim
    return 2 * keys + 2 * values + 2 * linear.n_heads, values
