"""Operators that move bytes: element-wise work, normalisation, optimiser steps, embedding look-ups."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.kinds import Chip
from suanli.silicon._cache import missing, over_cache
from suanli.silicon._checks import is_warm, shapes
from suanli.silicon._laws import Measured, Work, measure
from suanli.silicon._parameters import Parameters, law_for
from suanli.silicon._unit import Unit, unit_of

Array = NDArray[np.float64]

_ISSUED = 64.0  # operations of a stream that a core issues in a cycle at best
_SECTOR = 64.0  # bytes that memory delivers at least for one random row


def elementwise_time(
    chip: Chip,
    *,
    bytes: ArrayLike,  # noqa: A002 - the quantity's own name
    flop: ArrayLike = 0.0,
    cache: str = "cold",
    parameters: Parameters | None = None,
) -> Array:
    """Return seconds of an element-wise pass over ``bytes`` read and written with ``flop`` vector operations.

    ``cache`` is "cold" where the bytes come from memory, "warm" where the last cache may still hold them.
    Raises InputError for negative sizes.
    """
    return elementwise_parts(chip, bytes=bytes, flop=flop, cache=cache, parameters=parameters).seconds


def elementwise_parts(
    chip: Chip,
    *,
    bytes: ArrayLike,  # noqa: A002
    flop: ArrayLike = 0.0,
    cache: str = "cold",
    parameters: Parameters | None = None,
) -> Measured:
    """Return what ``elementwise_time`` adds up."""
    sizes = shapes(zero_allowed=("flop",), bytes=bytes, flop=flop)
    unit = unit_of(chip)
    law = law_for(chip, "elementwise", "bf16", parameters=parameters)
    missed = missing(sizes["bytes"], sizes["bytes"], unit.cache) if is_warm(cache) else sizes["bytes"]
    return measure(law, streamed(chip, unit, sizes["bytes"], missed, sizes["flop"]))


def embedding_time(
    chip: Chip,
    *,
    lookups: ArrayLike,
    dim: ArrayLike,
    bytes_per_element: ArrayLike = 4.0,
    pooling: ArrayLike = 1.0,
    parameters: Parameters | None = None,
) -> Array:
    """Return seconds of ``lookups`` random rows of ``dim`` numbers, summed in bags of ``pooling`` rows.

    A row costs at least one memory sector; a bag writes one row. Raises InputError for sizes not above zero.
    """
    sizes = shapes(lookups=lookups, dim=dim, bytes_per_element=bytes_per_element, pooling=pooling)
    row = sizes["dim"] * sizes["bytes_per_element"]
    moved = sizes["lookups"] * row * (1.0 + 1.0 / sizes["pooling"])
    return embedding_parts(chip, bytes=moved, row=row, parameters=parameters).seconds


def embedding_parts(
    chip: Chip,
    *,
    bytes: ArrayLike,  # noqa: A002
    row: ArrayLike,
    parameters: Parameters | None = None,
) -> Measured:
    """Return the parts of moving ``bytes`` in random rows of ``row`` bytes; a short row still costs a sector."""
    sizes = shapes(bytes=bytes, row=row)
    moved = sizes["bytes"] * np.maximum(1.0, _SECTOR / sizes["row"])
    law = law_for(chip, "embedding", "bf16", parameters=parameters)
    return measure(law, streamed(chip, unit_of(chip), moved, moved, np.zeros_like(moved)))


def streamed(chip: Chip, unit: Unit, size: Array, missed: Array, flop: Array) -> Work:
    """Return the work of a stream: ``missed`` of its ``size`` bytes come from memory."""
    # What a core issues in a cycle counts, not the lanes behind it: A100's 64 a core take as long as others' 128.
    calibrated = chip.peak.get("fp32") if unit.kind == "cpu" else None
    vector = calibrated or _ISSUED * unit.cores * unit.clock
    return Work(
        compute=np.zeros_like(size),
        memory=missed / unit.bandwidth,
        cache=size / unit.cache_rate,
        vector=flop / vector,
        power=np.zeros_like(size),
        roofline=size / unit.bandwidth,
        flop=flop,
        launch=unit.kilocycle,
        features={"size": np.clip(over_cache(size, unit.cache), -4.0, 1.0)},
    )
