"""Shapes as they come in: numbers that make no operator are refused by name, arrays are broadcast."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InputError

Array = NDArray[np.float64]

LARGEST = 1e18  # no dimension of an operator comes near


def shapes(*, zero_allowed: tuple[str, ...] = (), **named: ArrayLike) -> dict[str, Array]:
    """Return the ``named`` sizes as float arrays of one shape.

    Raises InputError naming the first that is not finite, not positive (zero is fine for ``zero_allowed``) or absurdly
    large, or the lengths that do not fit each other.
    """
    arrays = {name: np.asarray(value, dtype=np.float64) for name, value in named.items()}
    for name, value in arrays.items():
        low = 0.0 if name in zero_allowed else np.finfo(np.float64).tiny
        fine = (value >= low) & (value <= LARGEST)
        if not fine.all():
            worst = float(value[~fine].flat[0])
            allowed = "zero or more" if name in zero_allowed else "more than zero"
            raise InputError(f"{name} is {worst:g}; it must be {allowed} and at most {LARGEST:g}")
    try:
        together = np.broadcast_arrays(*(np.atleast_1d(v) for v in arrays.values()))
    except ValueError:
        lengths = ", ".join(f"{name} {value.shape}" for name, value in arrays.items())
        raise InputError(f"lengths do not fit each other: {lengths}") from None
    return dict(zip(arrays, together, strict=True))


def is_warm(cache: str) -> bool:
    """Return whether ``cache`` is "warm" (operands may still lie in it) rather than "cold". Raises InputError."""
    if cache not in ("warm", "cold"):
        raise InputError(f"cache is '{cache}'; it must be warm or cold")
    return cache == "warm"
