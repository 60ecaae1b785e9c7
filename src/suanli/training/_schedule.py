"""Pipeline schedules in closed form: layers a stage, idle share, micro-batches in flight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def stage_layers(layers: Array, pp: Array, vpp: Array) -> tuple[Array, Array]:
    """Return (layers of the fullest stage, layers of the last stage).

    Where stages can't be equal, the first and the last stage take one layer less if that evens out the
    embedding and the head (Llama 3, 2407.21783, section 3.3.2; BLOOM counts both as layers), else the last takes
    what is left.
    """
    chunks = pp * vpp
    full = np.ceil(layers / chunks) * vpp
    even = np.mod(layers, chunks) == 0
    last_even = full
    last_uneven = np.where(np.mod(layers + 2.0, chunks) == 0, full - 1.0, np.floor(layers / pp))
    last = np.where(even, last_even, np.maximum(last_uneven, 1.0))
    return full, np.where(pp > 1, last, full)


def idle_passes(pp: Array, vpp: Array, schedule: Array) -> tuple[Array, Array, Array]:
    """Return how many stage passes each schedule idles a step: (forward, backward for inputs, backward for weights).

    1F1B: (p-1) of each; interleaved: (p-1)/v (Narayanan 2021, 2104.04473, section 2.2); ZB-H1 fills the bubble with
    weight gradients: (p-1)(F + B - W) (Qi 2023, 2401.10241); DualPipe: (p/2 - 1)(F&B + B - 3W) (DeepSeek-V3,
    2412.19437, table 2).
    """
    gap = (pp - 1.0) / vpp
    half = np.maximum(0.0, pp / 2.0 - 1.0)
    dual = schedule == 3
    zero = schedule == 2
    forward = np.where(dual, half, gap)
    inputs = np.where(dual, 2.0 * half, gap)
    weights = np.where(dual, -half, np.where(zero, -gap, gap))
    return forward, inputs, weights


def in_flight(pp: Array, vpp: Array, n_micro: Array, schedule: Array, *, place: Array | float = 0.0) -> Array:
    """Return how many micro-batches' activations the stage at ``place`` holds at its peak, in units of its whole stage.

    1F1B holds p on the first stage and one less on each that follows, interleaved p (1 + (p-1)/(p v)) and 2/v less
    (Korthikanti 2022, 2205.05198, section 4.2.3), zero bubble p and DualPipe p + 1 on all; never more than there are
    micro-batches.
    """
    chunks = pp * (1.0 + (pp - 1.0) / (pp * vpp)) - 2.0 * place / vpp
    held = np.where(schedule == 1, chunks, np.where(schedule == 3, pp + 1.0, pp - np.where(schedule == 2, 0.0, place)))
    return np.where(pp > 1, np.minimum(held, n_micro), 1.0)
