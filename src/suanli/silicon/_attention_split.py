"""Over how many blocks decode's kernels spread a sequence's keys: the rules of their published sources.

FlashAttention 2 and 3: csrc/flash_attn/flash_api.cpp, hopper/flash_prepare_scheduler.cu; FlashAttention 4:
flash_attn/cute/interface.py as vLLM plans it for graphs; SGLang: triton_backend.py; vLLM: triton_attn.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_KEYS = 128.0  # keys that a step of a block reads; a part has at least one step
_FULL = 0.8  # share of the cores that tasks fill, from which FlashAttention 2 does not split
_WORTH = 0.85  # share of the best use of cores that is good enough for it
_PAIRS = 2.0  # blocks that FlashAttention 2 counts on a core, whatever fits
_MOST = 128.0  # parts that it makes at most
_TRIED = 10  # parts that are tried one by one; more fill the cores evenly anyway
_LOOSE = 1.1  # FlashAttention 3 fills the cores but for a tenth
_SGLANG, _SEGMENTS, _PLANNED = 8.0, 16.0, 32.0  # parts at most: SGLang's Triton kernel, vLLM's, FlashAttention 4's
_GRID = 128.0  # tasks beyond which vLLM's Triton kernel does not split
_GRAPHS = 512.0  # sequences up to which vLLM captures graphs, and so plans parts before it knows the keys
_EVEN = 64.0  # keys for which SGLang counts the cores once; with twice as many it counts them twice


@dataclass(frozen=True, slots=True)
class Spread:
    """What a rule looks at: ``tasks`` blocks without a split, ``reach`` keys of each, ``cores`` to fill."""

    tasks: Array
    reach: Array
    batch: Array
    cores: float


def split_of(rule: str, spread: Spread) -> Array:
    """Return the parts of a sequence's keys under ``rule``, one of RULES."""
    out: Array = np.maximum(RULES[rule](spread), 1.0)
    return out


def _idle(spread: Spread) -> Array:
    return np.minimum(np.floor(spread.cores / spread.tasks), np.ceil(spread.reach / _KEYS))


def _efficient(spread: Spread) -> Array:
    """Return the fewest parts whose last wave is nearly as full as the best one's."""
    fill = spread.tasks / (_PAIRS * spread.cores)
    steps = np.minimum(np.ceil(spread.reach / _KEYS), _MOST)
    tried = np.arange(1.0, _TRIED + 1.0)[:, None]
    waves = tried * fill.reshape(1, -1)
    used = np.where(tried <= np.maximum(steps.reshape(1, -1), 1.0), waves / np.ceil(waves), 0.0)
    fewest = (np.argmax(used >= _WORTH * used.max(axis=0), axis=0) + 1.0).reshape(fill.shape)
    even = np.minimum(np.ceil(_WORTH / fill), steps)
    return np.where(fill >= _FULL, 1.0, np.where(fill * _TRIED < 1.0, even, fewest))


def _balanced(spread: Spread) -> Array:
    """Return the parts that give every core the same steps."""
    steps = np.ceil(spread.reach / _KEYS)
    return np.ceil(steps / np.ceil(_LOOSE * spread.tasks * steps / spread.cores))


def _sglang(spread: Spread) -> Array:
    cores = spread.cores * np.maximum(np.log2(spread.reach / _EVEN), 1.0)
    return np.minimum(np.minimum(np.ceil(cores / spread.tasks), _SGLANG), spread.reach)


def _segments(spread: Spread) -> Array:
    return np.where(spread.tasks > _GRID, 1.0, np.minimum(_SEGMENTS, np.ceil(spread.reach / _KEYS)))


def _planned(spread: Spread) -> Array:
    return np.where(spread.batch > _GRAPHS, _idle(spread), _PLANNED)


def _never(spread: Spread) -> Array:
    return np.ones_like(spread.tasks)


RULES: Mapping[str, Callable[[Spread], Array]] = {
    "idle": _idle,
    "efficient": _efficient,
    "balanced": _balanced,
    "sglang": _sglang,
    "segments": _segments,
    "planned": _planned,
    "never": _never,
}
"""How a kernel splits keys: where cores are idle, as FlashAttention 2, 3, SGLang, vLLM or FlashAttention 4 do, not."""
