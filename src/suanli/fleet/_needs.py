"""Published chip counts rebuilt from first principles: what they rest on, and what other chips would need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from suanli import catalog
from suanli.fleet._engines import Tables, final_tokens, service_of
from suanli.fleet._figure import Fig
from suanli.fleet._grid import mean_rate
from suanli.fleet._provenance import Node, serve_figure, sourced, train_figure
from suanli.fleet._schema import CaseSpec, Estimate
from suanli.fleet._schema_work import Run, Service
from suanli.quantities import DAY
from suanli.sources import Figure

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """One count rebuilt: ``figure`` on its own chip, ``others`` by chip, ``swings`` of each input from low to high."""

    estimate: Estimate
    figure: Figure | None
    others: tuple[Figure, ...]
    swings: tuple[Row, ...]


def rebuilt(spec: CaseSpec, tables: Tables) -> tuple[Rebuilt, ...]:
    """Return every count that the case asks to rebuild."""
    return tuple(_one(spec, tables, e) for e in spec.estimates)


def _one(spec: CaseSpec, tables: Tables, estimate: Estimate) -> Rebuilt:
    services = {s.id: s for s in spec.services}
    chips = [tables.names[c] for c in (estimate.chip, *estimate.compare)]
    if estimate.of in services:
        service = services[estimate.of]
        found = {c: _service_figure(spec, tables, service, c) for c in chips if (service.id, c) in tables.serve}
        swings = _service_swings(spec, tables, service, chips[0]) if chips[0] in found else ()
    else:
        run = next(r for r in spec.runs if r.id == estimate.of)
        found = {c: _run_figure(spec, tables, run, estimate, c) for c in chips if (run.id, c) in tables.train}
        swings = _run_swings(run, estimate, found[chips[0]]) if chips[0] in found else ()
    others = tuple(found[c] for c in chips[1:] if c in found)
    return Rebuilt(estimate=estimate, figure=found.get(chips[0]), others=others, swings=tuple(swings))


def _service_inputs(spec: CaseSpec, service: Service) -> dict[str, Node]:
    last = service.demand[-1]
    assert not isinstance(last, str)
    out: dict[str, Node] = {}
    if last.users is not None:
        out["users"] = sourced(spec, f"{service.id}.users", last.users, "user")
    if last.rate is not None:
        out["requests"] = sourced(spec, f"{service.id}.rate", last.rate, "request/s")
    units = {"active": "%", "requests_per_user": "request/day", "peak": ""}
    for name, unit in units.items():
        value = getattr(service, name)
        if value is not None:
            out[name] = sourced(spec, f"{service.id}.{name}", value, unit)
    return out


def _service_figure(spec: CaseSpec, tables: Tables, service: Service, chip: str) -> Figure:
    """Return chips for the busy hour: mean requests/s x busy-hour factor / requests/s a chip serves in its limits."""
    last = service.demand[-1]
    assert not isinstance(last, str)
    rate = serve_figure(spec, tables, service.id, chip)
    busy = mean_rate(service, last) * service.peak.si
    return Figure(
        name=f"needs.{service.id}.{chip}",
        value=busy / rate.value,
        unit="chip",
        formula="users x active share x requests a day / 86400 s x busy-hour factor / requests/s of a chip",
        inputs={**_service_inputs(spec, service), "rate": rate},
        p10=busy / rate.p90 if rate.p90 else None,
        p90=busy / rate.p10 if rate.p10 else None,
    )


def _run_figure(spec: CaseSpec, tables: Tables, run: Run, estimate: Estimate, chip: str) -> Figure:
    """Return chips that finish a run in the stated days, at the rate per chip of the pool nearest to the count."""
    found = tables.train[run.id, chip]
    i = min(range(len(found.chips)), key=lambda k: abs(found.chips[k] - estimate.count.si))
    each = found.rate[i] / found.chips[i]
    days = estimate.days.si if estimate.days is not None else 30.0
    need = final_tokens(run) / (each * days * DAY)
    inputs: dict[str, Node] = {"rate": train_figure(spec, tables, run.id, chip)}
    if run.tokens != "compute-optimal":
        inputs["tokens"] = sourced(spec, f"{run.id}.tokens", run.tokens, "token")
    if estimate.days is not None:
        inputs["days"] = sourced(spec, f"{estimate.id}.days", estimate.days, "day")
    return Figure(
        name=f"needs.{run.id}.{chip}",
        value=need,
        unit="chip",
        formula=f"tokens / (tokens/s of a chip in a pool of {found.chips[i]:,} x days x 86400 s)",
        inputs=inputs,
        p10=need * found.rate[i] / found.p90[i],
        p90=need * found.rate[i] / found.p10[i],
    )


def _service_swings(spec: CaseSpec, tables: Tables, service: Service, chip: str) -> list[Row]:
    """Return, for each input with a range, the count at its low and at its high end; the widest first.

    Lengths and limits go through the serving engine again; the rest scales the count.
    """
    base = _service_figure(spec, tables, service, chip)
    rows = []
    last = service.demand[-1]
    assert not isinstance(last, str)
    factors: dict[str, Fig | None] = {
        "users": last.users, "requests": last.rate, "share active": service.active,
        "requests a day": service.requests_per_user, "busy-hour factor": service.peak,
    }  # fmt: skip
    for name, figure in factors.items():
        if figure is not None and figure.low is not None and figure.high is not None:
            low, high = figure.ends()
            rows.append(_swing(name, figure, base.value * low / figure.si, base.value * high / figure.si))
    for name in ("input_tokens", "output_tokens", "ttft", "tpot"):
        figure = getattr(service, name)
        if figure is not None and figure.low is not None and figure.high is not None:
            low, high = figure.ends()
            ends = [_again(tables, service, name, end, chip) for end in (low, high)]
            if all(e is not None for e in ends):
                told = [base.value * tables.serve[service.id, chip].rate / float(e) for e in ends if e]
                rows.append(_swing(name.replace("_", " "), figure, told[0], told[1]))
    assert base.p10 is not None
    assert base.p90 is not None
    rows.append({"input": "rate of a chip (engine's interval)", "low": None, "high": None,
                 "at_low": base.p10, "at_high": base.p90})  # fmt: skip
    return sorted(rows, key=lambda r: -abs(r["at_high"] - r["at_low"]))


def _again(tables: Tables, service: Service, name: str, value: float, chip: str) -> float | None:
    """Return requests/s of a chip with one input of the service changed, None where it does not fit."""
    from suanli.serving import capacity_table

    changed = service.model_copy(update={name: getattr(service, name).model_copy(update={"value": value})})
    frame = capacity_table([service_of(changed, catalog.model(service.model))], [tables.chips[chip]])
    row = frame.row(0, named=True)
    return float(row["requests_per_s_per_chip"]) if row["fits"] and row["requests_per_s_per_chip"] else None


def _run_swings(run: Run, estimate: Estimate, figure: Figure) -> list[Row]:
    rows = []
    scaled: dict[str, tuple[Fig | None, Callable[[float], float]]] = {
        "tokens": (run.tokens if isinstance(run.tokens, Fig) else None, lambda x: x),
        "days": (estimate.days, lambda x: 1.0 / x),
    }
    for name, (fig, how) in scaled.items():
        if fig is not None and fig.low is not None and fig.high is not None:
            low, high = fig.ends()
            rows.append(
                _swing(name, fig, figure.value * how(low) / how(fig.si), figure.value * how(high) / how(fig.si))
            )
    rows.append({"input": "rate of a chip (engine's interval)", "low": None, "high": None,
                 "at_low": figure.p10, "at_high": figure.p90})  # fmt: skip
    return sorted(rows, key=lambda r: -abs((r["at_high"] or 0.0) - (r["at_low"] or 0.0)))


def _swing(name: str, figure: Fig, at_low: float, at_high: float) -> Row:
    low, high = figure.ends()
    return {"input": name, "low": low, "high": high, "at_low": at_low, "at_high": at_high}
