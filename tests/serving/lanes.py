"""A lane whose step times are simple enough to check by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from suanli.serving import Habits, Lanes, Replay
from suanli.serving._steady import GRID


def one(value: Any) -> Any:
    """Return an array of one."""
    return np.array([value])


def lane(**changes: Any) -> Lanes:
    """Return a lane that reads weights for 11 ms, computes from 512 tokens on, and reads a cached token in 45 ns."""
    linear = 2e-3 + np.maximum(11e-3, 11e-3 * GRID / 512)
    fields: dict[str, Any] = {
        "linear": linear[None, :],
        "host_s": one(1e-3),
        "kv_s": one(4.5e-8),
        "sequence_s": one(1e-6),
        "prompt_s": one(0.0),
        "cross_s": one(1e-9),
        "seats": one(256.0),
        "capacity": one(600_000.0),
        "budget": one(8192.0),
        "mixes": one(True),
        "reserves": one(False),
        "ranks": one(1.0),
        "verify": one(1.0),
        "accepted": one(1.0),
    }
    return Lanes(**{**fields, **changes})


def plain_habits() -> Habits:
    """Return habits without bursts, front end or interference."""
    return Habits(
        cohort=one(1e-9),
        varied=one(1e-9),
        group=one(0.0),
        interference=one(1.0),
        first_s=one(0.0),
        arrive_s=one(0.0),
        wait=one(0.0),
    )


def column(seen: Replay, name: str) -> Any:
    """Return a column of a run's requests."""
    return seen.requests[name].to_numpy()
