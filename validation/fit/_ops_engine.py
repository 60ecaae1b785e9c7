"""Robust Gauss-Newton on the logarithm of time for one law, with a price on every coefficient that is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suanli.silicon._laws import PARTS, RESOURCES, Work, feature
from validation.fit._ops_form import ROWS, Spec

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_CAP = 12.0
_HUBER = 0.12  # log error from which a row pulls only linearly
_HOLD: Mapping[str, tuple[float, float]] = {"pooled": (0.02, 0.2), "shift": (1.0, 2.0)}
"""How strongly a (constant, other) coefficient is held at where it starts, in rows of unit weight."""
_FIXED = 1e6  # hold of what does not change any more
_HOLD_BANDWIDTH = 30.0  # of the pooled share of bandwidth: where no row is bound by memory, none may say much of it
_GENERAL_FIRST = ("", "op", "direction", "kv", "format", "method", "framework", "family", "kernel", "own")
_PRICE = 0.3  # loss that a general coefficient must save to be kept, where pieces of work have ROWS rows
_PRICE_OWN = 0.03  # the same for one that no other chip inherits
_SMALL = 0.05  # size of a coefficient below which it hardly matters
_ROUNDS = 5  # of weeding


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
    """Return every coefficient that a law may have over pieces with these shift ``keys``, part by part."""
    out = []
    for part in PARTS:
        out += [Column(part, "", name) for name in ("one", *spec.base.get(part, ()))]
        for key in keys:
            if part in spec.common and key.startswith("family:"):
                continue
            if part in spec.hardware and key.startswith(("family:", "framework:", "method:", "kernel:", "kv:")):
                continue
            out += [Column(part, key, name) for name in ("one", *_features(spec, key, part))]
    return out


def _features(spec: Spec, key: str, part: str) -> tuple[str, ...]:
    """Return the features on which the shift ``key`` may depend: those of a family, of software, all, or none."""
    sort = key.partition(":")[0]
    if "@" in key:
        every = (spec.base, spec.family, spec.kernel)
        return tuple(dict.fromkeys(name for features in every for name in features.get(part, ())))
    if sort == "family":
        return tuple(spec.family.get(part, ()))
    return tuple(spec.kernel.get(part, ())) if sort in ("format", "kernel") else ()


@dataclass(frozen=True)
class Block:
    """Rows of one piece against the columns it touches: ``index`` are their places among all coefficients."""

    weights: Mapping[str, float]
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

    def only(self, which: Mask) -> Design:
        """Return the rows ``which`` alone; they keep their places among all rows."""
        kept = [_rows_of(block, which[block.rows]) for block in self.blocks]
        return Design([b for b in kept if len(b.rows)], self.n_columns, self.n_rows)

    def narrowed(self, kept: Mask) -> Design:
        """Return the rows against the columns ``kept`` alone, numbered anew."""
        number = np.cumsum(kept) - 1
        return Design([_columns_of(block, kept, number) for block in self.blocks], int(kept.sum()), self.n_rows)

    @property
    def touched(self) -> Mask:
        """Which columns any row depends on."""
        out = np.zeros(self.n_columns, dtype=bool)
        for block in self.blocks:
            out[block.index] = True
        return out


def _rows_of(block: Block, which: Mask) -> Block:
    return Block(
        block.weights,
        block.index,
        {part: matrix[which] for part, matrix in block.matrices.items()},
        block.places,
        {part: seconds[which] for part, seconds in block.ideal.items()},
        block.target[which],
        block.weight[which],
        block.rows[which],
    )


def _columns_of(block: Block, kept: Mask, number: NDArray[np.int64]) -> Block:
    mine = kept[block.index]
    matrices, places, first = {}, {}, 0
    for part in PARTS:
        matrices[part] = np.ascontiguousarray(block.matrices[part][:, mine[block.places[part]]])
        places[part] = slice(first, first + matrices[part].shape[1])
        first = places[part].stop
    index = number[block.index[mine]]
    return Block(block.weights, index, matrices, places, block.ideal, block.target, block.weight, block.rows)


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
    ideal = {name: np.broadcast_to(getattr(piece.work, name), rows.shape) for name in PARTS[1:]}
    ideal["overhead"] = np.full(len(rows), piece.work.launch)
    for part in PARTS:
        first, found = len(index), []
        for place, column in enumerate(columns):
            share = piece.weights.get(column.group, 0.0) if column.group else 1.0
            if column.part != part or not share or not ideal[part].any():
                continue
            value = np.ones(len(rows)) if column.feature == "one" else feature(piece.work.features, column.feature)
            index.append(place)
            found.append((share * value).astype(np.float32))
        matrices[part] = np.stack(found, axis=1) if found else np.zeros((len(rows), 0), dtype=np.float32)
        places[part] = slice(first, len(index))
    return Block(piece.weights, np.array(index), matrices, places, ideal, piece.log_measured, piece.weight, rows)


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
    device = parts["overhead"] + parts["before"] + joined
    ahead = (parts["host"] / device) ** sharpness
    time = device * (1.0 + ahead) ** (1.0 / sharpness)
    if not slope:
        return np.log(time), None
    own = 1.0 / (1.0 + ahead)  # of the time's logarithm by the chip's own
    out = np.empty((len(time), len(block.index)), dtype=np.float32)
    out[:, block.places["overhead"]] = (own * parts["overhead"] / device)[:, None] * block.matrices["overhead"]
    shares = {p: own * (joined / device) * powers[p] / total for p in RESOURCES}
    shares |= {"before": own * parts["before"] / device, "host": 1.0 - own}
    for p, share in shares.items():
        lift = share * grown[p] / (1.0 + grown[p])
        out[:, block.places[p]] = lift[:, None] * block.matrices[p]
    return np.log(time), out


def weeded(spec: Spec, columns: Sequence[Column], rows: Design) -> Array:
    """Return the coefficients of ``rows``, most of them zero: those that do not earn their price are dropped.

    First what may be general (pooled, formats, families, kernels), so that it alone tells of a chip that is not
    measured; then, with that fixed, what sets a kernel apart on one family, or bends one measured on one family alone.
    What no row tells of stays where it starts.
    """
    start, hold, constant = _begin(spec, columns)
    share = spec.rows / ROWS
    spare = _spare_groups(rows)
    open_ = rows.touched & np.array([c.group not in spare for c in columns])
    alone = {key.partition("@")[0] for key in spare if "@" in key}
    special = np.array(["@" in c.group or (c.feature != "one" and c.group in alone) for c in columns])
    found = _weed(start, hold, constant, rows, open_ & ~special, _PRICE * share, spec.sharpness)
    fixed = np.where(special, hold, _FIXED)
    kept = open_ & (special | (found != 0.0) | constant)
    values = _weed(found, fixed, constant | ~special, rows, kept, _PRICE_OWN * share, spec.sharpness)
    return np.where(rows.touched, values, start)


def _weed(start: Array, hold: Array, stays: Mask, rows: Design, kept: Mask, toll: float, sharpness: float) -> Array:
    """Return the coefficients ``kept``, without those that do not earn their price; those that ``stays`` always do.

    Adaptive ridge (Frommlet and Nuel 2016): the hold of a coefficient grows with the inverse of its last square, so
    that keeping one costs about ``toll`` whatever its size.
    """
    kept = kept.copy()
    now = solve(start[kept], hold[kept], rows.narrowed(kept), sharpness, turns=25)
    for turn in range(_ROUNDS):
        away = now - start[kept]
        price = np.where(stays[kept], 0.0, toll / (away * away + _SMALL * _SMALL))
        now = solve(start[kept], hold[kept] + price, rows.narrowed(kept), sharpness, begin=now, turns=5)
        least = _SMALL * (0.5 if turn == _ROUNDS - 1 else 0.2)
        still = stays[kept] | (np.abs(now - start[kept]) > least)
        kept[kept] = still
        now = now[still]
    return _spread_out(kept, solve(start[kept], hold[kept], rows.narrowed(kept), sharpness, begin=now, turns=8))


def _spare_groups(rows: Design) -> set[str]:
    """Return the groups that no row tells from a more general one: the same blocks in the same proportion."""
    shares: dict[str, dict[int, float]] = {"": dict.fromkeys(range(len(rows.blocks)), 1.0)}
    for i, block in enumerate(rows.blocks):
        for key, weight in block.weights.items():
            shares.setdefault(key, {})[i] = weight
    first: dict[tuple[tuple[int, float], ...], str] = {}
    for key in sorted(shares, key=lambda k: (_rank(k), -max(shares[k].values()), k)):
        most = max(shares[key].values())
        first.setdefault(tuple((i, round(w / most, 6)) for i, w in sorted(shares[key].items())), key)
    return set(shares) - set(first.values())


def _rank(key: str) -> int:
    sort = "own" if "@" in key else key.partition(":")[0]
    return _GENERAL_FIRST.index(sort)


def again(spec: Spec, columns: Sequence[Column], rows: Design, found: Array) -> Array:
    """Return the coefficients of ``rows`` among those that ``found`` has, beginning there."""
    start, hold, constant = _begin(spec, columns)
    kept = rows.touched & (constant | (found != 0.0))
    narrow = rows.narrowed(kept)
    values = solve(start[kept], hold[kept], narrow, spec.sharpness, begin=found[kept], turns=8)
    return np.where(rows.touched, _spread_out(kept, values), start)


def _begin(spec: Spec, columns: Sequence[Column]) -> tuple[Array, Array, Mask]:
    """Return where each coefficient starts, its hold, and whether it is a pooled constant, which always stays."""
    constant = np.array([c.feature == "one" and not c.group for c in columns])
    start = np.array([spec.start.get(c.part, 0.0) if one else 0.0 for c, one in zip(columns, constant, strict=True)])
    hold = np.array([_HOLD["shift" if c.group else "pooled"][c.feature != "one"] for c in columns])
    hold[[c.part == "memory" and not c.group and c.feature == "one" for c in columns]] = _HOLD_BANDWIDTH
    return start, hold, constant


def _spread_out(kept: Mask, values: Array) -> Array:
    out = np.zeros(len(kept))
    out[kept] = values
    return out


def solve(
    start: Array, hold: Array, rows: Design, sharpness: float, *, begin: Array | None = None, turns: int
) -> Array:
    """Return the coefficients that minimise the Huber loss of log error plus the hold on every coefficient."""
    now = start.copy() if begin is None else begin.copy()
    value, damping = _loss(now, start, hold, rows, sharpness), 1e-2
    apart = _apart(rows)
    for _ in range(turns):
        curve, gradient = _normal_equations(now, rows, sharpness)
        diagonal = np.diag(curve) + hold
        gradient += hold * (now - start)
        for _ in range(9):
            curve[np.diag_indices_from(curve)] = diagonal * (1.0 + damping)
            step = _arrow(curve, -gradient, apart)
            trial_value = _loss(now + step, start, hold, rows, sharpness)
            if trial_value < value:
                break
            damping *= 4.0
        else:
            break
        gain, now, value = (value - trial_value) / value, now + step, trial_value
        damping = max(damping / 5.0, 1e-7)
        if gain < 3e-4:
            break
    return now


def _apart(rows: Design) -> list[NDArray[np.int64]]:
    """Return the columns that touch the rows of one kernel alone, kernel by kernel."""
    numbers: dict[str, int] = {}
    owner = np.full(rows.n_columns, -1)
    for block in rows.blocks:
        kernel = next(
            (k for k in block.weights if k.startswith("kernel:") and not k.startswith("kernel:*") and "@" not in k), ""
        )
        mine = numbers.setdefault(kernel, len(numbers))
        owner[block.index] = np.where((owner[block.index] == -1) | (owner[block.index] == mine), mine, -2)
    return [found for n in numbers.values() if len(found := np.flatnonzero(owner == n))]


def _arrow(curve: Array, right: Array, apart: Sequence[NDArray[np.int64]]) -> Array:
    """Solve curve x = right, where columns in different sets of ``apart`` share no row: set by set, then the rest."""
    shared = np.setdiff1d(np.arange(len(right)), np.concatenate([*apart, np.zeros(0, dtype=np.int64)]))
    rest, target = curve[np.ix_(shared, shared)], right[shared]
    solved = []
    for mine in apart:
        across = curve[np.ix_(mine, shared)]
        touched = np.flatnonzero(across.any(axis=0))
        across = across[:, touched]
        both = np.linalg.solve(curve[np.ix_(mine, mine)], np.column_stack([across, right[mine]]))
        rest[np.ix_(touched, touched)] -= across.T @ both[:, :-1]
        target[touched] -= across.T @ both[:, -1]
        solved.append((mine, touched, both))
    out = np.empty(len(right))
    common = np.linalg.solve(rest, target) if len(shared) else target
    out[shared] = common
    for mine, touched, both in solved:
        out[mine] = both[:, -1] - both[:, :-1] @ common[touched]
    return out


def _loss(at: Array, start: Array, hold: Array, rows: Design, sharpness: float) -> float:
    total = 0.5 * float((hold * (at - start) ** 2).sum())
    for block in rows.blocks:
        size = np.abs(predict(at, block, sharpness, slope=False)[0] - block.target)
        huber = np.where(size < _HUBER, 0.5 * size * size, _HUBER * (size - 0.5 * _HUBER))
        total += float((block.weight * huber).sum())
    return total


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
