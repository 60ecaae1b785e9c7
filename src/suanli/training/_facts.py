"""A model reduced to the numbers that training needs, as arrays that broadcast with strategies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InputError
from suanli.kinds import Model
from suanli.training._compressed import compressed_facts, is_compressed, keys_seen, score_flop

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Counts of whole, unsharded models; every field has the shape of the candidate axis (or is one number).

    ``dense_layers`` + ``moe_layers`` are all layers; ``moe_ffn`` is one expert's width, ``shared_ffn`` that of all
    shared experts together; ``kv_rank`` > 0 marks latent attention, whose ``qk_dim`` and ``v_dim`` differ from
    ``head_dim``; ``windowed`` is the share of layers that look back ``window`` tokens only. ``capacity`` is the expert
    capacity factor (0: no token is dropped), ``skew`` the coefficient of variation of the experts' loads (0: as
    calibrated) and ``token_bytes`` what a token takes in storage.

    ``streams`` counts residual streams. Compressed attention has ``out_groups`` of ``out_rank`` and ``mixer`` weights a
    layer (0: by shapes); the share ``far`` of layers attends to all entries, ``entries`` for every token (mean over all
    layers), the share ``sparse`` to at most ``chosen`` of one entry for every ``ratio`` tokens, by the scores of
    ``index_heads`` of ``index_dim``.
    """

    hidden: Array
    heads: Array
    kv_heads: Array
    qk_dim: Array
    v_dim: Array
    q_rank: Array
    kv_rank: Array
    rope_dim: Array
    ffn: Array
    gated: Array
    vocab: Array
    tied: Array
    positions: Array
    dense_layers: Array
    moe_layers: Array
    experts: Array
    top_k: Array
    moe_ffn: Array
    shared_ffn: Array
    mtp_layers: Array
    window: Array
    windowed: Array
    parallel_block: Array
    capacity: Array
    skew: Array
    token_bytes: Array
    streams: Array
    mixer: Array
    out_groups: Array
    out_rank: Array
    far: Array
    entries: Array
    sparse: Array
    ratio: Array
    chosen: Array
    index_heads: Array
    index_dim: Array

    @property
    def layers(self) -> Array:
        """Transformer layers, multi-token-prediction layers left out."""
        return self.dense_layers + self.moe_layers


def facts(model: Model) -> Facts:
    """Return the facts of one model as arrays of one. Raises InputError for models that are not transformers."""
    if model.architecture not in {"transformer", "dit"}:
        raise InputError(f"model '{model.id}': training covers transformers, not {model.architecture} models")
    moe_layers = 0
    if model.experts is not None:
        moe_layers = len(range(model.experts.first_layer, model.n_layers, max(1, model.experts.every)))
    latent = model.latent
    window, windowed = float(model.window), 0.0
    if model.compressed is not None:
        window = float(model.compressed.window)
    elif model.window:
        windowed = 1.0 - 1.0 / model.full_every if model.full_every else 1.0
    elif model.linear is not None:
        # A linear-attention layer's state costs what looking back over as many tokens as it has rows would.
        window = float(model.linear.k_dim * model.linear.v_dim / max(1, model.head_dim))
        windowed = 1.0 - 1.0 / model.linear.full_every
    values = {
        "hidden": model.hidden,
        "heads": model.n_heads,
        "kv_heads": model.n_heads if latent else model.n_kv_heads,
        "qk_dim": latent.nope_dim + latent.rope_dim if latent else model.head_dim,
        "v_dim": latent.v_dim if latent else model.head_dim,
        "q_rank": latent.q_rank if latent else model.compressed.q_rank if model.compressed else 0,
        "kv_rank": latent.kv_rank if latent else 0,
        "rope_dim": latent.rope_dim if latent else 0,
        "ffn": model.ffn_hidden,
        "gated": model.gated_mlp,
        "vocab": model.vocab,
        "tied": model.tied_embeddings,
        "positions": model.learned_positions,
        "dense_layers": model.n_layers - moe_layers,
        "moe_layers": moe_layers,
        "experts": model.experts.n_experts if model.experts else 0,
        "top_k": model.experts.top_k if model.experts else 0,
        "moe_ffn": model.experts.ffn_hidden if model.experts else 0,
        "shared_ffn": model.experts.n_shared * model.experts.shared_ffn_hidden if model.experts else 0,
        "mtp_layers": model.mtp_layers,
        "window": window,
        "windowed": windowed,
        "parallel_block": model.parallel_block,
        "capacity": 0.0,
        "skew": 0.0,
        "token_bytes": 2.0 if model.vocab < 65500 else 4.0,
    } | compressed_facts(model)
    return Facts(**{name: np.array([float(value)]) for name, value in values.items()})


def stack(parts: Sequence[Facts]) -> Facts:
    """Return the facts of several models along one candidate axis."""
    return Facts(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Facts)})


def take(one: Facts, index: NDArray[np.intp]) -> Facts:
    """Return the facts at ``index`` of the candidate axis."""
    return Facts(**{f.name: getattr(one, f.name)[index] for f in fields(Facts)})


def attention_weights(f: Facts) -> Array:
    """Return the weights of one layer's attention, by projection shapes (latent attention: DeepSeek-V2, 2405.04434).

    Of compressed attention, whose layers differ, the mean, with the mixers of its residual streams.
    """
    plain = f.hidden * f.qk_dim * (f.heads + f.kv_heads) + f.hidden * f.v_dim * (f.heads + f.kv_heads)
    queries = np.where(f.q_rank > 0, f.q_rank * (f.hidden + f.heads * f.qk_dim), f.hidden * f.heads * f.qk_dim)
    keys = f.hidden * (f.kv_rank + f.rope_dim) + f.kv_rank * f.heads * (f.qk_dim - f.rope_dim + f.v_dim)
    shaped = np.where(f.kv_rank > 0, queries + keys + f.heads * f.v_dim * f.hidden, plain)
    return np.where(f.mixer > 0, f.mixer, shaped)


def mlp_weights(f: Facts) -> Array:
    """Return the weights of one dense layer's feed-forward part."""
    return (2.0 + f.gated) * f.hidden * f.ffn


def expert_weights(f: Facts) -> Array:
    """Return the weights of all routed experts of one mixture-of-experts layer."""
    return (2.0 + f.gated) * f.hidden * f.moe_ffn * f.experts


def shared_weights(f: Facts) -> Array:
    """Return the weights of shared experts and router of one mixture-of-experts layer."""
    return (2.0 + f.gated) * f.hidden * f.shared_ffn + f.hidden * f.experts


def embedding_weights(f: Facts) -> Array:
    """Return the weights of the input embedding with learned positions; the output head has vocab x hidden too."""
    return (f.vocab + f.positions) * f.hidden


def total_weights(f: Facts) -> Array:
    """Return all weights of the model, norms included (two of ``hidden`` a layer), biases and MTP left out."""
    head = np.where(f.tied > 0, 0.0, f.vocab * f.hidden)
    layers = f.layers * (attention_weights(f) + 2.0 * f.hidden) + f.dense_layers * mlp_weights(f)
    return layers + f.moe_layers * (expert_weights(f) + shared_weights(f)) + embedding_weights(f) + head + f.hidden


def active_weights(f: Facts) -> Array:
    """Return the weights that one token passes through, the input embedding left out and the output head counted."""
    routed = (2.0 + f.gated) * f.hidden * f.moe_ffn * f.top_k
    layers = f.layers * attention_weights(f) + f.dense_layers * mlp_weights(f)
    return layers + f.moe_layers * (routed + shared_weights(f)) + f.vocab * f.hidden


def attention_flop(f: Facts, seq: Array, *, causal: bool = True) -> Array:
    """Return the FLOP of attention's two products, forward, a token and layer: 2 x context x heads x (qk + v).

    Compressed attention is always causal, and its indexer's scores count.
    """
    share = 0.5 if causal else 1.0
    window = np.where(f.window > 0, np.minimum(f.window, seq), seq)
    local = np.where(f.window > 0, np.minimum(window, share * seq), share * seq)
    context = f.windowed * local + (1.0 - f.windowed) * share * seq
    context = np.where(is_compressed(f), keys_seen(f, seq), context)
    return 2.0 * f.heads * (f.qk_dim + f.v_dim) * context + score_flop(f, seq)


def model_flop(f: Facts, seq: Array, *, causal: bool = True) -> Array:
    """Return the model FLOP of training a token: 6 x active weights + 3 x attention (PaLM, 2204.02311, appendix B).

    Recomputation is not counted. ``causal`` halves attention; most papers before 2024 count it whole. An MTP layer
    counts as one more layer and head.
    """
    per_layer = np.where(f.moe_layers > 0, active_weights(f) - f.vocab * f.hidden, 0.0) / f.layers
    mtp = f.mtp_layers * (per_layer + f.vocab * f.hidden + 2.0 * f.hidden * f.hidden)
    layers = f.layers + f.mtp_layers
    return 6.0 * (active_weights(f) + mtp) + 3.0 * layers * attention_flop(f, seq, causal=causal)
