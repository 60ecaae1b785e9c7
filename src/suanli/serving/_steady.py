"""The steady state in closed form: what a lane of chips answers under load, over arrays, without simulation.

A lane runs one step at a time (a pipeline of ``pp`` stages is ``pp`` lanes, a replica another). A request costs the lane
one prefill ``P`` and ``osl`` decode steps ``D(b)``; with ``r`` requests in service a cycle takes

    C = r P + osl D(b),     b = r (1 - F / C),     X = r / C,

``F`` being the time from admission to first token. Requests beyond ``r = min(N, seats)`` queue for (N - r) / X.
A closed loop starts with a burst, and requests that were admitted together end together: ``cohort`` is the share
of rounds that meet such a burst.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

GRID: Array = 2.0 ** np.arange(0, 17)
"""Tokens a step at which step times are tabulated; between them, times are linear in tokens."""

_ROUNDS = 12  # of the fixed point; its error falls by about half a round


@dataclass(frozen=True, slots=True, kw_only=True)
class Lanes:
    """Step times and limits of lanes; arrays over candidates (n), ``linear`` (n, len(GRID)) in s.

    ``kv_s``: s a cached token read in decode; ``sequence_s``: s a sequence in decode; ``cross_s``: s a (new token x token
    of context) in prefill; ``host_s``: s a step; ``seats``: requests that may run; ``capacity``: tokens of KV
    cache; ``budget``: tokens a step; ``mixes``: prefill rides along with decode (else it stops it);
    ``ranks``: attention ranks of the lane, over which prompts are spread whole.
    """

    linear: Array
    host_s: Array
    kv_s: Array
    sequence_s: Array
    cross_s: Array
    seats: Array
    capacity: Array
    budget: Array
    mixes: Array
    ranks: Array
    verify: Array

    def pick(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Lanes:
        """Return the lanes at ``rows``."""
        return Lanes(**{name: getattr(self, name)[rows] for name in self.__slots__})


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How a framework schedules, as arrays or scalars: see the fitted file for each one's meaning and value."""

    cohort: Array
    interference: Array
    first_s: Array
    front_s: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Steady:
    """The answer over lanes: s, requests/s a lane, requests running and waiting, share of time in prefill."""

    ttft_s: Array
    tpot_s: Array
    requests_per_s: Array
    running: Array
    waiting: Array
    step_s: Array
    prefill_s: Array
    prefill_share: Array


def linear_time(lanes: Lanes, tokens: Array) -> Array:
    """Return the linear part of a step of ``tokens`` (s): the table, straight between its points and beyond."""
    n = np.maximum(tokens, 1.0)
    at = np.clip(np.floor(np.log2(n)), 0, GRID.size - 2).astype(np.intp)
    rows = np.arange(at.size)
    low, high = lanes.linear[rows, at], lanes.linear[rows, at + 1]
    out: Array = low + (high - low) * (n - GRID[at]) / GRID[at]
    return out


def decode_time(lanes: Lanes, batch: Array, context: Array) -> Array:
    """Return the time of a decode step (s) of ``batch`` sequences with ``context`` cached tokens each."""
    tokens = batch * lanes.verify
    return lanes.host_s + linear_time(lanes, tokens) + batch * (context * lanes.kv_s + lanes.sequence_s)


def prefill_time(lanes: Lanes, batch: Array, prompt: Array) -> tuple[Array, Array, Array]:
    """Return (work a prompt, latency of one, steps it takes), all beside ``batch`` decoding sequences.

    Work is what one prompt adds to the lane's time; mixed into decode steps it shares their reading of weights.
    """
    room = np.maximum(lanes.budget - np.where(lanes.mixes, batch / lanes.ranks, 0.0), 0.25 * lanes.budget)
    steps = np.ceil(prompt / room)
    chunk = prompt / steps
    beside = np.where(lanes.mixes, batch * lanes.verify, 0.0)
    alone = np.where(lanes.mixes & (batch >= 1.0), linear_time(lanes, np.maximum(beside, 1.0)), -lanes.host_s)
    wide = chunk * lanes.ranks
    crossed = lanes.cross_s * prompt * prompt / 2.0
    work = steps * np.maximum(linear_time(lanes, wide + beside) - alone, 0.0) / lanes.ranks + crossed / lanes.ranks
    latency = steps * (linear_time(lanes, wide) + lanes.host_s) + crossed
    return work, latency, steps


def seats_of(lanes: Lanes, prompt: Array, answer: Array) -> Array:
    """Return how many requests may run at once: the scheduler's limit and the memory's, at mean length."""
    held = prompt + 0.5 * answer
    return np.maximum(np.minimum(lanes.seats, np.floor(lanes.capacity / held)), 0.0)


def closed_loop(
    lanes: Lanes, habits: Habits, *, clients: Array, prompt: Array, answer: Array, rounds: Array
) -> Steady:
    """Return the state of ``clients`` a lane that each send their next request when the last is answered.

    ``rounds`` is the number of requests a client sends (1: all at once and no more). Lanes without room for
    one request answer with NaN.
    """
    seats = seats_of(lanes, prompt, answer)
    fits = seats >= 1.0
    running = np.where(fits, np.minimum(clients, np.maximum(seats, 1.0)), 1.0)
    context = prompt + 0.5 * answer
    batch = running.copy()
    inner = cycle = work = step = np.zeros_like(running)
    for _ in range(_ROUNDS):
        step = decode_time(lanes, batch, context) + habits.front_s * batch
        work, latency, steps = prefill_time(lanes, batch, prompt)
        work = work * habits.interference
        inner = _first_token(lanes, habits, running, batch, step, work, latency, steps, answer)
        cycle = running * work + (answer - 1.0) * step + np.where(running <= 1.0, latency, 0.0)
        cycle = np.maximum(cycle, inner + (answer - 1.0) * step)
        share = np.clip(1.0 - inner / cycle, 0.05, 1.0)
        batch = 0.5 * batch + 0.5 * np.maximum(running * share, np.minimum(running, 1.0))
    rate = running / cycle
    met = np.maximum(habits.cohort, 1.0 / rounds)
    burst = work * (running - 1.0) / 2.0
    inner = inner + met * burst
    tpot = np.maximum((cycle - inner) / np.maximum(answer - 1.0, 1.0), step)
    beyond = np.maximum(clients - running, 0.0)
    # In a single burst the last ones wait longest; in a long run all wait alike, but for the first seats taken.
    late = beyond / clients * (0.5 * beyond / rate)
    waits = late / rounds + (1.0 - 1.0 / rounds) * beyond / rate
    nan = np.where(fits, 1.0, np.nan)
    return Steady(
        ttft_s=nan * (inner + waits),
        tpot_s=nan * tpot,
        requests_per_s=nan * rate,
        running=nan * running,
        waiting=nan * beyond,
        step_s=nan * step,
        prefill_s=nan * work,
        prefill_share=nan * np.clip(running * work / cycle, 0.0, 1.0),
    )


def _first_token(
    lanes: Lanes,
    habits: Habits,
    running: Array,
    batch: Array,
    step: Array,
    work: Array,
    latency: Array,
    steps: Array,
    answer: Array,
) -> Array:
    """Return the time from admission to first token without bursts: the step under way, others' prompts, one's own."""
    busy = np.clip(running * work / np.maximum(running * work + answer * step, 1e-12), 0.0, 0.95)
    others = busy * work * (running - 1.0) / (2.0 * running * (1.0 - busy * (running - 1.0) / running))
    beside = np.where(lanes.mixes, steps * step * (batch > 1.0), 0.0)
    under_way = 0.5 * step * np.minimum(batch - 1.0, 1.0).clip(0.0)
    return habits.first_s + under_way + others + np.maximum(latency, beside * 0.0 + latency)
