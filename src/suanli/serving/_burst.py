"""All requests at once and no more: what a client that sends a whole data set in one go sees, in closed form.

The burst has three parts: prompts fill the seats, queued requests take seats that become free, and the last answers
drain. Where lengths vary as in chats, answers end one by one: with lengths spread exponentially around the mean m, the
batch falls from r as r exp(-k / m) over k steps, and draining takes

    m times the integral of D(b) / b over b from 1 to r,

which reads the weights for ever fewer sequences: that, not the full batch, is much of a burst's time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from suanli.serving._steady import (
    Habits,
    Lanes,
    Steady,
    closed_loop,
    decode_time,
    held_tokens,
    linear_time,
    seats_of,
)

Array = NDArray[np.float64]

_POINTS = 8  # of the drain's integral
_ALONG = float(np.log(2.0))  # mean share of the first batch that an answer decodes beside, where lengths vary


def all_at_once(
    lanes: Lanes,
    habits: Habits,
    *,
    clients: Array,
    prompt: Array,
    answer: Array,
    chat: NDArray[np.bool_],
    short: Array,
    client_s: Array,
) -> Steady:
    """Return the state of ``clients`` requests a lane that all arrive at once (arrays over candidates).

    ``chat`` marks lengths that vary as in chats, whose mean over harmonic mean is ``short``; else all are alike.
    ``client_s`` is what one token costs the client and the front end (s), which may be slower than the chips. TTFT and
    TPOT are means over requests, so that short answers, which the filling delays most, weigh as much as long ones.
    """
    each = np.maximum(clients / lanes.ranks, 1.0 / lanes.ranks)
    context = prompt + 0.5 * answer
    seats = seats_of(lanes, held_tokens(lanes, prompt, answer))
    running = np.where(seats >= 1.0 / lanes.ranks, np.minimum(each, seats), 1.0)

    def step(batch: Array) -> Array:
        return np.maximum(decode_time(lanes, batch, context), batch * lanes.ranks * client_s / lanes.accepted)

    fill, chunks = _filling(lanes, running, prompt, step(0.5 * running))
    queued = np.maximum(each - running, 0.0)
    state = closed_loop(
        lanes, habits, clients=running * lanes.ranks, prompt=prompt, answer=answer, rounds=np.full_like(prompt, 1e9)
    )
    pace = np.minimum(state.requests_per_s / lanes.ranks, 1.0 / np.maximum(answer * client_s * lanes.ranks, 1e-12))
    after = np.maximum(answer - 1.0, 1.0) / lanes.accepted
    drain = after * np.where(chat, _drained(step, running), step(running))
    total = fill + queued / pace + drain
    turn = np.where(chat, short, 1.0) / np.maximum(answer, 1.0)
    plain = step(np.where(chat, _ALONG, 1.0) * running) / lanes.accepted
    chunk = fill / chunks
    mixed = plain + np.maximum(chunk - plain, 0.0) * np.minimum(0.5 * chunks * turn, 1.0)
    tpot = np.where(lanes.mixes, mixed, plain + 0.5 * fill * turn)
    share = running / each
    first = 0.5 * fill * share + (1.0 - share) * (fill + 0.5 * queued / pace)
    nan = np.where(seats >= 1.0 / lanes.ranks, 1.0, np.nan)
    return Steady(
        ttft_s=nan * (first + habits.first_s + 0.5 * habits.arrive_s * clients),
        tpot_s=nan * (share * tpot + (1.0 - share) * np.maximum(state.tpot_s, plain)),
        requests_per_s=nan * each * lanes.ranks / total,
        running=nan * running * lanes.ranks,
        waiting=nan * queued * lanes.ranks,
        step_s=nan * plain,
        prefill_s=nan * state.prefill_s,
        prefill_share=nan * fill / total,
    )


def _drained(step: Callable[[Array], Array], running: Array) -> Array:
    """Return the time, a step of the mean answer, in which a batch falls as the exponential of the steps, to one."""
    at = (np.arange(_POINTS) + 0.5) / _POINTS
    fall = np.log(np.maximum(running, 1.0))
    out: Array = np.mean([step(np.exp(x * fall)) for x in at], axis=0) * np.maximum(fall, 1.0)
    return out


def _filling(lanes: Lanes, running: Array, prompt: Array, step: Array) -> tuple[Array, Array]:
    """Return (s, steps) that the first prompts of a rank take; mixed in, each step also decodes those admitted."""
    room = np.maximum(lanes.budget - 0.5 * running * lanes.verify, 0.25 * lanes.budget)
    chunks = np.ceil(running * prompt / room)
    size = running * prompt / chunks
    attention = running * (prompt * lanes.prompt_s + 0.5 * prompt**2 * lanes.cross_s)
    decoding = np.where(lanes.mixes, 0.5 * running * lanes.verify, 0.0)
    beside = np.where(lanes.mixes, np.maximum(step - lanes.host_s - linear_time(lanes, decoding), 0.0), 0.0)
    each = linear_time(lanes, size + decoding) + lanes.host_s + beside
    return chunks * each + attention, chunks
