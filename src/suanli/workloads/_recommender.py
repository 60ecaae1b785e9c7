"""Recommenders: embedding bags, interactions and dense layers of DLRM, sequence layers of HSTU."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from suanli.kinds import Model
from suanli.workloads._cache import format_bytes
from suanli.workloads._ops import Row, attended, gemm, lookup, stream
from suanli.workloads._parameters import interaction_width


def recommender_rows(model: Model, *, batch: int, history: int, dtype: str, tp: int) -> Iterator[Row]:
    """Yield one forward pass over ``batch`` items (DLRM) or users with ``history`` events each (HSTU).

    Embedding tables are spread over ``tp`` chips, dense layers copied to each (the usual hybrid of DLRM, arXiv
    1906.00091): every chip looks up its share and computes its share of the items.
    """
    items = -(-batch // tp)
    if model.architecture == "hstu":
        yield from _sequence_rows(model, items, history, dtype)
    else:
        yield from _dlrm_rows(model, items, dtype)


def _dlrm_rows(model: Model, items: int, dtype: str) -> Iterator[Row]:
    tables = model.recommender
    assert tables is not None
    number, width = format_bytes(model.weight_format), format_bytes(dtype)
    yield lookup("embedding bags", items * tables.lookups, tables.dim, number=number)
    yield from _chain("bottom", (tables.dense_features, *tables.bottom_mlp), items, dtype)
    vectors = tables.n_tables + 1
    flat = vectors * tables.dim
    if tables.cross_layers:
        for name, n, k in (("cross down", tables.cross_rank, flat), ("cross up", flat, tables.cross_rank)):
            yield gemm(name, items, n, k, dtype=dtype, width=width, count=tables.cross_layers)
        yield stream("cross product", 6.0 * items * flat, count=tables.cross_layers)
    else:
        yield gemm("pairwise dots", vectors, vectors, tables.dim, batch=items, dtype=dtype, width=width, weights=False)
    yield from _chain("top", (interaction_width(model), *tables.top_mlp), items, dtype)


def _chain(name: str, widths: tuple[int, ...], items: int, dtype: str) -> Iterator[Row]:
    for i, (k, n) in enumerate(pairwise(widths), 1):
        yield gemm(f"{name} {i}", items, n, k, dtype=dtype, width=format_bytes(dtype))


def _sequence_rows(model: Model, users: int, history: int, dtype: str) -> Iterator[Row]:
    """Yield HSTU layers (arXiv 2402.17152): joint projection to U, V, Q, K, pointwise attention, gate, output."""
    tables = model.recommender
    assert tables is not None
    events, inner, width = users * history, model.n_heads * model.head_dim, format_bytes(dtype)
    yield lookup("embeddings", events * tables.lookups, tables.dim, number=format_bytes(model.weight_format))
    count = model.n_layers
    yield gemm("uvqk", events, 4 * inner, model.hidden, dtype=dtype, width=width, count=count)
    yield Row(
        kind="attention_prefill",
        name="pointwise attention",
        batch=users,
        q_len=history,
        kv_len=history,
        n_heads=model.n_heads,
        n_kv_heads=model.n_heads,
        head_dim=model.head_dim,
        count=count,
        flop=4.0 * users * attended(history, history) * inner,
        bytes=8.0 * events * inner,
        dtype="bf16",
        kv_dtype="bf16",
    )
    yield stream("norm and gate", 8.0 * events * inner, count=count)
    yield gemm("out", events, model.hidden, inner, dtype=dtype, width=width, count=count)
