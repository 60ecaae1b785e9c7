"""How far an operator's measured times lie from predicted ones, on unseen shapes and on chips left out of the fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suanli.estimates import Z80
from suanli.kinds import Chip
from suanli.scoring._ops_rows import Operator
from suanli.scoring._ops_work import Group, format_name, law_name, law_of
from suanli.silicon._laws import PARTS, measure
from suanli.silicon._parameters import Stored, law_format
from suanli.silicon._unit import unit_of
from validation.fit._ops_engine import Piece

Array = NDArray[np.float64]
Names = NDArray[np.str_]

_LEAST_SPREAD, _WIDEST = 0.04, 0.9  # what few rows say of a spread is kept between
_STRANGEST = 2.0  # largest ratio of spreads that one or two left-out chips are believed
_FEW = 400.0  # rows on which a ratio of spreads is believed by half
_ALONE = 2.5  # spread on a new chip over that on unseen shapes, where one chip alone was measured: taken
_ROUNDS = 6  # in which spreads and ratios, each found with the others fixed, settle
_STANDINGS = ("known", "unknown", "stranger")
_ORDER = ("seen", "new", "format_seen", "format_new", "kernel_seen", "kernel_new", "standing")  # as they are stored


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
    found = [_errors(stored, some, standing) for some, standing in zip(rows, _standing(rows), strict=True)]
    columns = (field.name for field in fields(Errors))
    return Errors(**{name: np.concatenate([getattr(one, name) for one in found]) for name in columns})


def _errors(stored: Mapping[str, Stored], some: Rows, standing: str) -> Errors:
    """Return the errors of one piece of work, which has this ``standing`` to those of other chips."""
    size = len(some.folds)
    part, _ = _judged(stored["final"], some)
    seen = np.full(size, np.nan)
    for fold in np.unique(some.folds):
        mine = some.folds == fold
        seen[mine] = _judged(stored[f"shape-{fold}"], some)[1][mine]
    without = stored.get(f"chip-{some.chip.id}")
    new_part, new = _judged(without or stored["final"], some)
    alone_part, alone = _judged(without or stored["final"], some, stranger=True)
    unknown = np.full(size, np.nan)
    return Errors(
        seen=seen,
        new=new if without else unknown,
        alone=alone if without else unknown,
        part=part,
        new_part=new_part,
        alone_part=alone_part,
        chip=np.full(size, some.chip.id),
        form=np.full(size, some.form),
        kernel=np.full(size, some.kernel),
        standing=np.full(size, standing),
        count=np.full(size, some.count),
    )


def unjudged(kernels: int) -> dict[str, Any]:
    """Return a spread that says nothing, of a law with so many ``kernels`` whose errors are still to be found."""
    by_part, by_kernel = dict.fromkeys(PARTS, 1.0), [1.0] * kernels
    return {
        "seen": by_part,
        "new": by_part,
        "format_seen": {},
        "format_new": {"": 1.0},
        "kernel_seen": by_kernel,
        "kernel_new": by_kernel,
        "standing": dict.fromkeys(_STANDINGS, 1.0),
    }


def _judged(stored: Stored, some: Rows, *, stranger: bool = False) -> tuple[Names, Array]:
    """Return the part that binds each row of ``some``, and its error; ``stranger``: as if its chip resembled none."""
    law = law_of(some.chip, some.operator, some.group, {law_name(some.operator): stored}, stranger=stranger)
    found = measure(law, some.piece.work)
    return np.array(PARTS)[found.bound], some.piece.log_measured - np.log(found.seconds)


def _standing(rows: Sequence[Rows]) -> list[str]:
    """Return how each piece stands to those of other chips: its kernel known, unknown, or its chip a stranger."""
    chips: dict[str, set[str]] = {}  # that have run a kernel, or are of a family
    for some in rows:
        for what in (some.kernel, some.chip.family):
            chips.setdefault(what, set()).add(some.chip.id)

    def standing(some: Rows) -> str:
        itself = {some.chip.id}
        if not unit_of(some.chip).like and not chips[some.chip.family] - itself:
            return "stranger"
        return "known" if chips[some.kernel] - itself else "unknown"

    return [standing(some) for some in rows]


def spread_of(errors: Errors) -> dict[str, Any]:
    """Return the spreads by part, times ratios of kernel (or its standing on a new chip) and format.

    Ratios of kernels are in the order of their names.
    """
    by_part, by_form, by_kernel = factors(errors.seen, errors.count, [errors.part, errors.form, errors.kernel])
    seen = {
        "seen": _of_parts(by_part),
        "format_seen": by_form,
        "kernel_seen": [by_kernel[name] for name in _kernels(errors)],
    }
    both = seen | spread_of_new(errors)
    return {name: both[name] for name in _ORDER}


def spread_of_new(errors: Errors, *, without: str = "") -> dict[str, Any]:
    """Return what ``spread_of`` says of new chips, as told by all chips but the one ``without``.

    The parameters that this one is judged by do not know it either. Each chip counts as what it is, and once more as
    one that resembles none.
    """
    new, alone = _errors_of_new(errors, errors.chip != without)
    labels = [
        np.concatenate([errors.new_part, errors.alone_part]),
        np.tile(errors.form, 2),
        np.concatenate([errors.standing, np.full(len(alone), "stranger")]),
        np.tile(errors.kernel, 2),
    ]
    by_part, by_form, by_standing, by_kernel = factors(np.concatenate([new, alone]), np.tile(_alike(errors), 2), labels)
    return {
        "new": _of_parts(by_part),
        "format_new": by_form,
        "kernel_new": [by_kernel.get(name, 1.0) for name in _kernels(errors)],
        "standing": _bounded(by_standing),
    }


def _errors_of_new(errors: Errors, which: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Return the errors of left-out chips and of the same as strangers, of the rows ``which``; NaN of others.

    Where one chip alone was measured, none could be left out: its errors on unseen shapes are taken for larger ones.
    """
    new, alone = (np.where(which, error, np.nan) for error in (errors.new, errors.alone))
    if not np.isfinite(new).any():
        new = np.where(which, _ALONE * errors.seen, np.nan)
    return new, alone


def _bounded(ratios: Mapping[str, float]) -> dict[str, float]:
    """Return a ratio for each standing: none below that of known kernels, nor far above it.

    Of what no chip left out tells, as much is feared as one alone would be believed.
    """
    usual = ratios.get("known", 1.0)
    most = _STRANGEST * max(usual, 1.0)
    return {name: min(max(ratios.get(name, _STRANGEST * usual), usual), most) for name in _STANDINGS}


def _of_parts(spreads: Mapping[str, float]) -> dict[str, float]:
    """Return a spread for each part: that of all rows for one that binds none."""
    return {part: spreads.get(part, spreads[""]) for part in PARTS}


def _kernels(errors: Errors) -> list[str]:
    names: list[str] = np.unique(errors.kernel).tolist()
    return names


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
    for _ in range(_ROUNDS):
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
