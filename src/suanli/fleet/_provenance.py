"""Sourced values of a case and of the engines: the leaves of every figure that a plan shows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from suanli import catalog
from suanli.fleet._engines import SERVING, TRAINING, Tables
from suanli.fleet._figure import Fig, Money
from suanli.fleet._measured import ServeRate, TrainRate
from suanli.fleet._schema import CaseSpec
from suanli.sources import Figure, Source, Sourced

Node = Figure | Sourced


@cache
def _catalogue() -> Mapping[str, Source]:
    out: dict[str, Source] = {}
    for cost in catalog.costs():
        s = cost.source
        out[cost.id] = Source(f"{cost.id}: {s.ref}", date=s.date, kind=s.kind, note=cost.note or cost.basis or s.note)
    for event in catalog.events():
        out[event.id] = Source(
            f"{event.id}: {event.source.ref}", date=event.source.date, kind=event.source.kind, note=event.certainty
        )
    for chip in catalog.chips():
        out.setdefault(chip.id, chip.source)
    for model in catalog.models():
        out.setdefault(model.id, model.source)
    for switch in catalog.switches():
        out.setdefault(switch.id, switch.source)
    return out


def source_named(spec: CaseSpec, name: str) -> Source:
    """Return the source that an id stands for: of the case, an event, a cost, a chip, a model, a switch or a rule."""
    own = spec.sources.get(name)
    if own is not None:
        return Source(own.ref, date=own.date, kind=own.kind, note=own.note or name)
    return _catalogue().get(name) or Source(name, kind="reported", note="rule book")


def sourced(spec: CaseSpec, name: str, figure: Fig, unit: str) -> Sourced:
    """Return a figure of a case as a sourced value called ``name``."""
    low, high = figure.ends()
    ranged = figure.low is not None or figure.high is not None
    return Sourced(
        name=name,
        value=figure.si,
        unit=figure.code if isinstance(figure, Money) and unit == "money" else unit,
        source=source_named(spec, figure.source),
        low=low if ranged else None,
        high=high if ranged else None,
    )


def serve_figure(spec: CaseSpec, tables: Tables, service: str, chip: str) -> Figure:
    """Return the rate of one chip serving a service, with what the engine took."""
    found = tables.serve[service, chip]
    work = next(s for s in spec.services if s.id == service)
    inputs: dict[str, Node] = {"chip": _chip(tables, chip)}
    for name in ("input_tokens", "output_tokens", "ttft", "tpot"):
        value = getattr(work, name)
        if value is not None:
            inputs[name] = sourced(spec, f"{service}.{name}", value, {"ttft": "s", "tpot": "s"}.get(name, "token"))
    own = found.source != SERVING
    if own:
        name = f"rate.{service}.{chip}.measured"
        stated = _stated(found.factor, found.rate, "request/s")
        inputs["measured"] = Sourced(name, *stated, source_named(spec, found.source))
    if own and found.factor == 1.0:
        formula = "measured, in the place of the serving engine's"
    else:
        formula = f"serving engine: the best layout within the limits, {found.layout}{_times(found)}"
    return Figure(f"rate.{service}.{chip}", found.rate, "request/s", formula, inputs, found.p10, found.p90)


def _stated(factor: float, rate: float, unit: str) -> tuple[float, str]:
    return (rate, unit) if factor == 1.0 else (factor, "")


def _times(found: ServeRate | TrainRate) -> str:
    return "" if found.factor == 1.0 else f"; x {found.factor:.2f}, measured over predicted"


def train_figure(spec: CaseSpec, tables: Tables, run: str, chip: str) -> Figure:
    """Return the tokens/s of the largest pool of one chip in a run, with what the engine took."""
    found = tables.train[run, chip]
    work = next(r for r in spec.runs if r.id == run)
    inputs: dict[str, Node] = {
        "chip": _chip(tables, chip),
        "pool": sourced(spec, f"{run}.largest_pool", work.largest_pool, "chip"),
    }
    if found.source != TRAINING:
        at = sorted(found.measured) or [found.chips[-1]]
        value = _stated(found.factor, found.rate[found.chips.index(at[-1])], "token/s")
        inputs["measured"] = Sourced(f"rate.{run}.{chip}.measured", *value, source_named(spec, found.source))
    for i, n in enumerate(found.chips):
        inputs[f"a pool of {n:,}"] = _pool(found, i, f"rate.{run}.{chip}.{n}")
    last = f"largest pool, {found.chips[-1]:,} chips; speed a chip falls with size, piecewise between the pools below"
    return Figure(f"rate.{run}.{chip}", found.rate[-1], "token/s", last, inputs, found.p10[-1], found.p90[-1])


def _pool(found: TrainRate, i: int, name: str) -> Figure:
    """Return tokens/s of one pool size, with the strategy and what each chip does."""
    n, rate, mfu = found.chips[i], found.rate[i], found.mfu[i]
    if n in found.measured:
        how = "measured"
    else:
        own = found.source != TRAINING and found.factor == 1.0 and mfu is None
        how = found.strategy[i] if own else f"training engine: best strategy {found.strategy[i]}{_times(found)}"
    each = f"; {rate / n:,.0f} token/s a chip" + (f", MFU {mfu:.0%}" if mfu else "")
    return Figure(name, rate, "token/s", how + each, {}, found.p10[i], found.p90[i])


def _chip(tables: Tables, name: str) -> Sourced:
    chip = tables.chips[name]
    best = max(chip.peak.values(), default=0.0)
    return Sourced(f"{name}: fastest dense rate", best, "FLOP/s", chip.source)
