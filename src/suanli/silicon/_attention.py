"""Attention: prefill, decode and encoder with grouped heads, windows, cached prefixes and quantised KV."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InputError
from suanli.kinds import Chip
from suanli.silicon._checks import shapes
from suanli.silicon._formats import Format, format_of, peak_rate
from suanli.silicon._gemm import beyond_cache
from suanli.silicon._laws import Measured, Work, measure
from suanli.silicon._parameters import Parameters, law_for
from suanli.silicon._unit import unit_of

Array = NDArray[np.float64]

PHASES: tuple[str, ...] = ("prefill", "decode", "encoder")

_Q_ROWS = 128.0  # query rows of a prefill tile
_KV_STEP = 256.0  # keys below which a decode split is not worth its reduction


def attention_time(
    chip: Chip,
    *,
    phase: str,
    batch: ArrayLike,
    q_len: ArrayLike,
    kv_len: ArrayLike,
    n_heads: ArrayLike,
    n_kv_heads: ArrayLike,
    head_dim: ArrayLike,
    dtype: str,
    kv_dtype: str | None = None,
    window: ArrayLike = 0,
    kernel: str | None = None,
    parameters: Parameters | None = None,
) -> Array:
    """Return seconds of softmax(Q Kᵀ) V on ``chip``, over the broadcast shapes.

    ``phase`` is prefill (causal; ``kv_len`` counts cached and new tokens), decode (``q_len`` new tokens a sequence) or
    encoder (no mask). Head counts are the chip's own share; ``window`` in tokens, 0 for full attention; ``kv_dtype``
    is the cache's format (None: the operator's). Raises InputError for shapes that are no attention.
    """
    return attention_parts(
        chip,
        phase=phase,
        batch=batch,
        q_len=q_len,
        kv_len=kv_len,
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        head_dim=head_dim,
        dtype=dtype,
        kv_dtype=kv_dtype,
        window=window,
        kernel=kernel,
        parameters=parameters,
    ).seconds


def attention_parts(
    chip: Chip,
    *,
    phase: str,
    batch: ArrayLike,
    q_len: ArrayLike,
    kv_len: ArrayLike,
    n_heads: ArrayLike,
    n_kv_heads: ArrayLike,
    head_dim: ArrayLike,
    dtype: str,
    kv_dtype: str | None = None,
    window: ArrayLike = 0,
    kernel: str | None = None,
    parameters: Parameters | None = None,
) -> Measured:
    """Return what ``attention_time`` adds up."""
    if phase not in PHASES:
        raise InputError(f"phase is '{phase}'; it must be one of {', '.join(PHASES)}")
    sizes = shapes(
        zero_allowed=("window",),
        batch=batch,
        q_len=q_len,
        kv_len=kv_len,
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        head_dim=head_dim,
        window=window,
    )
    if (sizes["kv_len"] < sizes["q_len"]).any():
        raise InputError("kv_len is below q_len; it counts the cached and the new tokens")
    if (sizes["n_heads"] < sizes["n_kv_heads"]).any():
        raise InputError("n_kv_heads is above n_heads; several query heads share one KV head, not the reverse")
    law = law_for(chip, f"attention_{phase}", dtype, kernel=kernel, parameters=parameters)
    form = format_of(dtype)
    kv = format_of(kv_dtype) if kv_dtype else form
    return measure(law, attention_work(chip, form, kv, phase=phase, **sizes))


def attended(q_len: Array, kv_len: Array, window: Array, *, causal: bool) -> Array:
    """Return the number of (query, key) pairs a head computes; ``window`` 0 is full attention."""
    if not causal:
        reach = np.where(window > 0, np.minimum(window, kv_len), kv_len)
        return q_len * reach
    past = kv_len - q_len
    full = q_len * past + 0.5 * q_len * (q_len + 1.0)
    # Query i sees min(window, past + i + 1) keys: a ramp up to the window, then flat.
    ramp = np.clip(window - past, 0.0, q_len)
    cut = ramp * past + 0.5 * ramp * (ramp + 1.0) + (q_len - ramp) * window
    return np.where(window > 0, np.minimum(cut, full), full)


def attention_work(
    chip: Chip,
    form: Format,
    kv: Format,
    *,
    phase: str,
    batch: Array,
    q_len: Array,
    kv_len: Array,
    n_heads: Array,
    n_kv_heads: Array,
    head_dim: Array,
    window: Array,
) -> Work:
    """Return the ideal work of attention of these shapes, and the features of its efficiency."""
    unit = unit_of(chip)
    peak = peak_rate(chip, form.rate)
    pairs = attended(q_len, kv_len, window, causal=phase != "encoder")
    reach = np.where(window > 0, np.minimum(kv_len, window + q_len), kv_len)
    flop = 4.0 * batch * n_heads * head_dim * pairs
    queries = batch * n_heads * head_dim * q_len * (form.activation + form.output)
    keys = 2.0 * batch * n_kv_heads * head_dim * reach * kv.activation
    if phase == "decode":
        tasks = batch * n_kv_heads * np.ceil(n_heads / n_kv_heads * q_len / 64.0)
        most = np.maximum(1.0, np.floor(reach / _KV_STEP))
        tasks = tasks * np.clip(np.floor(unit.cores / tasks), 1.0, most)
    else:
        tasks = batch * n_heads * np.ceil(q_len / _Q_ROWS)
    waves = tasks / unit.cores
    idle = np.ceil(waves) / waves
    size = queries + keys
    return Work(
        compute=flop * np.minimum(idle, unit.cores) / peak,
        memory=beyond_cache(size, unit.cache) / unit.bandwidth,
        cache=size * np.minimum(idle, unit.cores) / unit.cache_rate,
        features={
            "log_pairs": np.log2(pairs),
            "log_heads": np.log2(n_heads),
            "log_dim": np.log2(head_dim),
            "log_group": np.log2(n_heads / n_kv_heads),
            "log_waves": np.log2(waves),
        },
    )
