"""What people write: limits, rates, numbers of users, and the file of a service mix."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from suanli.errors import InputError, nearest
from suanli.quantities import parse

if TYPE_CHECKING:
    from suanli.serving._mix import Part

LIMITS: tuple[str, ...] = ("ttft", "tpot", "latency", "p99")
"""Names that a limit may have; ``p99`` limits the whole answer at that percentile."""

_SCALES = {"k": 1e3, "m": 1e6, "million": 1e6, "b": 1e9, "bn": 1e9, "billion": 1e9}


def limits_of(text: str) -> dict[str, float]:
    """Return the limits in s from ``ttft=1s,tpot=50ms``, ``latency=5s`` or ``p99=60ms``. Raises InputError."""
    out: dict[str, float] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, equals, value = part.partition("=")
        if name not in LIMITS or not equals:
            close = nearest(name, LIMITS)
            raise InputError(
                f"'{part}' is no limit; write ttft=1s,tpot=50ms, latency=5s or p99=60ms"
                + (f" ('{close}'?)" if close else "")
            )
        out[name] = parse(value, "s")
        if out[name] <= 0:
            raise InputError(f"{name} is {value}; it must be above 0")
    return out


def rate_of(text: str) -> float:
    """Return requests/s from ``200/s`` or ``200``. Raises InputError for a rate not above 0."""
    rate = parse(text.removesuffix("/s").strip(), "")
    if rate <= 0:
        raise InputError(f"a rate of {text} is not above 0")
    return rate


def count_of(text: str) -> float:
    """Return a number of users written as 10M, 2.5 million or 10000000. Raises InputError."""
    low = text.strip().casefold().replace(",", "")
    for suffix in sorted(_SCALES, key=len, reverse=True):
        if low.endswith(suffix):
            return parse(low.removesuffix(suffix).strip(), "") * _SCALES[suffix]
    return parse(low, "")


def _schema() -> Any:
    """Return the pydantic model of a mix file."""
    from pydantic import BaseModel, ConfigDict, Field

    class Day(BaseModel):
        model_config = ConfigDict(extra="forbid")
        peak_hour: float = Field(ge=0, le=24)
        peak_over_mean: float = Field(ge=1, le=2)

    class Row(BaseModel):
        model_config = ConfigDict(extra="forbid", protected_namespaces=())
        name: str
        model: str
        rate: str | float | None = None
        users: str | float | None = None
        input_tokens: float | None = Field(default=None, ge=0)
        output_tokens: float | None = Field(default=None, ge=0)
        slo: str
        percentile: float = Field(default=0.5, ge=0.5, le=0.999)
        precision: str | None = None
        kv_precision: str | None = None
        prefix_hit: float = Field(default=0.0, ge=0, le=0.99)
        height: int = Field(default=1024, ge=16)
        width: int = Field(default=1024, ge=16)
        frames: int = Field(default=1, ge=1)
        steps: int | None = Field(default=None, ge=1)
        day: Day | list[float] | None = None

    class Mix(BaseModel):
        model_config = ConfigDict(extra="forbid")
        chip: str | None = None
        start: str | None = None
        services: list[Row] = Field(min_length=1)

    return Mix


def read_mix(path: Path) -> tuple[tuple[Part, ...], str | None, float | None]:
    """Return (services, chip or None, s to start a copy or None) of a YAML file of services that share a fleet.

    A service states its ``rate`` at the busiest time or its daily ``users``; ``day`` is a list of shares of the busiest
    rate at even steps, or peak_hour and peak_over_mean (without it: the sourced peak factor, at 21:00). Raises
    InputError with file, line and field.
    """
    from suanli.files import read_model

    found = read_model(path, _schema())
    parts = tuple(_part(path, row) for row in found.services)
    names = [p.name for p in parts]
    again = next((n for n in names if names.count(n) > 1), None)
    if again is not None:
        raise InputError(f"{path}: services: the name '{again}' stands for two")
    return parts, found.chip, None if found.start is None else parse(found.start, "s")


def _part(path: Path, row: Any) -> Part:
    """Return one service of a mix. Raises InputError that names file and service."""
    from suanli import catalog
    from suanli.kinds import Service
    from suanli.serving._mix import Part, day_of
    from suanli.serving._users import assumption

    try:
        model = catalog.model(row.model)
        rate, tokens = _rate_and_tokens(row)
        limits = limits_of(row.slo)
        if row.day is None:
            day = day_of(21.0, min(assumption("peak_factor").value, 2.0))
        else:
            day = tuple(row.day) if isinstance(row.day, list) else day_of(row.day.peak_hour, row.day.peak_over_mean)
        service = Service(
            model=model,
            rate=rate,
            input_tokens=tokens[0],
            output_tokens=tokens[1],
            ttft_s=limits.get("ttft"),
            tpot_s=limits.get("tpot"),
            latency_s=limits.get("p99", limits.get("latency")),
            percentile=0.99 if "p99" in limits else row.percentile,
            prefix_hit=row.prefix_hit,
            precision=row.precision or precision_of_weights(model.weight_format),
            kv_precision=row.kv_precision,
            height=row.height,
            width=row.width,
            frames=row.frames,
            steps=row.steps,
        )
    except InputError as error:
        raise InputError(f"{path}: {row.name}: {error}") from error
    return Part(name=row.name, service=service, day=day)


def _rate_and_tokens(row: Any) -> tuple[float, tuple[float, float]]:
    """Return (busiest requests/s, (prompt, answer)) of a row that states a rate or users."""
    from suanli.serving._users import assumption, users_to_load

    if (row.rate is None) == (row.users is None):
        raise InputError("state either rate or users")
    given = [row.input_tokens, row.output_tokens]
    usual = [assumption(n).value for n in ("input_tokens", "output_tokens")]
    prompt, answer = (u if g is None else g for g, u in zip(given, usual, strict=True))
    if row.rate is not None:
        return rate_of(str(row.rate)), (prompt, answer)
    demand = users_to_load(count_of(str(row.users)))
    return demand.peak_rate, (prompt, answer)


def precision_of_weights(weight_format: str) -> str:
    """Return the published weight format where serving knows it, else 16 bits."""
    return weight_format if weight_format in ("bf16", "fp16", "fp8", "fp4", "int8", "int4") else "bf16"
