"""Matrix multiplication: tiles in waves over cores, cache and memory traffic."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InputError
from suanli.kinds import Chip
from suanli.silicon._checks import shapes
from suanli.silicon._formats import Format, format_of, peak_rate
from suanli.silicon._laws import Measured, Work, measure
from suanli.silicon._parameters import Parameters, law_for
from suanli.silicon._unit import Unit, unit_of

Array = NDArray[np.float64]

_K_STEP = 256.0  # a split of k shorter than this is not worth its reduction


def gemm_time(
    chip: Chip,
    *,
    m: ArrayLike,
    n: ArrayLike,
    k: ArrayLike,
    batch: ArrayLike = 1,
    dtype: str,
    cache: str = "warm",
    kernel: str | None = None,
    parameters: Parameters | None = None,
) -> Array:
    """Return seconds of ``batch`` products C[m, n] = A[m, k] B[k, n] on ``chip``, over the broadcast shapes.

    ``dtype`` is the operator's format (bf16, fp16, fp8, fp8_block, int8, nvfp4, int8_wo, int4_wo ...). ``cache`` is
    "warm" where operands may still lie in the last shared cache from the run before, "cold" where none do. ``kernel``
    names a measured software kernel, None its usual one. Raises InputError for shapes that are no operator and for a
    chip without a rate for the format.
    """
    return gemm_parts(
        chip, m=m, n=n, k=k, batch=batch, dtype=dtype, cache=cache, kernel=kernel, parameters=parameters
    ).seconds


def gemm_parts(
    chip: Chip,
    *,
    m: ArrayLike,
    n: ArrayLike,
    k: ArrayLike,
    batch: ArrayLike = 1,
    dtype: str,
    cache: str = "warm",
    kernel: str | None = None,
    parameters: Parameters | None = None,
) -> Measured:
    """Return what ``gemm_time`` adds up."""
    if cache not in ("warm", "cold"):
        raise InputError(f"cache is '{cache}'; it must be warm or cold")
    sizes = shapes(m=m, n=n, k=k, batch=batch)
    law = law_for(chip, "gemm", dtype, kernel=kernel, parameters=parameters)
    return measure(law, gemm_work(chip, format_of(dtype), **sizes, warm=cache == "warm"))


def gemm_work(chip: Chip, form: Format, *, m: Array, n: Array, k: Array, batch: Array, warm: bool = True) -> Work:
    """Return the ideal work of products of these sizes, and the features of their efficiency."""
    unit = unit_of(chip)
    peak = peak_rate(chip, form.rate)
    padded, waves, traffic = _tiling(unit, form, m=m, n=n, k=k, batch=batch)
    size = batch * (form.activation * m * k + form.weight * k * n + form.output * m * n)
    missed = beyond_cache(size, unit.cache) if warm else size
    features = {
        "log_m": np.log2(m),
        "log_n": np.log2(n),
        "log_k": np.log2(k),
        "log_waves": np.log2(waves),
    }
    return Work(
        compute=padded / peak,
        memory=missed / unit.bandwidth,
        cache=np.maximum(traffic, size) / unit.cache_rate,
        features=features,
    )


def beyond_cache(size: Array, cache: float) -> Array:
    """Return bytes that memory must deliver again when ``size`` bytes are used over and over through a warm cache."""
    return np.maximum(size - cache, 0.0)


def _tiling(unit: Unit, form: Format, *, m: Array, n: Array, k: Array, batch: Array) -> tuple[Array, Array, Array]:
    """Return (FLOP with padding and idle cores, waves, bytes drawn from cache) of the best tile of the family.

    All cores run ceil(tiles / cores) waves; k is split where the tiles alone leave cores idle.
    """
    best = np.full(m.shape, np.inf)
    waves, traffic = np.ones(m.shape), np.zeros(m.shape)
    gm, gn, gk = unit.granule
    depth = np.ceil(k / gk) * gk
    for rows, columns in unit.tiles:
        for tm, tn in {(rows, columns), (columns, rows)}:
            high, wide = np.minimum(tm, np.ceil(m / gm) * gm), np.minimum(tn, np.ceil(n / gn) * gn)
            tiles = np.ceil(m / high) * np.ceil(n / wide) * batch
            split = np.clip(np.floor(unit.cores / tiles), 1.0, np.maximum(1.0, np.floor(depth / _K_STEP)))
            turns = np.ceil(tiles * split / unit.cores)
            flop = 2.0 * turns * unit.cores * high * wide * depth / split
            # A smaller tile reads more from cache per FLOP, which this term charges in units of compute.
            cost = flop * (1.0 + 16.0 / high + 16.0 / wide)
            better = cost < best
            best = np.where(better, cost, best)
            waves = np.where(better, tiles * split / unit.cores, waves)
            drawn = tiles * depth * (form.activation * high + form.weight * wide) + form.output * batch * m * n
            traffic = np.where(better, drawn, traffic)
    return best, waves, traffic
