"""Re-planning: what an earlier plan began is frozen, the rest is planned anew with what is known by then.

For a backtest the state met is what happened: what arrived of the orders placed, what was refused, the part of each
training run that is done. For a written plan, what arrived is what the case states, else what the curves say.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from suanli.errors import InputError
from suanli.files import read_text
from suanli.fleet._figure import month_of, ordinal
from suanli.fleet._frozen import NOTHING, Frozen, Placed
from suanli.fleet._grid import SECONDS_A_MONTH, Grid
from suanli.fleet._lines import THOUSAND, Array
from suanli.fleet._program import Program
from suanli.fleet._solve import Decision, evaluate
from suanli.fleet.mathematics._base import ABSENT

LEAST = 1e-9


def frozen_by(grid: Grid, decision: Decision, until: int, *, before: Frozen = NOTHING) -> Frozen:
    """Return what ``decision`` begins before month index ``until``, added to what was begun ``before`` the grid.

    The grid's own earlier orders are among them. A project is begun in the first month of the grid that carries it on,
    and is not begun twice.
    """
    known = {name for name, _ in before.begun}
    ordered = [*grid.committed, *((int(j), int(t), float(decision.order[j, t]))
               for j, t in np.argwhere(decision.order[:, :until] > LEAST))]  # fmt: skip
    orders = []
    for j, t, chips in ordered:
        line = grid.lines[j]
        assert line.offer is not None
        orders.append(Placed(offer=line.offer.id, site=line.site, month=_month(grid, t), chips=chips))
    works = [
        (grid.options[o].name, grid.months[t], float(decision.power[o, t]))
        for o, t in np.argwhere(decision.power[:, :until] > LEAST)
    ]
    begun = [
        (x.name, grid.months[x.start])
        for x, on in zip(grid.projects, decision.project, strict=True)
        if on > 0.5 and x.name not in known and x.start < until
    ]
    return Frozen(
        since=before.since or grid.months[grid.start],
        orders=tuple(orders),
        works=(*before.works, *works),
        begun=(*before.begun, *begun),
        done=before.done,
    )


def met_by(p: Program, frozen: Frozen, until: int) -> Frozen:
    """Return what was frozen as the one future of ``p`` met it before month ``until``: arrivals, prices, refusals.

    An order that rulings or the supplier refused is no order; what a stop kept from arriving does not come.
    """
    g, f, c = p.setting.grid, p.setting.futures, p.setting.columns
    index = {(x.offer.id, x.site): j for j, x in enumerate(g.lines) if x.offer is not None}
    origin = ordinal(g.months[0])
    out = []
    for order in frozen.orders:
        j, month = index[order.offer, order.site], ordinal(order.month) - origin
        if g.start <= month < g.T and c.order[j, month] == ABSENT:
            continue
        arrived, due = [], []
        for lag, share in enumerate(g.curve[j]):
            nominal, t = month + lag, month + lag + int(f.slip[0, j])
            if share <= 0:
                continue
            if nominal < g.start:  # there before the future of ``p`` begins, as the curve says
                if nominal < 0 or g.arrive[j, nominal]:
                    arrived.append((_month(g, nominal), order.chips * float(share)))
            elif t >= until:
                due.append((_month(g, nominal), order.chips * float(share)))
            elif g.arrive[j, t] and f.open[0, j, t]:
                arrived.append((_month(g, t), order.chips * float(share) * float(f.delivered[0, j])))
        price = float(f.price[0, j, month]) if 0 <= month < g.T else 1.0
        out.append(replace(order, price=price, arrived=tuple(arrived), due=tuple(due)))
    return replace(frozen, orders=tuple(out))


def _month(g: Grid, t: int) -> str:
    return month_of(ordinal(g.months[0]) + t)


def trained_by(p: Program, x: Array, until: int) -> dict[str, float]:
    """Return the share of each run's tokens that the one future of ``p`` saw trained before month index ``until``."""
    g = p.setting.grid
    out = {run.id: (g.run_done[r] if g.run_done else 0.0) for r, run in enumerate(g.runs)}
    for (s, r, q), segments in p.setting.columns.train.items():
        _, speed = p.setting.rates.train[r, q]
        for segment, rate in zip(segments, speed, strict=True):
            live = (segment != ABSENT) & (np.arange(g.T) < until)
            if s == 0 and live.any():
                out[g.runs[r].id] += float(x[segment[live]].sum()) * rate * SECONDS_A_MONTH / g.run_tokens[r]
    return {name: min(1.0, done) for name, done in out.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage of a rolling plan: what it decided (in the arrays of what happened) and what stood frozen before."""

    day: dt.date
    frozen: Frozen
    decision: Decision


Planner = Callable[[dt.date, Frozen], Decision]
"""What plans on a day over what is frozen, in the arrays of what happened."""


def rolled(
    p: Program, days: Sequence[dt.date], starts: Sequence[int], plan: Planner
) -> tuple[Decision, tuple[Stage, ...]]:
    """Return (what was decided in all, the stages) of planning anew on each day, met by the one future of ``p``.

    Each stage's decisions hold until the next stage's first month, ``starts`` [stages]; the last one's to the end.
    """
    g = p.setting.grid
    total = Decision(
        order=np.zeros((g.J, g.T)), power=np.zeros((len(g.options), g.T)), project=np.zeros(len(g.projects))
    )
    frozen, begun, stages = NOTHING, dict[str, str](), []
    ends = [*starts[1:], g.T]
    for day, first, end in zip(days, starts, ends, strict=True):
        made = plan(day, frozen)
        stages.append(Stage(day=day, frozen=frozen, decision=made))
        window = (np.arange(g.T) >= first) & (np.arange(g.T) < end)
        whole = Decision(
            order=np.where(np.arange(g.T) < first, total.order, made.order),
            power=np.where(np.arange(g.T) < first, total.power, made.power),
            project=np.maximum(total.project, made.project),
        )
        total = Decision(
            order=np.where(window, made.order, total.order),
            power=np.where(window, made.power, total.power),
            project=whole.project,
        )
        for name, on in zip((x.name for x in g.projects), made.project, strict=True):
            if on > 0.5:
                begun.setdefault(name, g.months[first])
        if end < g.T:
            _, answer = evaluate(p, whole)
            done = replace(frozen_by(g, total, end), begun=tuple(begun.items()), done=trained_by(p, answer.x, end))
            frozen = met_by(p, done, end)
    return total, tuple(stages)


# -------------------------------------------------------------------------------------------------------- plan.json


def frozen_rows(frozen: Frozen) -> dict[str, Any] | None:
    """Return what is frozen as plan.json holds it; None where nothing is."""
    return asdict(frozen) | {"done": dict(frozen.done)} if frozen.since else None


def frozen_of(path: Path, until: str) -> Frozen:
    """Return what the main plan written to ``path`` begins before month ``until``, and what it had found begun.

    Raises InputError where no plan is there.
    """
    folder = path.parent if path.name == "plan.json" else path
    try:
        body = json.loads(read_text(folder / "plan.json"))
        main = f"{body['main']['view']}/{body['main']['variant']}"
        since = next(v["orders_from"] for v in body["views"] if v["id"] == body["main"]["view"])
        before = _read(body.get("frozen"))
        works, orders = body["plans"][main]["works"], _order_rows(folder, body["main"])
    except (json.JSONDecodeError, KeyError, TypeError, StopIteration) as error:
        raise InputError(f"{folder / 'plan.json'}: is no plan.json that 'suanli plan' wrote") from error
    early = [w for w in works if ordinal(w["month"]) < ordinal(until)]
    placed = tuple(
        Placed(offer=r["offer"], site=r["site"], month=r["month"], chips=r["chips"] / THOUSAND)
        for r in orders
        if ordinal(r["month"]) < ordinal(until)
    )
    return Frozen(
        since=before.since or since,
        orders=(*before.orders, *placed),
        works=(*before.works, *((w["what"], w["month"], w["amount"]) for w in early if w["kind"] == "power")),
        begun=(*before.begun, *((w["what"], w["month"]) for w in early if w["kind"] == "project")),
        done=before.done,
    )


def _order_rows(folder: Path, main: dict[str, str]) -> list[dict[str, Any]]:
    import polars as pl

    file = folder / "tables" / "orders.parquet"
    if not file.is_file():
        raise InputError(f"{file}: is missing; a plan to go on from is the whole folder that 'suanli plan' wrote")
    frame = pl.read_parquet(file)
    if frame.is_empty():
        return []
    return frame.filter((pl.col("view") == main["view"]) & (pl.col("variant") == main["variant"])).to_dicts()


def _read(data: dict[str, Any] | None) -> Frozen:
    if data is None:
        return NOTHING

    def pairs(rows: Any) -> tuple[tuple[str, float], ...] | None:
        return None if rows is None else tuple((str(m), float(q)) for m, q in rows)

    orders = tuple(Placed(**{**o, "arrived": pairs(o["arrived"]), "due": pairs(o["due"])}) for o in data["orders"])
    works = tuple((str(n), str(m), float(v)) for n, m, v in data["works"])
    begun = tuple((str(n), str(m)) for n, m in data["begun"])
    return Frozen(since=str(data["since"]), orders=orders, works=works, begun=begun, done=dict(data["done"]))
