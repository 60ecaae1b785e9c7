"""``suanli serve``: what chips can serve of a model within latency limits, and at what cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from suanli.cli.common import JsonPath, console, emit_json, table
from suanli.errors import InfeasibleError, InputError, nearest
from suanli.quantities import HOUR, parse, show, show_money

if TYPE_CHECKING:
    from suanli.kinds import Chip, Service
    from suanli.serving import Choice, Demand, Replay, Requests

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="Model: a name of the catalogue or a config.json.")]
ChipOption = Annotated[str, typer.Option("--on", metavar="CHIP", help="Chip: a name of the catalogue or a chip file.")]
CountOption = Annotated[int, typer.Option("--chips", help="Chips that a layout may use.", min=1, max=4096)]
SloOption = Annotated[
    str, typer.Option("--slo", metavar="ttft=1s,tpot=50ms", help="Limits on time to first token and per token.")
]
PercentileOption = Annotated[
    float, typer.Option("--percentile", help="Percentile that the limits hold for (0.5: the mean).", min=0.5, max=0.999)
]
RateOption = Annotated[str | None, typer.Option("--rate", metavar="200/s", help="Requests a second to be served.")]
UsersOption = Annotated[str | None, typer.Option("--users", metavar="10M", help="Daily active users to be served.")]
TraceOption = Annotated[
    Path | None, typer.Option("--trace", help="Trace file: Azure, BurstGPT, Mooncake, ShareGPT or plain CSV.")
]
InputOption = Annotated[float | None, typer.Option("--isl", help="Mean prompt in tokens.", min=1)]
OutputOption = Annotated[float | None, typer.Option("--osl", help="Mean answer in tokens.", min=1)]
HitOption = Annotated[
    float, typer.Option("--prefix-hit", help="Share of prompt tokens already cached.", min=0, max=0.99)
]
PrecisionOption = Annotated[
    str | None, typer.Option("--precision", help="Weights: bf16, fp8, int8, fp4, int4_wo (default: as published).")
]
FrameworkOption = Annotated[str, typer.Option("--framework", help="vllm, sglang, trtllm or mindie.")]
YearOption = Annotated[int, typer.Option("--year", help="Year of rents and prices.", min=2018, max=2035)]
SimulateOption = Annotated[bool, typer.Option("--simulate", help="Also simulate the best layout request by request.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of the simulation.")]
PngOption = Annotated[Path | None, typer.Option("--png", help="Write the throughput against interactivity picture.")]
TopOption = Annotated[int, typer.Option("--top", help="Layouts to list.", min=1)]

_SHOWN_FAILURES = 3


def register(app: typer.Typer) -> None:
    """Add ``serve`` to the application."""
    app.command("serve")(serve)


def serve(
    model: ModelArgument,
    on: ChipOption,
    chips: CountOption = 8,
    slo: SloOption = "ttft=1s,tpot=50ms",
    percentile: PercentileOption = 0.5,
    rate: RateOption = None,
    users: UsersOption = None,
    trace: TraceOption = None,
    isl: InputOption = None,
    osl: OutputOption = None,
    prefix_hit: HitOption = 0.0,
    precision: PrecisionOption = None,
    framework: FrameworkOption = "vllm",
    year: YearOption = 2025,
    simulate: SimulateOption = False,
    seed: SeedOption = 0,
    png: PngOption = None,
    top: TopOption = 8,
    json_path: JsonPath = None,
) -> None:
    """Find what chips can serve of a model within latency limits, and at what cost."""
    from suanli import catalog
    from suanli.kinds import Service
    from suanli.serving import launch_flags, pareto, search

    chip, chosen = catalog.chip(on), catalog.model(model)
    if chosen.architecture != "transformer":
        raise InputError(f"{chosen.name} makes no tokens; serve answers for language models, plan for the others")
    load, demand, asked = _load(rate, users, trace, isl, osl)
    limits = _limits(slo)
    service = Service(
        model=chosen,
        rate=asked or 0.0,
        input_tokens=load[0],
        output_tokens=load[1],
        ttft_s=limits.get("ttft"),
        tpot_s=limits.get("tpot"),
        percentile=percentile,
        prefix_hit=prefix_hit,
        precision=precision or _published(chosen.weight_format),
    )
    found = search(service, chip, n_chips=chips, framework=framework)
    if found[0].reason:
        raise InfeasibleError(f"no layout on {chips} of {chip.id} meets {slo}: {found[0]}: {found[0].reason}")
    best = found[0]
    front = pareto(service, chip, n_chips=chips, framework=framework)
    money = _money(chip, best, year)
    answer = _answer(service, chip, found[: max(top, 1)], asked, demand, money)
    answer["pareto"] = [{"tokens_per_s_user": a, "tokens_per_s_chip": b, "layout": c} for a, b, c in front]
    answer["launch"] = launch_flags(service, best)
    out = console(json_path)
    if simulate:
        replay = _simulate(service, chip, best, asked, trace, framework, seed)
        answer["simulation"] = _replayed(replay, service)
    if png is not None:
        _picture(front, service, chip, png)
    emit_json(json_path, answer)
    _print(out, service, chip, found, top, answer)
    if simulate:
        _print_replay(out, answer["simulation"], best)


def _published(weight_format: str) -> str:
    """Return the published weight format where serving knows it, else 16 bits."""
    return weight_format if weight_format in ("bf16", "fp16", "fp8", "fp4", "int8", "int4") else "bf16"


def _limits(text: str) -> dict[str, float]:
    """Return the limits in s from ``ttft=1s,tpot=50ms``."""
    out: dict[str, float] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, equals, value = part.partition("=")
        if name not in ("ttft", "tpot") or not equals:
            close = nearest(name, ("ttft", "tpot"))
            raise InputError(
                f"--slo: '{part}' is no limit; write ttft=1s,tpot=50ms" + (f" ('{close}'?)" if close else "")
            )
        out[name] = parse(value, "s")
        if out[name] <= 0:
            raise InputError(f"--slo: {name} is {value}; it must be above 0")
    return out


def _load(
    rate: str | None, users: str | None, trace: Path | None, isl: float | None, osl: float | None
) -> tuple[tuple[float, float], Demand | None, float | None]:
    """Return ((prompt, answer), demand of users, requests/s to serve); at most one of rate, users, trace is given."""
    from suanli.serving import read_trace, users_to_load

    if sum(x is not None for x in (rate, users, trace)) > 1:
        raise InputError("--rate, --users and --trace say the same thing; give one")
    if users is not None:
        demand = users_to_load(_count(users), input_tokens=isl, output_tokens=osl)
        return (demand.input_tokens, demand.output_tokens), demand, demand.peak_rate
    if trace is not None:
        requests = read_trace(trace)
        lengths = float(requests.input_tokens.mean()), float(requests.output_tokens.mean())
        return (isl or lengths[0], osl or lengths[1]), None, requests.rate
    asked = None if rate is None else parse(rate.removesuffix("/s").strip(), "")
    if asked is not None and asked <= 0:
        raise InputError(f"--rate is {rate}; it must be above 0")
    return (isl or 1024.0, osl or 256.0), None, asked


def _count(text: str) -> float:
    """Return a number of users written as 10M, 2.5 million or 10000000."""
    scales = {"k": 1e3, "m": 1e6, "million": 1e6, "b": 1e9, "bn": 1e9, "billion": 1e9}
    low = text.strip().casefold().replace(",", "")
    for suffix in sorted(scales, key=len, reverse=True):
        if low.endswith(suffix):
            return parse(low.removesuffix(suffix).strip(), "") * scales[suffix]
    return parse(low, "")


def _money(chip: Chip, best: Choice, year: int) -> dict[str, Any]:
    """Return rent, cost and energy of a million output tokens on the best layout; None where a price is unknown."""
    from suanli import catalog
    from suanli.economics import cost_per_million_tokens, energy_per_token

    rent = catalog.rent(chip.id, year)
    out: dict[str, Any] = {"rent_usd_per_chip_hour": rent.value if rent else None, "rent_source": None}
    out["usd_per_million_output_tokens"] = None
    if rent is not None:
        out["rent_source"] = f"{rent.source.ref} ({rent.source.date or year})"
        out["usd_per_million_output_tokens"] = float(cost_per_million_tokens(rent.value, best.per_chip)[0])
    out["joule_per_output_token"] = None
    if chip.tdp_w is not None:
        out["joule_per_output_token"] = float(energy_per_token(chip.tdp_w, best.per_chip)[0])
    return out


def _answer(
    service: Service,
    chip: Chip,
    found: list[Choice],
    asked: float | None,
    demand: Demand | None,
    money: dict[str, Any],
) -> dict[str, Any]:
    import math

    best = found[0]
    z = 1.2815515655446004 * best.sigma
    copies = math.ceil(asked / best.requests_per_s) if asked else None
    return {
        "model": service.model.id,
        "chip": chip.id,
        "precision": service.precision,
        "input_tokens": service.input_tokens,
        "output_tokens": service.output_tokens,
        "limits": {"ttft_s": service.ttft_s, "tpot_s": service.tpot_s, "percentile": service.percentile},
        "asked_requests_per_s": asked,
        "users": demand.users if demand else None,
        "users_mean_requests_per_s": demand.mean_rate if demand else None,
        "best": {
            **_choice(best),
            "requests_per_s_p10": best.requests_per_s * math.exp(-z),
            "requests_per_s_p90": best.requests_per_s * math.exp(z),
        },
        "groups_needed": copies,
        "chips_needed": copies * best.n_chips if copies else None,
        "layouts": [_choice(c) for c in found],
        **money,
    }


def _choice(c: Choice) -> dict[str, Any]:
    ok = c.requests_per_s == c.requests_per_s
    return {
        "layout": str(c),
        "chips": c.n_chips,
        "tokens_a_step": c.budget,
        "requests_per_s": c.requests_per_s if ok else None,
        "output_tokens_per_s": c.output_tokens_per_s if ok else None,
        "output_tokens_per_s_per_chip": c.per_chip if ok else None,
        "ttft_s": c.ttft_s if ok else None,
        "tpot_s": c.tpot_s if ok else None,
        "running": c.running if ok else None,
        "why_not": c.reason or None,
    }


def _print(out: Any, service: Service, chip: Chip, found: list[Choice], top: int, answer: dict[str, Any]) -> None:
    good = [c for c in found if c.requests_per_s == c.requests_per_s][:top]
    bad = [c for c in found if c.requests_per_s != c.requests_per_s][:_SHOWN_FAILURES]
    rows = [
        (
            str(c),
            f"{c.requests_per_s:.3g}",
            f"{c.per_chip:,.0f}",
            show(c.ttft_s, "s"),
            show(c.tpot_s, "s"),
            f"{c.running:.0f}",
        )
        for c in good
    ]
    title = (
        f"{service.model.name} in {service.precision} on {chip.name}:"
        f" {service.input_tokens:,.0f} tokens in, {service.output_tokens:,.0f} out"
    )
    columns = ("layout", "requests/s", "tokens/s/chip", "TTFT", "TPOT", "running")
    out.print(table(title, columns, rows, right=columns[1:]))
    for c in [*good[1 : 1 + _SHOWN_FAILURES], *bad]:
        out.print(f"  {c}: {c.reason}", soft_wrap=True)
    best = answer["best"]
    out.print(
        f"Best: {best['layout']}, {best['requests_per_s']:.3g} requests/s"
        f" (80 %: {best['requests_per_s_p10']:.3g} to {best['requests_per_s_p90']:.3g}),"
        f" {best['tokens_a_step']:,} tokens a step"
    )
    if answer["chips_needed"]:
        out.print(
            f"Asked: {answer['asked_requests_per_s']:,.1f} requests/s at the peak"
            f" -> {answer['chips_needed']:,} chips in {answer['groups_needed']:,} groups"
        )
    cost, energy = answer["usd_per_million_output_tokens"], answer["joule_per_output_token"]
    rent = answer["rent_usd_per_chip_hour"]
    text = f"{show_money(cost, 'USD')} at a rent of {show_money(rent, 'USD')} an hour" if cost else "unknown (no rent)"
    out.print(f"Cost of a million output tokens: {text}; energy at design power: {show(energy, 'J')} a token")
    for name, commands in answer["launch"].items():
        for command in commands:
            out.print(f"{name}: {command}", soft_wrap=True)


def _simulate(
    service: Service, chip: Chip, best: Choice, asked: float | None, trace: Path | None, framework: str, seed: int
) -> Replay:
    """Return a simulation of the best layout at the asked rate (its capacity at most), or of the trace."""
    from rich.console import Console
    from rich.progress import Progress

    from suanli.serving import scheduler, simulate, step_lane

    lane = step_lane(service, chip, best, framework=framework)
    lanes = max(1, best.copies * best.layout.pp * best.layout.dp)
    load = _requests(service, best, asked, trace, seed)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("simulating", total=len(load.arrival_s))
        return simulate(
            lane,
            load,
            scheduler=scheduler(framework, chip),
            replicas=lanes,
            filled=best.prefill is not None,
            seed=seed,
            progress=lambda done, _: bar.update(task, completed=done),
        )


def _requests(service: Service, best: Choice, asked: float | None, trace: Path | None, seed: int) -> Requests:
    from suanli.serving import arrivals, lengths, read_trace, requests

    if trace is not None:
        return read_trace(trace)
    rate = min(asked or 0.8 * best.requests_per_s, 0.9 * best.requests_per_s)
    n = int(min(100_000, max(2_000, 600 * rate)))
    prompts = lengths(
        service.input_tokens * (1.0 - service.prefix_hit), n=n, seed=seed + 1, spread=0.6, law="lognormal"
    )
    answers = lengths(service.output_tokens, n=n, seed=seed + 2, spread=0.6, law="lognormal")
    return requests(arrivals("poisson", rate=rate, n=n, seed=seed), prompts, answers)


def _replayed(replay: Replay, service: Service) -> dict[str, Any]:
    columns = ("ttft_s", "tpot_s", "latency_s")
    return {
        "requests": replay.requests.height,
        "span_s": replay.span_s,
        "requests_per_s": replay.totals["requests_per_s"],
        "goodput_requests_per_s": replay.goodput(ttft_s=service.ttft_s, tpot_s=service.tpot_s),
        **{c: dict(zip(("p50", "p90", "p99"), replay.quantiles(c), strict=True)) for c in columns},
        "preemptions": int(replay.requests["preemptions"].sum()),
        "chip_hours": replay.span_s * replay.replicas / HOUR,
    }


def _print_replay(out: Any, found: dict[str, Any], best: Choice) -> None:
    rows = [
        (name, *(show(found[column][q], "s") for q in ("p50", "p90", "p99")))
        for name, column in (("TTFT", "ttft_s"), ("TPOT", "tpot_s"), ("latency", "latency_s"))
    ]
    pool = " (decode pool; TTFT is of the prefill pool)" if best.prefill is not None else ""
    title = (
        f"Simulated{pool}: {found['requests']:,} requests at {found['requests_per_s']:.3g}/s,"
        f" {found['goodput_requests_per_s']:.3g}/s within the limits, {found['preemptions']:,} preemptions"
    )
    out.print(table(title, ("", "p50", "p90", "p99"), rows, right=("p50", "p90", "p99")))


def _picture(front: list[tuple[float, float, str]], service: Service, chip: Chip, path: Path) -> None:
    """Draw throughput a chip against speed a user."""
    import altair as alt

    from suanli.reports import save_chart, themed

    rows = [{"user": a, "chip": b, "layout": c} for a, b, c in front]
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_line(point=True)
        .encode(
            x=alt.X("user:Q", title="tokens/s a user"),
            y=alt.Y("chip:Q", title="output tokens/s a chip"),
            order="user:Q",
            tooltip=["layout:N", "user:Q", "chip:Q"],
        )
        .properties(title=f"{service.model.name} in {service.precision} on {chip.name}")
    )
    save_chart(themed(chart), path)
