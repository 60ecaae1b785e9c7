"""Compressed attention in training (DeepSeek-V4 technical report, 2026, section 2.3), as means over a model's layers.

Every query sees a window of tokens and one pooled entry for every ``ratio`` tokens: all of them in ``far`` layers, in
``sparse`` ones those that an indexer chooses. Keys are their own values, shared by all heads. Residual streams are
hyper-connections (2512.24880).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from suanli.kinds import Chip, Model
from suanli.silicon import attention_time, gemm_time

if TYPE_CHECKING:
    from suanli.training._facts import Facts

Array = NDArray[np.float64]

_POOLS = 2.0  # of a token under an indexer, where neighbouring pools overlap; 1 elsewhere


def compressed_facts(model: Model) -> dict[str, float]:
    """Return the fields of Facts that are compressed attention's own; zeros and one stream for other models."""
    shape = model.compressed
    if shape is None:
        names = ("mixer", "out_groups", "out_rank", "far", "entries", "sparse", "ratio", "chosen", "index_heads")
        return dict.fromkeys((*names, "index_dim"), 0.0) | {"streams": 1.0}
    from suanli.workloads import parameters

    indexer = model.indexer
    with_entries = [r for r in shape.ratios if r]
    least = min(with_entries, default=0) if indexer is not None else 0
    far = [r for r in with_entries if r != least]
    return {
        "mixer": parameters(model).parts["attention"] / model.n_layers,
        "out_groups": shape.out_groups,
        "out_rank": shape.out_rank,
        "streams": shape.streams,
        "far": len(far) / model.n_layers,
        "entries": sum(1.0 / r for r in far) / model.n_layers,
        "sparse": with_entries.count(least) / model.n_layers,
        "ratio": least,
        "chosen": indexer.top_k if indexer is not None else 0,
        "index_heads": indexer.n_heads if indexer is not None else 0,
        "index_dim": indexer.head_dim if indexer is not None else 0,
    }


def is_compressed(f: Facts) -> NDArray[np.bool_]:
    """Return which models attend to compressed entries."""
    return f.out_groups > 0


def _mean_keys(seq: Array, window: Array) -> Array:
    """Return how many keys a query sees on average in a causal sequence, none more than ``window``."""
    near = np.minimum(window, seq)
    return near - near * (near - 1.0) / (2.0 * seq)


def keys_seen(f: Facts, seq: Array) -> Array:
    """Return how many keys a query attends to on average over layers and a causal sequence of ``seq`` tokens."""
    chosen = _mean_keys(seq, f.ratio * f.chosen) / np.maximum(f.ratio, 1.0)
    return _mean_keys(seq, f.window) + f.entries * (seq + 1.0) / 2.0 + f.sparse * chosen


def score_flop(f: Facts, seq: Array) -> Array:
    """Return the FLOP of the indexer's scores, forward, a token and layer (mean over layers)."""
    return f.sparse * 2.0 * f.index_heads * f.index_dim * (seq + 1.0) / 2.0 / np.maximum(f.ratio, 1.0)


def projections(
    f: Facts, *, tp: Array, dtype: str, half: str
) -> Iterator[tuple[Array, Array, Array | float, Array | float, str]]:
    """Yield (n, k, share of layers, products at a time, format) of a layer's projections on one chip.

    Down projections and pools are whole on every chip of a tensor-parallel group; heads and output groups are shared
    out. Pools and the indexer's keys stay in 16 bits (Megatron-LM pull request 5308).
    """
    some = np.where(is_compressed(f), 1.0, 0.0)
    width = f.qk_dim
    groups = np.maximum(f.out_groups / tp, 1.0)
    yield some * (f.q_rank + width), f.hidden, 1.0, 1.0, dtype
    yield some * f.heads / tp * width, f.q_rank, 1.0, 1.0, dtype
    yield some * 2.0 * width, f.hidden, f.far, 1.0, half
    yield some * 2.0 * _POOLS * width, f.hidden, f.sparse, 1.0, half
    yield f.index_heads * f.index_dim, f.q_rank, f.sparse, 1.0, dtype
    yield some * (2.0 * _POOLS * f.index_dim + f.index_heads), f.hidden, f.sparse, 1.0, half
    yield some * f.out_rank, f.heads * width / np.maximum(f.out_groups, 1.0), 1.0, groups, dtype
    yield some * f.hidden, groups * f.out_rank, 1.0, 1.0, dtype


def core_times(
    chip: Chip, f: Facts, *, tp: Array, cp: Array, micro_batch: Array, seq: Array, dtype: str, narrow: str
) -> tuple[Array, Array]:
    """Return (forward, backward) seconds of attention proper and the indexer's scores of one layer.

    A causal window that holds as many (query, key) pairs stands for the chosen keys. The backward pass multiplies five
    times where the forward pass does twice; the indexer learns from the entries it chose (DeepSeek-V3.2 report, 2025),
    whose scores have two gradients.
    """
    zero = np.zeros_like(f.heads / tp + micro_batch * seq / cp)
    own = seq / cp + zero  # queries of a chip, which see keys of the whole sequence
    pairs = np.minimum(keys_seen(f, seq) / seq, 0.5)
    window = np.maximum(1.0, seq * (1.0 - np.sqrt(1.0 - 2.0 * pairs)))
    forward = attention_time(
        chip, phase="prefill", batch=micro_batch + zero, q_len=own, kv_len=seq + zero, n_heads=f.heads / tp + zero,
        n_kv_heads=1.0 + zero, head_dim=np.maximum(f.qk_dim, 1.0) + zero, dtype=dtype, window=window + zero,
    )  # fmt: skip
    if not np.any(f.sparse > 0):
        return forward, 2.5 * forward
    visible = np.maximum(1.0, (seq + 1.0) / 2.0 / np.maximum(f.ratio, 1.0))
    scores = f.sparse * gemm_time(
        chip, m=own * np.maximum(f.index_heads, 1.0), n=visible + zero, k=np.maximum(f.index_dim, 1.0) + zero,
        batch=micro_batch + zero, dtype=narrow,
    )  # fmt: skip
    chosen = _mean_keys(seq, f.ratio * f.chosen) / np.maximum(f.ratio, 1.0) / visible
    return forward + scores, 2.5 * forward + 2.0 * chosen * scores


def pooled_bytes(f: Facts, tokens: Array) -> Array:
    """Return bytes that pooling moves in a layer, forward: pooled numbers and their weights, read and written."""
    return 8.0 * tokens * f.qk_dim * (f.far + _POOLS * f.sparse) * np.where(is_compressed(f), 1.0, 0.0)


def kept_numbers(f: Facts) -> Array:
    """Return the 2-byte numbers a token and layer that the backward pass needs besides queries, keys and outputs.

    What is pooled with its weights, the rows between the two output projections, the indexer's queries and the 4-byte
    places of the chosen entries; keys, which are the values too, count once.
    """
    pools = 2.0 * f.qk_dim * (f.far + _POOLS * f.sparse)
    choice = f.sparse * (f.index_heads * f.index_dim + 2.0 * f.chosen)
    return np.where(is_compressed(f), pools + f.out_groups * f.out_rank + choice - f.qk_dim, 0.0)


def gathered_numbers(f: Facts) -> Array:
    """Return the numbers a token that context parallelism gathers of a layer: its share of entries, and their index."""
    per_entry = f.sparse / np.maximum(f.ratio, 1.0)
    return f.qk_dim * (f.entries + per_entry) + f.index_dim * per_entry
