"""Prefill and decode on pools of their own: two stations in a closed loop, with the cache handed over between."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from suanli.serving._steady import Habits, Lanes, Steady, decode_time, prefill_time, seats_of

Array = NDArray[np.float64]

_ROUNDS = 24


def pools(
    prefill: Lanes,
    decode: Lanes,
    habits: Habits,
    *,
    clients: Array,
    prompt: Array,
    answer: Array,
    rounds: Array,
    workers: tuple[Array, Array],
    transfer_s: Array | float = 0.0,
) -> Steady:
    """Return the state of a disaggregated service of ``workers`` (prefill, decode) lanes with ``clients`` in all.

    Mean-value analysis of a closed loop of two stations: prompts queue for prefill one after another, decode
    lanes share their step. ``transfer_s`` is the hand-over of one request's cache.
    """
    ranks = prefill.ranks * workers[0]
    work, alone = prefill_time(prefill, np.zeros_like(prompt), prompt)
    context = prompt + 0.5 * answer
    seats = seats_of(decode, context) * decode.ranks * workers[1]
    after = np.maximum(answer - 1.0, 0.0) / decode.accepted
    in_decode = np.minimum(clients * 0.5, seats)
    rate = step = wait = np.zeros_like(clients)
    for _ in range(_ROUNDS):
        batch = np.maximum(in_decode / (workers[1] * decode.ranks), 1e-3)
        step = decode_time(decode, batch, context)
        waiting = np.maximum(clients - in_decode, 0.0)
        wait = alone + work * np.maximum(waiting / ranks - 1.0, 0.0)
        rate = clients / (wait + transfer_s + after * step)
        rate = np.minimum(rate, np.minimum(ranks / work, seats / (after * step)))
        in_decode = 0.5 * in_decode + 0.5 * np.clip(rate * after * step, 1e-3, np.minimum(clients, seats))
    first = np.maximum(clients / rate - after * step, alone + habits.first_s) + transfer_s
    burst = work * np.maximum(clients / ranks - 1.0, 0.0) / 2.0 / rounds
    fits = seats >= 1.0
    nan = np.where(fits, 1.0, np.nan)
    return Steady(
        ttft_s=nan * (first + burst),
        tpot_s=nan * step / decode.accepted,
        requests_per_s=nan * rate,
        running=nan * in_decode,
        waiting=nan * np.maximum(clients - in_decode, 0.0),
        step_s=nan * step,
        prefill_s=nan * work,
        prefill_share=nan * np.clip(rate * work / ranks, 0.0, 1.0),
    )
