"""``suanli train MODEL --on CHIP --chips N``: rank the strategies of a training run."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from suanli.cli.common import JsonPath, console, emit_json, table
from suanli.errors import InputError
from suanli.quantities import GIB, HOUR, parse, show, show_money

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rich.console import Console

    from suanli.kinds import Chip, Model
    from suanli.training import Ranking, Step


def register(app: typer.Typer) -> None:
    """Add ``train`` to the application."""
    app.command("train", help="Rank the strategies of a training run: time, memory, cost, and how sure.")(train)


def train(
    model: Annotated[str, typer.Argument(help="A preset, a Hugging Face config.json, or a file of Megatron flags.")],
    on: Annotated[str, typer.Option("--on", metavar="CHIP", help="Chip, in any spelling of the catalogue.")],
    chips: Annotated[int, typer.Option("--chips", metavar="N", help="How many chips.")],
    batch: Annotated[int | None, typer.Option(help="Global batch in sequences (default: the era's usual).")] = None,
    seq: Annotated[int | None, typer.Option(help="Sequence length in tokens.")] = None,
    tokens: Annotated[
        str | None, typer.Option(help="Tokens to train on, such as 15e12 (default: the model's).")
    ] = None,
    start: Annotated[str | None, typer.Option(help="First day, YYYY-MM-DD (default: today).")] = None,
    deadline: Annotated[str | None, typer.Option(help="Last day, YYYY-MM-DD, or a length such as '90 day'.")] = None,
    precision: Annotated[str | None, typer.Option(help="bf16, fp16, fp8, mxfp8, nvfp4 (default: 16 bits).")] = None,
    year: Annotated[int, typer.Option(help="Year of the software, which sets the era.")] = 2025,
    era: Annotated[str | None, typer.Option(help="Software era by name, such as megatron-2022 or fsdp2.")] = None,
    node: Annotated[int | None, typer.Option("--node", help="Chips a node (default: the datasheet's).")] = None,
    scale_out: Annotated[
        str | None, typer.Option("--scale-out", help="Network a chip, one way, such as '50 GB/s' (default: datasheet).")
    ] = None,
    tp: Annotated[int | None, typer.Option(help="Fix the tensor-parallel degree.")] = None,
    pp: Annotated[int | None, typer.Option(help="Fix the pipeline-parallel degree.")] = None,
    dp: Annotated[int | None, typer.Option(help="Fix the data-parallel degree.")] = None,
    cp: Annotated[int | None, typer.Option(help="Fix the context-parallel degree.")] = None,
    ep: Annotated[int | None, typer.Option(help="Fix the expert-parallel degree.")] = None,
    micro_batch: Annotated[int | None, typer.Option("--micro-batch", help="Fix the micro-batch in sequences.")] = None,
    beside: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="CHIP=N", help="A second pool that takes a share of each batch (repeatable)."),
    ] = None,
    region: Annotated[str | None, typer.Option(help="Where the power comes from, such as Malaysia: for CO2.")] = None,
    top: Annotated[int, typer.Option(help="How many strategies to show.", min=1)] = 5,
    use_all: Annotated[
        bool, typer.Option("--exact/--about", help="Use exactly N chips and this batch, or as many as degrees allow.")
    ] = True,
    trace: Annotated[
        Path | None, typer.Option(help="Write a timeline of the best step that opens in Perfetto.")
    ] = None,
    parquet: Annotated[Path | None, typer.Option(help="Write the best strategy of every layout as Parquet.")] = None,
    json_path: JsonPath = None,
) -> None:
    """Search every strategy of the run and show the best, why the others lose, and what the run costs."""
    from suanli import catalog
    from suanli.training import search, setting_of

    out = console(json_path)
    chip = catalog.chip(on)
    found_model, fixed = _model(model)
    given = {"tp": tp, "pp": pp, "dp": dp, "cp": cp, "ep": ep, "micro_batch": micro_batch}
    pins = {**fixed["pins"], **{name: value for name, value in given.items() if value is not None}}
    setting = setting_of(
        found_model,
        chip,
        chips,
        seq_len=seq or fixed["seq"],
        global_batch=batch or fixed["batch"],
        precision=precision or fixed["precision"],
        year=year,
        era_id=era,
        chips_per_node=node,
        scale_out=parse(scale_out, "B/s") if scale_out else None,
    )
    with _progress() as tick:
        ranking = search(setting, top=top, pins=pins, exact=use_all, progress=tick)
    amount = parse(tokens, "") if tokens else (found_model.training_tokens or 20.0 * _weights(ranking.best))
    run = _run(ranking.best, chip, amount, start=start, deadline=deadline, year=year)
    run |= _carbon(run["energy_j"], region, year)
    if beside:
        run |= _mixed(ranking, beside, amount, run["goodput"])
    if trace is not None:
        from suanli.files import write_json
        from suanli.training import pipeline_events

        write_json(trace, {"traceEvents": pipeline_events(ranking.best), "displayTimeUnit": "ms"})
    if parquet is not None:
        _write_parquet(parquet, ranking)
    emit_json(json_path, _as_json(ranking, run))
    _show(out, ranking, run)


def _model(text: str) -> tuple[Model, dict[str, Any]]:
    """Return the model and what a file of flags fixes besides (nothing for a preset or a config.json)."""
    from suanli import catalog
    from suanli.training import read_flags

    path = Path(text)
    if path.is_file() and path.suffix != ".json":
        flags = read_flags(path)
        return flags.model, {
            "seq": flags.seq,
            "batch": flags.batch,
            "precision": flags.precision,
            "pins": dict(flags.pins),
        }
    return catalog.model(text), {"seq": None, "batch": None, "precision": None, "pins": {}}


@contextmanager
def _progress() -> Iterator[Callable[[float], None]]:
    """Show a bar on standard error while the search runs; it disappears after."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Evaluating strategies", total=1.0)
        yield lambda share: bar.update(task, completed=share)


def _weights(best: Step) -> float:
    from suanli.training import total_weights

    return float(total_weights(best.setting.facts)[0])


def _run(
    best: Step, chip: Chip, tokens: float, *, start: str | None, deadline: str | None, year: int
) -> dict[str, Any]:
    """Return the whole run: goodput, length with its interval, end, energy, cost, and whether the deadline holds."""
    from suanli import catalog
    from suanli.training import checkpoint_bytes, goodput, power_of

    if tokens <= 0:
        raise InputError(f"tokens: {tokens:g} is not above zero")
    used = int(best.strategies.chips[0])
    kept = goodput(used, checkpoint_bytes=checkpoint_bytes(best))
    share = float(kept.share[0])
    seconds = tokens / best.tokens_per_s / share
    ratio = [float(best.time.p10[0] / best.time.value[0]), float(best.time.p90[0] / best.time.value[0])]
    first = _day("start", start) if start else date.today()
    power = power_of(chip, used)
    rent = catalog.rent(chip.id, year)
    hours = seconds / HOUR * used
    end = first + timedelta(seconds=seconds)
    last = _last_day(deadline, first) if deadline else None
    return {
        "tokens": tokens,
        "goodput": share,
        "checkpoint_interval_s": float(kept.interval_s[0]),
        "mtbf_s": float(kept.mtbf_s[0]),
        "seconds": seconds,
        "seconds_p10": seconds * ratio[0],
        "seconds_p90": seconds * ratio[1],
        "start": first.isoformat(),
        "end": end.isoformat(),
        "end_p90": (first + timedelta(seconds=seconds * ratio[1])).isoformat(),
        "deadline": last.isoformat() if last else None,
        "meets_deadline": None if last is None else end <= last,
        "sure_of_deadline": None if last is None else _chance(best, (last - first).days * 24 * HOUR / seconds),
        "power_w": power,
        "energy_j": None if power is None else power * seconds,
        "cost_usd": None if rent is None else rent.value * hours,
        "cost_low_usd": None if rent is None or rent.low is None else rent.low * hours,
        "cost_high_usd": None if rent is None or rent.high is None else rent.high * hours,
        "cost_source": None if rent is None else rent.source.ref,
    }


def _carbon(energy: float | None, region: str | None, year: int) -> dict[str, Any]:
    """Return the energy at the meter (J) and its CO2 (kg) in ``region``; None where unknown."""
    from suanli import economics

    if region is None or energy is None:
        return {"region": region, "metered_j": None, "co2_kg": None}
    hall = economics.pue(region, year)
    metered = energy * (hall.value if hall else 1.0)
    carbon = economics.carbon(metered, region, year)
    return {"region": region, "metered_j": metered, "co2_kg": None if carbon is None else float(carbon.max())}


def _mixed(ranking: Ranking, beside: list[str], tokens: float, share: float) -> dict[str, Any]:
    """Return the joint pace with other pools, each at its own best strategy, by data-parallel shares."""
    from dataclasses import replace

    from suanli import catalog
    from suanli.training import joint_rate, search, site_of

    rates = {ranking.setting.site.chip.id: ranking.best.tokens_per_s}
    for text in beside:
        name, _, count = text.partition("=")
        if not count.isdigit() or int(count) < 1:
            raise InputError(f"--with '{text}': write CHIP=N with a whole number of chips")
        other = catalog.chip(name)
        where = replace(ranking.setting, site=site_of(other), n_chips=int(count))
        rates[other.id] = rates.get(other.id, 0.0) + search(where, top=1, exact=False).best.tokens_per_s
    pace = joint_rate(list(rates.values()))
    shares = {chip: rate / sum(rates.values()) for chip, rate in rates.items()}
    return {"joint_tokens_per_s": pace, "batch_shares": shares, "joint_seconds": tokens / pace / share}


def _chance(best: Step, ratio: float) -> float:
    """Return the chance that the run takes at most ``ratio`` times its estimate."""
    from math import erf, log, sqrt

    from suanli.estimates import relative_sigma

    sigma = float(relative_sigma(best.time)[0])
    return 0.5 * (1.0 + erf(log(max(ratio, 1e-9)) / (sigma * sqrt(2.0))))


def _day(name: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{name}: '{text}' is not a date; write YYYY-MM-DD") from error


def _last_day(text: str, first: date) -> date:
    try:
        last = date.fromisoformat(text)
    except ValueError:
        last = first + timedelta(seconds=parse(text, "s"))
    if last <= first:
        raise InputError(f"deadline: {last} is not after the start {first}")
    return last


def _show(out: Console, ranking: Ranking, run: Mapping[str, Any]) -> None:
    """Print the ranking, the best step in parts, its memory, the run, and the flags to paste."""
    best, setting = ranking.best, ranking.setting
    found = ranking.found
    out.print(
        f"{setting.model.name} on {setting.n_chips:,} x {setting.site.chip.name}: {best.batch:,} sequences of "
        f"{setting.seq:,} tokens a step, {setting.precision}, era {setting.era.id}; "
        f"{found.size:,} strategies, {found.fitting:,} fit"
        + ("" if found.done >= 1.0 else f" (stopped at {100 * found.done:.0f} % of the layouts)")
    )
    rows = [
        (
            str(c.rank) if c.fits else "-",
            c.step.text,
            show(float(c.step.time.value[0]), "s"),
            f"{100 * c.step.mfu:.1f} %",
            f"{c.step.memory_bytes / GIB:.1f} GiB",
            c.reason,
        )
        for c in (*ranking.choices, *ranking.misses)
    ]
    out.print(
        table(None, ("#", "strategy", "step", "MFU", "memory", "why"), rows, right=("#", "step", "MFU", "memory"))
    )
    _show_step(out, best)
    _show_run(out, best, run)
    _show_flags(out, best)


def _show_step(out: Console, best: Step) -> None:
    from suanli.training import memory_table, picture

    total = float(best.time.value[0])
    parts = [
        (name, show(float(value[0]), "s"), f"{100 * float(value[0]) / total:.1f} %")
        for name, value in best.time.breakdown.items()
        if float(value[0]) > 0.0005 * total
    ]
    out.print(table("\nThe best step in parts", ("part", "time", "share"), parts, right=("time", "share")))
    stages = memory_table(best)
    names = list(stages["first"])
    rows = [(name, *(f"{stages[s][name] / GIB:.2f}" for s in ("first", "last"))) for name in names]
    out.print(
        table(
            "\nMemory a chip in GiB", ("part", "first stage", "last stage"), rows, right=("first stage", "last stage")
        )
    )
    if float(best.strategies.pp[0]) > 1:
        out.print("\nPipeline (digits forward, letters backward, dots idle; first micro-batches)")
        for line in picture(best):
            out.print("  " + line, markup=False)


def _show_run(out: Console, best: Step, run: Mapping[str, Any]) -> None:
    low, high = float(best.time.p10[0]), float(best.time.p90[0])
    out.print(
        f"\n{best.tokens_per_s:,.0f} tokens/s; step {show(float(best.time.value[0]), 's')}, 80 % sure of "
        f"{show(low, 's')} to {show(high, 's')}; goodput {100 * run['goodput']:.1f} % (a stop every "
        f"{show(run['mtbf_s'], 's')}, a checkpoint every {show(run['checkpoint_interval_s'], 's')})"
    )
    out.print(
        f"{run['tokens']:.3g} tokens take {show(run['seconds'], 's')} ({show(run['seconds_p10'], 's')} to "
        f"{show(run['seconds_p90'], 's')}): {run['start']} to {run['end']}"
    )
    if run["deadline"]:
        verdict = "holds" if run["meets_deadline"] else "is missed"
        out.print(f"deadline {run['deadline']} {verdict}; chance of meeting it {100 * run['sure_of_deadline']:.0f} %")
    energy = "unknown" if run["energy_j"] is None else f"{run['energy_j'] / 3.6e12:,.2f} GWh of IT energy"
    cost = "rent unknown"
    if run["cost_usd"] is not None:
        cost = show_money(run["cost_usd"], "USD")
        if run["cost_low_usd"] is not None and run["cost_high_usd"] is not None:
            cost += f" ({show_money(run['cost_low_usd'], 'USD')} to {show_money(run['cost_high_usd'], 'USD')})"
        cost += " at rent"
    out.print(f"{energy}; {cost}")
    if run["co2_kg"] is not None:
        metered = f"{run['metered_j'] / 3.6e12:,.2f} GWh"
        out.print(f"{metered} at the meter in {run['region']}: {run['co2_kg'] / 1e3:,.0f} t CO2")
    if "joint_seconds" in run:
        shares = ", ".join(f"{chip} {100 * share:.0f} %" for chip, share in run["batch_shares"].items())
        out.print(
            f"together {run['joint_tokens_per_s']:,.0f} tokens/s, {show(run['joint_seconds'], 's')}; batch: {shares}"
        )


def _show_flags(out: Console, best: Step) -> None:
    for name, flags in _flags(best).items():
        out.print(f"\n{name}:", markup=False)
        out.print("  " + " ".join(flags), markup=False)


def _flags(best: Step) -> dict[str, list[str]]:
    from suanli.training import megatron_flags, mindspeed_flags, torchtitan_options

    if best.setting.site.chip.vendor == "Huawei":
        return {"MindSpeed": mindspeed_flags(best)}
    return {"Megatron-LM": megatron_flags(best), "torchtitan": torchtitan_options(best)}


def _strategy(one: Step) -> dict[str, float]:
    from dataclasses import fields

    return {x.name: float(getattr(one.strategies, x.name)[0]) for x in fields(one.strategies)}


def _as_json(ranking: Ranking, run: Mapping[str, Any]) -> dict[str, Any]:
    from suanli.training import memory_table

    setting = ranking.setting
    return {
        "model": setting.model.id,
        "chip": setting.site.chip.id,
        "n_chips": setting.n_chips,
        "seq_len": setting.seq,
        "precision": setting.precision,
        "era": setting.era.id,
        "strategies": ranking.found.size,
        "strategies_that_fit": ranking.found.fitting,
        "searched_share": ranking.found.done,
        "choices": [
            {
                "rank": c.rank,
                "fits": c.fits,
                "reason": c.reason,
                "text": c.step.text,
                "strategy": _strategy(c.step),
                "global_batch": c.step.batch,
                "step_s": float(c.step.time.value[0]),
                "p10_s": float(c.step.time.p10[0]),
                "p90_s": float(c.step.time.p90[0]),
                "tokens_per_s": c.step.tokens_per_s,
                "mfu": c.step.mfu,
                "parts_s": {name: float(value[0]) for name, value in c.step.time.breakdown.items()},
                "memory_bytes": memory_table(c.step),
            }
            for c in (*ranking.choices, *ranking.misses)
        ],
        "run": dict(run),
        "flags": _flags(ranking.best),
        "sources": list(ranking.best.time.sources),
    }


def _write_parquet(path: Path, ranking: Ranking) -> None:
    """Write the best strategy of every layout that fits: degrees, switches, step time, memory."""
    from suanli.files import whole
    from suanli.training import layout_table

    with whole(path) as temporary:
        layout_table(ranking).write_parquet(temporary)
