"""Several services on one fleet of chips over a day: the least chips, each with its own or all sharing them by time.

A service needs ``ceil(rate(t) / rate of a copy)`` copies at any time. Chips of its own: as many as its own busiest time
takes. Shared: a copy that will be needed loads its weights ``start_s`` before, so that at any time the fleet holds for
each service the most copies of the next ``start_s``; the fleet's busiest time decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InfeasibleError, InputError
from suanli.kinds import Chip, Service
from suanli.quantities import DAY
from suanli.serving._capacity import Option, options
from suanli.serving._held import copies_of, held_by_pools, holds, run_option, sample
from suanli.serving._other import other_options

if TYPE_CHECKING:
    import polars as pl

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

SLOTS = 96
"""Quarters of an hour of a day."""

_ROUNDS = 4  # over the services, each taking the layout that suits the others
_CHECKED = 40_000  # requests of the check at the busiest time, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A service of a mix: ``service.rate`` is its busiest rate, ``day`` its rate over that at even steps of a day."""

    name: str
    service: Service
    day: tuple[float, ...]

    def rates(self) -> Array:
        """Return requests/s in each of the day's ``SLOTS``, straight between the steps of ``day``."""
        steps = np.asarray(self.day, dtype=np.float64)
        at = np.arange(SLOTS) * (steps.size / SLOTS)
        out: Array = self.service.rate * np.interp(at, np.arange(steps.size + 1), np.append(steps, steps[0]))
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """How a mix runs on one kind of chip: ``options`` by service, copies (service, slot), and the chips that takes.

    ``apart``: each service on chips of its own; ``together``: shared by time; ``mean_chips``: those in use on the
    day's mean, below which no sharing gets. ``held`` is the share of the closed-form rate that each service holds
    in simulation, empty where it was not simulated.
    """

    parts: tuple[Part, ...]
    options: tuple[Option, ...]
    copies: Ints
    start_s: float
    apart: int
    together: int
    mean_chips: float
    held: tuple[Mapping[int, float], ...] = ()

    @property
    def chips(self) -> Ints:
        """Chips (service, slot) in use or loading."""
        out: Ints = ahead(self.copies, self.start_s) * np.array([[o.layout.chips] for o in self.options])
        return out

    def table(self) -> pl.DataFrame:
        """Return a row a service: layout, chips of a copy, busiest rate, copies, chips, and what simulation holds."""
        import polars as pl

        chips = self.copies * np.array([[o.layout.chips] for o in self.options])
        peak = int(self.chips.sum(axis=0).argmax())
        return pl.DataFrame(
            {
                "name": [p.name for p in self.parts],
                "model": [p.service.model.id for p in self.parts],
                "layout": [str(o.layout) for o in self.options],
                "chips_a_copy": [o.layout.chips for o in self.options],
                "requests_per_s": [p.service.rate for p in self.parts],
                "requests_per_s_a_copy": [o.requests_per_s for o in self.options],
                "copies": self.copies.max(axis=1),
                "chips_apart": self.chips.max(axis=1),
                "chips_at_the_fleets_peak": self.chips[:, peak],
                "mean_chips": chips.mean(axis=1),
                "held_in_simulation": [min(h.values()) if h else None for h in self.held or [{}] * len(self.parts)],
            }
        )


def ahead(copies: Ints, start_s: float) -> Ints:
    """Return for each slot the most copies of it and of the slots that begin within ``start_s`` after it."""
    n = copies.shape[1]
    reach = int(np.ceil(start_s / (DAY / n)))
    out: Ints = np.max([np.roll(copies, -k, axis=1) for k in range(reach + 1)], axis=0)
    return out


def share(
    parts: Sequence[Part],
    chip: Chip,
    *,
    framework: str = "vllm",
    max_chips: int = 16,
    start_s: float = 300.0,
    simulated: bool = False,
    seed: int = 0,
) -> Shared:
    """Return the least chips that hold every service of a mix over a day, and the layouts that take them.

    Rates of a copy are those of the capacity table; with ``simulated`` they are what a pool of such copies holds when
    run request by request, by the number of copies. Raises InputError for an empty mix or a bad day and
    InfeasibleError where a service has no layout within its limits on up to ``max_chips``.
    """
    _check(parts)
    found = [_options(p, chip, framework, max_chips) for p in parts]
    held: list[list[dict[int, float]]] = [[{} for _ in of] for of in found]
    chosen = _choose(parts, found, start_s)
    if simulated:
        for i, k in enumerate(chosen):
            most = int(np.ceil(parts[i].service.rate / found[i][k].requests_per_s))
            held[i][k] = held_by_pools(found[i][k], parts[i].service, most, seed=seed)
    return _shared(parts, found, chosen, start_s, [held[i][k] for i, k in enumerate(chosen)] if simulated else [])


def _check(parts: Sequence[Part]) -> None:
    if not parts:
        raise InputError("a mix has at least one service")
    for part in parts:
        if not part.day or min(part.day) < 0 or max(part.day) <= 0:
            raise InputError(f"{part.name}: a day has shares of at least 0 and one above 0")
        if part.service.rate <= 0:
            raise InputError(f"{part.name}: the rate is {part.service.rate:g}; it must be above 0")


def _options(part: Part, chip: Chip, framework: str, max_chips: int) -> list[Option]:
    """Return the layouts of a service that serve at all, none that another beats in rate a chip and in size."""
    if part.service.model.architecture == "transformer":
        tried = options([part.service], [chip], framework=framework, max_chips=max_chips)
    else:
        tried = other_options([part.service], [chip], max_chips=max_chips)
    good = sorted((o for o in tried if o.fits), key=lambda o: (o.layout.chips, -o.requests_per_s))
    if not good:
        least = max(tried, key=lambda o: o.layout.n_chips)
        raise InfeasibleError(f"{part.name}: nothing serves {part.service.model.name} on {chip.id}: {least.reason}")
    kept: list[Option] = []
    for option in good:
        if all(o.per_chip < option.per_chip or o.layout.chips > option.layout.chips for o in kept):
            kept.append(option)
    return kept


def _choose(parts: Sequence[Part], found: Sequence[Sequence[Option]], start_s: float) -> list[int]:
    """Return the layout of each service that makes the shared fleet least, found service by service."""
    needs = [
        np.stack([ahead(copies_of(p.rates(), o, {})[None, :], start_s)[0] * o.layout.chips for o in of])
        for p, of in zip(parts, found, strict=True)
    ]
    chosen = [int(n.max(axis=1).argmin()) for n in needs]
    for _ in range(_ROUNDS):
        before = list(chosen)
        for i, mine in enumerate(needs):
            others = sum(n[k] for j, (n, k) in enumerate(zip(needs, chosen, strict=True)) if j != i)
            total = mine + others
            chosen[i] = int(np.lexsort((mine.sum(axis=1), total.max(axis=1)))[0])
        if chosen == before:
            break
    return chosen


def _shared(
    parts: Sequence[Part],
    found: Sequence[Sequence[Option]],
    chosen: Sequence[int],
    start_s: float,
    held: Sequence[Mapping[int, float]],
) -> Shared:
    taken = tuple(of[k] for of, k in zip(found, chosen, strict=True))
    known = held or [{}] * len(parts)
    copies = np.stack([copies_of(p.rates(), o, h) for p, o, h in zip(parts, taken, known, strict=True)])
    sizes = np.array([[o.layout.chips] for o in taken])
    alone = [
        min(int(copies_of(p.rates(), o, {}).max()) * o.layout.chips for o in of)
        for p, of in zip(parts, found, strict=True)
    ]
    return Shared(
        parts=tuple(parts),
        options=taken,
        copies=copies,
        start_s=start_s,
        apart=int((copies.max(axis=1) * sizes[:, 0]).sum()) if held else sum(alone),
        together=int((ahead(copies, start_s) * sizes).sum(axis=0).max()),
        mean_chips=float((copies * sizes).sum(axis=0).mean()),
        held=tuple(held),
    )


def check_peak(shared: Shared, *, seed: int = 0) -> pl.DataFrame:
    """Return a row a service: whether the copies of its busiest time hold its limits when simulated at that rate.

    Columns name, copies, simulated (copies run together), requests, ttft_s, latency_s (means), tpot_s and holds. Of
    many copies a part is run, with its part of the rate.
    """
    import polars as pl

    rows = []
    for part, option, copies in zip(shared.parts, shared.options, shared.copies, strict=True):
        most = int(copies.max())
        rates = part.rates()
        busiest = float((rates / np.maximum(copies, 1)).max())
        n = int(np.clip(20.0 * option.running * most, 4_000, _CHECKED))
        run = max(1, min(most, int(_CHECKED / max(1.0, 20.0 * option.running))))
        load = sample(part.service, rate=busiest * run, n=n, seed=seed + 17)
        seen = run_option(option, part.service, load, copies=run, seed=seed)
        kept = seen.requests.slice(n // 10)  # as holds looks at it
        tpot = kept["tpot_s"].drop_nans().mean()
        rows.append(
            {
                "name": part.name,
                "copies": most,
                "simulated": run,
                "requests": n,
                "ttft_s": kept["ttft_s"].mean(),
                "tpot_s": tpot,
                "latency_s": kept["latency_s"].mean(),
                "holds": holds(part.service, seen),
            }
        )
    return pl.DataFrame(rows)


def day_of(peak_hour: float, peak_over_mean: float) -> tuple[float, ...]:
    """Return 24 hourly shares of the busiest rate: a cosine whose maximum, at ``peak_hour``, is so many times its mean.

    Raises InputError for a ratio outside 1 to 2.
    """
    if not 1.0 <= peak_over_mean <= 2.0:
        raise InputError(f"a cosine's peak over its mean lies between 1 and 2, got {peak_over_mean:g}")
    hours = np.arange(24)
    swing = 1.0 + (peak_over_mean - 1.0) * np.cos(2.0 * np.pi * (hours - peak_hour) / 24.0)
    return tuple(float(x) for x in swing / peak_over_mean)
