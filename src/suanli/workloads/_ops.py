"""Operator tables: one pass of a model as a structure of arrays, a row a kind of operator."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from suanli.kinds import Latent

if TYPE_CHECKING:  # NumPy is loaded where a table is made: listing models needs none
    import numpy as np
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    Array = NDArray[np.float64]

KINDS: tuple[str, ...] = (
    "gemm",
    "attention_prefill",
    "attention_decode",
    "attention_encoder",
    "mla_prefill",
    "mla_decode",
    "moe",
    "elementwise",
    "embedding",
    "scan",
)
"""Kinds of operators; ``Ops.kind`` holds positions in this tuple."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ops:
    """The operators that one chip runs in one pass; every field is an array (or tuple) with an entry a row.

    ``kind``: position in ``KINDS``. GEMM (``batch`` of them): ``m, n, k``. Attention and MLA cores: ``batch``
    sequences, ``q_len`` new and ``kv_len`` cached plus new tokens, ``n_heads``, ``n_kv_heads``, ``head_dim`` of the
    chip, ``window`` (0: full; sparse attention's top-k counts as one). MoE: ``m`` tokens that enter the experts'
    group, ``k`` hidden, ``n`` expert width (unsharded), ``n_experts``, ``top_k`` and the group's ``tp`` and ``ep``.
    Embedding: ``m`` rows of ``n`` numbers. Scan: recurrent state of ``n_heads`` x (``k`` x ``head_dim``).
    ``count``: how often the row runs; ``flop``, ``bytes``: of one run on one chip (bytes: weights, inputs and outputs
    each once), ``weight_bytes`` of them weights. ``dtype``: the format multiplied in, ``kv_dtype`` of the cache.
    """

    kind: IntArray
    m: IntArray
    n: IntArray
    k: IntArray
    batch: IntArray
    q_len: IntArray
    kv_len: IntArray
    n_heads: IntArray
    n_kv_heads: IntArray
    head_dim: IntArray
    window: IntArray
    n_experts: IntArray
    top_k: IntArray
    tp: IntArray
    ep: IntArray
    count: Array
    flop: Array
    bytes: Array
    weight_bytes: Array
    dtype: tuple[str, ...]
    kv_dtype: tuple[str, ...]
    name: tuple[str, ...]
    latent: Latent | None = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of an operator table, in the words of ``Ops``."""

    kind: str
    name: str
    count: float = 1.0
    flop: float
    bytes: float
    weight_bytes: float = 0.0
    dtype: str
    kv_dtype: str = ""
    m: int = 0
    n: int = 0
    k: int = 0
    batch: int = 1
    q_len: int = 0
    kv_len: int = 0
    n_heads: int = 0
    n_kv_heads: int = 0
    head_dim: int = 0
    window: int = 0
    n_experts: int = 0
    top_k: int = 0
    tp: int = 1
    ep: int = 1


_WHOLE = tuple(f.name for f in fields(Row) if f.type == "int")
_REAL = ("count", "flop", "bytes", "weight_bytes")
_TEXT = ("dtype", "kv_dtype", "name")


def table(rows: Iterable[Row], *, latent: Latent | None = None) -> Ops:
    """Return ``rows`` as an operator table; rows that run zero times are left out."""
    import numpy as np

    kept = [r for r in rows if r.count > 0]
    columns: dict[str, Any] = {c: np.array([getattr(r, c) for r in kept], dtype=np.int64) for c in _WHOLE}
    columns |= {c: np.array([getattr(r, c) for r in kept], dtype=np.float64) for c in _REAL}
    columns |= {c: tuple(str(getattr(r, c)) for r in kept) for c in _TEXT}
    kind = np.array([KINDS.index(r.kind) for r in kept], dtype=np.int64)
    return Ops(kind=kind, latent=latent, **columns)


def rows_of(ops: Ops) -> list[Row]:
    """Return the rows of an operator table, the inverse of ``table``."""
    out = []
    for i in range(len(ops)):
        cells: dict[str, Any] = {c: int(getattr(ops, c)[i]) for c in _WHOLE}
        cells |= {c: float(getattr(ops, c)[i]) for c in _REAL}
        cells |= {c: getattr(ops, c)[i] for c in _TEXT}
        out.append(Row(kind=KINDS[int(ops.kind[i])], **cells))
    return out


def flops(ops: Ops) -> float:
    """Return the FLOP of one pass on one chip: the sum of count x flop."""
    return float((ops.count * ops.flop).sum())


def gemm(
    name: str,
    m: int,
    n: int,
    k: int,
    *,
    dtype: str,
    width: float,
    count: float = 1.0,
    batch: int = 1,
    weights: bool = True,
    act: float = 2.0,
) -> Row:
    """Return a GEMM row: ``width`` bytes a number of the n x k operand, ``act`` of inputs and outputs."""
    second = batch * float(n) * k * width
    return Row(
        kind="gemm",
        name=name,
        m=m,
        n=n,
        k=k,
        batch=batch,
        count=count,
        flop=2.0 * batch * m * n * k,
        bytes=second + act * batch * (float(m) * k + float(m) * n),
        weight_bytes=second if weights else 0.0,
        dtype=dtype,
    )


def stream(name: str, bytes_moved: float, *, count: float = 1.0, flop: float = 0.0) -> Row:
    """Return an element-wise row that moves ``bytes_moved`` bytes."""
    return Row(kind="elementwise", name=name, count=count, flop=flop, bytes=bytes_moved, dtype="bf16")


def lookup(name: str, rows: int, width: int, *, number: float, count: float = 1.0) -> Row:
    """Return an embedding row: ``rows`` rows of ``width`` numbers of ``number`` bytes, read and written."""
    moved = 2.0 * rows * width * number
    return Row(kind="embedding", name=name, m=rows, n=width, count=count, flop=0.0, bytes=moved, dtype="bf16")


def attended(q_len: float, kv_len: float, window: int = 0, *, causal: bool = True) -> float:
    """Return how many (query, key) pairs one head scores: exact, with causal mask and window.

    The last of ``q_len`` queries sees ``kv_len`` keys, each earlier one a key less, none more than ``window``.
    """
    if not causal:
        return q_len * kv_len
    first = kv_len - q_len + 1.0
    if not window or kv_len <= window:
        return q_len * (first + kv_len) / 2.0
    short = min(max(0.0, window - first), q_len)  # queries that see fewer keys than the window
    return short * (first + first + short - 1.0) / 2.0 + (q_len - short) * window
