"""When requests come and how long they are: Poisson, gamma, Markov-modulated and diurnal arrivals; lengths."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InputError
from suanli.quantities import DAY

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

KINDS: tuple[str, ...] = ("poisson", "gamma", "mmpp", "diurnal", "uniform", "burst")


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """A load, one entry a request: arrival (s from the start, ascending), lengths in tokens, priority (0 first).

    Prompt i shares the blocks ``blocks[first[i]:first[i + 1]]`` of ``block_tokens`` tokens with others that name the
    same ids; None where prompts share nothing. ``adapter`` numbers the adapter (LoRA) of each, -1 for none.
    """

    arrival_s: Array
    input_tokens: Ints
    output_tokens: Ints
    priority: Ints
    first: Ints | None = None
    blocks: NDArray[np.int32] | None = None
    block_tokens: int = 16
    adapter: Ints | None = None

    @property
    def rate(self) -> float:
        """Mean arrivals a second over the span of the load."""
        span = float(self.arrival_s[-1] - self.arrival_s[0]) if len(self.arrival_s) > 1 else 0.0
        return (len(self.arrival_s) - 1) / span if span > 0 else 0.0


def arrivals(
    kind: str,
    *,
    rate: float,
    n: int,
    seed: int = 0,
    cv: float = 2.0,
    burst: float = 4.0,
    dwell_s: float = 60.0,
    peak: float = 2.0,
    period_s: float = DAY,
) -> Array:
    """Return ``n`` arrival times (s, ascending) with a mean of ``rate`` requests/s.

    gamma: gaps of coefficient of variation ``cv``. mmpp: two Poisson states, the busy one ``burst`` times the quiet
    one, each lasting ``dwell_s`` on average. diurnal: Poisson whose rate is a sine of ``period_s`` with a maximum of
    ``peak`` times the mean (thinned). burst: all at once. Raises InputError for an unknown kind or a rate not above 0.
    """
    if kind not in KINDS:
        raise InputError(f"arrivals '{kind}' are unknown; allowed: {', '.join(KINDS)}")
    if rate <= 0 or n < 1:
        raise InputError(f"arrivals need a rate above 0 and at least one request, got {rate}/s and {n}")
    rng = np.random.default_rng(seed)
    if kind == "burst":
        return np.zeros(n)
    if kind == "uniform":
        return np.arange(n) / rate
    if kind == "gamma":
        shape = 1.0 / (cv * cv)
        return np.cumsum(rng.gamma(shape, 1.0 / (rate * shape), n))
    if kind == "mmpp":
        return _mmpp(rng, rate, n, burst, dwell_s)
    if kind == "diurnal":
        return _diurnal(rng, rate, n, peak, period_s)
    return np.cumsum(rng.exponential(1.0 / rate, n))


def _mmpp(rng: np.random.Generator, rate: float, n: int, burst: float, dwell_s: float) -> Array:
    """Return arrivals of a Poisson process whose rate jumps between a quiet and a busy level of equal mean stay."""
    quiet = 2.0 * rate / (1.0 + burst)
    # In operational time, where the rate is 1, arrivals are plain Poisson; map them back through the rate's integral.
    targets = np.cumsum(rng.exponential(1.0, n))
    phases = int(4.0 * targets[-1] / (rate * dwell_s)) + 16
    while True:
        stays = rng.exponential(dwell_s, phases)
        levels = np.where(np.arange(phases) % 2 == 0, quiet, quiet * burst)
        mass = np.concatenate([[0.0], np.cumsum(stays * levels)])
        if mass[-1] >= targets[-1]:
            break
        phases *= 2
    out: Array = np.interp(targets, mass, np.concatenate([[0.0], np.cumsum(stays)]))
    return out


def _diurnal(rng: np.random.Generator, rate: float, n: int, peak: float, period_s: float) -> Array:
    """Return arrivals whose rate is rate·(1 + (peak - 1)·sin), through the inverse of its integral."""
    if not 1.0 <= peak <= 2.0:
        raise InputError(f"a sine's peak factor lies between 1 and 2, got {peak}")
    targets = np.cumsum(rng.exponential(1.0, n))
    days = int(targets[-1] / (rate * period_s)) + 2
    t = np.linspace(0.0, days * period_s, days * 1440 + 1)
    w = 2.0 * np.pi / period_s
    mass = rate * (t + (peak - 1.0) * (1.0 - np.cos(w * t)) / w)
    out: Array = np.interp(targets, mass, t)
    return out


def lengths(mean: float, *, n: int, seed: int = 0, spread: float = 0.0, law: str = "uniform") -> Ints:
    """Return ``n`` token counts of at least 1 with this mean.

    ``uniform``: between (1 - spread) and (1 + spread) times the mean; ``lognormal``: a log-standard deviation of
    ``spread``. Raises InputError for another law.
    """
    rng = np.random.default_rng(seed)
    if law == "uniform":
        drawn = mean * rng.uniform(1.0 - spread, 1.0 + spread, n)
    elif law == "lognormal":
        drawn = mean * np.exp(spread * rng.standard_normal(n) - 0.5 * spread * spread)
    else:
        raise InputError(f"length law '{law}' is unknown; allowed: uniform, lognormal")
    return np.maximum(np.rint(drawn), 1).astype(np.int64)


def requests(
    arrival_s: Array,
    input_tokens: Ints,
    output_tokens: Ints,
    *,
    priority: Ints | None = None,
    shared_prefix: int = 0,
    groups: int = 1,
    adapter: Ints | None = None,
    seed: int = 0,
) -> Requests:
    """Return a load of these arrays; the first ``shared_prefix`` tokens are common within each of ``groups``.

    Raises InputError where lengths differ, times descend or a prompt is shorter than one token.
    """
    n = len(arrival_s)
    if len(input_tokens) != n or len(output_tokens) != n:
        raise InputError(f"{n} arrivals, {len(input_tokens)} prompts and {len(output_tokens)} answers do not match")
    if n and (np.min(input_tokens) < 1 or np.min(output_tokens) < 1):
        raise InputError("prompts and answers have at least one token")
    if n and np.any(np.diff(arrival_s) < 0):
        raise InputError("arrival times descend")
    order = np.zeros(n, dtype=np.int64) if priority is None else np.asarray(priority, dtype=np.int64)
    first = blocks = None
    size = 16
    if shared_prefix >= size:
        per = shared_prefix // size
        group = np.random.default_rng(seed).integers(0, groups, n)
        first = np.arange(n + 1, dtype=np.int64) * per
        blocks = (group[:, None] * per + np.arange(per)[None, :]).astype(np.int32).ravel()
    return Requests(
        arrival_s=np.asarray(arrival_s, dtype=np.float64),
        input_tokens=np.asarray(input_tokens, dtype=np.int64),
        output_tokens=np.asarray(output_tokens, dtype=np.int64),
        priority=order,
        first=first,
        blocks=blocks,
        block_tokens=size,
        adapter=adapter,
    )
