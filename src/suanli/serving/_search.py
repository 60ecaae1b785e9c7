"""Layout search: every way to lay a service over chips, one pool or two, ranked, with why the others lose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InfeasibleError
from suanli.kinds import BITS, Chip, Service
from suanli.quantities import GIB
from suanli.serving._capacity import Option, options
from suanli.serving._choice import Choice
from suanli.serving._deploy import cache_tokens, tabulate
from suanli.serving._formats import formats_of
from suanli.serving._held import experts_of
from suanli.serving._layout import Layout
from suanli.serving._layouts import layouts_for
from suanli.serving._pairs import pairs, pool_lanes
from suanli.serving._schedulers import scheduler
from suanli.serving._steady import Lanes
from suanli.serving._tuning import factors, fitted_set, lanes_of
from suanli.serving._variants import deploy, formats_for, varied

Array = NDArray[np.float64]

BUDGETS: tuple[int, ...] = (2048, 4096, 8192, 16384)
"""Tokens a step that the search tries (the chunk of chunked prefill)."""


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
        found += pairs(service, chip, layouts, n_chips, framework, known)
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
    """Return (tokens/s a user, output tokens/s a chip, layout) that no other layout and load beats in both.

    Empty for a service whose answers are one token.
    """
    from suanli.serving._slo import load_curve

    if service.output_tokens <= 1:
        return []
    layouts = layouts_for(service.model, chip, max_chips=n_chips)
    lanes, habits, deployments, _ = pool_lanes(service, chip, layouts, framework, fitted_set())
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


def expert_times(service: Service, chip: Chip, choice: Choice, *, framework: str = "vllm") -> Array:
    """Return the part of a lane's ``linear`` that its attention ranks do together (s): their experts, on the grid."""
    plan = replace(scheduler(framework, chip), budget=choice.budget)
    one = deploy(service, chip, choice.layout, formats_for(service, chip), plan)
    return experts_of(one, service)


def step_lane(service: Service, chip: Chip, choice: Choice, *, framework: str = "vllm", pool: str = "decode") -> Lanes:
    """Return the one lane of a choice for simulation, with its budget.

    ``pool`` "prefill" is that of the pool that fills caches, where there are two; "decode" the other, or the only one.
    """
    filling = pool == "prefill" and choice.prefill is not None
    layout = choice.prefill if filling and choice.prefill is not None else choice.layout
    plan = replace(scheduler(framework, chip), budget=choice.budget)
    one = deploy(service, chip, layout, formats_for(service, chip), plan)
    tables = varied(tabulate([one]), [service])
    capacity = cache_tokens(tables, np.array([service.input_tokens + 0.5 * service.output_tokens]))
    known = fitted_set()
    lanes = lanes_of(tables, factors(known, [plan.name], [chip.family], [plan.release]), capacity)
    # The simulator steps one rank: its table holds what all ranks do in the same step.
    return replace(lanes, seats=np.floor(lanes.seats / lanes.ranks), ranks=np.ones(1))
