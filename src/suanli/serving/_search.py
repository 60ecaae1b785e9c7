"""Layout search: every way to lay a service over chips, one pool or two, ranked, with why the others lose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InfeasibleError
from suanli.kinds import BITS, Chip, Service
from suanli.quantities import GIB
from suanli.serving._capacity import Option, options
from suanli.serving._deploy import Deployment, cache_tokens, tabulate
from suanli.serving._formats import formats_of
from suanli.serving._layout import Layout
from suanli.serving._layouts import layouts_for
from suanli.serving._schedulers import scheduler
from suanli.serving._slo import tail
from suanli.serving._steady import Lanes, decode_time, prefill_time, seats_of
from suanli.serving._tuning import factors, fitted_set, habits_of, lanes_of, sigma

Array = NDArray[np.float64]

BUDGETS: tuple[int, ...] = (2048, 4096, 8192, 16384)
"""Tokens a step that the search tries (the chunk of chunked prefill)."""

_BATCHES = 2.0 ** np.arange(0, 12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One way to serve on ``n_chips``: one pool (``prefill`` None) or prefill and decode apart.

    ``copies`` of ``layout`` decode (or do all), ``prefill_copies`` of ``prefill`` fill caches. Rates are of all
    chips, s otherwise; ``running`` requests at once; ``reason`` says in one line why it is not the best, "" for the
    best.
    """

    layout: Layout
    copies: int
    prefill: Layout | None
    prefill_copies: int
    budget: int
    requests_per_s: float
    output_tokens_per_s: float
    ttft_s: float
    tpot_s: float
    running: float
    sigma: float
    reason: str

    @property
    def n_chips(self) -> int:
        """Chips of all copies of both pools."""
        filled = self.prefill.chips * self.prefill_copies if self.prefill else 0
        return self.layout.chips * self.copies + filled

    @property
    def per_chip(self) -> float:
        """Output tokens/s a chip."""
        return self.output_tokens_per_s / self.n_chips

    def __str__(self) -> str:
        """Return the layout as people write it."""
        one = str(replace(self.layout, replicas=self.copies))
        if self.prefill is None:
            return one
        return f"prefill {replace(self.prefill, replicas=self.prefill_copies)} + decode {one}"


def search(
    service: Service,
    chip: Chip,
    *,
    n_chips: int,
    framework: str = "vllm",
    disaggregate: bool = True,
    budgets: Sequence[int] = BUDGETS,
    parameters: Mapping[str, Any] | None = None,
) -> list[Choice]:
    """Return every layout of ``service`` on at most ``n_chips`` of ``chip``, best rate first; what fails comes last.

    Tensor, pipeline, expert and attention data parallelism, the tokens of a step, and with ``disaggregate`` every
    pair of prefill and decode layouts with every split of the chips. Raises InfeasibleError where nothing fits,
    saying by how much.
    """
    known = fitted_set() if parameters is None else parameters
    layouts = layouts_for(service.model, chip, max_chips=n_chips)
    found = []
    for budget in budgets:
        tried = options([service], [chip], framework=framework, layouts=layouts, parameters=known, budget=budget)
        found += [_single(o, service, n_chips, budget) for o in tried]
    if not any(c.reason == "" for c in found) and all("does not fit" in c.reason for c in found):
        raise InfeasibleError(_nothing_fits(service, chip, found))
    if disaggregate and n_chips > 1:
        found += _pairs(service, chip, layouts, n_chips, framework, known)
    return _ranked(found)


def _single(o: Option, service: Service, n_chips: int, budget: int) -> Choice:
    copies = max(1, n_chips // o.layout.chips)
    rate = o.requests_per_s * copies if o.fits else float("nan")
    return Choice(
        layout=o.layout,
        copies=copies,
        prefill=None,
        prefill_copies=0,
        budget=budget,
        requests_per_s=rate,
        output_tokens_per_s=rate * service.output_tokens,
        ttft_s=o.ttft_s,
        tpot_s=o.tpot_s,
        running=o.running * copies,
        sigma=o.sigma,
        reason=o.reason,
    )


def _nothing_fits(service: Service, chip: Chip, found: Sequence[Choice]) -> str:
    """Return the one line that says by how much nothing fits and what would."""
    from suanli.serving._layout import weight_bytes

    formats = formats_of(service.model, chip, service.precision)
    most = max(found, key=lambda c: c.layout.chips)
    whole = weight_bytes(service.model, formats, Layout())
    memory = chip.memory_bytes or 1.0
    needed = int(np.ceil(whole / (0.8 * memory)))
    narrower = [p for p in ("fp8", "fp4", "int4") if p in chip.peak and BITS[p] < 8.0 * formats.weight_bytes - 0.5]
    hint = f"; {', '.join(narrower)} weights would need less" if narrower else ""
    return (
        f"{service.model.name} in {formats.precision} ({whole / GIB:.0f} GiB of weights) {most.reason.split(';')[0]}"
        f" on {most.layout.chips} of {chip.id}; about {needed} chips would hold it{hint}"
    )


def _pools_of(
    service: Service, chip: Chip, layouts: Sequence[Layout], framework: str, known: Mapping[str, Any]
) -> tuple[Lanes, Any, list[Deployment], Array]:
    """Return (lanes, habits, deployments, capacity) of the layouts that hold one request, prompts not mixed in."""
    formats = formats_of(service.model, chip, service.precision)
    plan = replace(scheduler(framework, chip), mixes=False)
    deployments = [
        Deployment(model=service.model, chip=chip, layout=one, formats=formats, scheduler=plan) for one in layouts
    ]
    tables = tabulate(deployments)
    length = service.input_tokens + service.output_tokens
    capacity = cache_tokens(tables, np.full(len(deployments), length))
    fits = np.flatnonzero(capacity >= length)
    tune = factors(known, [plan.name] * fits.size, [chip.family] * fits.size)
    lanes = lanes_of(tables.pick(fits), tune, capacity[fits])
    return lanes, habits_of(tune), [deployments[i] for i in fits], capacity[fits]


def _pairs(
    service: Service,
    chip: Chip,
    layouts: Sequence[Layout],
    n_chips: int,
    framework: str,
    known: Mapping[str, Any],
) -> list[Choice]:
    """Return the best split of the chips for every pair of prefill and decode layouts."""
    lanes, habits, deployments, _ = _pools_of(service, chip, layouts, framework, known)
    n = len(deployments)
    if n == 0:
        return []
    whole = float(service.input_tokens)
    cached = whole * min(service.prefix_hit, 0.99)
    limits = [
        1e9 if limit is None else limit / float(tail(service.percentile, metric=metric))
        for metric, limit in (("ttft", service.ttft_s), ("tpot", service.tpot_s))
    ]
    hand_over = _transfer(service, chip, deployments)
    fill_rate, first = _prefill_rate(lanes, habits, whole - cached, cached, limits[0], hand_over)
    rate, step, batch = _decode_rate(lanes, service, limits[1])
    chips = np.array([d.layout.chips for d in deployments], dtype=np.float64)
    out = []
    for i in range(n):
        if not np.isfinite(fill_rate[i]):
            continue
        for j in range(n):
            if np.isfinite(rate[j]):
                split = _split(n_chips, chips[i], chips[j], fill_rate[i], rate[j])
                if split is not None:
                    load = min(split[0] * fill_rate[i], split[1] * rate[j])
                    out.append(
                        Choice(
                            layout=deployments[j].layout,
                            copies=split[1],
                            prefill=deployments[i].layout,
                            prefill_copies=split[0],
                            budget=deployments[i].scheduler.budget,
                            requests_per_s=load,
                            output_tokens_per_s=load * service.output_tokens,
                            ttft_s=float(first[i]),
                            tpot_s=float(step[j]),
                            running=float(batch[j]) * split[1],
                            sigma=sigma("output_rate", deployments[j]),
                            reason="",
                        )
                    )
    return out


def _transfer(service: Service, chip: Chip, deployments: Sequence[Deployment]) -> Array:
    """Return the s that handing one request's cache over takes: its bytes over the network cards of a copy."""
    from suanli.workloads import kv_bytes_per_sequence

    size = float(kv_bytes_per_sequence(service.model, deployments[0].formats.kv, service.input_tokens))
    link = chip.scale_out_bandwidth or 25e9  # B/s a chip: a 200 Gb/s card where none is stated
    return np.array([size / (link * d.layout.chips) for d in deployments])


def _prefill_rate(
    lanes: Lanes, habits: Any, prompt: float, cached: float, limit: float, hand_over: Array
) -> tuple[Array, Array]:
    """Return (requests/s of a copy, TTFT): the load at which waiting for prefill (M/D/1) uses up the limit."""
    n = lanes.host_s.size
    work, alone = prefill_time(lanes, np.zeros(n), np.full(n, prompt), np.full(n, cached))
    spare = limit - alone - hand_over - habits.first_s
    busy = np.clip(2.0 * spare / (2.0 * spare + work), 0.0, 0.9)
    rate = np.where(spare > 0, busy * lanes.ranks / work, np.nan)
    wait = busy / (2.0 * (1.0 - busy)) * work
    return rate, alone + hand_over + habits.first_s + wait


def _decode_rate(lanes: Lanes, service: Service, limit: float) -> tuple[Array, Array, Array]:
    """Return (requests/s, step, requests running) of a decode copy at its greatest batch within the TPOT limit."""
    n, m = lanes.host_s.size, _BATCHES.size
    which = np.repeat(np.arange(n), m)
    wide = lanes.pick(which)
    context = service.input_tokens + 0.5 * service.output_tokens
    seats = seats_of(lanes, np.full(n, context))
    batch = np.minimum(np.tile(_BATCHES, n), seats[which])
    step = decode_time(wide, batch, np.full(n * m, context)) / wide.accepted
    good = (step <= limit) & (batch >= 1.0)
    rate = np.where(good, batch * wide.ranks / (step * max(service.output_tokens - 1.0, 1.0)), -np.inf)
    best = rate.reshape(n, m).argmax(axis=1) + np.arange(n) * m
    ok = np.isfinite(rate[best])
    return np.where(ok, rate[best], np.nan), step[best], batch[best] * lanes.ranks


def _split(n_chips: int, chips_a: float, chips_b: float, rate_a: float, rate_b: float) -> tuple[int, int] | None:
    """Return (prefill copies, decode copies) of the greatest rate on ``n_chips``, None where two pools don't fit."""
    most = int((n_chips - chips_b) // chips_a)
    if most < 1:
        return None
    a = np.arange(1, most + 1)
    b = ((n_chips - a * chips_a) // chips_b).astype(int)
    served = np.minimum(a * rate_a, b * rate_b)
    k = int(served.argmax())
    return int(a[k]), int(b[k])


def _ranked(found: Sequence[Choice]) -> list[Choice]:
    """Return choices by rate, one a layout (its best budget), each with the line that says why it loses."""
    best: dict[str, Choice] = {}
    for c in found:
        name = str(c)
        if name not in best or _rate(c) > _rate(best[name]):
            best[name] = c
    ordered = sorted(best.values(), key=_rate, reverse=True)
    if not ordered or ordered[0].reason:
        return ordered
    top = ordered[0]
    return [top, *(c if c.reason else replace(c, reason=_why(c, top)) for c in ordered[1:])]


def _rate(c: Choice) -> float:
    return c.requests_per_s if c.reason == "" else -1.0


def _why(c: Choice, top: Choice) -> str:
    """Return one line: how much less it serves than the best, and what it spends the difference on."""
    less = 100.0 * (1.0 - c.requests_per_s / top.requests_per_s)
    if c.n_chips < top.n_chips:
        return f"{less:.0f} % less: leaves {top.n_chips - c.n_chips} chips idle"
    if c.prefill is not None and top.prefill is None:
        return f"{less:.0f} % less: the split of the chips leaves one pool waiting"
    if c.running < 0.7 * top.running:
        return f"{less:.0f} % less: holds {c.running:.0f} requests at once, the best {top.running:.0f}"
    if c.tpot_s > 1.05 * top.tpot_s:
        return f"{less:.0f} % less: a step takes {1e3 * c.tpot_s:.1f} ms, the best {1e3 * top.tpot_s:.1f} ms"
    return f"{less:.0f} % less: its steps spend more on links between chips or on prompts"


def pareto(service: Service, chip: Chip, *, n_chips: int, framework: str = "vllm") -> list[tuple[float, float, str]]:
    """Return (tokens/s a user, output tokens/s a chip, layout) that no other layout and load beats in both."""
    from suanli.serving._slo import load_curve

    layouts = layouts_for(service.model, chip, max_chips=n_chips)
    lanes, habits, deployments, _ = _pools_of(service, chip, layouts, framework, fitted_set())
    if not deployments:
        return []
    mixed = replace(lanes, mixes=np.full(lanes.mixes.size, scheduler(framework, chip).mixes))
    n = len(deployments)
    prompt, answer = np.full(n, service.input_tokens), np.full(n, max(service.output_tokens, 1.0))
    _, curve = load_curve(mixed, habits, prompt=prompt, answer=answer)
    points = []
    for i, d in enumerate(deployments):
        each = curve.requests_per_s[i] * answer[i] * d.layout.pp / d.layout.chips
        points += [(1.0 / t, e, str(d.layout)) for t, e in zip(curve.tpot_s[i], each, strict=True) if np.isfinite(e)]
    points.sort(key=lambda p: (-p[0], -p[1]))
    front, best = [], -1.0
    for point in points:
        if point[1] > best:
            front.append((float(point[0]), float(point[1]), point[2]))
            best = point[1]
    return front


def step_lane(service: Service, chip: Chip, choice: Choice, *, framework: str = "vllm") -> Lanes:
    """Return the one lane of a choice for simulation, with its budget (the decode pool's where there are two)."""
    formats = formats_of(service.model, chip, service.precision)
    plan = replace(scheduler(framework, chip), budget=choice.budget)
    one = Deployment(
        model=service.model, chip=chip, layout=replace(choice.layout, replicas=1), formats=formats, scheduler=plan
    )
    tables = tabulate([one])
    capacity = cache_tokens(tables, np.array([service.input_tokens + 0.5 * service.output_tokens]))
    known = fitted_set()
    lanes = lanes_of(tables, factors(known, [plan.name], [chip.family]), capacity)
    # The simulator steps one rank: its table holds what all ranks do in the same step.
    return replace(lanes, seats=np.floor(lanes.seats / lanes.ranks), ranks=np.ones(1))
