"""Rate tables for the planner: what a pool of each chip makes of a training run, a line a chip and pool size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from suanli.errors import SuanliError
from suanli.kinds import Chip, Model
from suanli.training._fastest import fastest_steps
from suanli.training._goodput import goodput, operations
from suanli.training._offers import Offers, offers_of
from suanli.training._parameters import Parameters, fitted_parameters
from suanli.training._ranking import Setting, Step, setting_of

if TYPE_CHECKING:
    import polars as pl


def checkpoint_bytes(one: Step) -> float:
    """Return the bytes a chip that a checkpoint of a run writes: weights and optimizer state, each once.

    14 bytes a weight in all (2-byte weights, fp32 master copy and moments), spread over every chip.
    """
    from suanli.training._facts import total_weights

    return float(14.0 * total_weights(one.setting.facts)[0] / one.setting.n_chips)


def power_of(chip: Chip, n_chips: float) -> float | None:
    """Return the IT power in W of ``n_chips`` in training: their limit, the usual draw, and the rest of the server."""
    if not chip.tdp_w:
        return None
    known = operations()
    return float(n_chips * chip.tdp_w * known["power_share"].value * known["server_factor"].value)


def rate_table(
    model: Model,
    chips: Sequence[Chip],
    pool_sizes: Sequence[int],
    *,
    year: int,
    tokens: float | None = None,
    seq_len: int | None = None,
    global_batch: int | None = None,
    precision: str | None = None,
    era: str | None = None,
    parameters: Parameters | None = None,
) -> pl.DataFrame:
    """Return tokens/s of training ``model`` on each chip and pool size, with its interval, a row each.

    Columns: chip, n_chips (the pool), used_chips, tokens_per_s (goodput counted in), p10, p90, mfu, goodput,
    memory_bytes, strategy, fits, reason, power_w, step_s, global_batch, days (of ``tokens``, null without). A
    pool in which the model does not fit has fits false, nulls, and the reason. ``year`` sets the software era.
    """
    import polars as pl

    p = parameters or fitted_parameters()
    rows: list[dict[str, Any]] = []
    for chip in chips:
        asked = partial(
            setting_of,
            model,
            chip,
            seq_len=seq_len,
            global_batch=global_batch,
            precision=precision,
            year=year,
            era_id=era,
        )
        for size, answer in zip(pool_sizes, _answers(asked, pool_sizes, p), strict=True):
            row = {"chip": chip.id, "n_chips": int(size)}
            if isinstance(answer, Step):
                rows.append({**row, **_rated(answer, chip, tokens)})
            else:
                rows.append({**row, "fits": False, "reason": str(answer)})
    schema = {
        "chip": pl.String,
        "n_chips": pl.Int64,
        "used_chips": pl.Int64,
        "tokens_per_s": pl.Float64,
        "p10": pl.Float64,
        "p90": pl.Float64,
        "mfu": pl.Float64,
        "goodput": pl.Float64,
        "memory_bytes": pl.Float64,
        "strategy": pl.String,
        "fits": pl.Boolean,
        "reason": pl.String,
        "power_w": pl.Float64,
        "step_s": pl.Float64,
        "global_batch": pl.Int64,
        "days": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema)


def _answers(
    asked: Callable[[int], Setting], pool_sizes: Sequence[int], parameters: Parameters
) -> list[Step | SuanliError]:
    """Return the best step of pools of each size, or why there is none; ``asked`` makes the setting of a size."""
    made: list[Setting | SuanliError] = []
    for size in pool_sizes:
        try:
            made.append(asked(int(size)))
        except SuanliError as error:
            made.append(error)
    settings = [x for x in made if isinstance(x, Setting)]
    try:
        steps = iter(fastest_steps(settings, usual_offers(settings[0]), parameters) if settings else [])
    except SuanliError as error:
        return [error if isinstance(x, Setting) else x for x in made]
    return [next(steps) if isinstance(x, Setting) else x for x in made]


def usual_offers(setting: Setting) -> Offers:
    """Return what the era offers less what rarely changes its best: one exchange of context, no hybrid sharding."""
    offers = offers_of(setting.era.id)
    contexts = ("ring",) if "ring" in offers.contexts else offers.contexts[:1]
    return replace(offers, contexts=contexts, hybrid=False)


def _rated(best: Step, chip: Chip, tokens: float | None) -> dict[str, Any]:
    used = int(best.strategies.chips[0])
    kept = float(goodput(used, checkpoint_bytes=checkpoint_bytes(best)).share[0])
    seconds = float(best.time.value[0])
    rate = best.tokens_per_s * kept
    return {
        "used_chips": used,
        "tokens_per_s": rate,
        "p10": rate * seconds / float(best.time.p90[0]),
        "p90": rate * seconds / float(best.time.p10[0]),
        "mfu": best.mfu,
        "goodput": kept,
        "memory_bytes": best.memory_bytes,
        "strategy": best.text,
        "fits": True,
        "reason": "",
        "power_w": power_of(chip, used),
        "step_s": seconds,
        "global_batch": best.batch,
        "days": None if tokens is None else tokens / rate / 86400.0,
    }


def joint_rate(rates: Sequence[float], *, loss: float = 0.03) -> float:
    """Return tokens/s of pools of different chips that train one model by data-parallel shares.

    Each pool takes a share of the batch in proportion to its speed, so that rates add; ``loss`` is the part that
    synchronising unlike pools costs (estimated).
    """
    total = float(np.sum(np.asarray(rates, dtype=np.float64)))
    return total if len(rates) < 2 else total * (1.0 - loss)
