"""``suanli train MODEL --on CHIP --chips N``: rank the strategies of a training run."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from suanli.cli.common import JsonPath, console, emit_json
from suanli.errors import InputError
from suanli.quantities import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from suanli.kinds import Model
    from suanli.training import Setting

_LAYOUT, _DATA, _RUN, _FILES = "Layout", "Data and checkpoints", "The run", "Files"
_NAMED = {"sharding": "SHARDING", "recompute": "RECOMPUTE", "context": "CONTEXT", "schedule": "SCHEDULES"}


def register(app: typer.Typer) -> None:
    """Add ``train`` to the application."""
    app.command("train", help="Rank the strategies of a training run: time, memory, cost, and how sure.")(train)


def _option(text: str, panel: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


def train(
    model: Annotated[str, typer.Argument(help="A preset, a Hugging Face config.json, or a file of Megatron flags.")],
    on: Annotated[str, typer.Option("--on", metavar="CHIP", help="Chip, in any spelling of the catalogue.")],
    chips: Annotated[int, typer.Option("--chips", metavar="N", help="How many chips.")],
    batch: Annotated[int | None, typer.Option(help="Global batch in sequences (default: the era's usual).")] = None,
    seq: Annotated[int | None, typer.Option(help="Sequence length in tokens.")] = None,
    tokens: Annotated[
        str | None, typer.Option(help="Tokens to train on, such as 15e12 (default: the model's).")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="bf16, fp16, fp8, mxfp8, nvfp4 (default: 16 bits).")] = None,
    year: Annotated[int, typer.Option(help="Year of the software, which sets the era.")] = 2025,
    era: Annotated[str | None, typer.Option(help="Software era by name, such as megatron-2022 or fsdp2.")] = None,
    top: Annotated[int, typer.Option(help="How many strategies to show.", min=1)] = 5,
    use_all: Annotated[
        bool, typer.Option("--exact/--about", help="Use exactly N chips and this batch, or as many as degrees allow.")
    ] = True,
    node: Annotated[int | None, _option("Chips a node (default: the datasheet's).", _LAYOUT)] = None,
    scale_out: Annotated[
        str | None, _option("Network a chip, one way, such as '50 GB/s' (default: datasheet).", _LAYOUT)
    ] = None,
    tp: Annotated[int | None, _option("Fix the tensor-parallel degree.", _LAYOUT)] = None,
    pp: Annotated[int | None, _option("Fix the pipeline-parallel degree.", _LAYOUT)] = None,
    vpp: Annotated[int | None, _option("Fix the chunks a stage of an interleaved pipeline.", _LAYOUT)] = None,
    dp: Annotated[int | None, _option("Fix the data-parallel degree.", _LAYOUT)] = None,
    cp: Annotated[int | None, _option("Fix the context-parallel degree.", _LAYOUT)] = None,
    ep: Annotated[int | None, _option("Fix the expert-parallel degree.", _LAYOUT)] = None,
    micro_batch: Annotated[int | None, _option("Fix the micro-batch in sequences.", _LAYOUT)] = None,
    sharding: Annotated[str | None, _option("Fix none, zero1, zero2 or zero3 (FSDP).", _LAYOUT)] = None,
    recompute: Annotated[str | None, _option("Fix none, selective or full.", _LAYOUT)] = None,
    context: Annotated[str | None, _option("Fix all_gather, ring or ulysses.", _LAYOUT)] = None,
    schedule: Annotated[
        str | None, _option("Fix 1f1b, interleaved, zero_bubble or dualpipe, whatever the era has.", _LAYOUT)
    ] = None,
    capacity: Annotated[
        float | None, _option("Expert capacity factor: tokens beyond it are dropped (default: none is).", _LAYOUT)
    ] = None,
    skew: Annotated[
        float | None, _option("Coefficient of variation of the experts' loads (default: as calibrated).", _LAYOUT)
    ] = None,
    beside: Annotated[
        list[str] | None, _option("A second pool of other chips (repeatable).", _LAYOUT, "--with", metavar="CHIP=N")
    ] = None,
    split: Annotated[
        str, _option("How pools share: 'data' (each batch), 'pipeline' (stages) or 'best'.", _LAYOUT)
    ] = "best",
    link: Annotated[str | None, _option("Link between pools a chip, such as '25 GB/s'.", _LAYOUT)] = None,
    storage: Annotated[str | None, _option("Read rate of storage a node, such as '1 GB/s'.", _DATA)] = None,
    token_bytes: Annotated[float | None, _option("Bytes a token in storage (default: 2 or 4).", _DATA)] = None,
    loaders: Annotated[int | None, _option("Loader processes a chip (default: 2).", _DATA)] = None,
    loader_rate: Annotated[float | None, _option("Tokens/s that a loader process prepares.", _DATA)] = None,
    prefetch: Annotated[bool, _option("Whether loaders work ahead of the step.", _DATA)] = True,
    checkpoint_rate: Annotated[str | None, _option("Write rate a chip, such as '0.2 GB/s'.", _DATA)] = None,
    halt: Annotated[
        bool, _option("Checkpoints halt training, or are written beside it.", _DATA, "--halt/--no-halt")
    ] = False,
    start: Annotated[str | None, _option("First day, YYYY-MM-DD (default: today).", _RUN)] = None,
    deadline: Annotated[str | None, _option("Last day, YYYY-MM-DD, or a length such as '90 day'.", _RUN)] = None,
    deliver: Annotated[
        list[str] | None, _option("More of the same chips from a day on (repeatable).", _RUN, metavar="DATE=N")
    ] = None,
    rival: Annotated[
        list[str] | None,
        _option("What other chips would make of the time to the deadline (repeatable).", _RUN, metavar="CHIP=N"),
    ] = None,
    before: Annotated[
        str | None,
        _option("An earlier model to be better than, with its tokens if unknown.", _RUN, metavar="MODEL[=T]"),
    ] = None,
    measured: Annotated[
        Path | None, _option("Measured times of a layer of this model on this chip (YAML).", _FILES)
    ] = None,
    region: Annotated[str | None, _option("Where the power comes from, such as Malaysia: for CO2.", _RUN)] = None,
    trace: Annotated[Path | None, _option("Write a timeline of the best step for Perfetto (JSON).", _FILES)] = None,
    picture: Annotated[Path | None, _option("Write a picture of the best step's pipeline (SVG).", _FILES)] = None,
    parquet: Annotated[Path | None, _option("Write the best strategy of every layout (Parquet).", _FILES)] = None,
    everything: Annotated[
        Path | None, _option("Write every strategy evaluated (Parquet, or .ndjson).", _FILES, "--all")
    ] = None,
    json_path: JsonPath = None,
) -> None:
    """Search every strategy of the run and show the best, why the others lose, and what the run costs."""
    from suanli import catalog
    from suanli.cli import _train_run as run_of
    from suanli.cli._train_show import as_json, show
    from suanli.cli._train_write import write_files
    from suanli.training import search, setting_of

    if split not in {"data", "pipeline", "best"}:
        raise InputError(f"split: '{split}' is not one of data, pipeline, best")
    out = console(json_path)
    found_model, fixed = _model(model)
    degrees = {"tp": tp, "pp": pp, "vpp": vpp, "dp": dp, "cp": cp, "ep": ep, "micro_batch": micro_batch}
    names = {"sharding": sharding, "recompute": recompute, "context": context, "schedule": schedule}
    setting = setting_of(
        found_model,
        catalog.chip(on),
        chips,
        seq_len=seq or fixed["seq"],
        global_batch=batch or fixed["batch"],
        precision=precision or fixed["precision"],
        year=year,
        era_id=era,
        chips_per_node=node,
        scale_out=parse(scale_out, "B/s") if scale_out else None,
        capacity=capacity if capacity is not None else fixed["capacity"],
        skew=skew,
    )
    setting = _profiled(_fed(setting, storage, token_bytes, loaders, loader_rate, prefetch), measured)
    pins = {**fixed["pins"], **{k: v for k, v in degrees.items() if v is not None}, **_codes(names)}
    with _progress() as tick:
        ranking = search(setting, top=top, pins=pins, exact=use_all, progress=tick)
    amount = parse(tokens, "") if tokens else (found_model.training_tokens or 20.0 * run_of.weights_of(setting))
    dates = run_of.Dates(start=start, deadline=deadline, deliveries=tuple(deliver or ()))
    keeping = run_of.Keeping(
        rate=parse(checkpoint_rate, "B/s") if checkpoint_rate else None, synchronous=halt, year=year
    )
    run = run_of.whole_run(ranking.best, amount, dates, keeping)
    run |= run_of.carbon(run["energy_j"], region, year)
    if beside:
        speed = parse(link, "B/s") if link else None
        run |= run_of.pools(ranking, beside, amount, run["goodput"], split=split, link=speed, year=year)
    if deadline or rival or before:
        run["quality"] = run_of.quality(ranking, run, rivals=rival or [], before=before, keeping=keeping)
    write_files(ranking, trace=trace, picture=picture, parquet=parquet, everything=everything)
    emit_json(json_path, as_json(ranking, run))
    show(out, ranking, run)


def _codes(names: dict[str, str | None]) -> dict[str, int]:
    """Return the indices of named switches. Raises InputError for unknown names."""
    from suanli import training

    out = {}
    for name, text in names.items():
        if text is None:
            continue
        known: tuple[str, ...] = getattr(training, _NAMED[name])
        if text not in known:
            raise InputError(f"{name}: '{text}' is not one of {', '.join(known)}")
        out[name] = known.index(text)
    return out


def _profiled(setting: Setting, path: Path | None) -> Setting:
    """Return the setting with the measured layers of a file. Raises InputError for layers of another run."""
    from suanli.training import read_profile

    if path is None:
        return setting
    width = int(setting.facts.hidden[0])
    return replace(setting, profile=read_profile(path, chip=setting.site.chip, hidden=width, seq=setting.seq))


def _fed(
    setting: Setting,
    storage: str | None,
    token_bytes: float | None,
    loaders: int | None,
    loader_rate: float | None,
    prefetch: bool,
) -> Setting:
    """Return the setting with its storage and loaders as stated; ``storage`` is that of a node."""
    import numpy as np

    from suanli.training import feed_of

    rate = parse(storage, "B/s") / min(setting.site.domain, 8) if storage else None
    feed = feed_of(storage=rate, prepare=loader_rate, workers=loaders, ahead=prefetch)
    if token_bytes is not None and not token_bytes > 0:
        raise InputError(f"token-bytes: {token_bytes:g} is not above zero")
    size = setting.facts.token_bytes if token_bytes is None else np.array([token_bytes])
    return replace(setting, site=replace(setting.site, feed=feed), facts=replace(setting.facts, token_bytes=size))


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
            "capacity": flags.capacity,
        }
    return catalog.model(text), {"seq": None, "batch": None, "precision": None, "pins": {}, "capacity": None}


@contextmanager
def _progress() -> Iterator[Callable[[float], None]]:
    """Show a bar on standard error while the search runs; it disappears after."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Evaluating strategies (Ctrl-C keeps what was found)", total=1.0)
        yield lambda share: bar.update(task, completed=share)
