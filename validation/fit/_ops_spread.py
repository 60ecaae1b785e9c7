"""How far an operator's measured times lie from predicted ones, on unseen shapes and on chips left out of the fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suanli.estimates import Z80
from suanli.kinds import Chip
from suanli.scoring._ops_rows import Operator
from suanli.scoring._ops_work import Group, format_name, law_name, shifts_of
from suanli.silicon._laws import PARTS, measure
from suanli.silicon._parameters import Stored, law_for, law_format
from suanli.silicon._unit import unit_of
from validation.fit._ops_engine import Piece

Array = NDArray[np.float64]
Names = NDArray[np.str_]

_LEAST_SPREAD, _WIDEST = 0.04, 0.9
_STRANGEST = 2.0  # largest ratio of spreads that one or two left-out chips are believed
_FEW = 400.0  # rows on which a ratio of spreads is believed by half
_ALONE = 2.5  # spread on a new chip over that on unseen shapes, where one chip alone was measured: taken


@dataclass(frozen=True)
class Rows:
    """A piece of work as its table names it: rows of one chip, operator, formats and software.

    ``count`` is how many rows of the table each stands for.
    """

    piece: Piece
    chip: Chip
    operator: Operator
    group: Group
    folds: NDArray[np.int8]
    count: float

    @property
    def form(self) -> str:
        """The format under which efficiencies are kept."""
        return law_format(format_name(self.operator, self.group))

    @property
    def kernel(self) -> str:
        """The kernel and its format."""
        return f"{self.group.kernel}:{self.form}"


@dataclass(frozen=True)
class Errors:
    """Logarithms of measured over predicted of all rows of a law, with what each row is (arrays of one length).

    ``seen``: without the fifth of the shapes that a row is of; ``new``: without its chip; ``alone``: without its chip
    and as if that resembled none. NaN where there is none. ``part`` is what binds a row as all rows tell it,
    ``new_part`` and ``alone_part`` as those of other chips do.
    """

    seen: Array
    new: Array
    alone: Array
    part: Names
    new_part: Names
    alone_part: Names
    chip: Names
    form: Names
    kernel: Names
    standing: Names
    count: Array


def errors_of(stored: Mapping[str, Stored], rows: Sequence[Rows]) -> Errors:
    """Return the errors of ``rows`` under the sets of parameters ``stored``: "final", "shape-N", "chip-ID"."""
    seen, new, alone, part, new_part, alone_part = [], [], [], [], [], []
    for some in rows:
        part.append(np.array(PARTS)[_predicted(stored["final"], some)[0]])
        error = np.full(len(some.folds), np.nan)
        for fold in np.unique(some.folds):
            error = np.where(some.folds == fold, _predicted(stored[f"shape-{fold}"], some)[1], error)
        seen.append(error)
        without = stored.get(f"chip-{some.chip.id}")
        bound, error = _predicted(without or stored["final"], some)
        nothing = np.full(len(error), np.nan)
        new.append(error if without else nothing)
        new_part.append(np.array(PARTS)[bound])
        bound, error = _predicted(without or stored["final"], some, stranger=True)
        alone.append(error if without else nothing)
        alone_part.append(np.array(PARTS)[bound])
    sizes = [len(some.folds) for some in rows]

    def each(values: Sequence[Any]) -> NDArray[Any]:
        return np.repeat(np.array(values), sizes)

    return Errors(
        seen=np.concatenate(seen),
        new=np.concatenate(new),
        alone=np.concatenate(alone),
        part=np.concatenate(part),
        new_part=np.concatenate(new_part),
        alone_part=np.concatenate(alone_part),
        chip=each([some.chip.id for some in rows]),
        form=each([some.form for some in rows]),
        kernel=each([some.kernel for some in rows]),
        standing=each(_standing(rows)),
        count=each([some.count for some in rows]),
    )


def unjudged(kernels: int) -> dict[str, Any]:
    """Return a spread that says nothing, of a law with so many ``kernels`` whose errors are still to be found."""
    nothing: dict[str, Any] = {name: dict.fromkeys(PARTS, 1.0) for name in ("seen", "new", "format_seen", "format_new")}
    ratios = [1.0] * kernels
    standing = dict.fromkeys(("known", "unknown", "stranger"), 1.0)
    return {**nothing, "kernel_seen": ratios, "kernel_new": ratios, "standing": standing}


def _predicted(stored: Stored, some: Rows, *, stranger: bool = False) -> tuple[NDArray[np.int64], Array]:
    """Return what binds each row of ``some`` and its error."""
    law = law_for(
        some.chip,
        law_name(some.operator),
        some.form,
        kv_dtype=some.group.kv_dtype,
        kernel=some.group.kernel,
        shifts=shifts_of(some.operator, some.group),
        parameters={law_name(some.operator): stored},
        stranger=stranger,
    )
    found = measure(law, some.piece.work)
    return found.bound, some.piece.log_measured - np.log(found.seconds)


def _standing(rows: Sequence[Rows]) -> list[str]:
    """Return how each piece stands to those of other chips: its kernel known, unknown, or its chip a stranger."""
    on: dict[str, set[str]] = {}
    for some in rows:
        for what in (some.kernel, some.chip.family):
            on.setdefault(what, set()).add(some.chip.id)

    def standing(some: Rows) -> str:
        itself = {some.chip.id}
        if not unit_of(some.chip).like and not on[some.chip.family] - itself:
            return "stranger"
        return "known" if on[some.kernel] - itself else "unknown"

    return [standing(some) for some in rows]


def spread_of(errors: Errors, *, without: str = "") -> dict[str, Any]:
    """Return the spreads by part, times ratios of kernel (or its standing on a new chip) and format.

    What is said of new chips leaves the chip ``without`` out, as do the parameters that it is judged by. Ratios of
    kernels are in the order of their names.
    """
    others = errors.chip != without
    by_part, seen_form, seen_kernel = factors(errors.seen, errors.count, [errors.part, errors.form, errors.kernel])
    new, alone = (np.where(others, e, np.nan) for e in (errors.new, errors.alone))
    if not np.isfinite(new).any():
        new = np.where(others, _ALONE * errors.seen, np.nan)
    # Each chip counts as what it is, and once more as one that resembles none.
    labels = [
        np.concatenate([errors.new_part, errors.alone_part]),
        np.tile(errors.form, 2),
        np.concatenate([errors.standing, np.full(len(alone), "stranger")]),
        np.tile(errors.kernel, 2),
    ]
    twice = np.concatenate([new, alone])
    new_part, new_form, standing, new_kernel = factors(twice, np.tile(_alike(errors), 2), labels)
    usual = standing.get("known", 1.0)
    # Of what no chip left out tells, as much is feared as one alone would be believed.
    ratios = {name: standing.get(name, _STRANGEST * usual) for name in ("known", "unknown", "stranger")}
    kernels = np.unique(errors.kernel).tolist()
    return {
        "seen": {p: by_part.get(p, by_part[""]) for p in PARTS},
        "new": {p: new_part.get(p, new_part[""]) for p in PARTS},
        "format_seen": seen_form,
        "format_new": new_form,
        "kernel_seen": [seen_kernel[name] for name in kernels],
        "kernel_new": [new_kernel.get(name, 1.0) for name in kernels],
        "standing": {name: min(max(ratio, usual), _STRANGEST * max(usual, 1.0)) for name, ratio in ratios.items()},
    }


def _alike(errors: Errors) -> Array:
    """Return weights under which each chip counts alike: one more chip is one more draw, however long its table."""
    chips, place = np.unique(errors.chip, return_inverse=True)
    total = np.bincount(place, weights=errors.count, minlength=len(chips))
    weight: Array = errors.count / total[place]
    return weight


def factors(errors: Array, count: Array, labels: Sequence[Names]) -> list[dict[str, float]]:
    """Return a spread for each first label and ratios for the others, whose product holds 80 % of ``errors``.

    A label of few rows leans to the whole; the spread under "" is that of all rows.
    """
    known = np.isfinite(errors)
    size, weight = np.abs(errors[known]), count[known]
    overall = float(np.clip(quantile(size, weight) / Z80, _LEAST_SPREAD, _WIDEST))
    names, places = zip(*(np.unique(label[known], return_inverse=True) for label in labels), strict=True)
    found = [np.ones(len(n)) for n in names]
    for _ in range(6):
        for factor, place in zip(found, places, strict=True):
            expected = overall * np.prod([f[p] for f, p in zip(found, places, strict=True)], axis=0) / factor[place]
            for i in range(len(factor)):
                mine = place == i
                share = mine.sum() / (mine.sum() + _FEW)
                factor[i] = (quantile((size / expected)[mine], weight[mine]) / Z80) ** share
    spreads = {
        str(name): round(float(np.clip(overall * f, _LEAST_SPREAD, _WIDEST)), 3)
        for name, f in zip(names[0], found[0], strict=True)
    }
    ratios = [
        {str(name): round(float(f), 3) for name, f in zip(n, fs, strict=True)}
        for n, fs in zip(names[1:], found[1:], strict=True)
    ]
    return [{**spreads, "": round(overall, 3)}, *ratios]


def quantile(values: Array, weight: Array, at: float = 0.8) -> float:
    """Return the value below which the share ``at`` of ``weight`` lies."""
    order = np.argsort(values)
    total = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(total, at * total[-1])])


def residuals_of(errors: Array, count: Array) -> str:
    """Return median absolute error and bias of log errors of measured over predicted, in per cent."""
    known = np.isfinite(errors)
    if not known.any():
        return "not left out"
    relative = 100.0 * (np.exp(-errors[known]) - 1.0)
    middle = quantile(np.abs(relative), count[known], 0.5)
    return f"median {middle:.1f} %, bias {np.average(relative, weights=count[known]):+.1f} %"
