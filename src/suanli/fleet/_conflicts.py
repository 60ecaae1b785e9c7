"""When limits cannot hold together: a smallest set of colliding sentences, and the cheapest change that frees them.

A member is one sentence (its rows in every future). The set is irreducible: found by deletion, so that with any one of
its members dropped the rest can be met. Only business limits are members, made elastic, or priced. Rules, owners,
parties, places and uses have no rows, so nothing here can touch them. (HiGHS offers sets of its own, but over all rows
and bounds: they would name balances and stock where a director can change neither.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from suanli.errors import InfeasibleError, SuanliError
from suanli.fleet._costs import short_cost
from suanli.fleet._program import Program, hand_over, run
from suanli.fleet._words import row_sentence, row_unit
from suanli.fleet.mathematics import FAMILIES
from suanli.fleet.mathematics._base import INFINITE

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
BUSINESS = frozenset(f.name for f in FAMILIES if f.business)
TOLD = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One business limit: the family it belongs to, its sentence, its rows, their unit."""

    family: str
    sentence: str
    rows: tuple[int, ...]
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A limit given way by ``amount`` of ``unit``, and what that costs in USD at the case's own prices."""

    member: Member
    amount: float
    usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Collision:
    """Limits that cannot hold together, and the cheapest change of business limits that frees the plan."""

    members: tuple[Member, ...]
    changes: tuple[Change, ...]

    @property
    def text(self) -> str:
        """One line that says it."""
        if not self.members:
            return "the limits cannot hold together, and no business limit alone is the cause"
        told = [m.sentence for m in self.members[:TOLD]]
        more = f" | and {len(self.members) - TOLD} more" if len(self.members) > TOLD else ""
        cure = [f"{c.member.sentence} by {c.amount:,.3g} {c.member.unit}, USD {c.usd:,.3g}" for c in self.changes[:3]]
        rest = f"; and {len(self.changes) - 3} more" if len(self.changes) > 3 else ""
        return (
            f"limits that cannot hold together (with any one of these {len(self.members)} dropped the rest can): "
            f"{' | '.join(told)}{more}. Cheapest change: {'; '.join(cure)}{rest}"
        )


class CollisionError(InfeasibleError):
    """Limits that cannot hold together; ``collision`` says which, and what would free them."""

    def __init__(self, collision: Collision) -> None:
        super().__init__(collision.text)
        self.collision = collision


def collision(p: Program) -> Collision:
    """Return an irreducible set of colliding business limits of an infeasible programme, and the cheapest change.

    Raises SuanliError where the solver stops without telling whether limits can be met.
    """
    every = members(p)
    changes, core = _elastic(p, every)
    if not core:
        return Collision(members=(), changes=())
    return Collision(members=irreducible(p, every, core), changes=changes)


def members(p: Program) -> tuple[Member, ...]:
    """Return the business limits of a programme: rows of one sentence, whatever the future, make one member."""
    found: dict[tuple[str, str], list[int]] = {}
    for name, first, block in p.blocks:
        if name in BUSINESS:
            for row in range(first, first + len(block.low)):
                if np.isfinite(p.low[row]) or np.isfinite(p.high[row]):
                    found.setdefault((name, row_sentence(p, row)), []).append(row)
    return tuple(
        Member(family=name, sentence=sentence, rows=tuple(rows), unit=row_unit(p, rows[0]))
        for (name, sentence), rows in found.items()
    )


def irreducible(p: Program, every: Sequence[Member], core: Sequence[Member]) -> tuple[Member, ...]:
    """Return members of ``core`` that collide, such that without any one of them the rest can be met.

    Deletion filter (Chinneck 2008): what collides without a member does not need it; whole families are tried first.
    Members of ``every`` outside ``core`` are left out of the question; where the others then can be met, all are asked.
    """
    solver = _feasibility(p)
    _free(solver, [m for m in every if m not in core])
    if _feasible(solver):
        _restore(solver, p, every)
        core = every
    left = list(core)
    for family in dict.fromkeys(m.family for m in core):
        some = [m for m in left if m.family == family]
        if len(some) > 1 and _collides_without(solver, p, some):
            left = [m for m in left if m not in some]
    for member in tuple(left):
        if len(left) > 1 and _collides_without(solver, p, [member]):
            left.remove(member)
    return tuple(left)


def _collides_without(solver: Any, p: Program, some: Sequence[Member]) -> bool:
    """Return whether the rest still collides without ``some``; they come back where it does not."""
    _free(solver, some)
    if not _feasible(solver):
        return True
    _restore(solver, p, some)
    return False


def _feasibility(p: Program) -> Any:
    """Return a solver that only asks whether the programme can be met."""
    solver = hand_over(p)
    n = p.setting.columns.n
    solver.changeColsCost(n, np.arange(n, dtype=np.int32), np.zeros(n))
    return solver


def _feasible(solver: Any) -> bool:
    status = run(solver).status
    if status not in {"optimal", "infeasible"}:
        raise SuanliError(f"whether limits can hold together could not be told: {status}")
    return status == "optimal"


def _free(solver: Any, some: Sequence[Member]) -> None:
    for row in (r for m in some for r in m.rows):
        solver.changeRowBounds(row, -INFINITE, INFINITE)


def _restore(solver: Any, p: Program, some: Sequence[Member]) -> None:
    for row in (r for m in some for r in m.rows):
        solver.changeRowBounds(row, float(p.low[row]), float(p.high[row]))


# ------------------------------------------------------------------------------------------------ the cheapest change


def _elastic(p: Program, every: Sequence[Member]) -> tuple[tuple[Change, ...], list[Member]]:
    """Return (the cheapest changes of members that free the plan, members that bear on it: a set that collides).

    One slack a member, so that a limit gives way alike in every future. Both are empty where nothing needs to give way
    or no giving way helps.
    """
    if not every:
        return (), []
    m, n = p.matrix.shape
    k = len(every)
    rows = np.concatenate([np.array(x.rows, dtype=np.int64) for x in every])
    of = np.repeat(np.arange(k), [len(x.rows) for x in every])
    sign = np.where(np.isfinite(p.high[rows]), -1.0, 1.0)
    slack = sparse.csr_matrix((sign, (rows, of)), shape=(m, k))
    price = prices(p, every)
    soft = replace(
        p,
        setting=replace(p.setting, columns=replace(p.setting.columns, n=n + k, tail=np.zeros(0, dtype=np.int64))),
        costs=sparse.csr_matrix(np.ones((p.costs.shape[0], 1)) * np.concatenate([np.zeros(n), price])[None, :]),
        fixed=np.zeros_like(p.fixed),
        lower=np.concatenate([p.lower, np.zeros(k)]),
        upper=np.concatenate([p.upper, np.full(k, INFINITE)]),
        matrix=sparse.csr_matrix(sparse.hstack([p.matrix, slack], format="csr")),
    )
    answer = run(hand_over(soft))
    if answer.status != "optimal":
        return (), []
    amounts = answer.x[n:]
    dearest: list[int] = np.argsort(-amounts * price, kind="stable").tolist()
    changes = [
        Change(member=every[i], amount=float(amounts[i]), usd=float(amounts[i] * price[i] * 1e6))
        for i in dearest
        if amounts[i] > 1e-7
    ]
    bears = np.zeros(k, dtype=bool)
    bears[of[np.abs(answer.dual[rows]) > 1e-9]] = True
    return tuple(changes), [every[i] for i in np.flatnonzero(bears).tolist()] if changes else []


def prices(p: Program, every: Sequence[Member]) -> Array:
    """Return MUSD of one row unit of each member at the case's own prices.

    Money and shares cost themselves, power its site's cheapest option, output, wafers and parts the cheapest chip
    behind them, service what unserved requests cost, a deadline what missing it costs. Wholly given up, a limit that
    the case puts no price on costs as much as the dearest of the others.
    """
    stated = [_price(p, m) for m in every]
    size = np.array([_size(p, m) for m in every])
    whole = max((v * s for v, s in zip(stated, size, strict=True) if v is not None), default=1.0)
    return np.array([whole / s if v is None else v for v, s in zip(stated, size, strict=True)])


def _size(p: Program, member: Member) -> float:
    bounds = np.array([b for r in member.rows for b in (p.low[r], p.high[r]) if np.isfinite(b)])
    return max(float(np.abs(bounds).max()), 1e-3)


def _price(p: Program, member: Member) -> float | None:
    g = p.setting.grid
    name, index = _index(p, member.rows[0])
    if name in {"money", "share"}:
        return 1.0
    if name in {"power", "works"}:
        here = [o.cost for i, o in enumerate(g.options) if (o.site if name == "power" else i) == index.get(
            "site" if name == "power" else "option")]  # fmt: skip
        return min((c for c in here if c > 0), default=max((o.cost for o in g.options if o.cost > 0), default=None))
    if name in {"supply", "wafers", "parts"}:
        return _cheapest(p, name, index)
    if name == "floor":
        return float(short_cost(p.setting, index["service"])[index["month"]]) or None
    cost = float(g.run_cost[index["run"]]) if name == "deadline" else 0.0
    return cost or None


def _cheapest(p: Program, name: str, index: dict[str, int]) -> float | None:
    """Return MUSD of the cheapest thousand chips of a supplier, or of a foundry's wafers or an allocation's parts."""
    g = p.setting.grid
    found = []
    for j, line in enumerate(g.lines):
        if line.offer is None:
            continue
        each = float((g.rent[j] * min(int(g.stay[j]), g.T) if line.leased else g.price[j]).mean())
        wafers = line.offer.wafers
        if name == "supply" and line.supplier == list(g.supplier_cap)[index["supplier"]]:
            found.append(each)
        if name == "wafers" and wafers is not None and wafers.foundry == list(g.foundry_cap)[index["foundry"]]:
            found.append(each / float(g.wafers[j].mean()))
        if name == "parts" and g.parts[index["allocation"], j] > 0:
            found.append(each / float(g.parts[index["allocation"], j]))
    return min((v for v in found if v > 0), default=None)


def _index(p: Program, row: int) -> tuple[str, dict[str, int]]:
    name, first, block = next(b for b in p.blocks if b[1] <= row < b[1] + len(b[2].low))
    return name, {key: int(values[row - first]) for key, values in block.index.items()}
