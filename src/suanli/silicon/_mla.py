"""Multi-head latent attention: its core, its absorbed products, and the whole block with projections."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InputError
from suanli.kinds import Chip, Latent
from suanli.silicon._attention import attended
from suanli.silicon._checks import shapes
from suanli.silicon._formats import Format, format_of, peak_rate
from suanli.silicon._gemm import beyond_cache, gemm_time
from suanli.silicon._laws import Measured, Work, measure
from suanli.silicon._parameters import Parameters, law_for
from suanli.silicon._unit import unit_of

Array = NDArray[np.float64]

DEEPSEEK = Latent(q_rank=1536, kv_rank=512, nope_dim=128, rope_dim=64, v_dim=128)
"""Ranks and head widths of DeepSeek-V3 (arXiv 2412.19437), the usual MLA."""


def mla_time(
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
    hidden: int = 7168,
    module: bool = False,
    kernel: str | None = None,
    parameters: Parameters | None = None,
) -> Array:
    """Return seconds of latent attention on ``chip``: the attention core, or with ``module`` the whole block.

    ``phase`` is prefill or decode; ``n_heads`` the chip's own share; the block's projections run in ``gemm_dtype``.
    Raises InputError for shapes that are no attention.
    """
    core = mla_parts(
        chip,
        phase=phase,
        batch=batch,
        q_len=q_len,
        kv_len=kv_len,
        n_heads=n_heads,
        dtype=dtype,
        kv_dtype=kv_dtype,
        latent=latent,
        kernel=kernel,
        parameters=parameters,
    ).seconds
    if not module:
        return core
    sizes = shapes(batch=batch, q_len=q_len, kv_len=kv_len, n_heads=n_heads)
    total = core
    for m, n, k, count in projections(latent, hidden, phase=phase, **sizes):
        total = total + gemm_time(chip, m=m, n=n, k=k, batch=count, dtype=gemm_dtype or dtype, parameters=parameters)
    return total


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
    latent: Latent = DEEPSEEK,
    kernel: str | None = None,
    parameters: Parameters | None = None,
) -> Measured:
    """Return what the core's time in ``mla_time`` adds up."""
    if phase not in ("prefill", "decode"):
        raise InputError(f"phase is '{phase}'; it must be prefill or decode")
    sizes = shapes(batch=batch, q_len=q_len, kv_len=kv_len, n_heads=n_heads)
    if (sizes["kv_len"] < sizes["q_len"]).any():
        raise InputError("kv_len is below q_len; it counts the cached and the new tokens")
    law = law_for(chip, f"mla_{phase}_core", dtype, kernel=kernel, parameters=parameters)
    form = format_of(dtype)
    kv = format_of(kv_dtype) if kv_dtype else form
    return measure(law, mla_work(chip, form, kv, latent, phase=phase, **sizes))


def mla_work(
    chip: Chip,
    form: Format,
    kv: Format,
    latent: Latent,
    *,
    phase: str,
    batch: Array,
    q_len: Array,
    kv_len: Array,
    n_heads: Array,
) -> Work:
    """Return the ideal work of the attention core; decode reads the shared latent, prefill expanded heads."""
    unit = unit_of(chip)
    peak = peak_rate(chip, form.rate)
    pairs = attended(q_len, kv_len, np.zeros_like(q_len), causal=True)
    if phase == "decode":
        wide_k, wide_v = latent.kv_rank + latent.rope_dim, latent.kv_rank
        stored = batch * kv_len * wide_k * kv.activation
        tasks = batch * np.ceil(n_heads * q_len / 64.0)
        tasks = tasks * np.clip(np.floor(unit.cores / tasks), 1.0, np.maximum(1.0, np.floor(kv_len / 256.0)))
        compute_heads = np.ceil(n_heads * q_len / 16.0) * 16.0 / q_len
    else:
        wide_k, wide_v = latent.nope_dim + latent.rope_dim, latent.v_dim
        stored = batch * kv_len * n_heads * (wide_k + wide_v) * form.activation
        tasks = batch * n_heads * np.ceil(q_len / 128.0)
        compute_heads = n_heads
    flop = 2.0 * batch * compute_heads * pairs * (wide_k + wide_v)
    queries = batch * n_heads * q_len * (wide_k * form.activation + wide_v * form.output)
    waves = tasks / unit.cores
    idle = np.minimum(np.ceil(waves) / waves, unit.cores)
    size = queries + stored
    return Work(
        compute=flop * idle / peak,
        memory=beyond_cache(size, unit.cache) / unit.bandwidth,
        cache=size * idle / unit.cache_rate,
        features={"log_pairs": np.log2(pairs), "log_heads": np.log2(n_heads), "log_waves": np.log2(waves)},
    )


def projections(
    latent: Latent, hidden: int, *, phase: str, batch: Array, q_len: Array, kv_len: Array, n_heads: Array
) -> list[tuple[Array, Array, Array, Array]]:
    """Return (m, n, k, batch) of the block's products: down, query up, KV up or absorbed, output."""
    tokens = batch * q_len
    one = np.ones_like(tokens)
    head = latent.nope_dim + latent.rope_dim
    out = [
        (tokens, one * (latent.q_rank + latent.kv_rank + latent.rope_dim), one * hidden, one),
        (tokens, n_heads * head, one * (latent.q_rank or hidden), one),
        (tokens, one * hidden, n_heads * latent.v_dim, one),
    ]
    if phase == "decode":
        out.append((tokens, one * latent.kv_rank, one * latent.nope_dim, n_heads))
        out.append((tokens, one * latent.v_dim, one * latent.kv_rank, n_heads))
    else:
        out.append((batch * kv_len, n_heads * (latent.nope_dim + latent.v_dim), one * latent.kv_rank, one))
    return out
