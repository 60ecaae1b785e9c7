"""``suanli serve``: what chips can serve of a model within latency limits, and at what cost."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer

from suanli.cli import _serve_options as o
from suanli.cli._command import command
from suanli.cli.common import console, emit_json
from suanli.errors import InfeasibleError, InputError

if TYPE_CHECKING:
    from suanli.kinds import Chip, Model, Service
    from suanli.serving import Choice, Demand, Requests


def register(app: typer.Typer) -> None:
    """Add ``serve`` to the application."""
    app.command("serve")(command(o.Asked, serve))


def serve(asked: o.Asked) -> None:
    """Find what chips can serve of a model within latency limits, and at what cost."""
    if asked.mix is not None:
        from suanli.cli._serve_mix import serve_mix

        serve_mix(asked)
        return
    if asked.model is None or asked.on is None:
        raise InputError("name a MODEL and a chip (--on), or the services of a --mix")
    from suanli import catalog

    chip, chosen = catalog.chip(asked.on), catalog.model(asked.model)
    if chosen.architecture == "transformer":
        _tokens(asked, chip, chosen)
    else:
        from suanli.cli._serve_other import serve_other

        serve_other(asked, chip, chosen)


def _tokens(asked: o.Asked, chip: Chip, model: Model) -> None:
    """Answer for a language or embedding model."""
    from suanli.cli._serve_show import answer_of, show_answer, show_replay
    from suanli.serving import launch_flags, pareto, search

    lengths, demand, load, wanted = load_of(asked)
    service = service_of(asked, model, lengths, wanted)
    found = _of_pools(search(service, chip, n_chips=asked.chips, framework=asked.framework), asked.pools)
    if found[0].reason:
        limits = asked.slo or "ttft=1s,tpot=50ms"
        raise InfeasibleError(f"no layout on {asked.chips} of {chip.id} meets {limits}: {found[0]}: {found[0].reason}")
    best = found[0]
    front = pareto(service, chip, n_chips=asked.chips, framework=asked.framework)
    answer = answer_of(service, chip, found[: max(asked.top, 1)], wanted, demand, asked.year, asked.framework)
    answer["pareto"] = [{"tokens_per_s_user": a, "tokens_per_s_chip": b, "layout": c} for a, b, c in front]
    answer["launch"] = launch_flags(service, best)
    if asked.simulate or asked.report is not None:
        from suanli.cli._serve_run import replayed, run

        replay = run(asked, service, chip, best, load, groups=answer["groups_needed"] or 1)
        answer["simulation"] = replayed(replay, service, best)
    if asked.png is not None:
        from suanli.reports import pareto_chart, save_chart

        save_chart(pareto_chart(answer["pareto"], f"{model.name} in {service.precision} on {chip.name}"), asked.png)
    if asked.report is not None:
        from suanli.cli._serve_run import goodput
        from suanli.reports import write_serving_report

        answer["goodput"] = goodput(asked, service, chip, best)
        write_serving_report(asked.report, answer, replay)
    emit_json(asked.json_path, answer)
    out = console(asked.json_path)
    show_answer(out, service, chip, found, asked.top, answer)
    if "simulation" in answer:
        show_replay(out, answer["simulation"])


def _of_pools(found: list[Choice], pools: str) -> list[Choice]:
    """Return the choices with one pool or two, as asked. Raises InputError for another word."""
    if pools not in ("any", "one", "two"):
        raise InputError(f"--pools is '{pools}'; allowed: any, one, two")
    kept = [c for c in found if pools == "any" or (c.prefill is None) == (pools == "one")]
    if not kept:
        raise InfeasibleError("no layout has a prefill and a decode pool that meet the limits on these chips")
    first = replace(kept[0], reason="") if math.isfinite(kept[0].requests_per_s) else kept[0]
    return [first, *kept[1:]]


def service_of(asked: o.Asked, model: Model, lengths: tuple[float, float], rate: float | None) -> Service:
    """Return the service that the options describe."""
    from suanli.kinds import Service
    from suanli.serving import limits_of, precision_of_weights

    usual = "ttft=1s,tpot=50ms" if model.architecture == "transformer" else ""
    try:
        limits = limits_of(usual if asked.slo is None else asked.slo)
    except InputError as error:
        raise InputError(f"--slo: {error}") from error
    drafts, acceptance = o.drafts_of(asked.speculate)
    width, height = o.size_of(asked.size)
    return Service(
        model=model,
        rate=rate or 0.0,
        input_tokens=lengths[0],
        output_tokens=lengths[1],
        ttft_s=limits.get("ttft"),
        tpot_s=limits.get("tpot"),
        latency_s=limits.get("p99", limits.get("latency")),
        percentile=0.99 if "p99" in limits else asked.percentile,
        prefix_hit=asked.prefix_hit,
        precision=asked.precision or precision_of_weights(model.weight_format),
        kv_precision=asked.kv,
        drafts=drafts,
        acceptance=acceptance,
        skew=asked.skew,
        redundant=asked.redundant,
        adapters=o.adapters_of(asked.lora),
        width=width,
        height=height,
        frames=asked.frames,
        steps=asked.steps,
    )


def load_of(asked: o.Asked) -> tuple[tuple[float, float], Demand | None, Requests | None, float | None]:
    """Return ((prompt, answer), demand of users, the trace, requests/s to serve) of a rate, users or a trace."""
    from suanli.serving import count_of, rate_of, read_trace, users_to_load

    if sum(x is not None for x in (asked.rate, asked.users, asked.trace)) > 1:
        raise InputError("--rate, --users and --trace say the same thing; give one")
    if asked.users is not None:
        shares = o.regions_of(asked.regions)
        demand = users_to_load(count_of(asked.users), input_tokens=asked.isl, output_tokens=asked.osl, regions=shares)
        return (demand.input_tokens, demand.output_tokens), demand, None, demand.peak_rate
    if asked.trace is not None:
        load = read_trace(asked.trace)
        mean = float(load.input_tokens.mean()), float(load.output_tokens.mean())
        return (asked.isl or mean[0], asked.osl or mean[1]), None, load, load.rate
    try:
        wanted = None if asked.rate is None else rate_of(asked.rate)
    except InputError as error:
        raise InputError(f"--rate: {error}") from error
    return (asked.isl or 1024.0, asked.osl or 256.0), None, None, wanted


def money_of(chip: Chip, per_chip: float, year: int) -> dict[str, Any]:
    """Return rent, cost and energy of a million answers of a kind at ``per_chip`` a second; None where unknown."""
    from suanli import catalog
    from suanli.economics import cost_per_million_tokens, energy_per_token

    rent = catalog.rent(chip.id, year)
    return {
        "rent_usd_per_chip_hour": rent.value if rent else None,
        "rent_source": f"{rent.source.ref} ({rent.source.date or year})" if rent else None,
        "usd_per_million": float(cost_per_million_tokens(rent.value, per_chip)[0]) if rent else None,
        "joule_each": float(energy_per_token(chip.tdp_w, per_chip)[0]) if chip.tdp_w is not None else None,
    }
