"""Options of ``suanli serve``, and the small languages in which some are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from suanli.errors import InputError, nearest
from suanli.quantities import parse

if TYPE_CHECKING:
    from suanli.kinds import Adapters
    from suanli.serving import Failure, Scaling

_LOAD, _WHAT, _RUN, _OUT = "Load", "What is served", "Simulation", "Output"


def _option(*names: str, panel: str, **more: Any) -> Any:
    return typer.Option(*names, rich_help_panel=panel, **more)


ModelArgument = Annotated[
    str | None,
    typer.Argument(metavar="[MODEL]", help="Model: a name of the catalogue or a config.json; none for --mix."),
]
ChipOption = Annotated[
    str | None, typer.Option("--on", metavar="CHIP", help="Chip: a name of the catalogue or a chip file.")
]
CountOption = Annotated[int, typer.Option("--chips", help="Chips that a layout may use.", min=1, max=4096)]
SloOption = Annotated[
    str | None,
    typer.Option(
        "--slo",
        metavar="ttft=1s,tpot=50ms",
        help="Limits on the time to the first token and per token; latency=5s or p99=60ms where there are no tokens.",
    ),
]
PercentileOption = Annotated[
    float, typer.Option("--percentile", help="Percentile that the limits hold for (0.5: the mean).", min=0.5, max=0.999)
]
FrameworkOption = Annotated[
    str,
    typer.Option(
        "--framework",
        metavar="vllm@0.12.0",
        help="vllm, sglang, trtllm or mindie, with @ and a version of it (default: the newest release known).",
    ),
]
YearOption = Annotated[int, typer.Option("--year", help="Year of rents and prices.", min=2018, max=2035)]

RateOption = Annotated[str | None, _option("--rate", panel=_LOAD, metavar="200/s", help="Requests/s to be served.")]
UsersOption = Annotated[str | None, _option("--users", panel=_LOAD, metavar="10M", help="Daily active users.")]
TraceOption = Annotated[
    Path | None, _option("--trace", panel=_LOAD, help="Trace: Azure, BurstGPT, Mooncake, ShareGPT or plain CSV.")
]
RegionsOption = Annotated[
    str | None,
    _option("--regions", panel=_LOAD, metavar="CN=0.7,SG=0.3", help="Shares of the users by region, adding up to 1."),
]
MixOption = Annotated[
    Path | None, _option("--mix", panel=_LOAD, help="YAML file of services that share one fleet over a day.")
]
InputOption = Annotated[
    float | None, _option("--isl", panel=_LOAD, help="Mean prompt in tokens (items of a recommender's request).", min=1)
]
OutputOption = Annotated[
    float | None, _option("--osl", panel=_LOAD, help="Mean answer in tokens (1 for an embedding model).", min=1)
]
HitOption = Annotated[
    float, _option("--prefix-hit", panel=_LOAD, help="Share of prompt tokens already cached.", min=0, max=0.99)
]

PrecisionOption = Annotated[
    str | None,
    _option("--precision", panel=_WHAT, help="Weights: bf16, fp8, int8, fp4, int4_wo (default: as published)."),
]
KvOption = Annotated[
    str | None,
    _option("--kv", panel=_WHAT, help="KV cache: bf16, fp8, int8, fp4 (default: what goes with --precision)."),
]
DraftsOption = Annotated[
    str | None,
    _option(
        "--speculate", panel=_WHAT, metavar="drafts=3,accept=0.7", help="Tokens guessed ahead and the chance of each."
    ),
]
LoraOption = Annotated[
    str | None,
    _option(
        "--lora",
        panel=_WHAT,
        metavar="count=1000,rank=16,slots=32,zipf=1",
        help="Adapters of many tenants, their rank, how many lie on the chips at once, the exponent of popularity.",
    ),
]
SkewOption = Annotated[
    float | None,
    _option(
        "--skew", panel=_WHAT, help="Exponent of experts' popularity (0: balanced; default: as in traffic).", min=0
    ),
]
CopiesOption = Annotated[
    int, _option("--redundant", panel=_WHAT, help="Copies of the busiest experts a layer (EPLB).", min=0)
]
SizeOption = Annotated[
    str | None, _option("--size", panel=_WHAT, metavar="1024x1024", help="Pixels of a picture or clip, width x height.")
]
FramesOption = Annotated[int, _option("--frames", panel=_WHAT, help="Frames of a clip.", min=1)]
StepsOption = Annotated[
    int | None, _option("--steps", panel=_WHAT, help="Denoising steps (default: the model's).", min=1)
]
PoolsOption = Annotated[
    str, _option("--pools", panel=_WHAT, help="Prefill and decode: any, one (together) or two (apart).")
]

SimulateOption = Annotated[
    bool, _option("--simulate", panel=_RUN, help="Also simulate the best layout request by request.")
]
RequestsOption = Annotated[
    int | None, _option("--requests", panel=_RUN, help="Requests to simulate (default: enough for the load).", min=1)
]
ArrivalsOption = Annotated[
    str, _option("--arrivals", panel=_RUN, help="poisson, gamma, mmpp, diurnal, uniform or burst.")
]
RoutingOption = Annotated[
    str, _option("--routing", panel=_RUN, help="Over replicas: round_robin, least_loaded or cache_aware.")
]
PrefixOption = Annotated[
    str | None,
    _option(
        "--prefix", panel=_RUN, metavar="tokens=512,groups=100", help="Leading tokens that prompts of a group share."
    ),
]
ScaleOption = Annotated[
    str | None,
    _option(
        "--autoscale",
        panel=_RUN,
        metavar="high=20,low=4,start=2min",
        help="Start a replica above so many requests each, stop one below (also: period, minimum).",
    ),
]
FailOption = Annotated[
    list[str] | None,
    _option("--fail", panel=_RUN, metavar="replica=0,at=60s,for=30s", help="Lose a replica for a while (repeatable)."),
]
LockstepOption = Annotated[
    bool,
    _option("--lockstep", panel=_RUN, help="Attention ranks that share experts wait for the busiest in each step."),
]
SeedOption = Annotated[int, _option("--seed", panel=_RUN, help="Seed of the simulation.")]
StartOption = Annotated[
    str, _option("--start", panel=_RUN, metavar="5min", help="Time until a copy of a mix takes its first request.")
]

PngOption = Annotated[
    Path | None, _option("--png", panel=_OUT, help="Write the throughput against interactivity picture.")
]
ReportOption = Annotated[
    Path | None, _option("--report", panel=_OUT, help="Write a page with all pictures (simulates at several rates).")
]
TopOption = Annotated[int, _option("--top", panel=_OUT, help="Layouts to list.", min=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line asks for, one field an option."""

    model: str | None
    on: str | None
    chips: int
    slo: str | None
    percentile: float
    framework: str
    year: int
    rate: str | None
    users: str | None
    regions: str | None
    trace: Path | None
    mix: Path | None
    isl: float | None
    osl: float | None
    prefix_hit: float
    precision: str | None
    kv: str | None
    speculate: str | None
    lora: str | None
    skew: float | None
    redundant: int
    size: str | None
    frames: int
    steps: int | None
    pools: str
    simulate: bool
    requests: int | None
    arrivals: str
    routing: str
    prefix: str | None
    autoscale: str | None
    fail: list[str] | None
    lockstep: bool
    seed: int
    start: str
    png: Path | None
    report: Path | None
    top: int
    json_path: str | None


def asked_of(values: Mapping[str, Any]) -> Asked:
    """Return the options among ``values``, a command's own variables by name."""
    return Asked(**{f.name: values[f.name] for f in fields(Asked)})


def pairs(option: str, text: str, units: Mapping[str, str], *, needed: tuple[str, ...] = ()) -> dict[str, float]:
    """Return the numbers of ``name=value,...`` in the units of their names. Raises InputError naming the option."""
    out: dict[str, float] = {}
    for piece in filter(None, (p.strip() for p in text.split(","))):
        name, equals, value = piece.partition("=")
        if name not in units or not equals:
            close = nearest(name, units)
            hint = f"did you mean '{close}'?" if close else f"allowed: {', '.join(units)}"
            raise InputError(f"{option}: '{piece}' is no name=value of it; {hint}")
        try:
            out[name] = parse(value, units[name])
        except InputError as error:
            raise InputError(f"{option}: {name}: {error}") from error
    missing = next((n for n in needed if n not in out), None)
    if missing is not None:
        raise InputError(f"{option}: {missing} is missing")
    return out


def regions_of(text: str | None) -> dict[str, float] | None:
    """Return the shares of users of --regions."""
    if text is None:
        return None
    names = [piece.partition("=")[0].strip() for piece in text.split(",") if piece.strip()]
    return pairs("--regions", text, dict.fromkeys(names, ""))


def adapters_of(text: str | None) -> Adapters | None:
    """Return the adapters of --lora."""
    from suanli.kinds import Adapters

    if text is None:
        return None
    found = pairs("--lora", text, {"count": "", "rank": "", "slots": "", "zipf": ""}, needed=("count",))
    for name in ("count", "rank", "slots"):
        if name in found and (found[name] < 1 or found[name] != int(found[name])):
            raise InputError(f"--lora: {name} is {found[name]:g}; a whole number of at least 1")
    usual = Adapters(count=1)
    return Adapters(
        count=int(found["count"]),
        rank=int(found.get("rank", usual.rank)),
        slots=int(found.get("slots", usual.slots)),
        zipf=found.get("zipf", usual.zipf),
    )


def drafts_of(text: str | None) -> tuple[int, float]:
    """Return (drafts, acceptance) of --speculate."""
    if text is None:
        return 0, 0.7
    found = pairs("--speculate", text, {"drafts": "", "accept": ""}, needed=("drafts",))
    if found["drafts"] < 0 or found["drafts"] != int(found["drafts"]) or not 0 <= found.get("accept", 0.7) <= 1:
        raise InputError("--speculate: drafts is a whole number of at least 0 and accept lies between 0 and 1")
    return int(found["drafts"]), found.get("accept", 0.7)


def scaling_of(text: str | None) -> Scaling | None:
    """Return the rule of --autoscale."""
    from suanli.serving import Scaling

    if text is None:
        return None
    units = {"high": "", "low": "", "start": "s", "period": "s", "minimum": ""}
    found = pairs("--autoscale", text, units, needed=("high", "low"))
    if found["low"] >= found["high"]:
        raise InputError(f"--autoscale: low is {found['low']:g}; it must be below high, {found['high']:g}")
    return Scaling(
        high=found["high"],
        low=found["low"],
        start_s=found.get("start", 120.0),
        period_s=found.get("period", 10.0),
        minimum=int(found.get("minimum", 1)),
    )


def failures_of(texts: list[str] | None) -> list[Failure]:
    """Return the failures of all --fail."""
    from suanli.serving import Failure

    out = []
    for text in texts or []:
        found = pairs("--fail", text, {"replica": "", "at": "s", "for": "s"}, needed=("replica", "at", "for"))
        end = found["at"] + found["for"]
        out.append(Failure(replica=int(found["replica"]), start_s=found["at"], end_s=end))
    return out


def prefix_of(text: str | None) -> tuple[int, int]:
    """Return (tokens, groups) of --prefix."""
    if text is None:
        return 0, 1
    found = pairs("--prefix", text, {"tokens": "", "groups": ""}, needed=("tokens",))
    return int(found["tokens"]), int(found.get("groups", 1))


def size_of(text: str | None) -> tuple[int, int]:
    """Return (width, height) in pixels of --size."""
    if text is None:
        return 1024, 1024
    width, cross, height = text.lower().partition("x")
    if not cross or not width.isdigit() or not height.isdigit() or min(int(width), int(height)) < 16:
        raise InputError(f"--size is '{text}'; write width x height in pixels, such as 1280x720")
    return int(width), int(height)
