"""Long arrays in blocks that stay in a core's own cache."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, update_wrapper
from inspect import signature
from typing import Any, ParamSpec

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.silicon._laws import Measured

Array = NDArray[np.float64]
P = ParamSpec("P")

_BLOCK = 16384


def timed(parts: Callable[P, Measured], *operands: str) -> Callable[P, Array]:
    """Return the function that gives the seconds of ``parts`` alone, under its own signature.

    Arrays named by ``operands`` are broadcast and taken block by block where they are long.
    """

    def seconds(*args: P.args, **asked: P.kwargs) -> Array:
        sizes: dict[str, Any] = {name: value for name, value in asked.items() if name in operands}
        rest: dict[str, Any] = {name: value for name, value in asked.items() if name not in operands}
        return _blockwise(partial(parts, *args, **rest), sizes)

    update_wrapper(seconds, parts)
    seconds.__name__ = seconds.__qualname__ = parts.__name__.replace("_parts", "_time")
    vars(seconds)["__signature__"] = signature(parts).replace(return_annotation="Array")
    return seconds


def _blockwise(parts: Callable[..., Measured], sizes: dict[str, ArrayLike]) -> Array:
    arrays = {name: np.asarray(value) for name, value in sizes.items()}
    if max((a.size for a in arrays.values()), default=0) <= _BLOCK:
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
