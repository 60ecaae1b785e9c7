"""Compressed attention (DeepSeek-V4 technical report, 2026, section 2.3): operators, parameters and cache of a layer.

Every r tokens leave one entry, pooled under learned weights; at the smallest ratio neighbouring pools overlap, and an
indexer chooses entries. Keys are their own values, shared by all heads, so the core is that of absorbed latent
attention with as many keys as a query sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from suanli.kinds import Compressed, Indexer, Latent, Model
from suanli.workloads._ops import Row, attended, gemm, stream

if TYPE_CHECKING:
    from suanli.workloads._forward import Pass

_STATE_BYTES = 4.0  # pools in progress are kept in 32 bits


def part(model: Model) -> Compressed:
    """Return the compressed attention of ``model``, which has it."""
    assert model.compressed is not None
    return model.compressed


def chosen(model: Model, ratio: int) -> int:
    """Return how many entries a query attends to at most in layers of ``ratio``, 0 for all of them."""
    ratios = [r for r in part(model).ratios if r]
    return model.indexer.top_k if model.indexer is not None and ratio == min(ratios) else 0


def core(model: Model) -> Latent:
    """Return the latent attention whose core has the shapes of this one's."""
    width = model.head_dim
    return Latent(q_rank=part(model).q_rank, kv_rank=width, nope_dim=width, rope_dim=0, v_dim=width)


def pairs(model: Model, ratio: int, q_len: float, kv_len: float) -> float:
    """Return how many (query, key) pairs one head scores in a layer of ``ratio``: the window's and the entries'."""
    near = attended(q_len, kv_len, part(model).window)
    if not ratio:
        return near
    return near + attended(q_len, kv_len, ratio * chosen(model, ratio)) / ratio


def _pools(model: Model, ratio: int) -> int:
    """Return how many pools a token goes into: two where they overlap, none without entries."""
    if not ratio:
        return 0
    return 2 if chosen(model, ratio) else 1


def compressed_rows(model: Model, run: Pass, ratio: int, count: float) -> Iterator[Row]:
    """Yield the operators of ``count`` layers of ``ratio`` on one chip of a tensor-parallel group.

    Down projections and pools are whole on every chip; heads and output groups are shared out.
    """
    shape, tokens, h, width = part(model), run.tokens, model.hidden, model.head_dim
    heads, groups = -(-model.n_heads // run.tp), -(-shape.out_groups // run.tp)

    def linear(name: str, n: int, k: int, batch: int = 1) -> Row:
        return gemm(name, tokens, n, k, dtype=run.dtype, width=run.width, count=count, batch=batch)

    yield linear("query and key down", shape.q_rank + width, h)
    yield linear("query up", heads * width, shape.q_rank)
    yield stream("rope", 4.0 * tokens * (heads + 1) * width, count=count)
    if ratio:
        yield linear("pool", 2 * _pools(model, ratio) * width, h)
        yield stream("pooling", 8.0 * tokens * _pools(model, ratio) * width, count=count)
    if chosen(model, ratio):
        yield from _indexer_rows(model, run, ratio, count)
    yield _core_row(model, run, ratio, heads, count)
    yield linear("out down", shape.out_rank, model.n_heads * width // shape.out_groups, groups)
    yield linear("out", h, groups * shape.out_rank)


def _core_row(model: Model, run: Pass, ratio: int, heads: int, count: float) -> Row:
    width, decode = model.head_dim, run.phase == "decode"
    seen = pairs(model, ratio, run.q_len, run.kv_len)
    keys = max(run.q_len, round(seen / run.q_len + (run.q_len - 1) / 2.0))  # a causal run over so many has these pairs
    number = 2.0 if not decode else _bytes(run.kv_dtype)
    return Row(
        kind="mla_decode" if decode else "mla_prefill",
        name=f"compressed attention (1:{ratio})" if ratio else "compressed attention (window)",
        batch=run.batch,
        q_len=run.q_len,
        kv_len=keys if decode else run.kv_len,
        n_heads=heads,
        n_kv_heads=1,
        head_dim=width,
        window=0 if decode else keys,
        count=count,
        flop=4.0 * run.batch * seen * heads * width,
        bytes=run.batch * keys * width * number + 4.0 * run.tokens * heads * width,
        dtype=run.attention_dtype,
        kv_dtype=run.kv_dtype,
    )


def _indexer_rows(model: Model, run: Pass, ratio: int, count: float) -> Iterator[Row]:
    indexer = model.indexer
    assert indexer is not None
    wide = indexer.n_heads * indexer.head_dim
    narrow = 2 * _pools(model, ratio) * indexer.head_dim + indexer.n_heads
    yield gemm("indexer query", run.tokens, wide, part(model).q_rank, dtype=run.dtype, width=run.width, count=count)
    yield gemm("indexer key", run.tokens, narrow, model.hidden, dtype="bf16", width=2.0, count=count)
    yield score_row(indexer, run, count, ratio)


def score_row(indexer: Indexer, run: Pass, count: float, ratio: int = 1) -> Row:
    """Return an indexer's 8-bit scores of all visible keys, or of the entries that every ``ratio`` of them left."""
    return gemm(
        "indexer score",
        run.q_len * indexer.n_heads,
        max(1, round(attended(run.q_len, run.kv_len) / run.q_len / ratio)),
        indexer.head_dim,
        dtype="fp8",
        width=1.0,
        batch=run.batch,
        count=count,
        weights=False,
        act=0.0,
    )


def stream_rows(model: Model, run: Pass, count: float) -> Iterator[Row]:
    """Yield the mixing of residual streams around a layer's two blocks: read all, give one, then write all again."""
    vectors = 3 * part(model).streams + 2
    yield stream("norm and residual streams", 2.0 * run.tokens * model.hidden * vectors, count=2 * count)


def compressed_parameters(model: Model, ratio: int) -> float:
    """Return the parameters of one layer's attention of ``ratio``, its indexer and its two stream mixers."""
    shape, h, width = part(model), model.hidden, model.head_dim
    heads = model.n_heads * width
    count = h * (shape.q_rank + width) + shape.q_rank * heads
    count += shape.out_rank * heads + shape.out_groups * shape.out_rank * h
    count += 2 * _pools(model, ratio) * width * (h + ratio)
    if (indexer := model.indexer) is not None and chosen(model, ratio):
        count += shape.q_rank * indexer.n_heads * indexer.head_dim
        count += h * (2 * _pools(model, ratio) * indexer.head_dim + indexer.n_heads)
    n = shape.streams
    return float(count + 2 * n * h * (n * n + 2 * n))


def entry_bytes(model: Model, number: float) -> float:
    """Return the bytes that a token adds to a long sequence's cache: its share of entries and of indexer keys."""
    total = 0.0
    for ratio in part(model).ratios:
        if ratio:
            keys = model.indexer.head_dim if model.indexer is not None and chosen(model, ratio) else 0
            total += (model.head_dim * number + keys) / ratio
    return total


def window_bytes(model: Model, number: float) -> float:
    """Return the bytes of one token in the windows of all layers."""
    return len(part(model).ratios) * model.head_dim * number


def pool_bytes(model: Model) -> float:
    """Return the bytes of pools in progress that a sequence keeps, whatever its length."""
    tokens = sum(_pools(model, r) ** 2 * r for r in part(model).ratios)
    return 2.0 * tokens * model.head_dim * _STATE_BYTES


def _bytes(fmt: str) -> float:
    from suanli.workloads._cache import format_bytes

    return format_bytes(fmt)
