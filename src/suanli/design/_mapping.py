"""Cycles of a matrix product on a systolic array: three dataflows, double buffering, over arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from suanli.errors import InputError
from suanli.estimates import Array

Dataflow = Literal["output", "weight", "input"]
DATAFLOWS: tuple[Dataflow, ...] = ("output", "weight", "input")


@dataclass(frozen=True, slots=True)
class GemmCycles:
    """A product of (m, k) by (k, n) on an array: ``cycles`` in all, ``tiles`` of the array, ``utilisation`` of its
    MACs.

    ``stalls`` are the cycles in which the array waits for its operands from the level above.
    """

    cycles: Array
    tiles: Array
    utilisation: Array
    stalls: Array


def tile_cycles(rows: ArrayLike, cols: ArrayLike, stream: ArrayLike, *, dataflow: Dataflow = "output") -> Array:
    """Return the cycles of one tile on a ``rows`` x ``cols`` array, from the first operand in to the last result out.

    output stationary: ``stream`` = K, K + (rows - 1) + (cols - 1) to fill and add up, then ``rows`` to shift the
    results out: K + 2n - 2 + n for a square array of n. weight and input stationary: the held operand takes ``rows``
    cycles to load, then ``stream`` vectors pass in ``stream`` + (rows - 1) + (cols - 1) cycles.
    """
    r, c, s = np.broadcast_arrays(*[np.atleast_1d(np.asarray(v, float)) for v in (rows, cols, stream)])
    if dataflow not in DATAFLOWS:
        raise InputError(f"dataflow '{dataflow}'; allowed: {', '.join(DATAFLOWS)}")
    out: Array = s + r + c - 2.0 + r
    return out


def gemm_cycles(
    m: ArrayLike,
    n: ArrayLike,
    k: ArrayLike,
    *,
    rows: ArrayLike,
    cols: ArrayLike,
    dataflow: Dataflow = "output",
    double_buffer: bool = True,
    bytes_per_cycle: ArrayLike = np.inf,
    element_bytes: float = 2.0,
) -> GemmCycles:
    """Return the cycles of (m x k) by (k x n) on one systolic array; all arguments broadcast.

    The array holds, by dataflow, a rows x cols tile of the output (m x n, streaming k), of the weights (k x n,
    streaming m) or of the input (k x m, streaming n); T tiles in all. With double buffering the loading of the next
    held tile, or the shifting out of the last results (rows cycles), hides behind the stream, and tiles follow
    without refilling the skew:

        cycles = (T - 1) max(stream, rows, feed) + max(stream, feed) + 2 rows + cols - 2

    Without it each tile takes ``tile_cycles`` and its feed. ``feed`` is what a tile's operands take at
    ``bytes_per_cycle``; ``stalls`` are the cycles that it adds. Raises InputError for an unknown dataflow or a size
    below 1.
    """
    if dataflow not in DATAFLOWS:
        raise InputError(f"dataflow '{dataflow}'; allowed: {', '.join(DATAFLOWS)}")
    arrays = np.broadcast_arrays(*[np.atleast_1d(np.asarray(v, float)) for v in (m, n, k, rows, cols, bytes_per_cycle)])
    m_, n_, k_, r, c, rate = arrays
    if np.any(np.minimum.reduce([m_, n_, k_, r, c]) < 1.0):
        raise InputError("a matrix product and its array need sizes of at least 1")
    high, wide, stream = {"output": (m_, n_, k_), "weight": (k_, n_, m_), "input": (k_, m_, n_)}[dataflow]
    tiles = np.ceil(high / r) * np.ceil(wide / c)
    operands = stream * (r + c) if dataflow == "output" else stream * r + r * c
    feed = operands * element_bytes / rate
    edge = 2.0 * r + c - 2.0
    if double_buffer:
        compute = (tiles - 1.0) * np.maximum(stream, r) + stream + edge
        cycles = (tiles - 1.0) * np.maximum(np.maximum(stream, r), feed) + np.maximum(stream, feed) + edge
    else:
        compute = tiles * tile_cycles(r, c, stream, dataflow=dataflow)
        cycles = compute + tiles * feed
    used = m_ * n_ * k_ / (cycles * r * c)
    return GemmCycles(cycles=cycles, tiles=tiles, utilisation=used, stalls=cycles - compute)


def best_dataflow(m: ArrayLike, n: ArrayLike, k: ArrayLike, *, rows: ArrayLike, cols: ArrayLike) -> tuple[Array, Array]:
    """Return (fewest cycles, index into DATAFLOWS of the dataflow that takes them) with double buffering."""
    cycles = np.stack([gemm_cycles(m, n, k, rows=rows, cols=cols, dataflow=d).cycles for d in DATAFLOWS])
    return cycles.min(axis=0), cycles.argmin(axis=0)
