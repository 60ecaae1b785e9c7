"""When limits cannot hold together: the smallest set of colliding sentences, and the cheapest relaxation.

Only business limits are made elastic. Rules, owners, parties, places and uses have no rows, so nothing here can
touch them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from suanli.fleet._program import Program, hand_over, run
from suanli.fleet._words import row_sentence, row_unit
from suanli.fleet.mathematics import FAMILIES
from suanli.fleet.mathematics._base import INFINITE

Array = NDArray[np.float64]
BUSINESS = frozenset(f.name for f in FAMILIES if f.business)


def collision(p: Program) -> str:
    """Return one line that names limits which cannot hold together, and the least change that would free them."""
    rows = _business_rows(p)
    least = _violations(p, rows)
    if not least:
        return "the limits cannot hold together, and no business limit alone is the cause"
    core = _core(p, rows)
    told = list(dict.fromkeys(row_sentence(p, r) for r in core))[:6]
    cure = [f"{row_sentence(p, r)} by {amount:,.3g} {row_unit(p, r)}" for r, amount in list(least.items())[:3]]
    return f"limits that cannot hold together: {' | '.join(told)}. Least change: {'; '.join(cure)}"


def _business_rows(p: Program) -> NDArray[np.int64]:
    parts = [np.arange(first, first + len(b.low)) for name, first, b in p.blocks if name in BUSINESS]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


def _violations(p: Program, elastic: NDArray[np.int64]) -> dict[int, float]:
    """Return the row -> amount of the least total violation when only ``elastic`` rows may give way."""
    if elastic.size == 0:
        return {}
    m, n = p.matrix.shape
    k = len(elastic)
    sign = np.where(np.isfinite(p.high[elastic]), -1.0, 1.0)
    slack = sparse.csr_matrix((sign, (elastic, np.arange(k))), shape=(m, k))
    columns = replace(p.setting.columns, n=n + k, tail=np.zeros(0, dtype=np.int64))
    costs = sparse.csr_matrix((p.costs.shape[0], n + k))
    costs = costs + sparse.csr_matrix(
        (np.ones(k * p.costs.shape[0]),
         (np.repeat(np.arange(p.costs.shape[0]), k), np.tile(np.arange(n, n + k), p.costs.shape[0]))),
        shape=costs.shape,
    )  # fmt: skip
    soft = replace(
        p,
        setting=replace(p.setting, columns=columns),
        costs=sparse.csr_matrix(costs),
        fixed=np.zeros_like(p.fixed),
        lower=np.concatenate([p.lower, np.zeros(k)]),
        upper=np.concatenate([p.upper, np.full(k, INFINITE)]),
        matrix=sparse.csr_matrix(sparse.hstack([p.matrix, slack], format="csr")),
    )
    answer = run(hand_over(soft))
    if answer.status != "optimal":
        return {}
    amounts = answer.x[n:]
    order = np.argsort(-amounts, kind="stable")
    return {int(elastic[i]): float(amounts[i]) for i in order if amounts[i] > 1e-7}


def _core(p: Program, elastic: NDArray[np.int64]) -> list[int]:
    """Return rows that collide: an elastic filter (rows that give way are made firm until nothing can)."""
    core: list[int] = []
    left = elastic
    for _ in range(12):
        broken = _violations(p, left)
        if not broken:
            break
        core += list(broken)
        left = np.setdiff1d(left, np.array(list(broken), dtype=np.int64))
    return core
