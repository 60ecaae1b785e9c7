"""The rules asked of a whole grid at once: item x site x owner x act x day, in arrays.

The conditions are those of the scalar engine; here each is answered for all cells together, as 0 (no), 1 (unsure) or
2 (yes), so that "and" is the smaller and "or" the larger. A test that looks at the item alone costs one answer an item.
An item on which a condition is unsure is split in two, as the scalar engine splits a world.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from suanli.controls import _expr as expr
from suanli.controls._book import Clause, Rule, Rulebook, Ruleset, holds, live
from suanli.controls._engine import ImpossibleError, UnsureError, World
from suanli.controls._query import Known
from suanli.kinds import GROUPS

Cells = npt.NDArray[np.int8]
Bits = npt.NDArray[np.int32]
OUTCOMES: tuple[str, ...] = tuple(GROUPS)
MOST_VARIANTS = 4000
"""Variants of one item looked at before its answer is left open."""

_AXIS = {"destination": 1, "ship_from": 1, "end_user_hq": 2, "ultimate_parent_hq": 2, "activity": 3}
_NO, _UNSURE, _YES = np.int8(0), np.int8(1), np.int8(2)


def _code(answer: bool | None) -> int:
    return 1 if answer is None else 2 * answer


def _along(values: Sequence[int], axis: int) -> Cells:
    shape = [1] * 5
    shape[axis] = len(values)
    return np.array(values, dtype=np.int8).reshape(shape)


@dataclass(frozen=True, slots=True)
class Axes:
    """What the grid asks of: sites (start, destination), owners (headquarters, parent), acts, days of change."""

    sites: Sequence[tuple[str, str]]
    owners: Sequence[tuple[str, str]]
    acts: Sequence[str]
    epochs: Sequence[str]


@dataclass(frozen=True, slots=True)
class Item:
    """One world of an item: what is known of it and what is assumed; ``of`` is the place of the item in the grid."""

    of: int
    world: World


@dataclass(frozen=True, slots=True)
class _Grid:
    book: Rulebook
    axes: Axes
    items: Sequence[Item]
    groups: Sequence[Mapping[str, frozenset[str]]]
    terms: dict[str, Cells]
    fixed: dict[str, Cells]
    memo: dict[int, Cells] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        a = self.axes
        return (len(self.items), len(a.sites), len(a.owners), len(a.acts), len(a.epochs))


def outcomes(book: Rulebook, items: Sequence[Known], axes: Axes, ruleset: Ruleset) -> Bits:
    """Return the outcomes that each cell allows, as bits in the order of ``OUTCOMES``; shape (item, site, owner, ...).

    More than one bit means that the cell depends on what is not known of the item.
    """
    at = [live(book, epoch, ruleset) for epoch in axes.epochs]
    waiting = [Item(i, World(known, at[0], book)) for i, known in enumerate(items)]
    shape = (len(items), len(axes.sites), len(axes.owners), len(axes.acts), len(axes.epochs))
    out = np.zeros(shape, dtype=np.int32)
    looked = np.zeros(len(items), dtype=int)
    while waiting:
        np.add.at(looked, [item.of for item in waiting], 1)
        for item in waiting:
            if looked[item.of] > MOST_VARIANTS:
                out[item.of] |= 1 << OUTCOMES.index("UNDETERMINED")
        waiting = [item for item in waiting if looked[item.of] <= MOST_VARIANTS]
        grid = _Grid(book, axes, waiting, [a.groups for a in at], {}, {})
        answers, doubts = _walk(grid, ruleset)
        following: list[Item] = []
        for n, item in enumerate(waiting):
            if n in doubts:
                following.extend(_parts(item, doubts[n]))
            elif (answers[n] >= 0).all():
                out[item.of] |= np.left_shift(1, answers[n].astype(np.int32))
        waiting = following
    return out


def _parts(item: Item, doubt: expr.Doubt) -> Iterable[Item]:
    try:
        return [Item(item.of, world) for world in item.world.split(doubt)]
    except ImpossibleError:
        return []


def _walk(grid: _Grid, ruleset: Ruleset) -> tuple[Cells, dict[int, expr.Doubt]]:
    """Return the outcome of each cell and, by item, the first doubt that has to be settled to know it."""
    shape = grid.shape
    answer = np.full(shape, -1, dtype=np.int8)
    doubts: dict[int, expr.Doubt] = {}
    for term, start in grid.book.terms.items():
        grid.terms[term] = np.full(shape, _term_values(grid.book, term).index(start), dtype=np.int8)
        grid.fixed[term] = np.zeros(shape, dtype=bool).view(np.int8)
    rules = sorted(grid.book.rules.values(), key=lambda r: r.start, reverse=True)
    for phase in grid.book.phases:
        acts = _along([act in phase.activities for act in grid.axes.acts], 3).astype(bool)
        if not acts.any():
            continue
        for rule in rules:
            clauses = [c for c in rule.clauses if c.phase == phase.name and not c.flag]
            if clauses:
                _hear(grid, rule, clauses, acts, answer, doubts, ruleset)
    undone = answer < 0
    for clause in grid.book.otherwise:
        found = _test(grid, clause.when, np.True_, undone, doubts)
        _say(clause, found, answer)
        undone &= ~found
    return answer, doubts


def _hear(
    grid: _Grid,
    rule: Rule,
    clauses: Sequence[Clause],
    acts: npt.NDArray[np.bool_],
    answer: Cells,
    doubts: dict[int, expr.Doubt],
    ruleset: Ruleset,
) -> None:
    """Let one rule speak in a phase: in each cell its first clause that holds sets terms or answers."""
    days = _along([holds(grid.book, rule, epoch, ruleset) for epoch in grid.axes.epochs], 4).astype(bool)
    if not days.any():
        return
    reach = acts & days
    undone = answer < 0
    for clause in clauses:
        asked = undone
        if clause.sets and not clause.replace:
            asked = undone & np.logical_or.reduce([grid.fixed[term] == 0 for term, _ in clause.sets])
        found = _test(grid, clause.when, reach, asked, doubts)
        if found.any():
            if clause.answer is not None:
                _say(clause, found, answer)
            for term, value in clause.sets:
                code = _term_values(grid.book, term).index(value)
                where = found if clause.replace else found & (grid.fixed[term] == 0)
                grid.terms[term][where] = code
                grid.fixed[term][where] = 1
        undone = undone & ~found


def _test(
    grid: _Grid,
    condition: expr.Condition,
    reach: npt.NDArray[np.bool_] | np.bool_,
    undone: npt.NDArray[np.bool_],
    doubts: dict[int, expr.Doubt],
) -> npt.NDArray[np.bool_]:
    """Return the cells in which a condition holds and note the first doubt of each item on which it is unsure."""
    level = _kleene(grid, condition)
    unsure = (level == _UNSURE) & reach
    if unsure.any():
        open_cells = unsure & undone
        for n in np.flatnonzero(open_cells.any(axis=(1, 2, 3, 4))):
            if int(n) not in doubts:
                cell = tuple(int(x) for x in np.argwhere(open_cells[n])[0])
                doubts[int(n)] = _doubt_at(grid, condition, (int(n), *cell))
    found: npt.NDArray[np.bool_] = (level == _YES) & reach & undone
    return found


def _say(clause: Clause, found: npt.NDArray[np.bool_], answer: Cells) -> None:
    assert clause.answer is not None
    answer[found] = OUTCOMES.index(clause.answer[0])


def _doubt_at(grid: _Grid, condition: expr.Condition, cell: tuple[int, ...]) -> expr.Doubt:
    """Return what is undecided in one cell, asked of the scalar engine."""
    item, axes = grid.items[cell[0]], grid.axes
    places = {"ship_from": axes.sites[cell[1]][0], "destination": axes.sites[cell[1]][1]}
    places.update(end_user_hq=axes.owners[cell[2]][0], ultimate_parent_hq=axes.owners[cell[2]][1])
    values = {**item.world.known.values, **{k: frozenset({v}) for k, v in places.items()}}
    values["activity"] = frozenset({axes.acts[cell[3]]})
    known = replace(item.world.known, date=axes.epochs[cell[4]], values=values)
    at = replace(item.world.live, groups=grid.groups[cell[4]])
    terms = {t: _term_values(grid.book, t)[int(codes[cell])] for t, codes in grid.terms.items()}
    world = World(known, at, grid.book, terms, assumed=item.world.assumed)
    try:
        doubt = condition.doubt(world)
    except UnsureError as unsure:
        return unsure.doubt
    assert doubt is not None
    return doubt


def _term_values(book: Rulebook, term: str) -> list[str]:
    found: list[str] = book.data["terms"][term]["values"]
    return found


def _kleene(grid: _Grid, condition: expr.Condition) -> Cells:
    """Return a condition's answers in all cells, with axes of length 1 along which it does not vary."""
    key = id(condition)
    if key in grid.memo:
        return grid.memo[key]
    out = _ANSWERS[type(condition)](grid, condition)
    if not _of_terms(grid.book, condition):
        grid.memo[key] = out
    return out


def _of_terms(book: Rulebook, condition: expr.Condition) -> bool:
    if isinstance(condition, expr.Member):
        return condition.name in book.terms
    if isinstance(condition, expr.Every | expr.Either):
        return any(_of_terms(book, part) for part in condition.parts)
    return isinstance(condition, expr.Not | expr.Shown) and _of_terms(book, condition.inner)


def _by_item(grid: _Grid, ask: Callable[[World], bool | None]) -> Cells:
    out = []
    for item in grid.items:
        try:
            out.append(_code(ask(item.world)))
        except UnsureError:
            out.append(1)
        except ImpossibleError:
            out.append(0)  # no such item: whatever is answered, its sibling world holds the truth
    return _along(out, 0)


def _compare(grid: _Grid, condition: expr.Condition) -> Cells:
    return _by_item(grid, condition.test)


def _date(grid: _Grid, condition: expr.Condition) -> Cells:
    assert isinstance(condition, expr.DateCompare)
    return _along([_code(condition.on(epoch)) for epoch in grid.axes.epochs], 4)


def _member(grid: _Grid, condition: expr.Condition) -> Cells:
    assert isinstance(condition, expr.Member)
    name = condition.name
    if name in grid.book.terms:
        levels = [2 * (value in condition.allowed) for value in _term_values(grid.book, name)]
        return np.array(levels, dtype=np.int8)[grid.terms[name]]
    axis = _AXIS.get(name, 0)
    values = _values_along(grid, name)
    if not condition.groups:
        return _along([_code(_among(v, condition.allowed)) for v in values], axis)
    table = np.empty((len(values), len(grid.groups)), dtype=np.int8)
    for e, groups in enumerate(grid.groups):
        among = condition.allowed.union(*(groups[g] for g in condition.groups))
        table[:, e] = [_code(_among(v, among)) for v in values]
    shape = [1] * 5
    shape[axis], shape[4] = table.shape
    return table.reshape(shape)


def _values_along(grid: _Grid, name: str) -> list[frozenset[str]]:
    axes = grid.axes
    if name == "activity":
        return [frozenset({act}) for act in axes.acts]
    if name in {"ship_from", "destination"}:
        return [frozenset({pair[name == "destination"]}) for pair in axes.sites]
    if name in {"end_user_hq", "ultimate_parent_hq"}:
        return [frozenset({pair[name == "ultimate_parent_hq"]}) for pair in axes.owners]
    return [item.world.values(name) for item in grid.items]


def _among(values: frozenset[str], among: frozenset[str]) -> bool | None:
    return True if values <= among else False if values.isdisjoint(among) else None


def _call(grid: _Grid, condition: expr.Condition) -> Cells:
    assert isinstance(condition, expr.Call)
    if condition.function == "item_named":
        return _by_item(grid, condition.test)
    names = [item.world.known.texts[condition.arguments[0]] for item in grid.items]
    if not any(names):
        return _along([0], 0)
    table = np.empty((len(names), len(grid.groups)), dtype=np.int8)
    for e, epoch in enumerate(grid.axes.epochs):
        for n, item in enumerate(grid.items):
            known = replace(item.world.known, date=epoch)
            table[n, e] = _code(World(known, item.world.live, grid.book, assumed=item.world.assumed).matches(condition))
    return table.reshape(len(names), 1, 1, 1, len(grid.groups))


def _fold(ufunc: np.ufunc) -> Callable[[_Grid, expr.Condition], Cells]:
    def answer(grid: _Grid, condition: expr.Condition) -> Cells:
        assert isinstance(condition, expr.Every | expr.Either)
        out = _kleene(grid, condition.parts[0])
        for part in condition.parts[1:]:
            out = ufunc(out, _kleene(grid, part))
        return out

    return answer


def _not(grid: _Grid, condition: expr.Condition) -> Cells:
    assert isinstance(condition, expr.Not)
    out: Cells = _YES - _kleene(grid, condition.inner)
    return out


def _shown(grid: _Grid, condition: expr.Condition) -> Cells:
    assert isinstance(condition, expr.Shown)
    return np.where(_kleene(grid, condition.inner) == _YES, _YES, _NO)


def _always(_grid: _Grid, _condition: expr.Condition) -> Cells:
    return _along([2], 0)


_ANSWERS: Mapping[type, Callable[[_Grid, expr.Condition], Cells]] = {
    expr.Compare: _compare,
    expr.Known: _compare,
    expr.DateCompare: _date,
    expr.Member: _member,
    expr.Call: _call,
    expr.Every: _fold(np.minimum),
    expr.Either: _fold(np.maximum),
    expr.Not: _not,
    expr.Shown: _shown,
    expr.Always: _always,
}
