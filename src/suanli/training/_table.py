"""Tables of a search: the best strategy of every layout, or every strategy that was evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from suanli.training._evaluate import step_time, total_memory
from suanli.training._ranking import Ranking
from suanli.training._search import chosen, rows_of
from suanli.training._space import valid
from suanli.training._strategy import Strategies

if TYPE_CHECKING:
    import polars as pl

_ROWS = 1_000_000  # strategies a frame, about


def layout_table(ranking: Ranking) -> pl.DataFrame:
    """Return the fastest fitting strategy of every layout: its fields, step time (s), memory (bytes) and tokens/s."""
    import polars as pl

    found = ranking.found
    index = np.flatnonzero(np.isfinite(found.seconds))
    prepared = chosen(found, index, found.switch[index])
    columns = {x.name: np.broadcast_to(getattr(prepared.strategies, x.name), index.shape) for x in fields(Strategies)}
    return pl.DataFrame(
        {
            **columns,
            "global_batch": prepared.batch,
            "step_s": found.seconds[index],
            "memory_bytes": total_memory(prepared),
            "tokens_per_s": prepared.batch * ranking.setting.seq / found.seconds[index],
        }
    ).sort("tokens_per_s", descending=True)


def strategy_tables(ranking: Ranking) -> Iterator[pl.DataFrame]:
    """Yield every strategy of a search, about a million a frame: its fields, step time (s), memory (bytes), ``fits``.

    Strategies that do not fit are there too, with the time that they would take.
    """
    import polars as pl

    found = ranking.found
    of, prepared = found.space, found.prepared
    limit = ranking.memory_limit
    block = max(1, _ROWS // of.n_switches)
    for start in range(0, of.n_layouts, block):
        some = rows_of(prepared, slice(start, min(of.n_layouts, start + block)))
        shape = (*of.shape, some.batch.size)
        keep = np.broadcast_to(valid(some.strategies), shape)
        held = np.broadcast_to(total_memory(some), shape)[keep]
        seconds = np.broadcast_to(step_time(some, ranking.parameters), shape)[keep]
        columns = {x.name: np.broadcast_to(getattr(some.strategies, x.name), shape)[keep] for x in fields(Strategies)}
        whole = [pl.col(name).cast(pl.Int32) for name in columns if name != "recompute_share"]
        yield pl.DataFrame(
            {
                **columns,
                "global_batch": np.broadcast_to(some.batch, shape)[keep],
                "step_s": seconds,
                "memory_bytes": held,
                "fits": held <= limit,
            }
        ).with_columns(*whole, pl.col("recompute_share").cast(pl.Float32), pl.col("global_batch").cast(pl.Int64))
