"""Goodput: what failures, checkpoints and restarts leave of a run's speed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InputError
from suanli.files import plain, read_yaml
from suanli.quantities import HOUR
from suanli.sources import Source, Sourced

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Goodput:
    """Share of time that makes progress, and what takes the rest; ``interval_s`` between checkpoints, each of which
    takes ``write_s`` to write and halts training for ``stall_s``; ``mtbf_s`` of the whole run."""

    share: Array
    checkpoints: Array
    lost_work: Array
    restarts: Array
    interval_s: Array
    mtbf_s: Array
    write_s: Array
    stall_s: Array


_LEAST_STALL = 0.1  # s: a checkpoint's barrier


@cache
def operations() -> Mapping[str, Sourced]:
    """Return what stops a run and what it draws, each with its source and range."""
    path = Path(str(files("suanli.training").joinpath("data/operations.yaml")))
    raw: dict[str, Any] = plain(read_yaml(path))
    return {
        name: Sourced(name, float(row["value"]), "", Source(row["source"]), float(row["low"]), float(row["high"]))
        for name, row in raw.items()
    }


def goodput(
    n_chips: ArrayLike,
    *,
    checkpoint_bytes: ArrayLike,
    chip_hours_between_stops: float | None = None,
    restart_s: float | None = None,
    checkpoint_rate: float | None = None,
    synchronous: bool = False,
) -> Goodput:
    """Return the goodput of a run on ``n_chips`` that writes ``checkpoint_bytes`` a chip at each checkpoint.

    A stop comes every M = hours between stops / chips. A ``synchronous`` checkpoint halts training for its write at
    ``checkpoint_rate`` B/s a chip, an asynchronous one only for the copy into host memory; the write then goes on
    beside training, sets the shortest interval, and is lost work if a stop comes before its end. Intervals are Daly's.
    A stop costs half an interval, a restart and the reading back. Raises InputError below one chip.
    """
    n = np.atleast_1d(np.asarray(n_chips, dtype=np.float64))
    if np.any(n < 1):
        raise InputError(f"n_chips {n.min():g} is below 1")
    known = operations()
    hours = known["chip_hours_between_stops"].value if chip_hours_between_stops is None else chip_hours_between_stops
    restart = known["restart_s"].value if restart_s is None else restart_s
    rate = known["checkpoint_rate"].value if checkpoint_rate is None else checkpoint_rate
    for name, value in (("hours between stops", hours), ("checkpoint rate", rate)):
        if not value > 0:
            raise InputError(f"{name}: {value:g} is not above zero")
    mtbf = hours * HOUR / n
    size = np.asarray(checkpoint_bytes, dtype=np.float64)
    write = size / rate + np.zeros_like(n)
    stall = np.maximum(write if synchronous else size / known["checkpoint_copy"].value + np.zeros_like(n), _LEAST_STALL)
    interval = daly_interval(stall, mtbf)
    behind = np.zeros_like(n) if synchronous else write
    interval = np.maximum(interval, behind)
    writing = stall / interval
    lost = np.minimum((0.5 * interval + behind) / mtbf, 10.0)
    again = np.minimum((restart + write) / mtbf, 10.0)
    share = 1.0 / (1.0 + writing + lost + again)
    return Goodput(
        share=share,
        checkpoints=writing * share,
        lost_work=lost * share,
        restarts=again * share,
        interval_s=interval,
        mtbf_s=mtbf,
        write_s=write,
        stall_s=stall,
    )


def daly_interval(stall: ArrayLike, mtbf: ArrayLike) -> Array:
    """Return the s of work between checkpoints that loses least: C = ``stall`` each, a stop every M = ``mtbf``, in s.

    Daly 2006 (Future Generation Computer Systems 22, equation 37): sqrt(2 C M) (1 + sqrt(C / 2M) / 3 + C / 18M) - C,
    the higher-order form of Young 1974; M where C reaches 2 M.
    """
    c, m = np.broadcast_arrays(np.asarray(stall, dtype=np.float64), np.asarray(mtbf, dtype=np.float64))
    x = c / (2.0 * m)
    near = np.sqrt(2.0 * c * m) * (1.0 + np.sqrt(x) / 3.0 + x / 9.0) - c
    return np.atleast_1d(np.where(c < 2.0 * m, near, m))
