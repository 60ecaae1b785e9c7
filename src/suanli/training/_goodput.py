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
    """Share of time that makes progress, and what takes the rest; ``interval_s`` between checkpoints, ``mtbf_s`` of
    the whole run."""

    share: Array
    checkpoints: Array
    lost_work: Array
    restarts: Array
    interval_s: Array
    mtbf_s: Array


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
) -> Goodput:
    """Return the goodput of a run on ``n_chips`` that writes ``checkpoint_bytes`` a chip at each checkpoint.

    Young's interval sqrt(2 C M) (Young 1974, Daly 2006) for a stop every M = hours between stops / chips and a stall C
    a checkpoint; half an interval of work and one restart are lost a stop. Raises InputError below one chip.
    """
    n = np.atleast_1d(np.asarray(n_chips, dtype=np.float64))
    if np.any(n < 1):
        raise InputError(f"n_chips {n.min():g} is below 1")
    known = operations()
    hours = known["chip_hours_between_stops"].value if chip_hours_between_stops is None else chip_hours_between_stops
    restart = known["restart_s"].value if restart_s is None else restart_s
    rate = known["checkpoint_rate"].value if checkpoint_rate is None else checkpoint_rate
    mtbf = hours * HOUR / n
    stall = np.maximum(np.asarray(checkpoint_bytes, dtype=np.float64) / rate * known["checkpoint_stall"].value, 0.1)
    interval = np.sqrt(2.0 * stall * mtbf)
    writing = stall / interval
    lost = interval / (2.0 * mtbf)
    again = np.minimum(restart / mtbf, 10.0)
    share = 1.0 / (1.0 + writing + lost + again)
    return Goodput(
        share=share,
        checkpoints=writing * share,
        lost_work=lost * share,
        restarts=again * share,
        interval_s=interval,
        mtbf_s=mtbf,
    )
