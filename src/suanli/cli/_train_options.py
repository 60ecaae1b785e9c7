"""Options of ``suanli train``, and the setting of a run that they describe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from suanli.cli._command import option
from suanli.cli.common import JsonPath
from suanli.errors import InputError
from suanli.quantities import parse

if TYPE_CHECKING:
    from suanli.training import FlagFile, Setting

_LAYOUT, _DATA, _RUN, _FILES = "Layout", "Data and checkpoints", "The run", "Files"
_DEGREES = ("tp", "pp", "vpp", "dp", "cp", "ep", "micro_batch")
_SWITCHES = {"sharding": "SHARDING", "recompute": "RECOMPUTE", "context": "CONTEXT", "schedule": "SCHEDULES"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line asks for, one field an option."""

    model: Annotated[str, typer.Argument(help="A preset, a Hugging Face config.json, or a file of Megatron flags.")]
    on: Annotated[str, option("Chip, in any spelling of the catalogue.", metavar="CHIP")]
    chips: Annotated[int, option("How many chips.", metavar="N")]
    batch: Annotated[int | None, option("Global batch in sequences (default: the era's usual).")] = None
    seq: Annotated[int | None, option("Sequence length in tokens.")] = None
    tokens: Annotated[str | None, option("Tokens to train on, such as 15e12 (default: the model's).")] = None
    precision: Annotated[str | None, option("bf16, fp16, fp8, mxfp8, nvfp4 (default: 16 bits).")] = None
    year: Annotated[int, option("Year of the software, which sets the era.")] = 2025
    era: Annotated[str | None, option("Software era by name, such as megatron-2022 or fsdp2.")] = None
    top: Annotated[int, option("How many strategies to show.", min=1)] = 5
    use_all: Annotated[
        bool, option("Use exactly N chips and this batch, or as many as degrees allow.", "--exact/--about")
    ] = True
    node: Annotated[int | None, option("Chips a node (default: the datasheet's).", panel=_LAYOUT)] = None
    scale_out: Annotated[
        str | None, option("Network a chip, one way, such as '50 GB/s' (default: datasheet).", panel=_LAYOUT)
    ] = None
    tp: Annotated[int | None, option("Fix the tensor-parallel degree.", panel=_LAYOUT)] = None
    pp: Annotated[int | None, option("Fix the pipeline-parallel degree.", panel=_LAYOUT)] = None
    vpp: Annotated[int | None, option("Fix the chunks a stage of an interleaved pipeline.", panel=_LAYOUT)] = None
    dp: Annotated[int | None, option("Fix the data-parallel degree.", panel=_LAYOUT)] = None
    cp: Annotated[int | None, option("Fix the context-parallel degree.", panel=_LAYOUT)] = None
    ep: Annotated[int | None, option("Fix the expert-parallel degree.", panel=_LAYOUT)] = None
    micro_batch: Annotated[int | None, option("Fix the micro-batch in sequences.", panel=_LAYOUT)] = None
    sharding: Annotated[str | None, option("Fix none, zero1, zero2 or zero3 (FSDP).", panel=_LAYOUT)] = None
    recompute: Annotated[str | None, option("Fix none, selective or full.", panel=_LAYOUT)] = None
    context: Annotated[str | None, option("Fix all_gather, ring or ulysses.", panel=_LAYOUT)] = None
    schedule: Annotated[
        str | None, option("Fix 1f1b, interleaved, zero_bubble or dualpipe, whatever the era has.", panel=_LAYOUT)
    ] = None
    capacity: Annotated[
        float | None, option("Expert capacity factor: tokens beyond it are dropped (default: none is).", panel=_LAYOUT)
    ] = None
    skew: Annotated[
        float | None, option("Coefficient of variation of the experts' loads (default: as calibrated).", panel=_LAYOUT)
    ] = None
    beside: Annotated[
        list[str] | None,
        option("A second pool of other chips (repeatable).", "--with", panel=_LAYOUT, metavar="CHIP=N"),
    ] = None
    split: Annotated[
        str, option("How pools share: 'data' (each batch), 'pipeline' (stages) or 'best'.", panel=_LAYOUT)
    ] = "best"
    link: Annotated[str | None, option("Link between pools a chip, such as '25 GB/s'.", panel=_LAYOUT)] = None
    storage: Annotated[str | None, option("Read rate of storage a node, such as '1 GB/s'.", panel=_DATA)] = None
    token_bytes: Annotated[float | None, option("Bytes a token in storage (default: 2 or 4).", panel=_DATA)] = None
    loaders: Annotated[int | None, option("Loader processes a chip (default: 2).", panel=_DATA)] = None
    loader_rate: Annotated[float | None, option("Tokens/s that a loader process prepares.", panel=_DATA)] = None
    prefetch: Annotated[bool, option("Whether loaders work ahead of the step.", panel=_DATA)] = True
    checkpoint_rate: Annotated[str | None, option("Write rate a chip, such as '0.2 GB/s'.", panel=_DATA)] = None
    halt: Annotated[
        bool, option("Checkpoints halt training, or are written beside it.", "--halt/--no-halt", panel=_DATA)
    ] = False
    start: Annotated[str | None, option("First day, YYYY-MM-DD (default: today).", panel=_RUN)] = None
    deadline: Annotated[str | None, option("Last day, YYYY-MM-DD, or a length such as '90 day'.", panel=_RUN)] = None
    deliver: Annotated[
        list[str] | None, option("More of the same chips from a day on (repeatable).", panel=_RUN, metavar="DATE=N")
    ] = None
    rival: Annotated[
        list[str] | None,
        option("What other chips would make of the time to the deadline (repeatable).", panel=_RUN, metavar="CHIP=N"),
    ] = None
    before: Annotated[
        str | None,
        option("An earlier model to be better than, with its tokens if unknown.", panel=_RUN, metavar="MODEL[=T]"),
    ] = None
    measured: Annotated[
        Path | None, option("Measured times of a layer of this model on this chip (YAML).", panel=_FILES)
    ] = None
    region: Annotated[str | None, option("Where the power comes from, such as Malaysia: for CO2.", panel=_RUN)] = None
    trace: Annotated[Path | None, option("Write a timeline of the best step for Perfetto (JSON).", panel=_FILES)] = None
    picture: Annotated[Path | None, option("Write a picture of the best step's pipeline (SVG).", panel=_FILES)] = None
    parquet: Annotated[Path | None, option("Write the best strategy of every layout (Parquet).", panel=_FILES)] = None
    everything: Annotated[
        Path | None, option("Write every strategy evaluated (Parquet, or .ndjson).", "--all", panel=_FILES)
    ] = None
    json_path: JsonPath = None


def stated_by(text: str) -> FlagFile:
    """Return the model and what a file of flags fixes besides (nothing for a preset or a config.json)."""
    from suanli import catalog
    from suanli.training import FlagFile, read_flags

    path = Path(text)
    if path.is_file() and path.suffix != ".json":
        return read_flags(path)
    return FlagFile(model=catalog.model(text), seq=None, batch=None, precision=None, pins={}, capacity=None)


def setting_asked(asked: Asked, stated: FlagFile) -> Setting:
    """Return the setting of the run; what the command line says goes before what a file of flags does."""
    from suanli import catalog
    from suanli.training import setting_of

    setting = setting_of(
        stated.model,
        catalog.chip(asked.on),
        asked.chips,
        seq_len=asked.seq or stated.seq,
        global_batch=asked.batch or stated.batch,
        precision=asked.precision or stated.precision,
        year=asked.year,
        era_id=asked.era,
        chips_per_node=asked.node,
        scale_out=rate_of(asked.scale_out),
        capacity=asked.capacity if asked.capacity is not None else stated.capacity,
        skew=asked.skew,
    )
    return _profiled(_fed(setting, asked), asked.measured)


def pins_of(asked: Asked) -> dict[str, int]:
    """Return what the command line fixes of the strategy, switches as indices. Raises InputError for unknown names."""
    from suanli import training

    pins = {name: getattr(asked, name) for name in _DEGREES if getattr(asked, name) is not None}
    for name, listed in _SWITCHES.items():
        text = getattr(asked, name)
        if text is None:
            continue
        known: tuple[str, ...] = getattr(training, listed)
        if text not in known:
            raise InputError(f"{name}: '{text}' is not one of {', '.join(known)}")
        pins[name] = known.index(text)
    return pins


def rate_of(text: str | None) -> float | None:
    """Return B/s of a rate such as "50 GB/s", None where none is given."""
    return parse(text, "B/s") if text else None


def _profiled(setting: Setting, path: Path | None) -> Setting:
    """Return the setting with the measured layers of a file. Raises InputError for layers of another run."""
    from suanli.training import read_profile

    if path is None:
        return setting
    width = int(setting.facts.hidden[0])
    return replace(setting, profile=read_profile(path, chip=setting.site.chip, hidden=width, seq=setting.seq))


def _fed(setting: Setting, asked: Asked) -> Setting:
    """Return the setting with its storage and loaders as stated; the storage's rate is that of a node."""
    import numpy as np

    from suanli.training import feed_of

    node = rate_of(asked.storage)
    rate = None if node is None else node / min(setting.site.domain, 8)
    feed = feed_of(storage=rate, prepare=asked.loader_rate, workers=asked.loaders, ahead=asked.prefetch)
    if asked.token_bytes is not None and not asked.token_bytes > 0:
        raise InputError(f"token-bytes: {asked.token_bytes:g} is not above zero")
    size = setting.facts.token_bytes if asked.token_bytes is None else np.array([asked.token_bytes])
    return replace(setting, site=replace(setting.site, feed=feed), facts=replace(setting.facts, token_bytes=size))
