"""Measured times of a layer, which take the place of predicted ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InputError, SuanliError
from suanli.quantities import parse
from suanli.training._eras import era
from suanli.training._evaluate import Prepared, prepare
from suanli.training._parameters import Parameters, rates
from suanli.training._step import layer_passes
from suanli.training._strategy import strategies

if TYPE_CHECKING:
    from suanli.kinds import Chip

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Seconds that one layer's passes of one micro-batch took on a chip, an array each along the measured layouts.

    ``both`` is the forward and the backward pass, kernels and the gaps between them, without collectives and without
    recomputation; ``forward`` its part of the forward pass, NaN where that is not known. ``sequence_parallel`` 1 says
    that tensor ranks split the activations.
    """

    source: str
    tp: Array
    cp: Array
    ep: Array
    micro_batch: Array
    sequence_parallel: Array
    both: Array
    forward: Array


def profile_of(
    *,
    source: str,
    tp: ArrayLike,
    micro_batch: ArrayLike,
    both: ArrayLike,
    forward: ArrayLike = np.nan,
    cp: ArrayLike = 1.0,
    ep: ArrayLike = 1.0,
    sequence_parallel: ArrayLike = 0.0,
) -> Profile:
    """Return the profile of measured layouts; times in s, arguments broadcast to one axis.

    Raises InputError for degrees below 1, times not above 0 and a layout that is named twice.
    """
    given = (tp, cp, ep, micro_batch, sequence_parallel, both, forward)
    columns = np.broadcast_arrays(*(np.atleast_1d(np.asarray(x, dtype=np.float64)) for x in given))
    layouts = np.stack(columns[:4], axis=1)
    if layouts.min(initial=1.0) < 1.0:
        raise InputError(f"a measured layout has a degree of {layouts.min():g}, below 1")
    unique, count = np.unique(layouts, axis=0, return_counts=True)
    if np.any(count > 1):
        twice = ", ".join(f"{x:g}" for x in unique[np.argmax(count)])
        raise InputError(f"the measured layout tp, cp, ep, micro-batch {twice} is named twice")
    if not np.all((columns[5] > 0) & ~(columns[6] <= 0) & ~(columns[6] >= columns[5])):
        raise InputError("measured times must be above 0, and a forward pass shorter than both passes")
    names = ("tp", "cp", "ep", "micro_batch", "sequence_parallel", "both", "forward")
    return Profile(source=source, **dict(zip(names, columns, strict=True)))


def measured_ratios(
    prepared: Prepared, profile: Profile, parameters: Parameters, *, precision: str
) -> tuple[Array, Array]:
    """Return measured over predicted time of the forward and of the backward pass of each measured layout.

    ``prepared`` are candidates of one model in one era, at ``precision``.
    """
    p = profile
    cells = prepare(
        prepared.site,
        prepared.facts,
        strategies(
            tp=p.tp, cp=p.cp, ep=p.ep, micro_batch=p.micro_batch, sequence_parallel=p.sequence_parallel, sharding="none"
        ),
        seq=prepared.seq[:1],
        batch=p.micro_batch,
        eras=[era(prepared.eras[0])],
        precision=precision,
    )
    r = rates(parameters, eras=cells.eras, chip=cells.site.chip, bits=cells.bits)
    passes = layer_passes(cells.facts, cells.units, cells.strategies, cells.traffic, cells.habits, r)
    forward, backward = (r.overall * (x.total - x.tp - x.cp - x.ep) for x in passes)
    known = ~np.isnan(p.forward)
    whole = p.both / (forward + backward)
    return np.where(known, p.forward / forward, whole), np.where(known, (p.both - p.forward) / backward, whole)


def as_measured(prepared: Prepared, profile: Profile | None, parameters: Parameters, *, precision: str) -> Prepared:
    """Return candidates whose layers take the time that was measured, where it was.

    Layouts that were not measured take the predicted time times the geometric mean of measured over predicted, so that
    neither kind is favoured. Without a profile nothing changes.
    """
    if profile is None:
        return prepared
    s = prepared.strategies
    columns = []
    for ratio in measured_ratios(prepared, profile, parameters, precision=precision):
        out = np.full(np.broadcast_shapes(s.tp.shape, s.micro_batch.shape), np.exp(np.log(ratio).mean()))
        for i, own in enumerate(ratio):
            same = (s.tp == profile.tp[i]) & (s.cp == profile.cp[i]) & (s.ep == profile.ep[i])
            out[same & (s.micro_batch == profile.micro_batch[i])] = own
        columns.append(out)
    return replace(prepared, units=replace(prepared.units, own_f=columns[0], own_b=columns[1]))


def read_profile(path: Path, *, chip: Chip, hidden: int, seq: int) -> Profile:
    """Return the measured layers of a YAML file, which must be those of ``chip``, of this width and sequence length.

    Raises InputError with file, line and field.
    """
    from suanli import catalog
    from suanli.files import read_model

    found = read_model(path, _schema())
    for name, told, wanted in (
        ("chip", catalog.chip(found.chip).id, chip.id),
        ("hidden", found.hidden, hidden),
        ("seq", found.seq, seq),
    ):
        if told != wanted:
            raise InputError(f"{path}: {name}: measured with {told}, but the run has {wanted}")
    times = [_times(path, i, row) for i, row in enumerate(found.layers)]
    try:
        return profile_of(
            source=found.source,
            **{name: [float(getattr(row, name)) for row in found.layers] for name in ("tp", "cp", "ep", "micro_batch")},
            sequence_parallel=float(found.sequence_parallel),
            both=[both for both, _ in times],
            forward=[forward for _, forward in times],
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _times(path: Path, i: int, row: Any) -> tuple[float, float]:
    """Return (both passes, forward pass or NaN) in s of one measured layout."""
    told = [x is not None for x in (row.forward, row.backward, row.both)]
    if told not in ([True, True, False], [False, False, True]):
        raise InputError(f"{path}: layers.{i}: give forward and backward, or both")
    try:
        if row.both is not None:
            return parse(row.both, "s"), np.nan
        forward = parse(row.forward, "s")
        return forward + parse(row.backward, "s"), forward
    except SuanliError as error:
        raise InputError(f"{path}: layers.{i}: {error}") from error


def _schema() -> Any:
    """Return the pydantic model of a file of measured layers."""
    from pydantic import BaseModel, ConfigDict, Field

    class Row(BaseModel):
        model_config = ConfigDict(extra="forbid")
        tp: int = Field(default=1, ge=1)
        cp: int = Field(default=1, ge=1)
        ep: int = Field(default=1, ge=1)
        micro_batch: int = Field(ge=1)
        forward: str | None = None
        backward: str | None = None
        both: str | None = None

    class File(BaseModel):
        model_config = ConfigDict(extra="forbid")
        source: str = Field(min_length=1)
        chip: str
        hidden: int = Field(ge=1)
        seq: int = Field(ge=1)
        sequence_parallel: bool = False
        layers: list[Row] = Field(min_length=1)

    return File
