"""Long arrays in blocks that stay in a core's own cache."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.silicon._laws import Measured

Array = NDArray[np.float64]

_BLOCK = 16384


def blockwise(parts: Callable[..., Measured], **sizes: ArrayLike) -> Array:
    """Return the seconds that ``parts`` gives for ``sizes``, computed block by block where they are long."""
    arrays = {name: np.asarray(value) for name, value in sizes.items()}
    if max(a.size for a in arrays.values()) <= _BLOCK:
        return parts(**arrays).seconds
    try:
        together = np.broadcast_arrays(*arrays.values())
    except ValueError:
        return parts(**arrays).seconds  # raises the error that names the lengths
    shape = together[0].shape
    flat = [a.reshape(-1) for a in together]
    out = np.empty(flat[0].size)
    for start in range(0, out.size, _BLOCK):
        some = slice(start, start + _BLOCK)
        out[some] = parts(**{name: a[some] for name, a in zip(arrays, flat, strict=True)}).seconds
    return out.reshape(shape)
