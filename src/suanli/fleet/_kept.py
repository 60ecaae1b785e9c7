"""Parts of a run that may be kept and taken up again: the engines' rates, and solved plans, as plain values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suanli.fleet._engines import Tables, chips_of, tables_of
from suanli.fleet._measured import ServeRate, TrainRate
from suanli.fleet._program import Answer, Program, fixed_to, scenario_cost
from suanli.fleet._schema import CaseSpec
from suanli.fleet._solve import Solved
from suanli.fleet._work import Work, key_of

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRates:
    """The engines' rates, by workload and chip."""

    serve: tuple[tuple[str, str, ServeRate], ...]
    train: tuple[tuple[str, str, TrainRate], ...]
    unfit: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptPlan:
    """A solved plan without the programme that it answers, which is made again."""

    x: Array
    dual: Array
    objective: float
    seconds: float
    iterations: int
    columns: Ints
    rows: Ints
    projects: Ints
    tried: tuple[tuple[Ints, float], ...]


def kept_tables(work: Work, spec: CaseSpec, tell: Callable[[str], None]) -> Tables:
    """Return the engines' tables, from what this run or an earlier one with the same work and chips kept."""
    made: list[Tables] = []

    def make() -> KeptRates:
        made.append(tables_of(spec, tell))
        return KeptRates(
            serve=tuple((w, c, r) for (w, c), r in made[0].serve.items()),
            train=tuple((w, c, r) for (w, c), r in made[0].train.items()),
            unfit=made[0].unfit,
        )

    if work.shared is None:
        found = work.kept("rates", make, KeptRates)
    else:
        found = Work(work.shared).kept(f"rates-{rates_key(spec)}", make, KeptRates)
    if made:
        return made[0]
    chips, names, designs = chips_of(spec)
    return Tables(
        chips=chips, names=names, serve={(w, c): r for w, c, r in found.serve},
        train={(w, c): r for w, c, r in found.train}, unfit=found.unfit, designs=designs,
    )  # fmt: skip


APART = frozenset(
    {"title", "label", "horizon", "views", "claims", "exchange", "risk", "pots", "variants", "commitments", "shares",
     "conditions", "guidance", "factors", "happened", "notes", "suppliers", "foundries", "allocations", "groups"}
)  # fmt: skip
"""Parts of a case that no engine is asked about."""


def rates_key(spec: CaseSpec) -> str:
    """Return a key of everything that the engines' rates of a case rest on, files that it names included."""
    body = spec.model_dump(mode="json", exclude=set(APART))
    return key_of(json.dumps(body, sort_keys=True), *sorted(_files_in(body)))


def _files_in(node: Any) -> set[tuple[str, str]]:
    """Return (path, digest) of every file that is named anywhere below ``node``."""
    if isinstance(node, dict):
        return set().union(*(_files_in(v) for v in node.values()))
    if isinstance(node, list):
        return set().union(*(_files_in(v) for v in node))
    path = Path(str(node).removeprefix("design:")) if isinstance(node, str) else None
    if path is None or not path.suffix or len(str(path)) > 250 or not path.is_file():
        return set()
    return {(str(path), hashlib.sha256(path.read_bytes()).hexdigest())}


def kept_plan(work: Work, name: str, programme: Callable[[], Program], make: Callable[[], Solved]) -> Solved:
    """Return a solved plan, from what was kept if it was; ``programme`` makes what a kept answer answers."""
    made: list[Solved] = []

    def pack() -> KeptPlan:
        made.append(make())
        return _packed(made[0])

    found = work.kept(name, pack, KeptPlan)
    return made[0] if made else _solved(found, programme())


def _packed(solved: Solved) -> KeptPlan:
    a = solved.answer
    return KeptPlan(
        x=a.x, dual=a.dual, objective=a.objective, seconds=a.seconds, iterations=a.iterations,
        columns=_numbers(a.basis.col_status), rows=_numbers(a.basis.row_status),
        projects=np.array(solved.projects, dtype=np.int64),
        tried=tuple((np.array(way, dtype=np.int64), cost) for way, cost in solved.tried.items()),
    )  # fmt: skip


def _numbers(statuses: Any) -> Ints:
    return np.array([int(s) for s in statuses], dtype=np.int64)


def _solved(found: KeptPlan, p: Program) -> Solved:
    import highspy

    basis = highspy.HighsBasis()
    basis.col_status = [highspy.HighsBasisStatus(int(s)) for s in found.columns]
    basis.row_status = [highspy.HighsBasisStatus(int(s)) for s in found.rows]
    basis.valid = True
    way = tuple(bool(v) for v in found.projects)
    fixed = fixed_to(p, p.setting.columns.project, np.array(way, dtype=float))
    answer = Answer(
        x=found.x, dual=found.dual, objective=found.objective, status="optimal", seconds=found.seconds,
        iterations=found.iterations, basis=basis,
    )  # fmt: skip
    tried = {tuple(bool(v) for v in way): cost for way, cost in found.tried}
    return Solved(program=fixed, answer=answer, costs=scenario_cost(fixed, found.x), projects=way, tried=tried)
