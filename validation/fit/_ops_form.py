"""The form of a law's fit: its parts, and which features each part's efficiency may depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

# 67 us, 2.3 times the least above it: what an attention call from torch_npu takes on a 910B2, whatever its size up to
# 1,024 x 8,192 (github.com/zouzias/pto-isa-mirror demos/torch_jit/flash @8d8c14a8).
HOST_START = 0.85
EXCHANGE_START = -3.0  # exp of it is how much longer than at its full rate: 5 % until rows tell otherwise
ROWS = 400  # rows of one piece of work that take part, where a law does not say


def products(names: Sequence[str]) -> tuple[str, ...]:
    """Return all squares and products of two of ``names``."""
    return tuple(f"{a}*{b}" for a, b in combinations_with_replacement(names, 2))


@dataclass(frozen=True)
class Spec:
    """Features that each part's efficiency may depend on, and starting constants.

    ``base``: pooled over chips and software; ``family``: of one family, or of one kernel on it; ``kernel``: of one
    kernel or one number format. The parts in ``common`` have no shift of a family: its datasheet says all of it;
    those in ``hardware`` none of software either. ``rows`` of one piece of work take part in the fit.
    """

    base: Mapping[str, tuple[str, ...]]
    family: Mapping[str, tuple[str, ...]]
    kernel: Mapping[str, tuple[str, ...]]
    start: Mapping[str, float]
    sharpness: float
    common: tuple[str, ...] = ()
    hardware: tuple[str, ...] = ()
    rows: int = ROWS
