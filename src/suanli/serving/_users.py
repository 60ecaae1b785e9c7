"""From users to load: daily active users to requests/s and tokens, with peak factor and regional split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from suanli.errors import InputError
from suanli.quantities import DAY
from suanli.sources import Figure, Source, Sourced

_DATA = Path(__file__).parent / "data" / "users.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What users ask for: requests/s on the day's mean and at its peak, tokens a request, tokens a day.

    ``regions`` maps a region to its peak requests/s; the parts add up to more than ``peak_rate`` where regions peak at
    different hours. ``low`` and ``high`` bound the mean rate by the range of the inputs. ``figure`` is the
    peak rate with its inputs.
    """

    users: float
    mean_rate: float
    peak_rate: float
    low: float
    high: float
    input_tokens: float
    output_tokens: float
    tokens_per_day: float
    regions: Mapping[str, float]
    figure: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """A published daily token count of an assistant, to hold a demand against."""

    name: str
    date: str
    tokens_per_day: float
    source: Source
    peak_tokens_per_s: float | None = None


@cache
def _tree() -> dict[str, Any]:
    from suanli.files import plain, read_yaml

    tree: dict[str, Any] = plain(read_yaml(_DATA))
    return tree


def assumption(name: str) -> Sourced:
    """Return one input of the model of use (messages_per_user_day, input_tokens, output_tokens, peak_factor)."""
    row = _tree()["figures"][name]
    source = Source(row["source"], row["date"], row["kind"], row.get("note", ""))
    return Sourced(name, float(row["value"]), row["unit"], source, float(row["low"]), float(row["high"]))


def anchors(name: str | None = None) -> tuple[Anchor, ...]:
    """Return the published daily token counts, oldest first; of one assistant where ``name`` is given."""
    return tuple(
        Anchor(
            name=row["name"],
            date=row["date"],
            tokens_per_day=float(row["tokens_per_day"]),
            source=Source(row["source"], row["date"], row["kind"]),
            peak_tokens_per_s=float(row["peak_tokens_per_s"]) if "peak_tokens_per_s" in row else None,
        )
        for row in _tree()["anchors"]
        if name is None or row["name"].casefold() == name.casefold()
    )


def users_to_load(
    users: float,
    *,
    messages_per_user_day: float | None = None,
    input_tokens: float | None = None,
    output_tokens: float | None = None,
    peak_factor: float | None = None,
    regions: Mapping[str, float] | None = None,
) -> Demand:
    """Return the load of ``users`` daily active users: rate = users x messages a day / 86,400 s, times the peak factor.

    What is None takes the sourced assumption of that name. ``regions`` gives shares of users that add up to 1.
    Raises InputError for users or inputs not above 0 and for shares that do not add up.
    """
    given = {
        "messages_per_user_day": messages_per_user_day,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "peak_factor": peak_factor,
    }
    if users <= 0:
        raise InputError(f"users is {users:g}; it must be above 0")
    for name, value in given.items():
        if value is not None and value <= 0:
            raise InputError(f"{name} is {value:g}; it must be above 0")
    inputs = {n: assumption(n) if v is None else _stated(n, v) for n, v in given.items()}
    shares = dict(regions or {"all": 1.0})
    if abs(sum(shares.values()) - 1.0) > 1e-6 or min(shares.values()) < 0:
        raise InputError(f"the shares of the regions add up to {sum(shares.values()):.3f}; they must add up to 1")
    messages = inputs["messages_per_user_day"]
    mean = users * messages.value / DAY
    peak = mean * inputs["peak_factor"].value
    tokens = inputs["input_tokens"].value + inputs["output_tokens"].value
    figure = Figure(
        name="peak request rate",
        value=peak,
        unit="requests/s",
        formula="users x messages_per_user_day / 86,400 s x peak_factor",
        inputs={"users": _stated("users", users), **inputs},
    )
    return Demand(
        users=users,
        mean_rate=mean,
        peak_rate=peak,
        low=users * (messages.low or messages.value) / DAY,
        high=users * (messages.high or messages.value) / DAY,
        input_tokens=inputs["input_tokens"].value,
        output_tokens=inputs["output_tokens"].value,
        tokens_per_day=users * messages.value * tokens,
        regions={name: peak * share for name, share in shares.items()},
        figure=figure,
    )


def _stated(name: str, value: float) -> Sourced:
    return Sourced(name, float(value), "", Source("stated by the user", kind="estimated"))
