"""Schedulers of vLLM, SGLang and TensorRT-LLM as named policies, read from the room's data."""

from __future__ import annotations

from dataclasses import dataclass

from suanli.errors import unknown_name
from suanli.kinds import Chip
from suanli.quantities import GIB
from suanli.serving._frameworks import framework_of, table
from suanli.serving._releases import release_asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduler:
    """How a framework fills a step; defaults of its current release, with ``source``.

    ``mixes``: prompts ride along with decode; ``chunks``: a prompt may be split; ``reserves``: admission needs room for
    the whole answer; ``budget``: tokens a step; ``seats``: requests that may run; ``memory_share`` of the
    chip's memory is the engine's (``of_free``: of what weights and activations leave is the cache's). ``release`` is
    the key of the release whose own work per step it has, "" where none is known.
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
    release: str = ""


_SMALL_BYTES = 70.0 * GIB


def scheduler(framework: str, chip: Chip | None = None) -> Scheduler:
    """Return the scheduler of a framework by name or alias (``vllm``, ``vllm@0.12.0``, ``SGLang v0.4.9``).

    Without a version the newest release known is meant. Some have smaller defaults on small or older chips. Raises
    UnknownNameError, InputError for a version that is none.
    """
    rows = table()["schedulers"]
    text = framework.partition("@")[0]
    name = framework_of(text)
    if name not in rows:
        raise unknown_name("framework", text, rows)
    release = release_asked(framework)
    row = dict(rows[name])
    small = row.pop("small", {})
    if chip is not None and ((chip.memory_bytes or _SMALL_BYTES) < _SMALL_BYTES or chip.family == "ampere"):
        row |= small
    return Scheduler(name=name, release=release.key if release else "", **row)
