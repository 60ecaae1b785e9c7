"""Scores of training runs: each row predicted by parameters that its group took no part in fitting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from suanli import catalog
from suanli.estimates import Z80
from suanli.kinds import Model
from suanli.scoring._training_blocks import Block, blocks, predict
from suanli.scoring._training_rows import Row
from suanli.training import Parameters, facts, model_flop, parameters_of, sigma_of

Array = NDArray[np.float64]

BASELINE = "47 % of the bf16 peak, 6 N and whole attention a token"
_SHARE = 0.47


def scored_frame(
    rows: Sequence[Row], *, spread: str | None = None, without: str | None = None
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Return (a line a row with prediction, interval and baseline, rows by the parameters that judged them).

    ``spread`` names a stored spread that replaces the general one, ``without`` one left-out group whose parameters
    judge all rows. Raises InputError where nothing was fitted yet.
    """
    stored = catalog.fitted("training")
    groups: dict[str, Any] = stored["left_out"]
    parts = blocks(rows)
    titles = [without or (row.title if row.title in groups else "") for row in rows]
    predicted, sigma = np.full(len(rows), np.nan), np.zeros(len(rows))
    for title in sorted(set(titles)):
        p = parameters_of(groups[title] if title else stored["final"])
        mine = np.array([t == title for t in titles])
        predicted[mine] = predict(_only(parts, mine), p, len(rows))[mine]
        for i in np.flatnonzero(mine).tolist():
            row = rows[i]
            general = sigma_of(p, era_id=row.era.id, chip=row.chip, missing=row.missing)
            sigma[i] = _own_spread(p, spread, known=bool(title)) if spread else general
    half = Z80 * sigma
    frame = pl.DataFrame(
        {
            "id": [row.id for row in rows],
            "metric": ["step_time"] * len(rows),
            "measured": [float(row.measured or np.nan) for row in rows],
            "predicted": predicted,
            "p10": predicted * np.exp(-half),
            "p90": predicted * np.exp(half),
            "baseline": baseline(rows),
            "source": [row.source for row in rows],
            "chip": [row.chip.id for row in rows],
            "era": [row.era.id for row in rows],
            "complete": [not row.missing for row in rows],
            "group": [row.title for row in rows],
        }
    )
    left = sum(1 for t in titles if t)
    return frame, {"left_out": left, "final": len(rows) - left}


def _own_spread(p: Parameters, name: str, *, known: bool) -> float:
    """Return the spread stored under ``name``, widened where the row's group took no part in fitting."""
    own = p.spread.get(name, p.spread["base"])
    return own if known else float(np.hypot(own, p.spread.get("unseen", own)))


def _only(parts: Sequence[Block], mine: NDArray[np.bool_]) -> list[Block]:
    return [block for block in parts if mine[block.index].any()]


def baseline(rows: Sequence[Row]) -> Array:
    """Return the naive step time in s: model FLOP at 47 % of the chips' dense bf16 peak."""
    known: dict[tuple[Model, int], float] = {}
    out = np.zeros(len(rows))
    for i, row in enumerate(rows):
        key = (row.model, row.seq)
        if key not in known:
            known[key] = float(model_flop(facts(row.model), np.array([float(row.seq)]), causal=False)[0])
        peak = row.chip.peak.get("bf16") or row.chip.peak["fp16"]
        out[i] = known[key] * row.seq * row.batch / (_SHARE * peak * row.n_chips)
    return out


def distinct(rows: Sequence[Row]) -> tuple[list[Row], NDArray[np.intp]]:
    """Return the rows that differ in more than name and measurement, and where each row is among them.

    Long tables repeat configurations; each is predicted once.
    """
    names = [x.name for x in fields(Row) if x.name not in {"id", "measured", "chip", "model"}]
    seen: dict[tuple[object, ...], int] = {}
    few: list[Row] = []
    index = np.zeros(len(rows), dtype=np.intp)
    for i, row in enumerate(rows):
        key = (row.chip.id, row.model.id, *(getattr(row, name) for name in names))
        index[i] = seen.setdefault(key, len(few))
        if index[i] == len(few):
            few.append(row)
    return few, index


def regret(rows: Sequence[Row], frame: pl.DataFrame, *, least: int = 3) -> dict[str, float] | None:
    """Return sweeps, mean_pct, median_pct and max_pct: what picking the strategy that is predicted fastest loses.

    A sweep is ``least`` or more layouts of one model, chip, number of chips, batch and sequence from one source; its
    regret is what the picked layout's measured time a token exceeds the best measured one by. None without a sweep.
    """
    sweeps: dict[tuple[object, ...], list[int]] = {}
    for i, row in enumerate(rows):
        # Batches within 2 % of each other belong together: sweeps round them to what dp divides.
        key = (
            row.source,
            row.model.id,
            row.chip.id,
            row.n_chips,
            round(np.log(row.batch) / 0.02),
            row.seq,
            row.precision,
        )
        sweeps.setdefault(key, []).append(i)
    measured = np.array([float(row.measured or np.nan) / row.batch for row in rows])
    predicted = frame["predicted"].to_numpy() / np.array([float(row.batch) for row in rows])
    lost = []
    for members in sweeps.values():
        layouts = {(r.tp, r.pp, r.dp, r.vpp, r.micro_batch, r.recompute) for r in (rows[i] for i in members)}
        if len(layouts) >= least:
            index = np.array(members)
            picked = index[np.argmin(predicted[index])]
            lost.append(100.0 * (measured[picked] / measured[index].min() - 1.0))
    if not lost:
        return None
    return {
        "sweeps": len(lost),
        "mean_pct": float(np.mean(lost)),
        "median_pct": float(np.median(lost)),
        "max_pct": float(np.max(lost)),
    }


def told(lost: Mapping[str, float]) -> str:
    """Return the note that tells a regret."""
    return (
        f"regret of the layout picked in {lost['sweeps']:.0f} sweeps: mean {lost['mean_pct']:.1f} %, "
        f"median {lost['median_pct']:.1f} %, largest {lost['max_pct']:.1f} %"
    )
