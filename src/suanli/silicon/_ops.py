"""The time of a table of operators on a chip, and what binds each."""

from __future__ import annotations

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

    ``bound`` says what most of a row's time goes to: overhead, compute, memory, cache, vector or power.
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
    keys = [(int(k), d, v) for k, d, v in zip(ops.kind, ops.dtype, ops.kv_dtype, strict=True)]
    for key in dict.fromkeys(keys):
        at = np.array([i for i, other in enumerate(keys) if other == key])
        kind, dtype, kv_dtype = KINDS[key[0]], key[1], key[2]
        found = _row_parts(chip, ops, at, kind, dtype, kv_dtype, skew=skew, cache=cache, parameters=parameters)
        value[at] = ops.count[at] * found.seconds * _passes(found, ops.flop[at], kind, ops.window[at])
        spread[at], bound[at] = found.sigma, found.bound
    half = Z80 * spread
    return OpsTime(value, value * np.exp(-half), value * np.exp(half), tuple(PARTS[b] for b in bound))


def _passes(found: Measured, flop: Array, kind: str, window: NDArray[np.int64]) -> Array:
    """Return how many times its shape's FLOP a row counts: a gradient of attention or experts is more than one pass.

    A prompt whose queries choose among latent keys is less than one: its shape's time is that of all causal pairs.
    """
    if not kind.startswith(("attention_", "mla_", "moe")):
        return np.ones(len(flop))
    times = flop / np.maximum(found.flop, 1.0)
    chosen = (window > 0) & (kind == "mla_prefill")
    return np.where(chosen | (times > _MORE), times, 1.0)


def _row_parts(
    chip: Chip,
    ops: Ops,
    at: NDArray[np.int64],
    kind: str,
    dtype: str,
    kv_dtype: str,
    *,
    skew: float,
    cache: str,
    parameters: Parameters | None,
) -> Measured:
    def column(name: str) -> Array:
        return np.asarray(getattr(ops, name), dtype=np.float64)[at]

    def several(*names: str) -> dict[str, Any]:
        return {name: column(name) for name in names}

    if kind == "gemm":
        sizes = several("m", "n", "k", "batch")
        return gemm_parts(chip, **sizes, dtype=dtype, cache=cache, parameters=parameters)
    if kind.startswith("attention_"):
        sizes = several("batch", "q_len", "kv_len", "n_heads", "n_kv_heads", "head_dim", "window")
        phase = kind.removeprefix("attention_")
        return attention_parts(
            chip, phase=phase, **sizes, dtype=dtype, kv_dtype=kv_dtype or None, cache=cache, parameters=parameters
        )
    if kind.startswith("mla_"):
        sizes = several("batch", "q_len", "kv_len", "n_heads")
        if kind == "mla_decode":  # sparse attention reads the keys it chose
            kept = np.where(column("window") > 0, column("window"), np.inf)
            sizes["kv_len"] = np.maximum(sizes["q_len"], np.minimum(sizes["kv_len"], kept))
        latent = ops.latent or DEEPSEEK
        phase = kind.removeprefix("mla_")
        return mla_parts(
            chip,
            phase=phase,
            **sizes,
            dtype=dtype,
            kv_dtype=kv_dtype or None,
            latent=latent,
            cache=cache,
            parameters=parameters,
        )
    if kind == "moe":
        return moe_parts(
            chip,
            tokens=column("m"),
            hidden=column("k"),
            inter=column("n"),
            **several("top_k", "n_experts", "tp", "ep"),
            skew=skew,
            dtype=dtype,
            cache=cache,
            parameters=parameters,
        )
    if kind == "embedding":
        return embedding_parts(
            chip, bytes=column("bytes"), row=column("bytes") / column("m") / 2.0, parameters=parameters
        )
    return elementwise_parts(chip, bytes=column("bytes"), flop=column("flop"), cache="warm", parameters=parameters)
