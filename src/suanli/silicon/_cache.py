"""What the last cache keeps of the bytes that an operator moves, and what memory must deliver."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suanli.silicon._unit import Unit

Array = NDArray[np.float64]

_KEPT = 0.8  # share of the last cache that bytes read again and again in one order may fill
_CLIFF = 0.5  # share beyond that, by which a cycle of reads has evicted all of itself
_LEAST = 1e6  # B; a smaller cache counts as this much where bytes are compared with it


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes that memory delivers: ``first``, and ``again`` of what is read more than once.

    ``warm`` are those that a warm run fetches first; where this run is one, ``first`` is the same array.
    """

    first: Array
    warm: Array
    again: Array | float = 0.0

    @property
    def missed(self) -> Array:
        """All bytes that memory delivers."""
        out: Array = self.first + self.again
        return out

    @property
    def held(self) -> Array:
        """The share of ``missed`` that a warm cache would have kept: nothing in a warm run."""
        if self.first is self.warm:
            return np.zeros(1)
        return (self.first - self.warm) / np.maximum(self.missed, 1.0)

    def kept(self, size: Array) -> Array:
        """Return the share of ``size`` bytes that the first reading finds in the cache."""
        return 1.0 - self.first / size


def missing(size: Array, cycled: Array, cache: float) -> Array:
    """Return which of ``size`` bytes memory must deliver when ``cycled`` bytes in all pass through a warm cache.

    A cache keeps its share of what passes; ``cycled`` is at least ``size``, so never less than size - cache misses.
    """
    return size * np.maximum(1.0 - cache / np.maximum(cycled, size), 0.0)


def missing_in_order(size: Array, cache: float) -> Array:
    """Return which of ``size`` bytes memory must deliver each time, when they are read in the same order for ever.

    Such a cycle evicts its own start as soon as it does not fit: all of it misses soon beyond the cache. Never less
    than size - cache.
    """
    share = np.clip((size / max(_KEPT * cache, 1e-3) - 1.0) / _CLIFF, 0.0, 1.0)
    out: Array = size * share
    return out


def pass_time(unit: Unit, size: Array, missed: Array) -> Array:
    """Return seconds of a pass over ``size`` bytes, ``missed`` of which come from memory."""
    return np.maximum(missed / unit.bandwidth, size / unit.cache_rate)


def over_cache(size: Array, cache: float) -> Array:
    """Return log2 of ``size`` over the ``cache``, in fours: the feature that tells what fits from what streams."""
    out: Array = np.log2(size / max(cache, _LEAST)) / 4.0
    return out
