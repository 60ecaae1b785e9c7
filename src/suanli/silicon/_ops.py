"""The time of a table of operators on a chip, and what binds each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suanli.estimates import Z80
from suanli.kinds import Chip
from suanli.silicon._attention import attention_parts
from suanli.silicon._gemm import gemm_parts
from suanli.silicon._laws import PARTS, Measured
from suanli.silicon._memory import elementwise_parts, embedding_parts
from suanli.silicon._mla import DEEPSEEK, mla_parts
from suanli.silicon._moe import moe_parts
from suanli.silicon._parameters import Parameters
from suanli.workloads import KINDS, Ops

Array = NDArray[np.float64]

_MORE = 1.5  # below this, FLOP differ by how edges are counted, not by passes


@dataclass(frozen=True, slots=True)
class OpsTime:
    """Seconds of each row of an operator table, all of its runs together, with the 10th and 90th percentile.

    ``bound`` says what most of a row's time goes to: overhead, before (a pass that must end first), compute, memory,
    cache, exchange (between matrix and vector units), vector, power or host.
    """

    value: Array
    p10: Array
    p90: Array
    bound: tuple[str, ...]

    @property
    def total(self) -> float:
        """Seconds of the whole table, its operators one after the other."""
        return float(self.value.sum())


def ops_time(
    chip: Chip, ops: Ops, *, skew: float = 0.0, cache: str = "cold", parameters: Parameters | None = None
) -> OpsTime:
    """Return the time of each row of ``ops`` on ``chip``; ``skew`` is the power law of expert routing.

    ``cache`` "cold": weights, keys and values come from memory, as in a model whose layers take turns; "warm": as the
    measured tables were. What an element-wise operator reads was just written, so its cache is always warm.
    Raises InputError where the chip lacks a rate for a row's format.
    """
    n = len(ops)
    value, spread = np.zeros(n), np.zeros(n)
    bound = np.zeros(n, dtype=np.int64)
    for rows in _alike(ops):
        at = rows.at
        found = _timed(chip, rows, skew=skew, cache=cache, parameters=parameters)
        value[at] = ops.count[at] * found.seconds * _passes(found, ops.flop[at], rows.kind, ops.window[at])
        spread[at], bound[at] = found.sigma, found.bound
    half = Z80 * spread
    return OpsTime(value, value * np.exp(-half), value * np.exp(half), tuple(PARTS[b] for b in bound))


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows ``at`` of a table, which are of one kind and formats."""

    ops: Ops
    at: NDArray[np.int64]
    kind: str
    dtype: str
    kv_dtype: str | None

    @property
    def phase(self) -> str:
        """What follows the first word of the kind: prefill, decode or encoder."""
        return self.kind.partition("_")[2]

    def column(self, name: str) -> Array:
        """Return the column ``name`` of these rows."""
        return np.asarray(getattr(self.ops, name), dtype=np.float64)[self.at]

    def columns(self, *names: str) -> dict[str, Any]:
        """Return the columns ``names`` by name."""
        return {name: self.column(name) for name in names}


def _alike(ops: Ops) -> list[_Rows]:
    """Return the rows of ``ops`` in groups of one kind and formats, in the order of their first rows."""
    places: dict[tuple[int, str, str], list[int]] = {}
    for i, (kind, dtype, kv_dtype) in enumerate(zip(ops.kind, ops.dtype, ops.kv_dtype, strict=True)):
        places.setdefault((int(kind), dtype, kv_dtype), []).append(i)
    return [_Rows(ops, np.array(at), KINDS[kind], dtype, kv or None) for (kind, dtype, kv), at in places.items()]


def _passes(found: Measured, flop: Array, kind: str, window: NDArray[np.int64]) -> Array:
    """Return how many times its shape's FLOP a row counts: a gradient of attention or experts is more than one pass.

    A prompt whose queries choose among latent keys is less than one: its shape's time is that of all causal pairs.
    """
    if not kind.startswith(("attention_", "mla_", "moe")):
        return np.ones(len(flop))
    times = flop / np.maximum(found.flop, 1.0)
    chosen = (window > 0) & (kind == "mla_prefill")
    return np.where(chosen | (times > _MORE), times, 1.0)


def _timed(chip: Chip, rows: _Rows, *, skew: float, cache: str, parameters: Parameters | None) -> Measured:
    how: dict[str, Any] = {"cache": cache, "parameters": parameters}
    match rows.kind.partition("_")[0]:
        case "gemm":
            return gemm_parts(chip, **rows.columns("m", "n", "k", "batch"), dtype=rows.dtype, **how)
        case "attention":
            return _attention(chip, rows, how)
        case "mla":
            return _latent(chip, rows, how)
        case "moe":
            return _experts(chip, rows, skew, how)
        case "embedding":
            row = rows.column("bytes") / rows.column("m") / 2.0  # each is read and written
            return embedding_parts(chip, bytes=rows.column("bytes"), row=row, parameters=parameters)
        case _:
            return elementwise_parts(chip, **rows.columns("bytes", "flop"), cache="warm", parameters=parameters)


def _attention(chip: Chip, rows: _Rows, how: Mapping[str, Any]) -> Measured:
    sizes = rows.columns("batch", "q_len", "kv_len", "n_heads", "n_kv_heads", "head_dim", "window")
    return attention_parts(chip, phase=rows.phase, **sizes, dtype=rows.dtype, kv_dtype=rows.kv_dtype, **how)


def _latent(chip: Chip, rows: _Rows, how: Mapping[str, Any]) -> Measured:
    sizes = rows.columns("batch", "q_len", "kv_len", "n_heads")
    if rows.phase == "decode":  # sparse attention reads the keys it chose
        kept = np.where(rows.column("window") > 0, rows.column("window"), np.inf)
        sizes["kv_len"] = np.maximum(sizes["q_len"], np.minimum(sizes["kv_len"], kept))
    latent = rows.ops.latent or DEEPSEEK
    return mla_parts(chip, phase=rows.phase, **sizes, dtype=rows.dtype, kv_dtype=rows.kv_dtype, latent=latent, **how)


def _experts(chip: Chip, rows: _Rows, skew: float, how: Mapping[str, Any]) -> Measured:
    return moe_parts(
        chip,
        tokens=rows.column("m"),
        hidden=rows.column("k"),
        inter=rows.column("n"),
        **rows.columns("top_k", "n_experts", "tp", "ep"),
        skew=skew,
        dtype=rows.dtype,
        **how,
    )
