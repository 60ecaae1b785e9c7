"""Predicted times of a table of operators, piece by piece, with the reason where a row has none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from suanli.catalog import chip as get_chip
from suanli.catalog import fitted
from suanli.errors import SuanliError
from suanli.kinds import Chip
from suanli.scoring._ops_rows import GROUP, SIZES, Operator, normal, operator_of, with_fold
from suanli.scoring._ops_work import Group, law_name, law_of, work_of
from suanli.silicon._laws import measure
from suanli.silicon._parameters import Parameters, final, parameters_from

Array = NDArray[np.float64]


@dataclass
class Predictions:
    """Arrays of a table's length, NaN where a row is not predicted, and the ``reason`` why by its place.

    ``without_chip``: predicted by parameters fitted without the row's chip, whose spread is ``sigma_new``;
    ``left_out``: the row's chip took part in fitting, so that it is judged without its fifth of the shapes.
    """

    predicted: Array
    sigma: Array
    baseline: Array
    without_chip: Array
    sigma_new: Array
    chip: NDArray[np.object_]
    left_out: NDArray[np.bool_]
    reason: dict[int, str] = field(default_factory=dict)


@cache
def parameter_set(name: str) -> Parameters:
    """Return the parameters fitted on everything ("final"), without a fifth of shapes or without a chip."""
    if name == "final":
        return final()
    raw = fitted("ops")
    return parameters_from(raw["left_out"][name], raw["laws"], without=name.removeprefix("chip-"))


@cache
def fitted_chips() -> frozenset[str]:
    """Return the ids of the chips whose rows took part in fitting."""
    chips: set[str] = set()
    for law in fitted("ops")["laws"].values():
        chips.update(law["chips"])
    return frozenset(chips)


def predict_ops(frame: pl.DataFrame) -> Predictions:
    """Return predictions of the rows of ``frame``, a table of operators in any known layout."""
    rows = with_fold(normal(frame)).with_row_index("row")
    n = rows.height
    out = Predictions(
        predicted=np.full(n, np.nan),
        sigma=np.full(n, np.nan),
        baseline=np.full(n, np.nan),
        without_chip=np.full(n, np.nan),
        sigma_new=np.full(n, np.nan),
        chip=np.full(n, "", dtype=object),
        left_out=np.zeros(n, dtype=bool),
    )
    for key, part in rows.group_by([*GROUP, "fold"], maintain_order=True):
        named = dict(zip((*GROUP, "fold"), key, strict=True))
        usable, reason = _usable(named, part)
        for i in part["row"].to_numpy()[~usable]:
            out.reason[int(i)] = reason
        if usable.any():
            kept = part.filter(pl.Series(usable))
            error = _fill(out, named, kept)
            out.reason.update(dict.fromkeys(kept["row"].to_list(), error) if error else {})
    return out


def _usable(named: Mapping[str, Any], part: pl.DataFrame) -> tuple[NDArray[np.bool_], str]:
    """Return which rows can be predicted as far as the table goes, and why the others cannot."""
    operator = operator_of(named["op"] or "")
    if operator is None:
        return np.zeros(part.height, dtype=bool), f"operator '{named['op']}' is not predicted"
    if named["dtype"] is None:
        return np.zeros(part.height, dtype=bool), "dtype is missing"
    needed = SIZES[operator.kind]
    fine = np.ones(part.height, dtype=bool)
    for name in (*needed, "measured"):
        fine &= (part[name].fill_null(0.0) > 0.0).to_numpy()
    return fine, f"one of {', '.join(needed)} or measured_latency_s is missing or not above zero"


def _fill(out: Predictions, named: Mapping[str, Any], part: pl.DataFrame) -> str:
    """Predict ``part``, rows of one piece of work and fold, into ``out``; return the reason where it can't be."""
    operator = operator_of(named["op"])
    assert operator is not None
    group = Group(**{name: named[name] for name in GROUP if name != "chip"})
    at = part["row"].to_numpy()
    try:
        chip = get_chip(named["chip"] or "")
        work = work_of(chip, operator, group, part)
        for target, spread, parameters in _sets(out, chip, operator, int(named["fold"]), at):
            found = measure(law_of(chip, operator, group, parameters), work)
            target[at], spread[at] = found.seconds, found.sigma
    except SuanliError as error:
        return str(error)
    out.baseline[at], out.chip[at] = work.roofline, chip.id
    return ""


def _sets(
    out: Predictions, chip: Chip, operator: Operator, fold: int, at: NDArray[np.uint32]
) -> list[tuple[Array, Array, Parameters]]:
    """Return where to write, and the parameters to judge by: without the shape's fold, and without the chip."""
    if chip.id not in fitted_chips():
        return [(out.predicted, out.sigma, parameter_set("final"))]
    sets = [(out.predicted, out.sigma, parameter_set(f"shape-{fold}"))]
    out.left_out[at] = True
    without = parameter_set(f"chip-{chip.id}")
    if law_name(operator) in without:
        sets.append((out.without_chip, out.sigma_new, without))
    return sets
