"""Data loading: what storage and the loaders' processors deliver, and what of it a step waits for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InputError
from suanli.training._facts import Facts
from suanli.training._goodput import operations
from suanli.training._strategy import Strategies

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """How chips are fed: ``storage`` B/s and ``prepare`` tokens/s a chip; ``ahead`` says that loaders work ahead."""

    storage: float
    prepare: float
    ahead: bool = True


def feed_of(
    *, storage: float | None = None, prepare: float | None = None, workers: int | None = None, ahead: bool = True
) -> Feed:
    """Return how chips are fed: storage in B/s a chip, ``workers`` processes a chip at ``prepare`` tokens/s each.

    Defaults: storage and tokens/s of data/operations.yaml, two processes (Megatron-LM's ``--num-workers``). Raises
    InputError for values not above zero.
    """
    known = operations()
    rate = known["storage_rate"].value if storage is None else storage
    each = known["loader_tokens"].value if prepare is None else prepare
    count = 2 if workers is None else workers
    for name, value in (("storage", rate), ("loader tokens/s", each), ("workers", count)):
        if not value > 0:
            raise InputError(f"{name}: {value:g} is not above zero")
    return Feed(storage=rate, prepare=each * count, ahead=ahead)


def load_time(feed: Feed, f: Facts, s: Strategies, *, seq: Array, batch: Array) -> Array:
    """Return the seconds in which one step's tokens are read and prepared.

    The chips of one pipeline stage read them, each an equal part: reading and preparing go on side by side.
    """
    tokens = batch * seq * s.pp / s.chips
    return np.asarray(tokens * np.maximum(f.token_bytes / feed.storage, 1.0 / feed.prepare))


def waiting(feed: Feed, load: Array, step: Array) -> Array:
    """Return the seconds that a step of ``step`` seconds waits for data that take ``load`` seconds."""
    return np.maximum(0.0, load - step) if feed.ahead else load
