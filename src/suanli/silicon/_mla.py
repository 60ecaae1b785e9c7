"""Multi-head latent attention: its core, its absorbed products, and the whole block with projections."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InputError
from suanli.kinds import Chip, Latent
from suanli.silicon._blocks import timed
from suanli.silicon._checks import is_warm, shapes
from suanli.silicon._formats import format_of
from suanli.silicon._laws import Measured, measure
from suanli.silicon._mla_work import mla_module_work, mla_work
from suanli.silicon._parameters import Parameters, law_for

Array = NDArray[np.float64]

DEEPSEEK = Latent(q_rank=1536, kv_rank=512, nope_dim=128, rope_dim=64, v_dim=128)
"""Ranks and head widths of DeepSeek-V3 (arXiv 2412.19437), the usual MLA."""
DEEPSEEK_HIDDEN = 7168
"""Width of the same model."""


def mla_parts(
    chip: Chip,
    *,
    phase: str,
    batch: ArrayLike,
    q_len: ArrayLike,
    kv_len: ArrayLike,
    n_heads: ArrayLike,
    dtype: str,
    kv_dtype: str | None = None,
    gemm_dtype: str | None = None,
    latent: Latent = DEEPSEEK,
    hidden: int = DEEPSEEK_HIDDEN,
    module: bool = False,
    cache: str = "warm",
    kernel: str | None = None,
    parameters: Parameters | None = None,
) -> Measured:
    """Time latent attention on ``chip``, in seconds: the attention core, or with ``module`` the whole block.

    ``phase`` is prefill or decode; ``n_heads`` the chip's own share; the block's projections run in ``gemm_dtype``.
    ``cache`` "cold": keys, values and weights come from memory. Raises InputError for shapes that are no attention.
    """
    if phase not in ("prefill", "decode"):
        raise InputError(f"phase is '{phase}'; it must be prefill or decode")
    sizes = shapes(batch=batch, q_len=q_len, kv_len=kv_len, n_heads=n_heads)
    if (sizes["kv_len"] < sizes["q_len"]).any():
        raise InputError("kv_len is below q_len; it counts the cached and the new tokens")
    form = format_of(dtype)
    kv = format_of(kv_dtype) if kv_dtype else form
    if not module:
        law = law_for(chip, f"mla_{phase}_core", dtype, kv_dtype=kv_dtype, kernel=kernel, parameters=parameters)
        warm = is_warm(cache)
        work = mla_work(chip, form, kv, latent, phase=phase, kernel=kernel, warm=warm, absorbed=False, **sizes)
        return measure(law, work)
    products = format_of(gemm_dtype or dtype)
    law = law_for(chip, f"mla_{phase}_module", products.name, kv_dtype=kv_dtype, kernel=kernel, parameters=parameters)
    return measure(
        law,
        mla_module_work(
            chip, form, kv, products, latent, hidden, phase=phase, kernel=kernel, warm=is_warm(cache), **sizes
        ),
    )


mla_time = timed(mla_parts, "batch", "q_len", "kv_len", "n_heads")
