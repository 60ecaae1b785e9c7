"""Options of ``suanli serve``, and the small languages in which some are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from suanli.cli._command import option
from suanli.cli.common import JsonPath
from suanli.errors import InputError, nearest
from suanli.quantities import parse

if TYPE_CHECKING:
    from suanli.kinds import Adapters
    from suanli.serving import Failure, Scaling

_LOAD, _WHAT, _RUN, _OUT = "Load", "What is served", "Simulation", "Output"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line asks for, one field an option."""

    model: Annotated[
        str | None,
        typer.Argument(help="Model: a name of the catalogue or a config.json; none for --mix.", metavar="[MODEL]"),
    ] = None
    on: Annotated[str | None, option("Chip: a name of the catalogue or a chip file.", metavar="CHIP")] = None
    chips: Annotated[int, option("Chips that a layout may use.", min=1, max=4096)] = 8
    slo: Annotated[
        str | None,
        option(
            "Limits on the time to the first token and per token; latency=5s or p99=60ms where there are no tokens.",
            metavar="ttft=1s,tpot=50ms",
        ),
    ] = None
    percentile: Annotated[float, option("Percentile that the limits hold for (0.5: the mean).", min=0.5, max=0.999)] = (
        0.5
    )
    framework: Annotated[
        str,
        option(
            "vllm, sglang, trtllm or mindie, with @ and a version of it (default: the newest release known).",
            metavar="vllm@0.12.0",
        ),
    ] = "vllm"
    year: Annotated[int, option("Year of rents and prices.", min=2018, max=2035)] = 2025
    rate: Annotated[str | None, option("Requests/s to be served.", panel=_LOAD, metavar="200/s")] = None
    users: Annotated[str | None, option("Daily active users.", panel=_LOAD, metavar="10M")] = None
    regions: Annotated[
        str | None, option("Shares of the users by region, adding up to 1.", panel=_LOAD, metavar="CN=0.7,SG=0.3")
    ] = None
    trace: Annotated[Path | None, option("Trace: Azure, BurstGPT, Mooncake, ShareGPT or plain CSV.", panel=_LOAD)] = (
        None
    )
    mix: Annotated[Path | None, option("YAML file of services that share one fleet over a day.", panel=_LOAD)] = None
    isl: Annotated[
        float | None, option("Mean prompt in tokens (items of a recommender's request).", panel=_LOAD, min=1)
    ] = None
    osl: Annotated[float | None, option("Mean answer in tokens (1 for an embedding model).", panel=_LOAD, min=1)] = None
    prefix_hit: Annotated[float, option("Share of prompt tokens already cached.", panel=_LOAD, min=0, max=0.99)] = 0.0
    precision: Annotated[
        str | None, option("Weights: bf16, fp8, int8, fp4, int4_wo (default: as published).", panel=_WHAT)
    ] = None
    kv: Annotated[
        str | None, option("KV cache: bf16, fp8, int8, fp4 (default: what goes with --precision).", panel=_WHAT)
    ] = None
    speculate: Annotated[
        str | None, option("Tokens guessed ahead and the chance of each.", panel=_WHAT, metavar="drafts=3,accept=0.7")
    ] = None
    lora: Annotated[
        str | None,
        option(
            "Adapters of many tenants, their rank, how many lie on the chips at once, the exponent of popularity.",
            panel=_WHAT,
            metavar="count=1000,rank=16,slots=32,zipf=1",
        ),
    ] = None
    skew: Annotated[
        float | None,
        option("Exponent of experts' popularity (0: balanced; default: as in traffic).", panel=_WHAT, min=0),
    ] = None
    redundant: Annotated[int, option("Copies of the busiest experts a layer (EPLB).", panel=_WHAT, min=0)] = 0
    size: Annotated[
        str | None, option("Pixels of a picture or clip, width x height.", panel=_WHAT, metavar="1024x1024")
    ] = None
    frames: Annotated[int, option("Frames of a clip.", panel=_WHAT, min=1)] = 1
    steps: Annotated[int | None, option("Denoising steps (default: the model's).", panel=_WHAT, min=1)] = None
    pools: Annotated[str, option("Prefill and decode: any, one (together) or two (apart).", panel=_WHAT)] = "any"
    simulate: Annotated[bool, option("Also simulate the best layout request by request.", "--simulate", panel=_RUN)] = (
        False
    )
    requests: Annotated[
        int | None, option("Requests to simulate (default: enough for the load).", panel=_RUN, min=1)
    ] = None
    arrivals: Annotated[str, option("poisson, gamma, mmpp, diurnal, uniform or burst.", panel=_RUN)] = "poisson"
    routing: Annotated[str, option("Over replicas: round_robin, least_loaded or cache_aware.", panel=_RUN)] = (
        "least_loaded"
    )
    prefix: Annotated[
        str | None, option("Leading tokens that prompts of a group share.", panel=_RUN, metavar="tokens=512,groups=100")
    ] = None
    autoscale: Annotated[
        str | None,
        option(
            "Start a replica above so many requests each, stop one below (also: period, minimum).",
            panel=_RUN,
            metavar="high=20,low=4,start=2min",
        ),
    ] = None
    fail: Annotated[
        list[str] | None,
        option("Lose a replica for a while (repeatable).", panel=_RUN, metavar="replica=0,at=60s,for=30s"),
    ] = None
    lockstep: Annotated[
        bool, option("Attention ranks that share experts wait for the busiest in each step.", "--lockstep", panel=_RUN)
    ] = False
    seed: Annotated[int, option("Seed of the simulation.", panel=_RUN)] = 0
    start: Annotated[str, option("Time until a copy of a mix takes its first request.", panel=_RUN, metavar="5min")] = (
        "5min"
    )
    png: Annotated[Path | None, option("Write the throughput against interactivity picture.", panel=_OUT)] = None
    report: Annotated[
        Path | None, option("Write a page with all pictures (simulates at several rates).", panel=_OUT)
    ] = None
    top: Annotated[int, option("Layouts to list.", panel=_OUT, min=1)] = 8
    json_path: JsonPath = None


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
