"""What the engines say of the case's chips: rates, prices of fabrics, the designed chip. Nothing here is typed in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from suanli import catalog
from suanli.errors import SuanliError
from suanli.fleet._grid import Bills, Pool, Rates
from suanli.fleet._lines import THOUSAND, Array, Line
from suanli.fleet._measured import (
    Own,
    ServeRate,
    TrainRate,
    corrected_serve,
    corrected_train,
    measured_serve,
    measured_train,
    own_rates,
    pools_of_run,
)
from suanli.fleet._schema import CaseSpec
from suanli.fleet._schema_offers import Build
from suanli.fleet._schema_work import Run
from suanli.fleet._schema_work import Service as ServiceSpec
from suanli.kinds import Chip, Model, Service

if TYPE_CHECKING:
    from suanli.design import Design

Tell = Callable[[str], None]
POOLS: tuple[int, ...] = (4096, 16384)
RAMP_MONTHS = 24
SERVING, TRAINING = "serving engine", "training engine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """Everything the plan takes from the engines.

    ``names`` maps a case's spelling of a chip to its id; ``serve`` and ``train`` are keyed (workload, chip id);
    ``unfit`` lists (workload, chip, reason) without a rate; ``designs`` holds the chips of one's own by id.
    """

    chips: Mapping[str, Chip]
    names: Mapping[str, str]
    serve: Mapping[tuple[str, str], ServeRate]
    train: Mapping[tuple[str, str], TrainRate]
    unfit: tuple[tuple[str, str, str], ...]
    designs: Mapping[str, Design]


def chips_of(spec: CaseSpec) -> tuple[dict[str, Chip], dict[str, str], dict[str, Design]]:
    """Return (chips by id, id by the case's spelling, designs by id) of every chip that a case names."""
    from suanli import design

    chips: dict[str, Chip] = {}
    names: dict[str, str] = {}
    designs: dict[str, Any] = {}
    texts = [o.chip for o in spec.offers] + [s.chip for s in spec.stock]
    texts += [c for e in spec.estimates for c in (e.chip, *e.compare)]
    texts += [c for s in spec.services for c in s.chips] + [c for r in spec.runs for c in r.chips]
    for text in dict.fromkeys(texts):
        if text.startswith("design:"):
            made = design.evaluate(design.preset(text.removeprefix("design:")))
            chip = made.chip
            designs[chip.id] = made
        else:
            chip = catalog.chip(text)
        chips[chip.id] = chip
        names[text] = chip.id
    return chips, names, designs


def tables_of(spec: CaseSpec, tell: Tell = lambda _: None) -> Tables:
    """Return the engines' tables for a case; measured rates that the case states come first."""
    chips, names, designs = chips_of(spec)
    regions = {s.id: s.region for s in spec.sites}
    where: dict[str, set[str]] = {}
    for offer in spec.offers:
        where.setdefault(names[offer.chip], set()).update(regions[s] for s in offer.sites)
    for stock in spec.stock:
        where.setdefault(names[stock.chip], set()).add(regions[stock.site])
    own = own_rates(spec, names)
    serve: dict[tuple[str, str], ServeRate] = {}
    train: dict[tuple[str, str], TrainRate] = {}
    unfit: list[tuple[str, str, str]] = []
    asked = {(e.of, names[c]) for e in spec.estimates for c in (e.chip, *e.compare)}
    for run in spec.runs:
        wished = [names[c] for c in run.chips] + [c for of, c in sorted(asked) if of == run.id]
        for name in dict.fromkeys(wished):
            if run.region in where.get(name, set()) or (run.id, name) in asked:
                tell(f"training {run.id} on {name}")
                _train(run, chips[name], own, train, unfit)
    for service in spec.services:
        allowed = {names[c] for c in service.chips}
        wanted = [c for c in chips if service.region in where.get(c, set()) and (not allowed or c in allowed)]
        wanted += [c for of, c in sorted(asked) if of == service.id and c not in wanted]
        tell(f"serving {service.id} on {len(wanted)} chips")
        _serve(service, [chips[c] for c in wanted], own, serve, unfit)
    return Tables(chips=chips, names=names, serve=serve, train=train, unfit=tuple(unfit), designs=designs)


def _train(
    run: Run,
    chip: Chip,
    own: Own,
    out: dict[tuple[str, str], TrainRate],
    unfit: list[tuple[str, str, str]],
) -> None:
    most = int(run.largest_pool.si)
    stated = own.rates.get((run.id, chip.id), ())
    sizes = pools_of_run(stated, tuple(dict.fromkeys([n for n in POOLS if n < most] + [most])))
    if any(r.pool is None for r in stated):
        out[run.id, chip.id] = measured_train(stated, sizes, None)
        return
    found = _asked(run, chip, sizes)
    if stated:
        out[run.id, chip.id] = measured_train(stated, sizes, None if isinstance(found, str) else found)
    elif isinstance(found, str):
        unfit.append((run.id, chip.id, found))
    else:
        out[run.id, chip.id] = corrected_train(found, own.factor("training", run.id, chip.id))


def _asked(run: Run, chip: Chip, sizes: Sequence[int]) -> TrainRate | str:
    """Return the training engine's rates of pools of one chip, or why there are none."""
    from suanli.training import rate_table

    try:
        frame = rate_table(
            catalog.model(run.model), [chip], sizes, year=int(run.earliest[:4]), tokens=None, seq_len=run.sequence,
            global_batch=run.batch, precision=run.precision,
        )  # fmt: skip
    except SuanliError as error:
        return str(error)
    rows = [r for r in frame.iter_rows(named=True) if r["fits"] and r["tokens_per_s"]]
    if not rows:
        reasons = [r["reason"] for r in frame.iter_rows(named=True) if r["reason"]]
        return reasons[-1] if reasons else "does not fit"
    return TrainRate(
        chips=tuple(int(r["n_chips"]) for r in rows),
        rate=tuple(float(r["tokens_per_s"]) for r in rows),
        p10=tuple(float(r["p10"]) for r in rows),
        p90=tuple(float(r["p90"]) for r in rows),
        mfu=tuple(r["mfu"] for r in rows),
        strategy=tuple(str(r["strategy"]) for r in rows),
        source=TRAINING,
    )


def _serve(
    service: ServiceSpec,
    chips: Sequence[Chip],
    own: Own,
    out: dict[tuple[str, str], ServeRate],
    unfit: list[tuple[str, str, str]],
) -> None:
    left = []
    for chip in chips:
        if (service.id, chip.id) in own.rates:
            out[service.id, chip.id] = measured_serve(own.rates[service.id, chip.id])
        elif not chip.peak or chip.memory_bandwidth is None or chip.memory_bytes is None:
            unfit.append((service.id, chip.id, "its rates or memory are unknown"))
        else:
            left.append(chip)
    if not left:
        return
    from suanli.serving import capacity_table

    frame = capacity_table([service_of(service, catalog.model(service.model))], left)
    for row in frame.iter_rows(named=True):
        rate = row["requests_per_s_per_chip"]
        if not row["fits"] or not rate:
            unfit.append((service.id, row["chip"], row["reason"] or "does not fit"))
            continue
        found = ServeRate(
            rate=float(rate), p10=float(row["p10"]), p90=float(row["p90"]), layout=str(row["layout"]), source=SERVING,
            power_w=row["power_w"],
        )  # fmt: skip
        out[service.id, row["chip"]] = corrected_serve(found, own.factor("serving", service.id, row["chip"]))


def service_of(spec: ServiceSpec, model: Model) -> Service:
    """Return the case's service as the serving engine takes it."""

    def value(fig: Any, absent: float) -> float:
        return float(fig.si) if fig is not None else absent

    first = spec.demand[0]
    assert not isinstance(first, str)
    picture = {k: getattr(spec, k) for k in ("height", "width", "frames") if getattr(spec, k) is not None}
    return Service(
        **picture,
        latency_s=spec.latency.si if spec.latency is not None else None,
        model=model,
        rate=value(first.rate, 1.0),
        input_tokens=value(spec.input_tokens, 0.0),
        output_tokens=value(spec.output_tokens, 0.0),
        ttft_s=spec.ttft.si if spec.ttft is not None else None,
        tpot_s=spec.tpot.si if spec.tpot is not None else None,
        percentile=value(spec.percentile, 0.5),
        prefix_hit=value(spec.prefix_hit, 0.0),
        precision=spec.precision,
    )


def rates_of(spec: CaseSpec, pools: Sequence[Pool], tables: Tables) -> Rates:
    """Return the rates of pools: requests/s per thousand chips, and falling segments of tokens/s for training."""
    serve = np.zeros((len(pools), len(spec.services)))
    train: dict[tuple[int, int], tuple[Array, Array]] = {}
    for q, pool in enumerate(pools):
        for w, service in enumerate(spec.services):
            found = tables.serve.get((service.id, pool.chip))
            if found is not None and service.region == pool.region:
                serve[q, w] = found.rate * THOUSAND
        for r, run in enumerate(spec.runs):
            table = tables.train.get((run.id, pool.chip))
            if table is not None and run.region == pool.region:
                widths, speed = segments(table.chips, table.rate)
                moved = run.restart is not None and pool.chip != tables.names[run.chips[0]]
                train[r, q] = widths, speed * (1.0 - run.restart.si if moved and run.restart is not None else 1.0)
    return Rates(serve=serve, train=train)


def segments(chips: Sequence[int], rate: Sequence[float]) -> tuple[Array, Array]:
    """Return (widths in thousand chips, tokens/s per thousand chips) of the concave hull through (0, 0).

    A larger pool is never worth less than a smaller one with the rest idle, so that the hull is what can be had.
    """
    points = [(0.0, 0.0), *sorted((n / THOUSAND, float(r)) for n, r in zip(chips, rate, strict=True))]
    hull: list[tuple[float, float]] = []
    for x, y in points:
        while len(hull) > 1 and _slope(hull[-2], hull[-1]) <= _slope(hull[-1], (x, y)):
            hull.pop()
        hull.append((x, y))
    widths = np.array([b[0] - a[0] for a, b in pairwise(hull)])
    speed = np.array([_slope(a, b) for a, b in pairwise(hull)])
    rising = speed > 0
    return widths[rising], speed[rising]


def _slope(a: tuple[float, float], b: tuple[float, float]) -> float:
    return (b[1] - a[1]) / (b[0] - a[0])


def bills_of(spec: CaseSpec, lines: Sequence[Line], tables: Tables) -> Bills:
    """Return what each line's chips need beside themselves: fabric in USD and W, server power, cost of one's own."""
    from suanli import fabric

    choices = {f.id: f for f in spec.fabrics}
    builds = {b.id: b for b in spec.builds}
    fabric_usd, fabric_w, chip_w, unit, dies, wafers = (np.zeros(len(lines)) for _ in range(6))
    ramp: dict[str, Array] = {}
    for j, line in enumerate(lines):
        chip = tables.chips[line.chip]
        item = line.offer if line.offer is not None else line.stock
        assert item is not None
        factor = item.power_factor.si if item.power_factor is not None else 1.0
        chip_w[j] = (chip.tdp_w or 0.0) * factor
        if line.offer is None:
            continue
        if line.offer.fabric is not None:
            choice = choices[line.offer.fabric]
            bill = fabric.build(
                choice.pool, choice.switch, choice.optics, chips_per_node=line.offer.chips_per_node, chip=chip
            )
            fabric_usd[j] = (bill.price_usd or 0.0) / choice.pool
            fabric_w[j] = (bill.power_w or 0.0) / choice.pool
        if line.offer.build is not None:
            made = tables.designs[line.chip]
            unit[j] = unit_price(made, builds[line.offer.build].margin)
            dies[j] = unit[j] * die_share(made)
            ramp[line.offer.build] = ramp_of(made, builds[line.offer.build])
            wafers[j] = float(made.spec.array("dies")[0] / (made.gross_dies[0] * made.yields["sold"][0]))
    return Bills(
        fabric_usd=fabric_usd, fabric_w=fabric_w, chip_w=chip_w, unit_usd=unit, die_usd=dies, wafers=wafers, ramp=ramp
    )


def die_share(made: Design) -> float:
    """Return the share of a chip's cost that is its dies, bonding and test losses on them included."""
    parts = {name: float(np.ravel(value)[0]) for name, value in made.cost.breakdown.items()}
    good = parts["dies"] + parts["package"] + parts["memory"]
    return parts["dies"] / good * (1.0 - parts["board"] / sum(parts.values()))


def ramp_of(made: Design, build: Build) -> Array:
    """Return the yield over its mature value by month of volume: as the case states it, else the design room's."""
    from suanli.design import build_terms

    if build.ramp:
        points = {p.months: p.share.si for p in sorted(build.ramp, key=lambda p: p.months)}
        last = max(points)
        return np.asarray(np.interp(np.arange(last + 1), list(points), list(points.values())))
    return np.array(build_terms(made, months=RAMP_MONTHS).yield_by_month)


def unit_price(made: Design, margin: Any) -> float:
    """Return USD of one chip of one's own: the cost model's, with the margin stated, else the partner's price."""
    if margin is None:
        return float(made.price.value[0])
    return float(made.cost.value[0]) * (1.0 + float(margin.si))


def run_tokens(spec: CaseSpec) -> Array:
    """Return the tokens that each run needs, experiments included."""
    return np.array([final_tokens(r) * r.experiments.si for r in spec.runs])


def final_tokens(run: Run) -> float:
    """Return the tokens of a run's final training: as stated, or those of least loss for a model of this size."""
    if run.tokens != "compute-optimal":
        return float(run.tokens.si)
    from suanli.training import loss_law
    from suanli.workloads import parameters

    law = loss_law()
    weights = float(parameters(catalog.model(run.model)).active)
    ratio = (law.alpha * law.A / (law.beta * law.B)) ** (1.0 / (law.alpha + law.beta))
    return float((weights / ratio) ** (law.alpha / law.beta) / ratio)
