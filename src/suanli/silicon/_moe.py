"""Mixture-of-experts FFN on one chip: grouped products over the experts that its tokens reach."""

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

_ROWS = 64.0  # rows to which an expert's share of tokens is padded


def moe_time(
    chip: Chip,
    *,
    tokens: ArrayLike,
    hidden: ArrayLike,
    inter: ArrayLike,
    top_k: ArrayLike,
    n_experts: ArrayLike,
    tp: ArrayLike = 1,
    ep: ArrayLike = 1,
    dtype: str,
    skew: ArrayLike = 0.0,
    gated: bool = True,
    kernel: str | None = None,
    parameters: Parameters | None = None,
) -> Array:
    """Return seconds of the routed experts' FFN on the most loaded of ``ep`` x ``tp`` chips.

    ``tokens`` are those of all ``ep`` chips together; ``inter`` and ``n_experts`` are unsharded. ``skew`` is the
    exponent of the routing's power law (0: balanced; measured tables hold 1.01 and 1.2).
    Raises InputError for shapes that are no MoE layer.
    """
    return moe_parts(
        chip,
        tokens=tokens,
        hidden=hidden,
        inter=inter,
        top_k=top_k,
        n_experts=n_experts,
        tp=tp,
        ep=ep,
        dtype=dtype,
        skew=skew,
        gated=gated,
        kernel=kernel,
        parameters=parameters,
    ).seconds


def moe_parts(
    chip: Chip,
    *,
    tokens: ArrayLike,
    hidden: ArrayLike,
    inter: ArrayLike,
    top_k: ArrayLike,
    n_experts: ArrayLike,
    tp: ArrayLike = 1,
    ep: ArrayLike = 1,
    dtype: str,
    skew: ArrayLike = 0.0,
    gated: bool = True,
    kernel: str | None = None,
    parameters: Parameters | None = None,
) -> Measured:
    """Return what ``moe_time`` adds up."""
    sizes = shapes(
        zero_allowed=("skew",),
        tokens=tokens,
        hidden=hidden,
        inter=inter,
        top_k=top_k,
        n_experts=n_experts,
        tp=tp,
        ep=ep,
        skew=skew,
    )
    if (sizes["top_k"] > sizes["n_experts"]).any():
        raise InputError("top_k is above n_experts; a token cannot reach more experts than there are")
    if (sizes["ep"] > sizes["n_experts"]).any():
        raise InputError("ep is above n_experts; a chip needs at least one expert")
    law = law_for(chip, "moe_ffn", dtype, kernel=kernel, parameters=parameters)
    return measure(law, moe_work(chip, format_of(dtype), gated=gated, **sizes))


def routed(tokens: Array, top_k: Array, n_experts: Array, ep: Array, skew: Array) -> tuple[Array, Array, Array]:
    """Return of the most loaded chip: rows it computes, experts it wakes, rows of its fullest expert.

    With power-law routing an expert's chance falls as rank^-skew; the fullest chip then holds more than 1 / ep of
    the rows. Distinct experts woken follow from independent draws.
    """
    local = n_experts / ep
    total = tokens * top_k
    uneven = 1.0 + np.minimum(skew, 2.0) * np.log2(np.maximum(ep, 1.0)) / 6.0
    rows = np.minimum(total / ep * uneven, tokens * np.minimum(top_k, local))
    awake = local * -np.expm1(-rows / local * np.where(skew > 0, 0.7, 1.0))
    awake = np.clip(np.where(skew > 0, awake, np.minimum(local, rows)), 1.0, local)
    return rows, awake, rows / awake


def moe_work(
    chip: Chip,
    form: Format,
    *,
    tokens: Array,
    hidden: Array,
    inter: Array,
    top_k: Array,
    n_experts: Array,
    tp: Array,
    ep: Array,
    skew: Array,
    gated: bool = True,
) -> Work:
    """Return the ideal work of the experts' products on the most loaded chip, and the features of its efficiency."""
    unit = unit_of(chip)
    peak = peak_rate(chip, form.rate)
    rows, awake, each = routed(tokens, top_k, n_experts, ep, skew)
    width = inter / tp
    matrices = 3.0 if gated else 2.0
    padded = np.ceil(each / _ROWS) * _ROWS * awake
    tiles = np.ceil(each / _ROWS) * awake * np.ceil((matrices - 1.0) * width / 128.0)
    waves = tiles / unit.cores
    idle = np.minimum(np.ceil(waves) / waves, unit.cores)
    weights = awake * matrices * hidden * width * form.weight
    moved = rows * (hidden * (form.activation + form.output) + (matrices + 1.0) * width * form.output)
    size = weights + moved
    return Work(
        compute=2.0 * padded * matrices * hidden * width * idle / peak,
        memory=beyond_cache(size, unit.cache) / unit.bandwidth,
        cache=(weights * np.maximum(1.0, each / 128.0) + moved) / unit.cache_rate,
        features={
            "log_each": np.log2(np.maximum(each, 1e-3)),
            "log_awake": np.log2(awake),
            "log_hidden": np.log2(hidden),
            "log_width": np.log2(width),
            "log_waves": np.log2(waves),
        },
    )
