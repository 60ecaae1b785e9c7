"""``suanli design``: the chips worth building for workloads inside a rule."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from suanli.cli._command import command, option
from suanli.cli._design_show import (
    draw_one,
    draw_search,
    field_data,
    found_data,
    interval,
    show_doubts,
    show_field,
    show_search,
    show_work,
    summary_table,
    write_parquet,
)
from suanli.cli.common import JsonPath, console, emit_json, table
from suanli.errors import InputError
from suanli.quantities import parse

if TYPE_CHECKING:
    from rich.console import Console

    from suanli.design import Beside, Design, Job, Limits, Place, Search, Space


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line asks for, one field an option."""

    jobs: Annotated[
        str,
        option(
            "Models with use and weight: 'llama-3.1-70b:decode=2,dlrm-dcnv2'. Uses: decode, prefill, train; recommend "
            "for recommenders, diffuse for pictures and video.",
            "--for",
            metavar="JOBS",
        ),
    ] = "llama-3.1-70b:decode,dlrm-dcnv2:recommend"
    spec: Annotated[str | None, option("Evaluate this design instead of searching.", metavar="NAME|FILE")] = None
    node: Annotated[str, option("Process node: N7, N6, N5, N4, N3 or SN2 (SMIC N+2).")] = "N5"
    rules: Annotated[str, option("'bis': published export rules of the date; 'none'.")] = "bis"
    date: Annotated[str, option("Day on which the rules are asked.", metavar="DAY")] = "2024-06-25"
    to: Annotated[str, option("Where the chips go.", metavar="CC")] = "CN"
    owner: Annotated[str, option("Headquarters of the buyer.", metavar="CC")] = "CN"
    maker: Annotated[str, option("Country of the fabricator.", metavar="CC")] = "TW"
    fact: Annotated[
        list[str] | None, option("A fact you can show, attestations among them; none is assumed.", metavar="KEY=VALUE")
    ] = None
    allow: Annotated[str, option("Groups of rulings that may stay: 'free' or 'free,conditional'.")] = "free"
    max_area: Annotated[str, option("Largest die, as '800mm2'.")] = "858mm2"
    max_power: Annotated[str | None, option("Largest package power, as '500W'.")] = None
    max_price: Annotated[str | None, option("Largest price of a chip, as 'USD 8000'.")] = None
    budget: Annotated[str | None, option("Most for NRE and the whole volume, as 'USD 2 bn'.")] = None
    volume: Annotated[float, option("Chips over which NRE is spread.", min=1.0)] = 100000.0
    memories: Annotated[str, option("Memories to try: hbm2e, hbm3, hbm3e, lpddr5x, gddr6, gddr7, none.")] = (
        "hbm2e,hbm3,hbm3e,lpddr5x,gddr6"
    )
    dies: Annotated[str, option("Logic dies of a package to try, as '1' or '1,2'.")] = "1"
    objective: Annotated[str, option("What the front is sorted by: per_usd, per_watt or per_mm2.")] = "per_usd"
    candidates: Annotated[int, option("Designs drawn and screened.", min=100)] = 500000
    full: Annotated[int, option("Most designs judged in full (one in a hundred is).", min=1)] = 6000
    refine: Annotated[bool, option("Refine the best designs.", "--refine/--no-refine")] = True
    field: Annotated[bool, option("Set the best beside chips that exist.", "--field/--no-field")] = True
    rule_dates: Annotated[
        str | None,
        option(
            "What the rules cost: the best design at each of these days against the best without rules.", metavar="DAYS"
        ),
    ] = None
    seed: Annotated[int, option("Of the drawing.")] = 1
    png: Annotated[Path | None, option("Write pictures into FOLDER.", metavar="FOLDER")] = None
    parquet: Annotated[Path | None, option("Write every design judged in full.", metavar="PATH")] = None
    json_path: JsonPath = None


def register(app: typer.Typer) -> None:
    """Add ``design`` to the application."""
    app.command("design")(command(Asked, design))


def design(asked: Asked) -> None:
    """Find the chips worth building for workloads inside a rule: Pareto front, rulings, cost, what binds."""
    out = console(asked.json_path)
    jobs = _jobs(asked.jobs)
    limits = _limits(asked)
    judged = _searched if asked.spec is None else _evaluated
    emit_json(asked.json_path, judged(out, asked, jobs, limits))


def _limits(asked: Asked) -> Limits:
    """Return the limits of area, power, money and rules that a design must keep."""
    from suanli.design import Limits

    place = _place(asked)
    return Limits(
        area=_quantity(asked.max_area, "m2"),
        power=_quantity(asked.max_power, "W"),
        price=_quantity(asked.max_price, "USD"),
        budget=_quantity(asked.budget, "USD"),
        volume=asked.volume,
        place=place,
        groups=_groups(asked.allow),
    )


def _space(asked: Asked, limits: Limits) -> Space:
    """Return what a search may vary."""
    from suanli.design import Space

    stated = {} if limits.place is None else dict(limits.place.facts)
    return Space(
        node=asked.node,
        memories=tuple(m.strip() for m in asked.memories.split(",") if m.strip()),
        dies=_whole(asked.dies),
        maker_country=asked.maker,
        designer_country=stated.get("designer_hq", "US"),
    )


def _searched(out: Console, asked: Asked, jobs: Sequence[Job], limits: Limits) -> dict[str, Any]:
    """Search; print and return the front, its doubts, its place in the field and what the rules cost."""
    space = _space(asked, limits)
    found = _search(asked, jobs, space, limits)
    best = found.front[0]
    data = show_search(out, found, limits)
    data |= show_doubts(out, best, jobs, limits, asked.objective)
    rows = _beside(jobs, [best.design], asked.volume) if asked.field else ()
    if rows:
        show_field(out, rows)
        data["field"] = [field_data(r) for r in rows]
    if asked.rule_dates:
        data["cost_of_rules"] = _rule_costs(out, asked, jobs, limits, space)
    if asked.png is not None:
        draw_search(asked.png, found, limits, rows)
        out.print(f"pictures in {asked.png}")
    if asked.parquet is not None:
        write_parquet(asked.parquet, found)
    return data


def _jobs(text: str) -> tuple[Job, ...]:
    """Return the jobs that ``text`` lists; a case's name or folder stands for its services."""
    from suanli.design import parse_jobs
    from suanli.fleet import example_folders, load_case

    if text not in example_folders() and not Path(text).is_dir():
        return parse_jobs(text)
    return parse_jobs(",".join(dict.fromkeys(service.model for service in load_case(text).spec.services)))


def _quantity(text: str | None, unit: str) -> float:
    """Return a limit written as "800mm2" or "USD 2 bn"; infinity where none is given. Raises InputError."""
    if text is None:
        return float("inf")
    spaced = re.sub(r"^\s*([0-9.]+)\s*([A-Za-zµ])", r"\1 \2", text)
    value = parse(spaced, unit)
    if not value > 0.0:
        raise InputError(f"'{text}': a limit must be above 0")
    return value


def _whole(text: str) -> tuple[int, ...]:
    try:
        values = tuple(int(v) for v in text.split(","))
    except ValueError:
        raise InputError(f"--dies: '{text}' is no list of whole numbers such as '1,2'") from None
    if not values or min(values) < 1:
        raise InputError(f"--dies: '{text}': at least 1")
    return values


def _groups(text: str) -> tuple[str, ...]:
    names = tuple(v.strip() for v in text.split(",") if v.strip())
    wrong = [n for n in names if n not in {"free", "conditional"}]
    if wrong or not names:
        raise InputError(
            f"--allow: '{text}'; allowed: free, conditional (open and restricted designs are never proposed)"
        )
    return names


def _place(asked: Asked) -> Place | None:
    """Return where and to whom a design goes and on which day, None where no rules are asked."""
    from suanli.controls import parse_facts
    from suanli.design import Place

    if asked.rules not in {"bis", "none"}:
        raise InputError(f"--rules: '{asked.rules}'; allowed: bis, none")
    if asked.rules == "none":
        return None
    facts = asked.fact or ()
    for pair in facts:
        parse_facts(pair)  # refuses unknown keys and values
    stated = tuple((k, v) for k, _, v in (pair.partition("=") for pair in facts))
    return Place(to=asked.to, owner=asked.owner, maker=asked.maker, date=asked.date, facts=stated)


def _search(asked: Asked, jobs: Sequence[Job], space: Space, limits: Limits) -> Search:
    """Return the search with a progress bar on standard error."""
    from rich.console import Console
    from rich.progress import Progress

    from suanli.design import search

    with Progress(console=Console(stderr=True), transient=True) as bars:
        known: dict[str, Any] = {}

        def tell(step: str, done: int, total: int) -> None:
            if step not in known:
                known[step] = bars.add_task(step, total=total)
            bars.update(known[step], completed=done, total=total)

        return search(
            jobs,
            space=space,
            limits=limits,
            candidates=asked.candidates,
            objective=asked.objective,
            full=asked.full,
            refine=asked.refine,
            seed=asked.seed,
            progress=tell,
        )


def _beside(jobs: Sequence[Job], designs: Sequence[Design], volume: float) -> tuple[Beside, ...]:
    from suanli.design import against_field

    return against_field(jobs, designs=designs, volume=volume)


def _rule_costs(out: Console, asked: Asked, jobs: Sequence[Job], limits: Limits, space: Space) -> list[dict[str, Any]]:
    """Print and return the best design at each day of --rule-dates against the best without rules."""
    from suanli.design import cost_of_rules

    if limits.place is None:
        raise InputError("--rule-dates needs --rules bis")
    objective, days = asked.objective, (asked.rule_dates or "").split(",")
    found = cost_of_rules(
        jobs,
        [None, *(replace(limits.place, date=d.strip()) for d in days if d.strip())],
        limits=limits,
        space=space,
        candidates=max(100, asked.candidates // 5),
        objective=objective,
        seed=asked.seed,
    )
    free = found["without rules"][0]
    rows, data = [], []
    for name, (best, reason) in found.items():
        lost = None if best is None or free is None else 1.0 - best.objectives[objective] / free.objectives[objective]
        made = None if best is None else found_data(best, ())
        data.append({"date": name, "lost": lost, "reason": reason, "design": made})
        if best is None:
            rows.append((name, "-", "", "", "", "", reason))
            continue
        rows.append((
            name, "" if lost is None else f"{100.0 * lost:.0f} %", f"{best.tpp:,.0f}", f"{best.density:.2f}",
            f"{(best.chip.die_area_m2 or 0.0) * 1e6:.0f}", f"{best.objectives[objective]:.3g}", best.group,
        ))  # fmt: skip
    columns = ("rules of", "lost", "TPP", "TPP/mm²", "die mm²", objective, "ruling")
    out.print(table("What the rules cost: the best design inside them", columns, rows, right=columns[1:6]))
    return data


def _evaluated(out: Console, asked: Asked, jobs: Sequence[Job], limits: Limits) -> dict[str, Any]:
    """Print and return one design: blocks, money, schedule, flags, rulings, and its place in the field."""
    from suanli.design import build_terms, design_file, evaluate, rulings

    assert asked.spec is not None
    found = design_file(asked.spec)
    whole = evaluate(found.spec, volume=limits.volume)
    terms = build_terms(whole, facts=found.build)
    ruled = {} if limits.place is None else rulings(whole.chip, limits.place)
    out.print(found.title or found.spec.name)
    out.print(summary_table(whole, terms))
    for a in found.assumptions:
        out.print(f"  {a.field}: {a.text} ({a.source.kind}; {a.source.ref})")
    for flag in whole.flags:
        out.print(f"cannot be built: {flag.text}")
    for act, r in ruled.items():
        out.print(f"{act}: {r.outcome} ({r.group}), {r.eccn}, presumption {r.presumption}")
    data = _design_data(found.spec.name, whole, terms, ruled)
    data["power_at_work"] = show_work(out, whole, jobs)
    rows = _beside(jobs, [whole], limits.volume) if asked.field else ()
    if rows:
        show_field(out, rows)
        data["field"] = [field_data(r) for r in rows]
    if asked.png is not None:
        draw_one(asked.png, whole, rows)
        out.print(f"pictures in {asked.png}")
    return data


def _design_data(name: str, whole: Design, terms: Any, ruled: Mapping[str, Any]) -> dict[str, Any]:
    """Return one design for JSON: area, power and money with their parts, what cannot be built, rulings by act."""
    return {
        "design": name, "area_m2": interval(whole.area), "power_w": interval(whole.power),
        "cost_usd": interval(whole.cost), "price_usd": interval(whole.price), "nre_usd": interval(whole.nre),
        "area_by_block_m2": {k: float(v.reshape(-1)[0]) for k, v in whole.area.breakdown.items()},
        "power_by_block_w": {k: float(v.reshape(-1)[0]) for k, v in whole.power.breakdown.items()},
        "cost_by_part_usd": {k: float(v.reshape(-1)[0]) for k, v in whole.cost.breakdown.items()},
        "tpp": float(whole.tpp[0]), "density": float(whole.density[0]), "transistors": float(whole.transistors[0]),
        "flags": [f.text for f in whole.flags], "volume_month": list(terms.volume_month),
        "rulings": {act: {"outcome": r.outcome, "group": r.group, "eccn": r.eccn} for act, r in ruled.items()},
    }  # fmt: skip
