"""TensorRT-LLM's decode attention: which of its two kernels runs, and over how many blocks each spreads a sequence.

XQA (cpp/tensorrt_llm/kernels/decoderMaskedMultiheadAttention) multiplies a group's heads on matrix units; the masked
multi-head kernel takes each head apart on vector units. Thresholds and counts are those of the published source.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suanli.silicon._unit import Unit

Array = NDArray[np.float64]

_WIDEST = 32.0  # query heads a KV head that XQA takes
_HISTORY = 128.0  # cached keys that a block of XQA has at least
_ENOUGH = 4.0  # XQA runs where its blocks fill this part of the cores
_WAVES = 8.0  # waves of blocks beyond which XQA splits no further
_LOOP = 128.0  # keys that a block of 256 threads reads in one turn of the masked kernel, at 16 B a thread
_THREADS = 4.0  # blocks of 256 threads of the masked kernel that a core holds, or one that is as much larger
_SCORE = 6.0  # bytes of shared memory a key takes in the masked kernel: its score in fp32 and in 16 bits
_OWN = 2048.0  # bytes of shared memory that the masked kernel leaves to itself


@dataclass(frozen=True, slots=True)
class Blocks:
    """Blocks of decode: ``tasks`` x ``split``, ``rows`` of queries in each, ``held`` by a core at once.

    ``apart`` marks heads that share no reads, ``scalar`` those multiplied on vector units.
    """

    tasks: Array
    split: Array
    rows: Array
    held: Array
    apart: NDArray[np.bool_]
    scalar: NDArray[np.bool_]


def xqa_blocks(
    unit: Unit,
    shared: float,
    *,
    batch: Array,
    heads: Array,
    groups: Array,
    q_len: Array,
    history: Array,
    reach: Array,
    barred: NDArray[np.bool_],
    splits: bool,
    held: float,
) -> Blocks:
    """Return the blocks of TensorRT-LLM's decode over ``reach`` keys; where ``barred``, XQA cannot run.

    XQA counts its blocks by the ``history``, and those that a window hides start all the same.

    ``shared`` is the bytes of shared memory that a block may take.
    """
    share = heads / groups
    parts = np.maximum(np.floor(history / _HISTORY), 1.0)
    sequences = batch * groups
    apart = (share <= 1.0) | (share > _WIDEST) | barred | (sequences * parts * _ENOUGH < unit.cores)
    apart &= q_len <= 1.0  # drafted tokens run nowhere else
    # Beyond the square root the parts' sum would dominate; beyond eight waves no core is idle.
    fewer = np.minimum(parts, np.round(np.sqrt(parts * 8.0)))
    waves = sequences * fewer / unit.cores
    together = np.maximum(np.where(waves > _WAVES, np.floor(fewer * _WAVES / waves), fewer), 1.0)
    together = together if splits else np.ones_like(together)
    tasks = np.where(apart, batch * heads * q_len, sequences)
    grown = _grown(unit, tasks)
    return Blocks(
        tasks=tasks,
        split=np.where(apart, _masked_split(unit, shared, tasks, reach, grown), together),
        rows=np.where(apart, 16.0, np.ceil(share * q_len / 16.0) * 16.0),
        held=np.where(apart, _THREADS / grown, held),
        apart=apart,
        scalar=apart,
    )


def _grown(unit: Unit, tasks: Array) -> Array:
    """Return how often a block of the masked kernel holds 256 threads: 4 where cores would stay idle, 2 or 1."""
    times = np.ceil(_THREADS * unit.cores / tasks)
    return np.where(times >= _THREADS, _THREADS, np.where(times > 1.0, 2.0, 1.0))


def _masked_split(unit: Unit, shared: float, tasks: Array, reach: Array, grown: Array) -> Array:
    """Return the blocks over a sequence of the masked kernel: one wave of them, and more where scores fill memory."""
    least = np.ceil(reach * _SCORE / max(shared - _OWN, 1.0))
    wave = np.ceil(unit.cores / tasks)
    return np.maximum(np.minimum(wave, np.ceil(reach / (_LOOP * grown))), least)
