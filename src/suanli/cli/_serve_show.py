"""What ``suanli serve`` answers for language models: the numbers for JSON and the tables for people."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from suanli.cli.common import table
from suanli.cli.serve import money_of
from suanli.quantities import show, show_money

if TYPE_CHECKING:
    from suanli.kinds import Chip, Service
    from suanli.serving import Choice, Demand

_SHOWN_FAILURES = 3


def answer_of(
    service: Service,
    chip: Chip,
    found: list[Choice],
    asked: float | None,
    demand: Demand | None,
    year: int,
    framework: str,
) -> dict[str, Any]:
    """Return the answer for JSON: the best layout with its interval, what is needed, layouts, cost and energy."""
    best = found[0]
    z = 1.2815515655446004 * best.sigma
    groups = math.ceil(asked / best.requests_per_s) if asked else None
    money = money_of(chip, best.per_chip, year)
    return {
        "model": service.model.id,
        "chip": chip.id,
        **framework_facts(framework),
        "precision": service.precision,
        "input_tokens": service.input_tokens,
        "output_tokens": service.output_tokens,
        "limits": {"ttft_s": service.ttft_s, "tpot_s": service.tpot_s, "percentile": service.percentile},
        "asked_requests_per_s": asked,
        "users": demand.users if demand else None,
        "users_mean_requests_per_s": demand.mean_rate if demand else None,
        "users_tokens_per_day": demand.tokens_per_day if demand else None,
        "regions_peak_requests_per_s": dict(demand.regions) if demand else None,
        "best": {
            **_choice(best),
            "requests_per_s_p10": best.requests_per_s * math.exp(-z),
            "requests_per_s_p90": best.requests_per_s * math.exp(z),
        },
        "groups_needed": groups,
        "chips_needed": groups * best.n_chips if groups else None,
        "layouts": [_choice(c) for c in found],
        "rent_usd_per_chip_hour": money["rent_usd_per_chip_hour"],
        "rent_source": money["rent_source"],
        "usd_per_million_output_tokens": money["usd_per_million"],
        "joule_per_output_token": money["joule_each"],
    }


def framework_facts(framework: str) -> dict[str, Any]:
    """Return the framework asked for, its release and what changed with it (None where none is known)."""
    from suanli.serving import release_asked, scheduler

    release = release_asked(framework)
    return {
        "framework": scheduler(framework).name,
        "framework_version": framework.partition("@")[2] or None,
        "release_from": release.first if release else None,
        "release_change": release.change if release else None,
        "release_source": release.source if release else None,
    }


def framework_line(facts: dict[str, Any]) -> str:
    """Return the framework, its version and release as one line."""
    name = " ".join(filter(None, (facts["framework"], facts["framework_version"])))
    if facts["release_from"] is None:
        return f"Framework: {name}"
    newest = "" if facts["framework_version"] else "newest release known, "
    return f"Framework: {name} ({newest}as from {facts['release_from']} on: {facts['release_change']})"


def _choice(c: Choice) -> dict[str, Any]:
    ok = c.requests_per_s == c.requests_per_s
    return {
        "layout": str(c),
        "chips": c.n_chips,
        "tokens_a_step": c.budget,
        "requests_per_s": c.requests_per_s if ok else None,
        "output_tokens_per_s": c.output_tokens_per_s if ok else None,
        "output_tokens_per_s_per_chip": c.per_chip if ok else None,
        "ttft_s": c.ttft_s if ok else None,
        "tpot_s": c.tpot_s if ok else None,
        "running": c.running if ok else None,
        "why_not": c.reason or None,
    }


def show_answer(out: Any, service: Service, chip: Chip, found: list[Choice], top: int, answer: dict[str, Any]) -> None:
    """Print the layouts, why others lose, what is needed, cost, energy and launch commands."""
    good = [c for c in found if c.requests_per_s == c.requests_per_s][:top]
    bad = [c for c in found if c.requests_per_s != c.requests_per_s][:_SHOWN_FAILURES]
    title = (
        f"{service.model.name} in {service.precision} on {chip.name}:"
        f" {service.input_tokens:,.0f} tokens in, {service.output_tokens:,.0f} out{_variant(service)}"
    )
    out.print(title, soft_wrap=True, style="bold")
    out.print(_layouts(service, good))
    for c in [*good[1 : 1 + _SHOWN_FAILURES], *bad]:
        out.print(f"  {c}: {c.reason}", soft_wrap=True)
    out.print(framework_line(answer), soft_wrap=True, markup=False)
    best = answer["best"]
    out.print(
        f"Best: {best['layout']}, {best['requests_per_s']:.3g} requests/s"
        f" (80 %: {best['requests_per_s_p10']:.3g} to {best['requests_per_s_p90']:.3g}),"
        f" {best['tokens_a_step']:,} tokens a step",
        soft_wrap=True,
    )
    if answer["chips_needed"]:
        out.print(
            f"Asked: {answer['asked_requests_per_s']:,.1f} requests/s at the peak"
            f" -> {answer['chips_needed']:,} chips in {answer['groups_needed']:,} groups",
            soft_wrap=True,
        )
    if answer["users"]:
        per_day = show(answer["users_tokens_per_day"], "token")
        split = answer["regions_peak_requests_per_s"]
        where = "; ".join(f"{name} {rate:,.0f}/s" for name, rate in split.items() if len(split) > 1)
        out.print(f"{answer['users']:,.0f} daily users ask for {per_day}s a day{': ' + where if where else ''}")
    cost, rent = answer["usd_per_million_output_tokens"], answer["rent_usd_per_chip_hour"]
    energy = show(answer["joule_per_output_token"], "J")
    text = f"{show_money(cost, 'USD')} at a rent of {show_money(rent, 'USD')} an hour" if cost else "unknown (no rent)"
    what, each = ("output tokens", "a token") if service.output_tokens > 1 else ("prompts", "a prompt")
    out.print(f"Cost of a million {what}: {text}; energy at design power: {energy} {each}", soft_wrap=True)
    for name, commands in answer["launch"].items():
        for command in commands:
            out.print(f"{name}: {command}", soft_wrap=True, markup=False)


def _layouts(service: Service, found: list[Choice]) -> Any:
    """Return the table of layouts: what each serves, how fast, and how many requests it runs at once."""
    answers = service.output_tokens > 1
    rows = [
        (
            str(c),
            f"{c.requests_per_s:.3g}",
            f"{c.per_chip:,.0f}" if answers else f"{c.per_chip:,.3g}",
            show(c.ttft_s, "s"),
            show(c.tpot_s, "s") if answers else "-",
            f"{c.running:.0f}",
        )
        for c in found
    ]
    each = "tokens/s/chip" if answers else "prompts/s/chip"
    columns = ("layout", "requests/s", each, "TTFT", "TPOT", "running")
    return table(None, columns, rows, right=columns[1:])


def _variant(service: Service) -> str:
    """Return what a service asks for beside lengths, for the title."""
    parts = []
    if service.kv_precision:
        parts.append(f"{service.kv_precision} cache")
    if service.drafts:
        parts.append(f"{service.drafts} drafts accepted at {service.acceptance:.0%}")
    if service.adapters is not None:
        parts.append(f"{service.adapters.count:,} adapters of rank {service.adapters.rank}")
    if service.skew is not None:
        parts.append(f"expert skew {service.skew:g}")
    if service.redundant:
        parts.append(f"{service.redundant} expert copies")
    return "; " + ", ".join(parts) if parts else ""


def show_replay(out: Any, found: dict[str, Any]) -> None:
    """Print what a simulation saw."""
    rows = [
        (name, *(show(found[column][q], "s") for q in ("p50", "p90", "p99")))
        for name, column in (
            ("TTFT", "ttft_s"),
            ("of it prompt", "prefill_s"),
            ("of it hand-over", "handover_s"),
            ("TPOT", "tpot_s"),
            ("latency", "latency_s"),
        )
        if column in found
    ]
    title = (
        f"Simulated: {found['requests']:,} requests at {found['requests_per_s']:.3g}/s"
        f" over {show(found['span_s'], 's')}, {found['goodput_requests_per_s']:.3g}/s within the limits"
    )
    out.print(title, soft_wrap=True)
    out.print(table(None, ("", "p50", "p90", "p99"), rows, right=("p50", "p90", "p99")))
    facts = [f"{found['preemptions']:,} preemptions", f"{found['chip_hours']:,.1f} chip hours"]
    if found["hit_share"]:
        facts.append(f"{found['hit_share']:.0%} of prompt tokens found cached")
    if found["adapter_loads"]:
        facts.append(f"{found['adapter_loads']:,} adapters loaded")
    if "held_back" in found:
        facts.append(f"{found['held_back']:,} caches waited for room, links busy {found['link_share']:.1%} of the time")
    out.print("  " + "; ".join(facts), soft_wrap=True)
