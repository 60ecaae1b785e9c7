"""Attention: prefill, decode and encoder with grouped heads, windows, cached prefixes and quantised KV."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InputError
from suanli.kinds import Chip
from suanli.silicon._attention_work import attention_work
from suanli.silicon._blocks import timed
from suanli.silicon._checks import is_warm, shapes
from suanli.silicon._formats import format_of
from suanli.silicon._laws import Measured, measure
from suanli.silicon._parameters import Parameters, law_for
from suanli.silicon._timing import USUAL

Array = NDArray[np.float64]

PHASES: tuple[str, ...] = ("prefill", "decode", "encoder")


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
    cache: str = "warm",
    kernel: str | None = None,
    parameters: Parameters | None = None,
) -> Measured:
    """Time softmax(Q Kᵀ) V on ``chip``, in seconds, over the broadcast shapes.

    ``phase`` is prefill (causal; ``kv_len`` counts cached and new tokens), decode (``q_len`` new tokens a sequence) or
    encoder (no mask). Head counts are the chip's own share; ``window`` in tokens, 0 for full attention; ``kv_dtype``
    is the cache's format (None: the operator's). ``cache`` is "warm" or "cold" (keys and values come from memory).
    Raises InputError for shapes that are no attention.
    """
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
    if phase != "encoder" and (sizes["kv_len"] < sizes["q_len"]).any():  # pictures may look at a short text
        raise InputError("kv_len is below q_len; it counts the cached and the new tokens")
    if (sizes["n_heads"] < sizes["n_kv_heads"]).any():
        raise InputError("n_kv_heads is above n_heads; several query heads share one KV head, not the reverse")
    law = law_for(chip, f"attention_{phase}", dtype, kv_dtype=kv_dtype, kernel=kernel, parameters=parameters)
    form = format_of(dtype)
    kv = format_of(kv_dtype) if kv_dtype else form
    warm = is_warm(cache)
    work = attention_work(chip, form, kv, phase=phase, kernel=kernel, warm=warm, timing=USUAL, **sizes)
    return measure(law, work)


attention_time = timed(attention_parts, "batch", "q_len", "kv_len", "n_heads", "n_kv_heads", "head_dim", "window")
