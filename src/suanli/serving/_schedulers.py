"""Schedulers of vLLM, SGLang and TensorRT-LLM as named policies, read from the room's data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from suanli.errors import unknown_name
from suanli.kinds import Chip
from suanli.quantities import GIB

_DATA = Path(__file__).parent / "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduler:
    """How a framework fills a step; defaults of its current release, with ``source``.

    ``mixes``: prompts ride along with decode; ``chunks``: a prompt may be split; ``reserves``: admission needs room for
    the whole answer; ``budget``: tokens a step; ``seats``: requests that may run; ``memory_share`` of the
    chip's memory is the engine's (``of_free``: of what weights and activations leave is the cache's).
    """

    name: str
    mixes: bool
    chunks: bool
    reserves: bool
    budget: int
    seats: int
    memory_share: float
    source: str
    of_free: bool = False
    note: str = ""


@cache
def _table() -> dict[str, Any]:
    from suanli.files import plain, read_yaml

    tree: dict[str, Any] = plain(read_yaml(_DATA / "frameworks.yaml"))
    return tree


_SMALL_BYTES = 70.0 * GIB


def scheduler(framework: str, chip: Chip | None = None) -> Scheduler:
    """Return the scheduler of a framework by name or alias (``vllm``, ``TensorRT 10.11``, ``SGLang v0.4.9``).

    Some have smaller defaults on small or older chips. Raises UnknownNameError.
    """
    table = _table()["schedulers"]
    name = framework_of(framework)
    if name not in table:
        raise unknown_name("framework", framework, table)
    row = dict(table[name])
    small = row.pop("small", {})
    if chip is not None and ((chip.memory_bytes or _SMALL_BYTES) < _SMALL_BYTES or chip.family == "ampere"):
        row |= small
    return Scheduler(name=name, **row)


def frameworks() -> tuple[str, ...]:
    """Return the names of the frameworks with a scheduler of their own."""
    return tuple(_table()["schedulers"])


def framework_of(text: str) -> str:
    """Return the framework that a free text names: the first of the table's words that occurs in it."""
    low = text.casefold()
    for word, name in _table()["words"].items():
        if word in low:
            return str(name)
    return low.strip()
