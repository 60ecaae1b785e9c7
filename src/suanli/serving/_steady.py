"""The steady state in closed form: what a lane of chips answers under load, over arrays, without simulation.

A lane runs one step at a time; a pipeline of ``pp`` stages is ``pp`` lanes, a replica another. Its attention ranks go
in step, so all counts below are of one rank. A request costs the rank a prefill of ``P`` seconds and ``osl`` decode
steps
``D(b)``; with ``r`` requests in service a cycle takes

    C = r P + (osl - 1) D(b) / accepted,     b = r (1 - F / C),     X = r / C,

``F`` being the time from admission to first token. Requests beyond ``r = min(N, seats)`` queue for (N - r) / X.
A closed loop starts with a burst. Where prefill goes first, requests admitted together also decode together and end
together, so that later rounds meet the burst again until differing lengths have spread them; where prompts ride along,
they start staggered and stay so: ``cohort`` and ``varied`` are the shares of rounds that meet a burst all the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

GRID: Array = np.exp2(np.arange(17, dtype=np.float64))
"""Tokens a step at which step times are tabulated; between them, times are linear in tokens."""

_ROUNDS = 10  # of the fixed point; its error falls by about half a round


@dataclass(frozen=True, slots=True, kw_only=True)
class Lanes:
    """Step times and limits of lanes; arrays over candidates (n), ``linear`` (n, len(GRID)) in s.

    Counts are of one attention rank, of which a lane has ``ranks``. ``kv_s``: s a cached token read in decode;
    ``sequence_s``: s a sequence in decode; ``prompt_s``: s a token of a prompt, ``cross_s``: s a (new token x token of
    context); ``host_s``: s a step; ``seats``: requests that may run; ``capacity``: tokens of KV cache; ``budget``:
    tokens a step; ``mixes``: prompts ride along with decode (else they stop it); ``reserves``: a seat takes room for
    the whole answer; a decode step computes ``verify`` tokens a sequence and yields ``accepted``.
    """

    linear: Array
    host_s: Array
    kv_s: Array
    sequence_s: Array
    prompt_s: Array
    cross_s: Array
    seats: Array
    capacity: Array
    budget: Array
    mixes: NDArray[np.bool_]
    reserves: NDArray[np.bool_]
    ranks: Array
    verify: Array
    accepted: Array

    def pick(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Lanes:
        """Return the lanes at ``rows``."""
        return Lanes(**{name: getattr(self, name)[rows] for name in self.__slots__})


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How a framework schedules, arrays over candidates; meanings in ``NAMES`` of _tuning."""

    cohort: Array
    varied: Array
    group: Array
    interference: Array
    first_s: Array
    arrive_s: Array
    wait: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Decode steps for which a scheduler holds prompts back, arrays over candidates; 0 does not hold.

    It looks for new requests ``every`` so many steps; a prompt that could start waits ``up_to`` so many for company.
    """

    every: Array
    up_to: Array

    def held(self, arrivals: Array) -> tuple[Array, Array]:
        """Return (mean steps a prompt is held, prompts beside it when let in) at ``arrivals`` a step."""
        company = arrivals * self.up_to
        waited = self.up_to * (1.0 + 0.5 * company) / (1.0 + company)
        return 0.5 * self.every + waited, arrivals * self.every + company


@dataclass(frozen=True, slots=True, kw_only=True)
class Steady:
    """The answer: s, requests/s a lane, requests running and waiting a lane, share of time in prefill."""

    ttft_s: Array
    tpot_s: Array
    requests_per_s: Array
    running: Array
    waiting: Array
    step_s: Array
    prefill_s: Array
    prefill_share: Array


def linear_time(lanes: Lanes, tokens: Array) -> Array:
    """Return the linear part of a step of ``tokens`` a rank (s): the table, straight between its points and beyond."""
    n = np.maximum(tokens, 1.0)
    at = np.clip(np.floor(np.log2(n)), 0, GRID.size - 2).astype(np.intp)
    rows = np.arange(at.size)
    low, high = lanes.linear[rows, at], lanes.linear[rows, at + 1]
    out: Array = low + (high - low) * (n - GRID[at]) / GRID[at]
    return out


def decode_time(lanes: Lanes, batch: Array, context: Array) -> Array:
    """Return the time of a decode step (s) of ``batch`` sequences a rank with ``context`` cached tokens each."""
    reading = batch * (context * lanes.kv_s + lanes.sequence_s)
    return lanes.host_s + linear_time(lanes, batch * lanes.verify) + reading


def prefill_time(lanes: Lanes, batch: Array, prompt: Array, cached: Array | float = 0.0) -> tuple[Array, Array]:
    """Return (work a prompt adds to its rank, time of a prompt alone), beside ``batch`` decoding sequences, s.

    Mixed into decode steps, a prompt shares their reading of weights and the host's work; else it has steps of its own,
    which several short prompts share up to the budget. ``cached`` tokens before the prompt are attended to only.
    """
    beside = np.where(lanes.mixes, batch * lanes.verify, 0.0)
    room = np.maximum(lanes.budget - beside, 0.25 * lanes.budget)
    steps = np.ceil(prompt / room)
    chunk = prompt / steps
    attention = prompt * lanes.prompt_s + prompt * (0.5 * prompt + cached) * lanes.cross_s
    shared = steps * (linear_time(lanes, chunk + beside) - linear_time(lanes, beside))
    joint = np.clip(np.floor(room / prompt), 1.0, np.maximum(batch, 1.0))
    own = steps * (linear_time(lanes, chunk * joint) + lanes.host_s) / joint
    work = np.where(lanes.mixes & (batch >= 0.5), shared, own)
    alone = steps * (linear_time(lanes, chunk) + lanes.host_s)
    return np.maximum(work, 0.0) + attention, alone + attention


def seats_of(lanes: Lanes, held: Array) -> Array:
    """Return how many requests of ``held`` tokens each may run on a rank: the scheduler's limit and the memory's."""
    return np.maximum(np.minimum(lanes.seats / lanes.ranks, lanes.capacity / held), 0.0)


def held_tokens(lanes: Lanes, prompt: Array, answer: Array, cached: Array | float = 0.0) -> Array:
    """Return the tokens of cache that a running request takes: its mean length, or all of it where seats reserve."""
    out: Array = cached + prompt + np.where(lanes.reserves, 1.0, 0.5) * answer
    return out


def closed_loop(
    lanes: Lanes,
    habits: Habits,
    *,
    clients: Array,
    prompt: Array,
    answer: Array,
    rounds: Array,
    cached: Array | float = 0.0,
    alike: NDArray[np.bool_] | bool = False,
    spread: Array | float = 1.0,
    gate: Gate | None = None,
) -> Steady:
    """Return the state of ``clients`` a lane that each send their next request when the last is answered.

    ``rounds`` is the number of requests a client sends (1: all at once and no more); ``cached`` tokens of each prompt
    stand before the ``prompt`` that is computed; ``alike`` marks loads whose lengths do not vary, ``spread`` is the
    width of the answers' lengths over their mean. A lane without room for one request answers with NaN.
    """
    seats = seats_of(lanes, held_tokens(lanes, prompt, answer, cached))
    fits = seats >= 1.0 / lanes.ranks
    each = np.maximum(clients / lanes.ranks, 1.0 / lanes.ranks)
    running = np.where(fits, np.minimum(each, seats), 1.0)
    cycle, inner, work, step, _ = _cycle(lanes, habits, running, prompt, answer, cached, gate)
    rate = running / cycle
    queue = work * np.maximum(running - 1.0, 0.0)
    drift = np.where(alike, 0.0, spread * answer * step / lanes.accepted)
    met = np.where(lanes.mixes, np.where(alike, habits.cohort, habits.varied), _together(queue, drift, rounds))
    burst = np.maximum(met, 1.0 / rounds) * queue / 2.0
    accepting = habits.arrive_s * np.maximum(each * lanes.ranks - 1.0, 0.0) / 2.0 / rounds
    burst = np.maximum(burst, accepting)
    crowd = np.where(alike, habits.group * np.clip((running - 1.0) / 8.0, 0.0, 1.0), 0.0) * work
    inner = inner + crowd
    first = np.minimum(inner + burst, np.maximum(cycle - (answer - 1.0) * step / lanes.accepted, inner))
    tpot = (cycle - first) / np.maximum(answer - 1.0, 1.0)
    beyond = np.maximum(each - running, 0.0)
    # In one burst a queued request waits for half of those before it; in a long run each waits for all of them.
    early = beyond / each * (0.5 * beyond / rate + 0.5 * cycle)
    waits = early / rounds + (1.0 - 1.0 / rounds) * beyond / rate
    nan = np.where(fits, 1.0, np.nan)
    return Steady(
        ttft_s=nan * (first + waits),
        tpot_s=nan * tpot,
        requests_per_s=nan * rate * lanes.ranks,
        running=nan * running * lanes.ranks,
        waiting=nan * beyond * lanes.ranks,
        step_s=nan * step,
        prefill_s=nan * work,
        prefill_share=nan * np.clip(running * work / cycle, 0.0, 1.0),
    )


def _together(queue: Array, drift: Array, rounds: Array) -> Array:
    """Return the share of a first burst's wait that a round meets on average.

    Requests that all start within ``queue`` (s) end within it; each round spreads them by ``drift`` (s) more, as the
    root of the rounds gone by. Prompts queue where they come faster than they are prefilled.
    """
    done = (np.arange(8)[:, None] + 0.5) / 8.0 * np.maximum(rounds - 1.0, 0.0)
    later = np.clip(1.0 - drift * np.sqrt(done) / np.maximum(queue, 1e-12), 0.0, 1.0).mean(axis=0)
    out: Array = 1.0 / rounds + (1.0 - 1.0 / rounds) * later
    return out


def _cycle(
    lanes: Lanes,
    habits: Habits,
    running: Array,
    prompt: Array,
    answer: Array,
    cached: Array | float,
    gate: Gate | None,
) -> tuple[Array, Array, Array, Array, Array]:
    """Return (cycle, first token, work a prompt, decode step, batch) of ``running`` requests: the fixed point."""
    batch = running.copy()
    context = cached + prompt + 0.5 * answer
    cycle = inner = work = step = np.zeros_like(running)
    after = np.maximum(answer - 1.0, 0.0) / lanes.accepted
    for _ in range(_ROUNDS):
        step = decode_time(lanes, batch, context)
        work, alone = prefill_time(lanes, batch, prompt, cached)
        work = work * np.where(batch > 1.0, habits.interference, 1.0)
        # A prompt that rides along takes whole steps of the batch it rides with.
        own = np.ceil(prompt / np.maximum(lanes.budget - batch * lanes.verify, 0.25 * lanes.budget))
        alone = np.where(lanes.mixes, np.maximum(alone, own * step + work), alone)
        inner = first_token(lanes, habits, running, step, work, alone, after)
        if gate is not None:
            held, beside = gate.held(running * lanes.ranks * step / np.maximum(cycle, after * step + work))
            inner = inner + held * step * np.clip(running - 1.0, 0.0, 1.0) + beside / lanes.ranks * work
        # Mixed in, prompts need steps of the budget's size whatever they cost; what these outlast decode is waiting.
        room = np.maximum(lanes.budget - batch * lanes.verify, 0.25 * lanes.budget)
        steps = np.where(lanes.mixes, np.maximum(after, running * prompt / room), after)
        inner = inner + (steps - after) * step
        cycle = np.maximum(running * work + steps * step, inner + after * step)
        share = np.clip(1.0 - inner / cycle, 0.05, 1.0)
        batch = 0.5 * batch + 0.5 * np.maximum(running * share, np.minimum(running, 1.0))
    return cycle, inner, work, step, batch


def first_token(
    lanes: Lanes,
    habits: Habits,
    running: Array,
    step: Array,
    work: Array,
    alone: Array,
    after: Array,
) -> Array:
    """Return the time from admission to first token without bursts: the step under way, other prompts, one's own."""
    busy = np.clip(running * work / np.maximum(running * work + after * step, 1e-12), 0.0, 0.95)
    crowd = np.clip(running - 1.0, 0.0, None) / np.maximum(running, 1.0)
    others = 0.5 * busy * crowd * work / (1.0 - busy * crowd)
    under_way = 0.5 * step * np.clip(running - 1.0, 0.0, 1.0)
    ranks = habits.wait * step * (lanes.ranks > 1)
    return habits.first_s + under_way + others + alone + ranks
