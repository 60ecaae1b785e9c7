"""How many parameters a model has, by part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from suanli.kinds import Model
from suanli.workloads._compressed import compressed_parameters
from suanli.workloads._layers import count_layers, linear_widths, mlp_matrices, qkv_width


@dataclass(frozen=True, slots=True)
class ParameterCount:
    """Parameters of a model: ``total`` (multi-token-prediction layers left out) and ``active`` for one token.

    ``active`` leaves out routed experts that are not chosen and an untied input embedding, which is only looked up.
    ``parts`` splits ``total`` and holds "mtp" beside it where there is any.
    """

    total: float
    active: float
    parts: Mapping[str, float]

    @property
    def embedding(self) -> float:
        """Parameters of the input embedding (and learned positions)."""
        return self.parts.get("embedding", 0.0)


def parameters(model: Model) -> ParameterCount:
    """Return the parameters of ``model``, counted from its architecture."""
    if model.architecture == "dit":
        return _diffusion(model)
    if model.architecture in ("dlrm", "hstu"):
        return _recommender(model)
    return _transformer(model)


def attention_parameters(model: Model) -> float:
    """Return the parameters of one softmax-attention layer's projections, with biases and an indexer.

    Under compressed attention, whose layers differ, of a layer that attends to its window only.
    """
    if model.compressed is not None:
        return compressed_parameters(model, 0)
    h, latent = model.hidden, model.latent
    if latent is None:
        heads_out = model.n_heads * model.head_dim
        count = float(h * qkv_width(model) + heads_out * h)
        if model.attention_bias:
            count += qkv_width(model) + (0 if model.gated_mlp else h)
    else:
        query = latent.nope_dim + latent.rope_dim
        into = h * latent.q_rank + latent.q_rank * model.n_heads * query if latent.q_rank else h * model.n_heads * query
        keys = h * (latent.kv_rank + latent.rope_dim)
        spread = latent.kv_rank * model.n_heads * (latent.nope_dim + latent.v_dim)
        count = float(into + keys + spread + model.n_heads * latent.v_dim * h + latent.q_rank + latent.kv_rank)
    return count + indexer_parameters(model)


def indexer_parameters(model: Model) -> float:
    """Return the parameters of one layer's sparse-attention indexer, averaged over layers that share one."""
    indexer = model.indexer
    if indexer is None:
        return 0.0
    source = model.latent.q_rank if model.latent and model.latent.q_rank else model.hidden
    count = source * indexer.n_heads * indexer.head_dim + model.hidden * (indexer.head_dim + indexer.n_heads)
    return float(count) / indexer.every


def linear_parameters(model: Model) -> float:
    """Return the parameters of one linear-attention layer's projections and short convolution."""
    linear = model.linear
    assert linear is not None
    width, values = linear_widths(model)
    convolved = width - values - 2 * linear.n_heads
    return float(model.hidden * width + values * model.hidden + linear.conv * convolved)


def mlp_parameters(model: Model, width: int) -> float:
    """Return the parameters of one MLP of ``width``, biases of an ungated one included."""
    bias = (width + model.hidden) if model.attention_bias and not model.gated_mlp else 0
    return float(mlp_matrices(model) * model.hidden * width + bias)


def _norms(model: Model) -> float:
    """Return the parameters of one layer's norms: two, one in a parallel block; with biases where ungated."""
    vectors = (1 if model.parallel_block else 2) * (1 if model.gated_mlp else 2)
    return float(vectors * model.hidden)


def _transformer(model: Model) -> ParameterCount:
    experts, h = model.experts, model.hidden
    linear_layers = count_layers(model, mixer="linear")
    softmax_layers = model.n_layers - linear_layers
    moe_layers = count_layers(model, moe=True)
    parts = {
        "embedding": float(h * (model.vocab + model.learned_positions)),
        "attention": _attention(model, softmax_layers),
        "dense_mlp": (model.n_layers - moe_layers) * mlp_parameters(model, model.ffn_hidden),
        "norms": model.n_layers * _norms(model) + h * (1 if model.gated_mlp else 2),
        "head": 0.0 if model.tied_embeddings else float(h * model.vocab),
    }
    if linear_layers:
        parts["linear_attention"] = linear_layers * linear_parameters(model)
    idle = 0.0
    if experts is not None:
        one = mlp_parameters(model, experts.ffn_hidden)
        parts["routed_experts"] = moe_layers * experts.n_experts * one
        parts["router"] = float(moe_layers * h * experts.n_experts)
        if experts.n_shared:
            parts["shared_experts"] = moe_layers * experts.n_shared * mlp_parameters(model, experts.shared_ffn_hidden)
        idle = moe_layers * (experts.n_experts - experts.top_k) * one
    total = sum(parts.values())
    active = total - idle - (0.0 if model.tied_embeddings else parts["embedding"])
    if model.mtp_layers:
        parts["mtp"] = model.mtp_layers * _mtp_layer(model)
    return ParameterCount(total, active, parts)


def _attention(model: Model, layers: int) -> float:
    if model.compressed is not None:
        return sum(compressed_parameters(model, ratio) for ratio in model.compressed.ratios)
    return layers * attention_parameters(model)


def _mtp_layer(model: Model) -> float:
    """Return one multi-token-prediction layer: a layer like the last, and the joining projection (arXiv 2412.19437)."""
    experts = model.experts
    mlp = mlp_parameters(model, model.ffn_hidden)
    if experts is not None:
        mlp = experts.n_experts * mlp_parameters(model, experts.ffn_hidden)
        mlp += experts.n_shared * mlp_parameters(model, experts.shared_ffn_hidden) + model.hidden * experts.n_experts
    return attention_parameters(model) + mlp + _norms(model) + 2.0 * model.hidden * model.hidden


def _diffusion(model: Model) -> ParameterCount:
    """Count a diffusion transformer: plain blocks (DiT, Wan), or joint and then fused blocks (MMDiT, FLUX)."""
    picture = model.diffusion
    assert picture is not None
    h, width = model.hidden, model.ffn_hidden
    square = float(h * h)
    block = 4.0 * square + mlp_parameters(model, width) + picture.modulation * square
    plain = 0 if picture.joint_layers else model.n_layers
    fused = model.n_layers - picture.joint_layers if picture.joint_layers else 0
    cell = picture.patch**2 * picture.temporal_patch * picture.channels
    parts = {
        "embedding": float(h * (2 * cell + picture.text_dim)) + 2.0 * square,
        "blocks": plain * block + 2.0 * picture.joint_layers * block,
        "cross_attention": 4.0 * square * plain if picture.cross_attention else 0.0,
        "fused_blocks": fused * (4.0 * square + mlp_parameters(model, width) + 0.5 * picture.modulation * square),
        "modulation": 0.0 if picture.modulation else 6.0 * square,
    }
    one = sum(parts.values())
    return ParameterCount(picture.denoisers * one, one, {k: picture.denoisers * v for k, v in parts.items() if v})


def _recommender(model: Model) -> ParameterCount:
    tables = model.recommender
    assert tables is not None
    parts = {"embedding": float(tables.rows) * tables.dim}
    if model.architecture == "hstu":
        inner = model.n_heads * model.head_dim
        parts["layers"] = model.n_layers * (5.0 * model.hidden * inner)
    else:
        chains = ((tables.dense_features, *tables.bottom_mlp), (interaction_width(model), *tables.top_mlp))
        parts["mlp"] = float(sum(a * b + b for chain in chains for a, b in pairwise(chain)))
        parts["cross"] = 2.0 * tables.cross_layers * tables.cross_rank * (tables.n_tables + 1) * tables.dim
    dense = sum(v for k, v in parts.items() if k != "embedding")
    return ParameterCount(parts["embedding"] + dense, dense, {k: v for k, v in parts.items() if v})


def interaction_width(model: Model) -> int:
    """Return the width that a DLRM's top MLP reads: pairwise dots and the dense vector, or the cross layers' output."""
    tables = model.recommender
    assert tables is not None
    vectors = tables.n_tables + 1
    if tables.cross_layers:
        return vectors * tables.dim
    return vectors * (vectors - 1) // 2 + tables.dim
