"""Robust Gauss-Newton on the logarithm of time for one law, over features pooled and shifted by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suanli.silicon._laws import RESOURCES, Work, feature
from validation.fit._ops_spec import PARTS, Spec

Array = NDArray[np.float64]

_CAP = 12.0
_HUBER = 0.12  # log error from which a row pulls only linearly
_HOLD: Mapping[str, tuple[float, float]] = {
    "base": (0.02, 1.0),
    "kind": (10.0, 1e9),
    "family": (3.0, 6.0),
    "framework": (4.0, 20.0),
    "kernel": (4.0, 20.0),
    "format": (0.5, 2.0),
    "kv": (2.0, 10.0),
    "op": (2.0, 10.0),
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
    if sort == "kind" or "@" in key:
        return ()
    if sort == "format":
        return tuple(spec.base.get(part, ()))
    return tuple((spec.family if sort == "family" else spec.kernel).get(part, ()))


def _hold(column: Column) -> float:
    constant, other = _HOLD[column.group.partition(":")[0] or "base"]
    return constant if column.feature == "one" else other


@dataclass(frozen=True)
class Design:
    """All rows of a fit: the matrix of each part, ideal seconds, and where each column's coefficient stands."""

    matrices: Mapping[str, NDArray[np.float32]]
    ideal: Mapping[str, Array]
    slices: Mapping[str, slice]
    target: Array
    weight: Array

    def only(self, which: NDArray[np.bool_]) -> Design:
        """Return the rows ``which`` alone."""
        return Design(
            {part: matrix[which] for part, matrix in self.matrices.items()},
            {part: seconds[which] for part, seconds in self.ideal.items()},
            self.slices,
            self.target[which],
            self.weight[which],
        )


def design(columns: Sequence[Column], pieces: Sequence[Piece]) -> Design:
    """Return the rows of ``pieces`` against ``columns``."""
    sizes = [len(p.log_measured) for p in pieces]
    total = sum(sizes)
    slices, matrices, start = {}, {}, 0
    for part in PARTS:
        mine = [c for c in columns if c.part == part]
        slices[part] = slice(start, start + len(mine))
        start += len(mine)
        matrix = np.zeros((total, len(mine)), dtype=np.float32)
        at = 0
        for piece, size in zip(pieces, sizes, strict=True):
            for j, column in enumerate(mine):
                share = piece.weights.get(column.group, 0.0) if column.group else 1.0
                if not share:
                    continue
                value = 1.0 if column.feature == "one" else feature(piece.work.features, column.feature)
                matrix[at : at + size, j] = share * value
            at += size
        matrices[part] = matrix
    ideal = {name: np.concatenate([getattr(p.work, name) for p in pieces]) for name in RESOURCES}
    ideal["overhead"] = np.concatenate([np.full(size, p.work.launch) for p, size in zip(pieces, sizes, strict=True)])
    return Design(
        matrices,
        ideal,
        slices,
        np.concatenate([p.log_measured for p in pieces]),
        np.concatenate([p.weight for p in pieces]),
    )


def predict(found: Array, rows: Design, sharpness: float, *, jacobian: bool) -> tuple[Array, Array | None]:
    """Return the logarithm of predicted seconds, and its derivative by each coefficient."""
    exponents = {p: np.exp(np.clip(rows.matrices[p] @ found[rows.slices[p]], -_CAP, _CAP)) for p in PARTS}
    overhead = rows.ideal["overhead"] * exponents["overhead"]
    parts = {p: rows.ideal[p] * (1.0 + exponents[p]) for p in RESOURCES}
    top = np.maximum(np.maximum.reduce([parts[p] for p in RESOURCES]), 1e-30)
    powers = {p: (parts[p] / top) ** sharpness for p in RESOURCES}
    total = sum(powers.values())
    joined = top * total ** (1.0 / sharpness)
    time = overhead + joined
    if not jacobian:
        return np.log(time), None
    out = np.empty((len(time), len(found)), dtype=np.float32)
    out[:, rows.slices["overhead"]] = (overhead / time)[:, None] * rows.matrices["overhead"]
    for p in RESOURCES:
        lift = (joined / time) * powers[p] / total * exponents[p] / (1.0 + exponents[p])
        out[:, rows.slices[p]] = lift[:, None] * rows.matrices[p]
    return np.log(time), out


def bound_of(found: Array, rows: Design) -> NDArray[np.int64]:
    """Return, for each row, the position in PARTS of what most of its time goes to."""
    seconds = []
    for part in PARTS:
        exponent = np.exp(np.clip(rows.matrices[part] @ found[rows.slices[part]], -_CAP, _CAP))
        seconds.append(rows.ideal[part] * (exponent if part == "overhead" else 1.0 + exponent))
    largest: NDArray[np.int64] = np.argmax(np.stack(seconds), axis=0)
    return largest


def solve(spec: Spec, columns: Sequence[Column], rows: Design, *, begin: Array | None = None, turns: int = 40) -> Array:
    """Return the coefficients that minimise the Huber loss of log error plus the hold on every coefficient."""
    start = np.array([spec.start[c.part] if c.feature == "one" and not c.group else 0.0 for c in columns])
    hold = np.array([_hold(c) for c in columns])
    now = start.copy() if begin is None else begin.copy()

    def loss(at: Array, logs: Array) -> float:
        size = np.abs(logs - rows.target)
        huber = np.where(size < _HUBER, 0.5 * size * size, _HUBER * (size - 0.5 * _HUBER))
        return float((rows.weight * huber).sum() + 0.5 * (hold * (at - start) ** 2).sum())

    logs, slope = predict(now, rows, spec.sharpness, jacobian=True)
    value, damping = loss(now, logs), 1e-2
    for _ in range(turns):
        assert slope is not None
        error = logs - rows.target
        weight = (rows.weight * np.minimum(1.0, _HUBER / np.maximum(np.abs(error), 1e-9))).astype(np.float32)
        weighted = slope * weight[:, None]
        curve = (weighted.T @ slope).astype(np.float64)
        curve[np.diag_indices_from(curve)] += hold
        gradient = weighted.T @ error.astype(np.float32) + hold * (now - start)
        for _ in range(9):
            step = np.linalg.solve(curve + damping * np.diag(np.diag(curve)), -gradient)
            trial = now + step
            trial_logs, _ = predict(trial, rows, spec.sharpness, jacobian=False)
            trial_value = loss(trial, trial_logs)
            if trial_value < value:
                break
            damping *= 4.0
        else:
            break
        gain, now, value = (value - trial_value) / value, trial, trial_value
        damping = max(damping / 5.0, 1e-7)
        if gain < 2e-5:
            break
        logs, slope = predict(now, rows, spec.sharpness, jacobian=True)
    return now
