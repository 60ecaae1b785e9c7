"""Robust Gauss-Newton on the logarithm of time for one law, over features pooled and shifted by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suanli.silicon._laws import RESOURCES, Work, feature
from validation.fit._ops_form import PARTS, Spec

Array = NDArray[np.float64]

_CAP = 12.0
_HUBER = 0.12  # log error from which a row pulls only linearly
_HOLD: Mapping[str, tuple[float, float]] = {
    "base": (0.02, 0.2),
    "kind": (10.0, 1e9),
    "family": (1.0, 2.0),
    "framework": (2.0, 6.0),
    "kernel": (2.0, 6.0),
    "own": (1.0, 2.0),
    "format": (0.5, 2.0),
    "kv": (2.0, 10.0),
    "op": (0.1, 10.0),
    "direction": (2.0, 10.0),
}
"""How strongly a group's (constant, feature) coefficients are held at zero, in rows of unit weight."""


@dataclass(frozen=True)
class Piece:
    """Rows that share their shifts: ideal work, logarithm of measured seconds, weight of each row."""

    work: Work
    weights: Mapping[str, float]
    log_measured: Array
    weight: Array


@dataclass(frozen=True)
class Column:
    """One coefficient: the part it belongs to, the group ("" is pooled) and its feature."""

    part: str
    group: str
    feature: str


def columns_of(spec: Spec, keys: Sequence[str]) -> list[Column]:
    """Return every coefficient of a law over pieces with these shift ``keys``, part by part."""
    out = []
    for part in PARTS:
        out += [Column(part, "", name) for name in ("one", *spec.base.get(part, ()))]
        for key in keys:
            names = _features(spec, key, part)
            out += [Column(part, key, name) for name in ("one", *names)]
    return out


def _features(spec: Spec, key: str, part: str) -> tuple[str, ...]:
    """Return the features on which the shift ``key`` may depend."""
    sort = key.partition(":")[0]
    if sort == "kind":
        return ()
    if "@" in key:
        return tuple(spec.family.get(part, ()))
    if sort == "format":
        return tuple(spec.base.get(part, ()))
    return tuple((spec.family if sort == "family" else spec.kernel).get(part, ()))


def _hold(column: Column) -> float:
    sort = "own" if "@" in column.group else column.group.partition(":")[0] or "base"
    constant, other = _HOLD[sort]
    return constant if column.feature == "one" else other


@dataclass(frozen=True)
class Block:
    """Rows of one piece against the columns it touches: ``index`` are their places among all coefficients."""

    index: NDArray[np.int64]
    matrices: Mapping[str, NDArray[np.float32]]
    places: Mapping[str, slice]
    ideal: Mapping[str, Array]
    target: Array
    weight: Array
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class Design:
    """All rows of a fit, in blocks that know which of the ``n_columns`` coefficients they depend on."""

    blocks: Sequence[Block]
    n_columns: int
    n_rows: int

    def only(self, which: NDArray[np.bool_]) -> Design:
        """Return the rows ``which`` alone; they keep their places among all rows."""
        kept = [_rows_of(block, which[block.rows]) for block in self.blocks]
        return Design([b for b in kept if len(b.rows)], self.n_columns, self.n_rows)


def _rows_of(block: Block, which: NDArray[np.bool_]) -> Block:
    return Block(
        block.index,
        {part: matrix[which] for part, matrix in block.matrices.items()},
        block.places,
        {part: seconds[which] for part, seconds in block.ideal.items()},
        block.target[which],
        block.weight[which],
        block.rows[which],
    )


def design(columns: Sequence[Column], pieces: Sequence[Piece]) -> Design:
    """Return the rows of ``pieces`` against ``columns``."""
    blocks, start = [], 0
    for piece in pieces:
        size = len(piece.log_measured)
        blocks.append(_block(columns, piece, np.arange(start, start + size)))
        start += size
    return Design(blocks, len(columns), start)


def _block(columns: Sequence[Column], piece: Piece, rows: NDArray[np.int64]) -> Block:
    index: list[int] = []
    matrices, places = {}, {}
    for part in PARTS:
        first, found = len(index), []
        for place, column in enumerate(columns):
            share = piece.weights.get(column.group, 0.0) if column.group else 1.0
            if column.part != part or not share:
                continue
            value = np.ones(len(rows)) if column.feature == "one" else feature(piece.work.features, column.feature)
            index.append(place)
            found.append((share * value).astype(np.float32))
        matrices[part] = np.stack(found, axis=1) if found else np.zeros((len(rows), 0), dtype=np.float32)
        places[part] = slice(first, len(index))
    ideal = {name: getattr(piece.work, name) for name in RESOURCES}
    ideal["overhead"] = np.full(len(rows), piece.work.launch)
    return Block(np.array(index), matrices, places, ideal, piece.log_measured, piece.weight, rows)


def seconds_of(found: Array, block: Block) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return the seconds of each part of the rows in ``block``, and each part's exponential."""
    mine = found[block.index]
    grown = {p: np.exp(np.clip(block.matrices[p] @ mine[block.places[p]], -_CAP, _CAP)) for p in PARTS}
    return {p: block.ideal[p] * (grown[p] if p == "overhead" else 1.0 + grown[p]) for p in PARTS}, grown


def predict(found: Array, block: Block, sharpness: float, *, slope: bool) -> tuple[Array, NDArray[np.float32] | None]:
    """Return the logarithm of predicted seconds of a block, and its derivative by the block's coefficients."""
    parts, grown = seconds_of(found, block)
    top = np.maximum(np.maximum.reduce([parts[p] for p in RESOURCES]), 1e-30)
    powers = {p: (parts[p] / top) ** sharpness for p in RESOURCES}
    total = sum(powers.values())
    joined = top * total ** (1.0 / sharpness)
    time = parts["overhead"] + joined
    if not slope:
        return np.log(time), None
    out = np.empty((len(time), len(block.index)), dtype=np.float32)
    out[:, block.places["overhead"]] = (parts["overhead"] / time)[:, None] * block.matrices["overhead"]
    for p in RESOURCES:
        lift = (joined / time) * powers[p] / total * grown[p] / (1.0 + grown[p])
        out[:, block.places[p]] = lift[:, None] * block.matrices[p]
    return np.log(time), out


def errors_of(found: Array, rows: Design, sharpness: float) -> Array:
    """Return log measured over predicted of every row, NaN where ``rows`` holds none."""
    out = np.full(rows.n_rows, np.nan)
    for block in rows.blocks:
        out[block.rows] = block.target - predict(found, block, sharpness, slope=False)[0]
    return out


def bound_of(found: Array, rows: Design) -> NDArray[np.int64]:
    """Return, for each row, the position in PARTS of what most of its time goes to."""
    out = np.zeros(rows.n_rows, dtype=np.int64)
    for block in rows.blocks:
        parts, _ = seconds_of(found, block)
        out[block.rows] = np.argmax(np.stack([parts[p] for p in PARTS]), axis=0)
    return out


def solve(spec: Spec, columns: Sequence[Column], rows: Design, *, begin: Array | None = None, turns: int = 40) -> Array:
    """Return the coefficients that minimise the Huber loss of log error plus the hold on every coefficient."""
    start = np.array([spec.start[c.part] if c.feature == "one" and not c.group else 0.0 for c in columns])
    hold = np.array([_hold(c) for c in columns])
    now = start.copy() if begin is None else begin.copy()

    def loss(at: Array) -> float:
        total = 0.5 * float((hold * (at - start) ** 2).sum())
        for block in rows.blocks:
            size = np.abs(predict(at, block, spec.sharpness, slope=False)[0] - block.target)
            huber = np.where(size < _HUBER, 0.5 * size * size, _HUBER * (size - 0.5 * _HUBER))
            total += float((block.weight * huber).sum())
        return total

    value, damping = loss(now), 1e-2
    for _ in range(turns):
        curve, gradient = _normal_equations(now, rows, spec.sharpness)
        curve[np.diag_indices_from(curve)] += hold
        gradient += hold * (now - start)
        for _ in range(9):
            step = np.linalg.solve(curve + damping * np.diag(np.diag(curve)), -gradient)
            trial_value = loss(now + step)
            if trial_value < value:
                break
            damping *= 4.0
        else:
            break
        gain, now, value = (value - trial_value) / value, now + step, trial_value
        damping = max(damping / 5.0, 1e-7)
        if gain < 5e-5:
            break
    return now


def _normal_equations(now: Array, rows: Design, sharpness: float) -> tuple[Array, Array]:
    """Return the weighted squares of the derivatives and their product with the errors, over all coefficients."""
    curve = np.zeros((rows.n_columns, rows.n_columns))
    gradient = np.zeros(rows.n_columns)
    for block in rows.blocks:
        logs, slope = predict(now, block, sharpness, slope=True)
        assert slope is not None
        error = logs - block.target
        weight = (block.weight * np.minimum(1.0, _HUBER / np.maximum(np.abs(error), 1e-9))).astype(np.float32)
        weighted = slope * weight[:, None]
        curve[np.ix_(block.index, block.index)] += weighted.T @ slope
        gradient[block.index] += weighted.T @ error.astype(np.float32)
    return curve, gradient
