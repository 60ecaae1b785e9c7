"""``suanli serve`` for models without tokens: pictures and clips by diffusion, recommenders."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from suanli.cli._serve_options import Asked
from suanli.cli.common import console, emit_json, table
from suanli.cli.serve import money_of, service_of
from suanli.errors import InfeasibleError, InputError
from suanli.quantities import show, show_money

if TYPE_CHECKING:
    from suanli.kinds import Chip, Model, Service
    from suanli.serving import Option

_ITEMS = 500.0  # items that a recommender's request scores where none are stated


def serve_other(asked: Asked, chip: Chip, model: Model) -> None:
    """Print and write what ``chip`` serves of a diffusion model (answers/s) or recommender (queries/s at its limit)."""
    from suanli.serving import held_by_pools, other_options, rate_of

    _refuse(asked, model)
    rate = rate_of(asked.rate) if asked.rate is not None else None
    service = service_of(asked, model, (asked.isl or _ITEMS, 0.0), rate)
    found = sorted(other_options([service], [chip], max_chips=asked.chips), key=_rank, reverse=True)
    best = found[0]
    if not best.fits:
        raise InfeasibleError(f"nothing serves {model.name} on {asked.chips} of {chip.id}: {best.reason}")
    most = math.ceil(service.rate / best.requests_per_s) if service.rate else 1
    held = held_by_pools(best, service, most, seed=asked.seed) if asked.simulate else {}
    answer = _answer(asked, service, chip, found, held)
    emit_json(asked.json_path, answer)
    _show(console(asked.json_path), service, chip, found[: asked.top], answer)


def _refuse(asked: Asked, model: Model) -> None:
    """Raise InputError for options that ask about tokens."""
    given = {
        "--users": asked.users,
        "--trace": asked.trace,
        "--kv": asked.kv,
        "--lora": asked.lora,
        "--speculate": asked.speculate,
        "--skew": asked.skew,
        "--report": asked.report,
        "--png": asked.png,
    }
    for name, value in given.items():
        if value is not None:
            raise InputError(f"{name} is for models that make tokens; {model.name} makes none")


def _rank(option: Option) -> tuple[bool, float]:
    return option.fits, option.per_chip if option.fits else 0.0


def _answer(asked: Asked, service: Service, chip: Chip, found: list[Option], held: dict[int, float]) -> dict[str, Any]:
    import numpy as np

    from suanli.serving import copies_of

    best = found[0]
    half = 1.2815515655446004 * best.sigma
    copies = int(copies_of(np.array([service.rate]), best, held)[0]) if service.rate else None
    money = money_of(chip, best.per_chip * max(held.values(), default=1.0), asked.year)
    return {
        "model": service.model.id,
        "chip": chip.id,
        "precision": service.precision,
        "limits": {"latency_s": service.latency_s, "percentile": service.percentile},
        "asked_requests_per_s": service.rate or None,
        "best": {
            **_row(best),
            "requests_per_s_p10": best.requests_per_s * math.exp(-half),
            "requests_per_s_p90": best.requests_per_s * math.exp(half),
            "held_in_simulation": {str(size): part * best.requests_per_s for size, part in held.items()},
        },
        "copies_needed": copies,
        "chips_needed": copies * best.layout.chips if copies else None,
        "layouts": [_row(o) for o in found],
        "rent_usd_per_chip_hour": money["rent_usd_per_chip_hour"],
        "rent_source": money["rent_source"],
        "usd_per_million_requests": money["usd_per_million"],
        "joule_per_request": money["joule_each"],
    }


def _row(o: Option) -> dict[str, Any]:
    return {
        "layout": str(o.layout),
        "chips": o.layout.chips,
        "requests_per_s": o.requests_per_s if o.fits else None,
        "requests_per_s_per_chip": o.per_chip if o.fits else None,
        "latency_s": o.ttft_s if math.isfinite(o.ttft_s) else None,
        "why_not": o.reason or None,
    }


def _show(out: Any, service: Service, chip: Chip, found: list[Option], answer: dict[str, Any]) -> None:
    picture = service.model.architecture == "dit"
    if picture:
        frames = f", {service.frames} frames" if service.frames > 1 else ""
        what = f"{service.width} x {service.height} pixels{frames}"
    else:
        what = f"{service.input_tokens:,.0f} items a query"
    unit = "answers" if picture else "queries"
    rows = [
        (str(o.layout), f"{o.requests_per_s:,.3g}", f"{o.per_chip:,.3g}", show(o.ttft_s, "s")) for o in found if o.fits
    ]
    columns = ("layout", f"{unit}/s", f"{unit}/s/chip", "latency" if picture else "latency p99")
    title = f"{service.model.name} in {service.precision} on {chip.name}: {what}"
    out.print(title, soft_wrap=True, style="bold")
    out.print(table(None, columns, rows, right=columns[1:]))
    for o in found:
        if not o.fits:
            out.print(f"  {o.layout}: {o.reason}", soft_wrap=True)
    best = answer["best"]
    out.print(
        f"Best: {best['layout']}, {best['requests_per_s']:,.3g} {unit}/s without gaps"
        f" (80 %: {best['requests_per_s_p10']:,.3g} to {best['requests_per_s_p90']:,.3g})",
        soft_wrap=True,
    )
    held = best["held_in_simulation"]
    if held:
        each = ", ".join(f"{rate:,.3g} in a pool of {size}" for size, rate in held.items())
        out.print(f"Simulated, Poisson arrivals: a copy holds its limit up to {each} ({unit}/s)", soft_wrap=True)
    if answer["chips_needed"]:
        out.print(
            f"Asked: {service.rate:,.1f}/s -> {answer['chips_needed']:,} chips in {answer['copies_needed']:,} copies"
        )
    cost, energy = answer["usd_per_million_requests"], show(answer["joule_per_request"], "J")
    scale, word = (1e3, "thousand") if picture else (1.0, "million")
    text = "unknown (no rent)" if cost is None else f"{show_money(cost / scale, 'USD')} a {word} {unit}"
    out.print(f"Cost: {text}; energy at design power: {energy} each", soft_wrap=True)
