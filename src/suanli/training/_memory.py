"""Memory of the fullest chip: weights, gradients, optimizer, activations, work space."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from suanli.quantities import GIB
from suanli.training import _facts as count
from suanli.training._compressed import is_compressed, kept_numbers
from suanli.training._facts import Facts
from suanli.training._routing import received
from suanli.training._schedule import in_flight, stage_layers
from suanli.training._strategy import Strategies

Array = NDArray[np.float64]

RESERVE = 2.5 * GIB
"""Bytes that the driver, the communication library and fragmentation keep (estimated)."""


LOGIT_BYTES = 6.0
"""Bytes a logit: 2 as the product writes it and 4 for the loss in fp32; a fused loss works in place in 2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes on one chip of the stage that is fullest; ``reserve`` is not the model's own."""

    weights: Array
    gradients: Array
    optimizer: Array
    activations: Array
    workspace: Array
    reserve: Array

    @property
    def total(self) -> Array:
        """All parts together."""
        # In this order: in a search the parts with few switches are added before those with many.
        return self.weights + self.gradients + self.workspace + self.reserve + self.activations + self.optimizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a layer runs, as far as it decides what the layer keeps for its backward pass: an array each.

    ``seq`` in tokens. ``flash`` 1 keeps attention scores on chip; ``dropout`` 1 keeps its masks. Selective
    recomputation spares ``selective_gemm`` of the products' outputs and ``selective_elementwise`` of those of norms and
    activations. ``bits8`` 1: inputs of products are kept in 8 bits.
    """

    seq: Array
    flash: Array
    dropout: Array
    selective_gemm: Array
    selective_elementwise: Array
    bits8: Array | float = 0.0


def local_weights(f: Facts, s: Strategies, *, stage: str) -> tuple[Array, Array]:
    """Return (weights outside experts, weights in experts) on one chip of the "first", "middle" or "last" stage.

    A tied head is a second copy on the last stage of a pipeline.
    """
    full, last = stage_layers(f.layers, s.pp, s.vpp)
    layers = last if stage == "last" else full
    sparse = f.moe_layers / f.layers
    per_layer = (
        count.attention_weights(f) + (1.0 - sparse) * count.mlp_weights(f) + sparse * count.shared_weights(f)
    ) / s.tp + 2.0 * f.hidden
    dense = layers * per_layer
    if stage == "first":
        dense = dense + count.embedding_weights(f) / s.tp
    if stage == "last":
        dense = dense + f.vocab * f.hidden / s.tp + f.mtp_layers * (per_layer + 2.0 * f.hidden * f.hidden / s.tp)
        # A prediction depth embeds tokens again; its copy of the embedding spares only DualPipe, which has both ends.
        copied = (f.mtp_layers > 0) & (s.pp > 1) & (s.schedule != 3)
        dense = dense + np.where(copied, f.vocab * f.hidden / s.tp, 0.0)
    single = s.pp == 1
    if stage == "first":
        head = np.where(f.tied > 0, 0.0, f.vocab * f.hidden) / s.tp
        mtp = f.mtp_layers * (per_layer + 2.0 * f.hidden * f.hidden / s.tp)
        dense = dense + np.where(single, head + mtp, 0.0)
    spread = np.minimum(s.ep * s.etp, np.maximum(f.experts, 1.0) * s.etp)
    extra = np.where(single | (np.asarray(stage == "last")), f.mtp_layers, 0.0)
    routed = (layers * sparse + extra * (sparse > 0)) * count.expert_weights(f) / spread
    return dense, routed


def leads_dense(f: Facts) -> NDArray[np.bool_]:
    """Return whether dense layers come before the experts; alternating models have as many of both, or one less."""
    return (f.dense_layers > 0) & (f.dense_layers < f.moe_layers - 1.0)


def of_stage(f: Facts, s: Strategies, *, stage: str) -> Facts:
    """Return ``f`` with the shares of dense and expert layers that the "first", "last" or a "middle" stage holds.

    Dense layers before the experts lie on the first stage (its first chunk); where dense and expert layers alternate
    every stage has the mean.
    """
    ahead = leads_dense(f)
    if not np.any(ahead):
        return f
    full, last = stage_layers(f.layers, s.pp, s.vpp)
    here = last if stage == "last" else full
    dense = np.minimum(f.dense_layers, full / s.vpp) if stage == "first" else np.maximum(0.0, here - f.moe_layers)
    share = np.where(ahead & (s.pp > 1), dense / np.maximum(here, 1.0), f.dense_layers / f.layers)
    return replace(f, dense_layers=share * f.layers, moe_layers=(1.0 - share) * f.layers)


def layer_activations(f: Facts, s: Strategies, r: Recipe) -> Array:
    """Return bytes that one layer keeps for its backward pass of one micro-batch, nothing recomputed.

    Korthikanti et al. 2022 (2205.05198), equations 1-4, written for any widths: without flash attention, with dropout
    and ffn = 4 hidden it is s b h (34 + 5 a s / h), of which 10 s b h only sequence parallelism divides. FlashAttention
    keeps one number a row and head in place of the scores.
    """
    tokens = s.micro_batch * r.seq / s.cp
    split = np.where(s.sequence_parallel > 0, s.tp, 1.0)
    linear = 2.0 - r.bits8
    # Attention and feed-forward side by side share the norm's input.
    # Several residual streams are kept before each block besides the norm's input that they are mixed to.
    streams = np.where(f.streams > 1, 4.0 * f.streams, 0.0)
    outside = tokens * f.hidden * (4.0 - 2.0 * f.parallel_block + 2.0 * linear + 2.0 * r.dropout + streams) / split
    heads = f.heads * (f.qk_dim + f.v_dim) + np.where(
        f.kv_rank > 0, f.heads * f.qk_dim, f.kv_heads * (f.qk_dim + f.v_dim) - f.heads * f.v_dim
    )
    inside = tokens * (2.0 * (heads + f.heads * f.v_dim * (linear / 2.0)))
    inside = inside + 2.0 * tokens * (f.q_rank + f.kv_rank + kept_numbers(f))
    # Exchanged heads come back as attention's output of its own beside the projection's input.
    exchanged = (s.context == 2) & (s.cp > 1)
    inside = inside + np.where(exchanged, 2.0 * tokens * f.heads * f.v_dim, 0.0)
    scores = np.where(r.flash > 0, 4.0 * tokens * f.heads, (2.0 + 3.0 * r.dropout) * f.heads * tokens * r.seq)
    sparse = f.moe_layers / f.layers
    dense = (1.0 - sparse) * f.ffn + sparse * f.shared_ffn
    mlp = tokens * dense * (2.0 * (1.0 + f.gated) + linear)
    rows = sparse * received(f, s.ep) * tokens / s.tp * f.top_k
    routed = rows * (f.hidden * (linear + 2.0) + f.moe_ffn * (2.0 * (1.0 + f.gated) + linear))
    return outside + (inside + scores + mlp) / s.tp + routed


def _selective_activations(f: Facts, s: Strategies, r: Recipe, whole: Array) -> Array:
    """Return bytes a layer keeps under selective recomputation, of the ``whole`` that it keeps without.

    Without flash attention the scores go (Korthikanti 2022, section 5); shares of the products' outputs and of the norm
    and activation outputs go where the era recomputes those.
    """
    tokens = s.micro_batch * r.seq / s.cp
    scores = np.where(r.flash > 0, 0.0, (2.0 + 3.0 * r.dropout) * f.heads * tokens * r.seq / s.tp)
    kept = whole - scores
    split = np.where(s.sequence_parallel > 0, s.tp, 1.0)
    sparse = f.moe_layers / f.layers
    rows = (1.0 - sparse) * f.ffn + sparse * (f.shared_ffn + f.top_k * f.moe_ffn)
    light = r.selective_elementwise * tokens * (4.0 * f.hidden / split + 2.0 * rows / s.tp)
    # Latent attention: keys, queries and values are projected up again from the latent; compressed: queries alone.
    projected = np.where(f.kv_rank > 0, 4.0, np.where(is_compressed(f), 2.0, 0.0)) * f.heads * f.qk_dim
    # Streams are mixed again from the blocks' outputs (2512.24880, section 4.3.2).
    mixed = np.where(f.streams > 1, 4.0 * f.streams, 0.0) * f.hidden
    light = light + r.selective_elementwise * tokens * (projected / s.tp + mixed / split)
    return np.maximum((kept - light) * (1.0 - r.selective_gemm), 2.0 * tokens * f.hidden / split)


def kept_activations(f: Facts, s: Strategies, r: Recipe) -> Array:
    """Return bytes one layer keeps of one micro-batch under the strategy's recomputation.

    Full recomputation keeps a layer's input only: 2 s b h (Korthikanti 2022, table 2), of each residual stream.
    """
    return _recomputed(f, s, r, layer_activations(f, s, r))


def _recomputed(f: Facts, s: Strategies, r: Recipe, one: Array) -> Array:
    """Return what the strategy's recomputation leaves of the bytes ``one`` that a layer keeps without."""
    selective = _selective_activations(f, s, r, one)
    entry = 2.0 * s.micro_batch * r.seq / s.cp * f.hidden * f.streams / np.where(s.sequence_parallel > 0, s.tp, 1.0)
    recomputed = s.recompute_share * entry + (1.0 - s.recompute_share) * one
    return np.where(s.recompute == 2, recomputed, np.where(s.recompute == 1, selective, one))


def fuller(first: Memory, last: Memory) -> Memory:
    """Return, candidate by candidate, the memory of the stage that holds more."""
    larger = last.total > first.total
    return Memory(**{x.name: np.where(larger, getattr(last, x.name), getattr(first, x.name)) for x in fields(Memory)})


def stage_memory(
    f: Facts,
    s: Strategies,
    r: Recipe,
    *,
    stage: str,
    place: Array | float = 0.0,
    batch: Array,
    gradient_bytes: Array,
    reserve: float = RESERVE,
    logit_bytes: float = LOGIT_BYTES,
) -> Memory:
    """Return the memory of a chip of the "first", the "last" or a "middle" stage (the one at ``place``).

    ``batch`` in sequences, ``reserve`` in bytes; ``logit_bytes`` is 2 with a fused loss.

    Mixed precision keeps 2-byte weights, gradients of ``gradient_bytes``, and 12 bytes a weight of optimizer state
    (fp32 master copy and two moments; 8 with 2-byte moments), each divided by what ``sharding`` says (Rajbhandari 2020,
    1910.02054) in each of the strategy's replicas. Offloaded activations leave two layers' worth on the chip.
    """
    f = of_stage(f, s, stage=stage)
    n_micro = np.maximum(1.0, batch / (s.dp * s.micro_batch))
    weights = local_weights(f, s, stage=stage)
    full, last = stage_layers(f.layers, s.pp, s.vpp)
    layers = last if stage == "last" else full
    one = layer_activations(f, s, r)
    held = in_flight(s.pp, s.vpp, n_micro, s.schedule, place=s.pp - 1.0 if stage == "last" else place)
    activations = _stage_activations(f, s, r, stage=stage, layers=layers, held=held, one=one)

    copies = np.where(s.schedule == 3, 2.0, 1.0)  # DualPipe holds two stages' weights
    # Gradients reduced once a step stand whole until the last micro-batch.
    early = np.where((s.sharding == 3) | ((s.sharding == 2) & (n_micro <= 1.0)), 3.0, 0.0)
    state = np.where(s.short_moments > 0, 8.0, 12.0) * np.where(s.offload > 0, 0.0, 1.0)
    tokens = s.micro_batch * r.seq / s.cp
    per_layer = (weights[0] + weights[1]) / np.maximum(layers, 1.0)
    gathered = np.where(s.sharding == 3, 2.0 * per_layer * 2.0 + gradient_bytes * per_layer, 0.0)
    return Memory(
        weights=2.0 * copies * _sharded(s, weights, s.sharding, 3),
        gradients=gradient_bytes * _sharded(s, weights, early, 3) * copies,
        optimizer=state * _sharded(s, weights, s.sharding, 1),
        activations=activations,
        workspace=_workspace(f, s, stage=stage, tokens=tokens, one=one, logit_bytes=logit_bytes)
        + gathered
        + _gradient_buffers(f, s),
        reserve=np.full_like(tokens, reserve),
    )


def _sharded(s: Strategies, weights: tuple[Array, Array], level: Array, from_stage: int) -> Array:
    """Return how many of a chip's weights (outside experts, in experts) it keeps where ``level`` shards them."""
    dense, routed = weights
    ranks = s.dp * s.cp / s.replicas
    expert_ranks = np.maximum(1.0, ranks * s.tp / (s.ep * s.etp))
    shared = level >= from_stage
    return dense / np.where(shared, ranks, 1.0) + routed / np.where(shared, expert_ranks, 1.0)


def _stage_activations(
    f: Facts, s: Strategies, r: Recipe, *, stage: str, layers: Array, held: Array, one: Array
) -> Array:
    """Return bytes that the ``layers`` of a stage keep of ``held`` micro-batches, ``one`` of each with nothing
    recomputed; the first stage keeps the mask of the embedding's dropout besides."""
    extra = f.mtp_layers if stage == "last" else np.where(s.pp > 1, 0.0, f.mtp_layers)
    kept = np.where(s.offload_activations > 0, 2.0, held * (layers + extra)) * _recomputed(f, s, r, one)
    if stage != "first":
        return kept
    tokens = s.micro_batch * r.seq / s.cp
    return kept + held * tokens * f.hidden * r.dropout / np.where(s.sequence_parallel > 0, s.tp, 1.0)


def _workspace(f: Facts, s: Strategies, *, stage: str, tokens: Array, one: Array, logit_bytes: float) -> Array:
    """Return bytes that the backward pass of the head needs besides, or that of the layer at hand: the larger."""
    at_head = _head_workspace(f, s, tokens=tokens, logit_bytes=logit_bytes)
    at_head = at_head if stage == "last" else np.where(s.pp > 1, 0.0, at_head)
    again = np.where(s.recompute == 2, one, 0.0)  # the layer that is being recomputed
    return np.maximum(again + _layer_workspace(f, s, tokens=tokens), at_head)


def _head_workspace(f: Facts, s: Strategies, *, tokens: Array, logit_bytes: float) -> Array:
    """Return bytes at the start of the backward pass: logits, the hidden states around them, the head's gradient.

    Each prediction depth has logits of its own, one after the other in memory. The 16-bit gradient of the head's
    weights stands until it is added to the step's.
    """
    hidden = 4.0 * tokens * f.hidden / np.where(s.sequence_parallel > 0, s.tp, 1.0)
    own = np.where(s.sharding == 3, 0.0, 2.0 * f.vocab * f.hidden / s.tp)
    return logit_bytes * tokens * f.vocab / s.tp * (1.0 + f.mtp_layers) + hidden + own


def _layer_workspace(f: Facts, s: Strategies, *, tokens: Array) -> Array:
    """Return bytes of the gradients that the backward pass of one feed-forward part has at once."""
    sparse = f.moe_layers / f.layers
    dense = np.where(f.dense_layers > 0, f.ffn, f.shared_ffn) / s.tp
    rows = np.maximum(dense, np.where(sparse > 0, f.shared_ffn / s.tp + f.top_k * f.moe_ffn / s.tp, 0.0))
    return 2.0 * tokens * ((2.0 + f.gated) * rows + f.streams * f.hidden / np.where(s.sequence_parallel > 0, s.tp, 1.0))


def _gradient_buffers(f: Facts, s: Strategies) -> Array:
    """Return bytes of the 16-bit weight gradients of one layer and one expert, kept between layers.

    Transformer Engine and Megatron-Core keep one buffer a shape of weight (``get_dummy_wgrad``); a fully sharded layer
    counts its gradients where it is gathered.
    """
    dense = np.where(f.dense_layers > 0, count.mlp_weights(f), 0.0)
    common = count.attention_weights(f) + np.where(f.moe_layers > 0, count.shared_weights(f), 0.0)
    expert = count.expert_weights(f) / np.maximum(f.experts, 1.0) / s.etp
    kept = 2.0 * ((common + dense) / s.tp + np.where(f.moe_layers > 0, expert, 0.0))
    return np.where(s.sharding == 3, 0.0, kept)
