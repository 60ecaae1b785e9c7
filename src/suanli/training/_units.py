"""Times of one layer and one micro-batch on a chip: every product at its sharded shape, from suanli.silicon."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from suanli.kinds import Chip
from suanli.silicon import attention_time, elementwise_time, gemm_time
from suanli.training._compressed import core_times, is_compressed, pooled_bytes, projections
from suanli.training._facts import Facts
from suanli.training._routing import received

Array = NDArray[np.float64]

# of a score: 6 to widen, 8 to scale, 9 to mask, 8 to normalise, 6 to narrow, less the fused kernel's 4
_PLAIN_BYTES = 33.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """Seconds a layer (averaged over dense and expert layers) and micro-batch on one chip, before any calibration.

    ``gemm`` products of attention projections and dense feed-forward parts, ``expert`` those of experts, each forward
    and backward; ``core`` attention proper; ``sharded`` element-wise passes that tensor parallelism divides,
    ``replicated`` those that only sequence parallelism divides (given undivided); ``cast`` the quantisation passes of
    8- and 4-bit formats; ``route`` permutation of tokens to experts. ``head`` and ``loss`` are the output layer's,
    whose row length is ``misaligned`` by 0, 0.5 or 1; ``plain`` 1 says that the fused softmax leaves the scores to
    PyTorch's operators, one pass each in 4 bytes; ``depth`` is the product that joins a prediction depth's two
    inputs, forward and backward. ``own_f`` and ``own_b`` multiply a layer's passes: measured over predicted.
    """

    gemm_f: Array
    gemm_b: Array
    expert_f: Array
    expert_b: Array
    core_f: Array
    core_b: Array
    softmax: Array
    sharded: Array
    replicated: Array
    cast: Array
    route: Array
    head_f: Array
    head_b: Array
    loss: Array
    misaligned: Array
    plain: Array
    depth: Array
    own_f: Array
    own_b: Array


def operator_format(chip: Chip, precision: str) -> str:
    """Return the format that matrix products run in on ``chip`` for a training precision such as "bf16" or "mxfp8".

    A narrow format that the chip lacks runs in the next wider one it has; names that say none mean 16 bits.
    """
    low = precision.casefold()
    half = half_format(chip)
    if "fp4" in low and "fp4" in chip.peak:
        return "mxfp4" if "mxfp4" in low else "nvfp4"
    if ("fp4" in low or "fp8" in low) and "fp8" in chip.peak:
        return "fp8"
    wide = next((f for f in ("fp32", "tf32") if low == f and f in chip.peak), None)
    return wide or half


def half_format(chip: Chip) -> str:
    """Return the chip's 16-bit format for products: bf16 where it has one, else fp16."""
    return "bf16" if "bf16" in chip.peak or "fp16" not in chip.peak else "fp16"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """How a layer is cut: tensor, context and expert degree, the tensor degree of experts, sequences a micro-batch of
    ``seq`` tokens each."""

    tp: Array
    cp: Array
    ep: Array
    etp: Array
    micro_batch: Array
    seq: Array

    @property
    def tokens(self) -> Array:
        """Tokens of a micro-batch on a chip."""
        return self.micro_batch * self.seq / self.cp


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernels:
    """Which kernels an era has: ``flash`` 1 keeps attention scores on chip, 0 writes them to memory (Megatron before
    2023); ``dropout`` 1 adds its masks; the vocabulary is padded to ``vocab_multiple`` times tp; the fused softmax
    takes ``softmax_multiple`` heads x sequences at a time."""

    flash: Array
    dropout: Array
    vocab_multiple: Array
    softmax_multiple: Array


def unit_times(chip: Chip, f: Facts, cut: Cut, kernels: Kernels, *, precision: str) -> Units:
    """Return the unit times of each candidate; all arrays broadcast to one axis. Raises InputError for no peak rate.

    Backward products are the forward ones with operands exchanged, for inputs and for weights.
    """
    dtype, half = operator_format(chip, precision), half_format(chip)
    tokens, vocab = cut.tokens, _padded(f, cut, kernels)
    gemm_f, gemm_b = _dense_products(chip, f, cut, dtype=dtype, half=half)
    expert_f, expert_b = _expert_products(chip, f, cut, dtype=dtype)
    plain = _plain(f, cut, kernels)
    core_f, core_b, softmax = _core(chip, f, cut, kernels, dtype=half, plain=plain)
    depth = _product(
        chip, m=tokens, n=f.hidden / cut.tp, k=np.where(f.mtp_layers > 0, 2.0 * f.hidden, 0.0), dtype=dtype
    )
    head_f, head_b = _product(chip, m=tokens, n=vocab, k=f.hidden, dtype=half)
    sharded, replicated, cast, route = _passes(f, cut, kernels, narrow=dtype not in {half, "fp32", "tf32"})

    def stream(size: Array) -> Array:
        return np.where(size > 0, elementwise_time(chip, bytes=np.maximum(size, 1.0)), 0.0)

    return Units(
        gemm_f=gemm_f,
        gemm_b=gemm_b,
        expert_f=expert_f,
        expert_b=expert_b,
        core_f=core_f,
        core_b=core_b,
        softmax=softmax,
        sharded=stream(sharded),
        replicated=stream(replicated),
        cast=stream(cast),
        route=stream(route),
        head_f=head_f,
        head_b=head_b,
        loss=stream(24.0 * tokens * vocab),
        misaligned=_misalignment(vocab) + 0.0 * tokens,
        plain=plain + 0.0 * tokens,
        depth=depth[0] + depth[1],
        own_f=np.ones_like(tokens),
        own_b=np.ones_like(tokens),
    )


def _padded(f: Facts, cut: Cut, kernels: Kernels) -> Array:
    """Return a chip's part of the vocabulary as the head's product has it."""
    padded = np.ceil(f.vocab / (kernels.vocab_multiple * cut.tp)) * kernels.vocab_multiple
    return np.where(kernels.vocab_multiple > 1, padded, np.floor(f.vocab / cut.tp))


def _plain(f: Facts, cut: Cut, kernels: Kernels) -> Array:
    """Return 1 where scores are left to plain operators, since the fused softmax does not take so many heads."""
    odd = np.mod(cut.micro_batch * f.heads / cut.tp, kernels.softmax_multiple) > 0
    return np.where((kernels.flash == 0) & odd, 1.0, 0.0)


def _misalignment(width: Array) -> Array:
    """Return how far rows of ``width`` 2-byte numbers are from whole 16-byte pieces: 0 are, 0.5 even, 1 odd widths.

    Products with such rows fall back to kernels that load narrower pieces, on older instructions where they are odd
    (cuBLAS on A100 picks sm75's align1 kernels for odd vocabularies).
    """
    return np.where(np.mod(width, 8) == 0, 0.0, np.where(np.mod(width, 2) == 0, 0.5, 1.0))


def _product(
    chip: Chip, *, m: Array, n: Array, k: Array, dtype: str, batch: Array | float = 1.0
) -> tuple[Array, Array]:
    """Return (forward, backward) seconds of one linear layer; nothing where a size is zero."""
    some = (m > 0) & (n > 0) & (k > 0)
    m, n, k = (np.where(some, np.maximum(x, 1.0), 1.0) for x in (m, n, k))
    forward = gemm_time(chip, m=m, n=n, k=k, batch=batch, dtype=dtype)
    inputs = gemm_time(chip, m=m, n=k, k=n, batch=batch, dtype=dtype)
    weights = gemm_time(chip, m=k, n=n, k=m, batch=batch, dtype=dtype)
    return np.where(some, forward, 0.0), np.where(some, inputs + weights, 0.0)


def _dense_products(chip: Chip, f: Facts, cut: Cut, *, dtype: str, half: str) -> tuple[Array, Array]:
    """Return (forward, backward) seconds of the projections and the dense feed-forward part of one layer."""
    tokens, tp = cut.tokens, cut.tp
    dense, sparse = f.dense_layers / f.layers, f.moe_layers / f.layers
    kv = np.maximum(f.kv_heads / tp, 1.0)
    latent, other = f.kv_rank > 0, is_compressed(f)
    zero = np.zeros_like(tokens)
    wide = 1.0 + f.gated
    products = (
        (np.where(latent | other, 0.0, f.heads / tp * f.qk_dim + kv * (f.qk_dim + f.v_dim)), f.hidden, 1.0),
        (np.where(other, 0.0, f.hidden), f.heads / tp * f.v_dim, 1.0),
        (np.where(latent, f.q_rank + f.kv_rank + f.rope_dim, zero), f.hidden, 1.0),
        (np.where(latent, f.heads / tp * f.qk_dim, zero), np.where(f.q_rank > 0, f.q_rank, f.hidden), 1.0),
        (np.where(latent, f.heads / tp * (f.qk_dim - f.rope_dim + f.v_dim), zero), f.kv_rank, 1.0),
        (wide * f.ffn / tp, f.hidden, dense),
        (f.hidden, f.ffn / tp, dense),
        (wide * f.shared_ffn / tp, f.hidden, sparse),
        (f.hidden, f.shared_ffn / tp, sparse),
        (f.experts, f.hidden, sparse),
    )
    forward, backward = zero, zero
    plain = ((n, k, share, 1.0, dtype) for n, k, share in products)
    for n, k, share, batch, form in chain(plain, projections(f, tp=tp, dtype=dtype, half=half)):
        if not np.any(np.asarray(n * k * share) > 0):
            continue
        one, two = _product(chip, m=tokens, n=n + zero, k=k + zero, dtype=form, batch=batch)
        forward, backward = forward + share * one, backward + share * two
    return forward, backward


def _expert_products(chip: Chip, f: Facts, cut: Cut, *, dtype: str) -> tuple[Array, Array]:
    """Return (forward, backward) seconds of the routed experts on one chip, grouped products.

    Under balanced routing a chip of an expert-parallel group receives as many rows as it sends: its tokens (divided by
    the tensor degree that experts do not share) times top-k, spread over experts / ep.
    """
    tokens = cut.tokens
    if not np.any(f.experts > 0):
        return np.zeros_like(tokens), np.zeros_like(tokens)
    sparse = f.moe_layers / f.layers
    local = np.maximum(f.experts / cut.ep, 1.0)
    rows = received(f, cut.ep) * tokens * cut.etp / cut.tp * f.top_k / local
    zero = np.zeros_like(rows)
    width = f.moe_ffn / cut.etp
    up = _product(chip, m=rows, n=(1.0 + f.gated) * width + zero, k=f.hidden + zero, dtype=dtype, batch=local)
    down = _product(chip, m=rows, n=f.hidden + zero, k=width + zero, dtype=dtype, batch=local)
    return sparse * (up[0] + down[0]), sparse * (up[1] + down[1])


def _core(chip: Chip, f: Facts, cut: Cut, kernels: Kernels, *, dtype: str, plain: Array) -> tuple[Array, Array, Array]:
    """Return (forward, backward, score passes) seconds of attention proper of one layer.

    Flash attention's backward computes five products where the forward computes two (Dao 2023, 2307.08691).
    """
    full = _flash(chip, f, cut, dtype=dtype)
    back, flash = 2.5 * full, np.where(is_compressed(f), 1.0, kernels.flash)
    if np.any(is_compressed(f)):
        narrow = operator_format(chip, "fp8")  # the indexer's scores
        others = core_times(
            chip, f, tp=cut.tp, cp=cut.cp, micro_batch=cut.micro_batch, seq=cut.seq, dtype=dtype, narrow=narrow
        )
        full, back = (np.where(is_compressed(f), one, two) for one, two in zip(others, (full, back), strict=True))
    if np.all(flash > 0):
        return full, back, np.zeros_like(f.heads / cut.tp + cut.tokens)
    forward, backward, passes = _unfused(chip, f, cut, kernels, dtype=dtype, plain=plain)
    return np.where(flash > 0, full, forward), np.where(flash > 0, back, backward), np.where(flash > 0, 0.0, passes)


def _flash(chip: Chip, f: Facts, cut: Cut, *, dtype: str) -> Array:
    """Return the seconds of a layer's flash attention forward, over a ring of cp blocks."""
    heads, tokens = f.heads / cut.tp, cut.seq / cut.cp
    kv = np.maximum(f.kv_heads / cut.tp, 1.0)
    width = (f.qk_dim + f.v_dim) / 2.0
    zero = np.zeros_like(heads + cut.tokens)

    def fused(window: Array, keys: Array) -> Array:
        return attention_time(
            chip,
            phase="prefill",
            batch=cut.micro_batch + zero,
            q_len=tokens + zero,
            kv_len=keys + zero,
            n_heads=heads + zero,
            n_kv_heads=kv + zero,
            head_dim=width + zero,
            dtype=dtype,
            window=window + zero,
        )

    full = cut.cp * fused(zero, tokens)  # causal work balanced over ranks
    if np.any(f.windowed > 0):  # of the ranks before, a window reaches no more than its length
        near = fused(f.window, np.minimum(cut.seq, tokens + f.window))
        full = (1.0 - f.windowed) * full + f.windowed * near
    return full


def _unfused(
    chip: Chip, f: Facts, cut: Cut, kernels: Kernels, *, dtype: str, plain: Array
) -> tuple[Array, Array, Array]:
    """Return (forward, backward, score passes) seconds of attention that writes its scores to memory.

    It multiplies whole squares and passes over the scores, in ``plain`` operators once for each of widening, scaling,
    masking, normalising and narrowing.
    """
    heads, seq = f.heads / cut.tp, cut.seq
    zero = np.zeros_like(heads + cut.tokens)
    squares = cut.micro_batch * heads / cut.cp + zero
    scores = _product(chip, m=seq + zero, n=seq + zero, k=f.qk_dim + zero, dtype=dtype, batch=squares)
    values = _product(chip, m=seq + zero, n=f.v_dim + zero, k=seq + zero, dtype=dtype, batch=squares)
    passes = elementwise_time(chip, bytes=squares * seq * seq * (4.0 + _PLAIN_BYTES * plain + 5.0 * kernels.dropout))
    return scores[0] + values[0], scores[1] + values[1], passes


def _passes(f: Facts, cut: Cut, kernels: Kernels, *, narrow: bool) -> tuple[Array, Array, Array, Array]:
    """Return bytes of the element-wise passes of one layer, forward: (sharded, replicated, casts, routing).

    Unfused counts in 2-byte numbers: norms read and write (twice), residual additions read two and write one
    (twice), dropout reads, writes and keeps a mask; positions on queries and keys; the activation function. Of several
    residual streams a block reads all to give one, and writes all again.
    """
    tokens, tp = cut.tokens, cut.tp
    dense, sparse = f.dense_layers / f.layers, f.moe_layers / f.layers
    heads = (f.heads + f.kv_heads) / tp * f.qk_dim
    rows = dense * f.ffn / tp + sparse * (f.shared_ffn / tp + f.top_k * f.moe_ffn / tp)
    sharded = tokens * 2.0 * (2.0 * heads + (2.0 + f.gated) * rows)
    replicated = tokens * f.hidden * 2.0 * (4.0 + 6.0 * f.streams + 5.0 * kernels.dropout) + pooled_bytes(f, tokens)
    route = sparse * received(f, cut.ep) * tokens * cut.etp / tp * f.top_k * f.hidden * 2.0 * 8.0
    operands = 2.0 * f.hidden + f.heads / tp * f.v_dim + rows
    cast = tokens * operands * 4.0 if narrow else np.zeros_like(tokens)
    return sharded, replicated + 0.0 * sharded, cast + 0.0 * sharded, route + 0.0 * sharded
