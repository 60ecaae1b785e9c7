"""How published benchmarks load a server: rounds, lengths, MLPerf's data sets and limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_DATA = Path(__file__).parent / "data" / "protocols.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """A benchmark's closed loop: requests a client sends, mean length over the nominal one, width of the answers'
    lengths over their mean, whether all are alike, whether the server is as installed (no tuning, no warm-up), and
    whose ``scripts`` start it."""

    rounds: float
    length: float
    spread: float
    alike: bool
    cold: bool
    source: str
    scripts: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How a benchmark's published scripts start a server, where that differs from the framework's defaults (None).

    ``every`` and ``up_to``: decode steps between looks at new requests, and steps that prompts wait for company;
    ``drafts``: tokens drafted a step; ``joint``: a step holds one nominal prompt beside the whole batch.
    """

    seats: int | None = None
    budget: int | None = None
    joint: bool = False
    kv: str | None = None
    memory_share: float | None = None
    drafts: int = 0
    every: float = 0.0
    up_to: float = 0.0


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


def protocol(title: str, nominal: tuple[float, float] | None = None) -> Protocol:
    """Return the protocol of the first entry whose word stands in a source's title (the last one always does).

    An entry with ``nominal`` lengths holds for runs of these (input, output) only.
    """
    for row in _tree()["protocols"]:
        pairs = row.get("nominal")
        if row["match"].casefold() in title.casefold() and (pairs is None or (nominal and list(nominal) in pairs)):
            break
    return Protocol(
        rounds=float(row["rounds"]),
        length=float(row["length"]),
        spread=float(row.get("spread", 1.0)),
        alike=bool(row["alike"]),
        cold=bool(row.get("cold", False)),
        source=row["source"],
        scripts=row.get("scripts", ""),
    )


def launch(scripts: str, facts: Mapping[str, str | float]) -> Launch:
    """Return how the benchmark ``scripts`` start the server of a run with ``facts``.

    Facts are ``framework``, ``family``, ``model``, ``precision``, ``version``, ``isl``, ``osl``, ``clients``, ``tp``
    and ``dp``. All entries whose conditions hold apply, later ones over earlier: a text or number must be among those
    listed; of ``from`` and ``below`` each fact must reach or stay below its bound.
    """
    found: dict[str, Any] = {}
    for row in _tree()["launches"]:
        if row["scripts"] == scripts and _holds(row, facts):
            found |= row["set"]
    return Launch(**found)


def _holds(row: Mapping[str, Any], facts: Mapping[str, str | float]) -> bool:
    exact = all(facts[k] in allowed for k, allowed in row.get("where", {}).items())
    above = all(float(facts[k]) >= bound for k, bound in row.get("from", {}).items())
    return exact and above and all(float(facts[k]) < bound for k, bound in row.get("below", {}).items())


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
