"""How published benchmarks load a server: rounds, lengths, MLPerf's data sets and limits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_DATA = Path(__file__).parent / "data" / "protocols.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """A benchmark's closed loop: requests a client sends, mean length over the nominal one, whether all are
    alike, and whether the server is as installed and cold (no tuning, no warm-up)."""

    rounds: float
    length: float
    alike: bool
    cold: bool
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A data set of MLPerf Inference: mean lengths in tokens, p99 limits (TTFT, TPOT) in s by scenario."""

    input_tokens: float
    output_tokens: float
    server: tuple[float, float] | None
    interactive: tuple[float, float] | None
    source: str


@cache
def _tree() -> dict[str, Any]:
    from suanli.files import plain, read_yaml

    tree: dict[str, Any] = plain(read_yaml(_DATA))
    return tree


def protocol(title: str) -> Protocol:
    """Return the protocol of the first entry whose word stands in a source's title (the last one always does)."""
    for row in _tree()["protocols"]:
        if row["match"].casefold() in title.casefold():
            break
    return Protocol(
        rounds=float(row["rounds"]),
        length=float(row["length"]),
        alike=bool(row["alike"]),
        cold=bool(row.get("cold", False)),
        source=row["source"],
    )


def mlperf_task(model_id: str) -> Task | None:
    """Return the MLPerf task of a model by its catalogue id, None where it is no benchmark of theirs."""
    row = _tree()["mlperf"].get(model_id)
    if row is None:
        return None

    def limits(name: str) -> tuple[float, float] | None:
        return (float(row[name][0]), float(row[name][1])) if name in row else None

    return Task(
        input_tokens=float(row["input"]),
        output_tokens=float(row["output"]),
        server=limits("server"),
        interactive=limits("interactive"),
        source=row["source"],
    )
