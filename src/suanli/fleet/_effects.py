"""What each risk does to cost: the likeliest future with one risk turned out otherwise, met by a plain plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from suanli.errors import SuanliError
from suanli.fleet._grid import Grid, Rates
from suanli.fleet._program import fixed_to, hand_over, program, run
from suanli.fleet._scenarios import Futures, mean_future
from suanli.fleet._solve import Solved, costs_in, decision
from suanli.fleet.mathematics import Shares

Array = NDArray[np.float64]


def importance(
    grid: Grid,
    rates: Rates,
    shares: Sequence[Shares],
    *,
    futures: Futures,
    single: Futures,
    odds: Sequence[Array],
) -> Array | None:
    """Return [F]: the variance of cost that each risk makes by itself, None where no plain plan can be had.

    The plan met is the one made on the expected values of ``futures``, every project dropped; ``single`` holds the
    likeliest future and those that differ from it in one outcome, in the order of ``odds``.
    """
    p = program(replace(grid, cvar=(0.0, 1.0)), rates, mean_future(futures), shares)
    plain = fixed_to(p, p.setting.columns.project, np.zeros(len(grid.projects)))
    answer = run(hand_over(plain))
    if answer.status != "optimal":
        return None
    solved = Solved(program=plain, answer=answer, costs=np.zeros(1), projects=(), tried={})
    try:
        costs, _ = costs_in(grid, rates, shares, (decision(solved),), single)
    except SuanliError:  # a firm limit that the plain plan cannot keep
        return None
    return variances(costs[0], odds)


def variances(costs: Array, odds: Sequence[Array]) -> Array:
    """Return [F]: the variance of each risk's own effect, from the costs of the likeliest and the single changes."""
    out = np.zeros(len(odds))
    place = 1
    for i, chance in enumerate(odds):
        effect = np.zeros(len(chance))
        for k in range(len(chance)):
            if k != int(np.argmax(chance)):
                effect[k] = costs[place] - costs[0]
                place += 1
        out[i] = float(chance @ effect**2 - (chance @ effect) ** 2)
    return out
