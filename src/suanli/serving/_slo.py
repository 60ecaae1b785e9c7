"""The most load within latency limits: closed form over a grid of loads."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from suanli.serving._steady import Habits, Lanes, Steady, closed_loop, held_tokens, seats_of

Array = NDArray[np.float64]

LOADS = 28  # loads tried, from one client to full seats, evenly in their logarithm
_TAIL_TTFT = 2.6  # p99 over mean: medians of MLPerf Inference v5.1 closed server and interactive runs
_TAIL_TPOT = 1.12
_Z99 = 2.3263478740408408


def tail(percentile: float, *, metric: str) -> float:
    """Return a percentile over the mean of ``ttft`` or ``tpot`` across requests, log-normal through the p99 measured.

    A percentile of 0.5 is taken as a limit on the mean, as services state it.
    """
    top = _TAIL_TTFT if metric == "ttft" else _TAIL_TPOT
    if percentile >= 1.0:
        return inf
    return float(top ** (NormalDist().inv_cdf(max(percentile, 0.5)) / _Z99))


def spread_loads(lanes: Lanes, held: Array, loads: int = LOADS) -> tuple[Lanes, NDArray[np.intp], Array]:
    """Return every lane ``loads`` times, the lane's number, and the clients of each (n x loads)."""
    n = lanes.seats.size
    full = np.maximum(seats_of(lanes, held) * lanes.ranks, 1.0)
    steps = np.linspace(0.0, 1.0, loads)
    clients = (full[:, None] ** steps[None, :]).ravel()
    which = np.repeat(np.arange(n), loads)
    return lanes.pick(which), which, clients


def calm(habits: Habits) -> Habits:
    """Return ``habits`` under arrivals that are not in step: no rounds start together."""
    return replace(habits, varied=np.full_like(habits.varied, 1e-9))


def load_curve(
    lanes: Lanes, habits: Habits, *, prompt: Array, answer: Array, cached: Array | None = None, loads: int = LOADS
) -> tuple[Array, Steady]:
    """Return (clients a lane, state), each (n, loads): what lanes do from one client to full seats."""
    before = np.zeros_like(prompt) if cached is None else cached
    wide, which, clients = spread_loads(lanes, held_tokens(lanes, prompt, answer, before), loads)
    quiet = calm(habits)
    steady = closed_loop(
        wide,
        Habits(**{name: np.asarray(getattr(quiet, name))[which] for name in Habits.__slots__}),
        clients=clients,
        prompt=prompt[which],
        answer=answer[which],
        cached=before[which],
        rounds=np.full(clients.size, 1e9),
    )
    shape = (-1, loads)
    return clients.reshape(shape), Steady(**{k: getattr(steady, k).reshape(shape) for k in Steady.__slots__})


def most_within(curve: Steady, *, ttft: Array, tpot: Array) -> tuple[Array, Steady]:
    """Return (position, state) of the greatest load whose TTFT and TPOT meet the limits (n), NaN where none does.

    Between the last load that meets them and the next, the state is interpolated to where a limit binds.
    """
    over = np.fmax(curve.ttft_s / ttft[:, None], curve.tpot_s / tpot[:, None])
    over = np.where(np.isfinite(over), over, np.inf)
    bad = over > 1.0
    first = np.where(bad.any(axis=1), bad.argmax(axis=1), over.shape[1])
    low = np.clip(first - 1, 0, None)
    high = np.clip(first, 0, over.shape[1] - 1)
    rows = np.arange(over.shape[0])
    # straight, as the state is interpolated: then neither limit is passed between two loads
    a, b = over[rows, low], np.minimum(over[rows, high], 1e12)
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.where(b > a, np.clip((1.0 - a) / (b - a), 0.0, 1.0), 0.0)
    none = first == 0

    def between(values: Array) -> Array:
        left, right = values[rows, low], values[rows, high]
        out = np.where(part > 0, left + part * (right - left), left)
        return np.where(none, np.nan, out)

    state = Steady(**{k: between(getattr(curve, k)) for k in Steady.__slots__})
    position: Array = np.where(none, np.nan, low + part)
    return position, state
