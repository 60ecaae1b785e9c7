"""``suanli design``: the chips worth building for workloads inside a rule."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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

    from suanli.design import Beside, Design, Job, Limits, Search

ForOption = Annotated[
    str,
    typer.Option("--for", metavar="JOBS", help="Models with use and weight: 'llama-3.1-70b:decode=2,dlrm-dcnv2'. Uses: "
                 "decode, prefill, train; recommend for recommenders, diffuse for pictures and video."),
]  # fmt: skip
SpecOption = Annotated[
    str | None, typer.Option("--spec", metavar="NAME|FILE", help="Evaluate this design instead of searching.")
]
NodeOption = Annotated[str, typer.Option("--node", help="Process node: N7, N6, N5, N4, N3 or SN2 (SMIC N+2).")]
RulesOption = Annotated[str, typer.Option("--rules", help="'bis': published export rules of the date; 'none'.")]
DateOption = Annotated[str, typer.Option("--date", metavar="DAY", help="Day on which the rules are asked.")]
ToOption = Annotated[str, typer.Option("--to", metavar="CC", help="Where the chips go.")]
OwnerOption = Annotated[str, typer.Option("--owner", metavar="CC", help="Headquarters of the buyer.")]
MakerOption = Annotated[str, typer.Option("--maker", metavar="CC", help="Country of the fabricator.")]
FactOption = Annotated[
    list[str] | None,
    typer.Option("--fact", metavar="KEY=VALUE", help="A fact you can show, attestations among them; none is assumed."),
]
GroupsOption = Annotated[
    str, typer.Option("--allow", help="Groups of rulings that may stay: 'free' or 'free,conditional'.")
]
AreaOption = Annotated[str, typer.Option("--max-area", help="Largest die, as '800mm2'.")]
PowerOption = Annotated[str | None, typer.Option("--max-power", help="Largest package power, as '500W'.")]
PriceOption = Annotated[str | None, typer.Option("--max-price", help="Largest price of a chip, as 'USD 8000'.")]
BudgetOption = Annotated[str | None, typer.Option("--budget", help="Most for NRE and the whole volume, as 'USD 2 bn'.")]
VolumeOption = Annotated[float, typer.Option("--volume", help="Chips over which NRE is spread.", min=1.0)]
MemoryOption = Annotated[
    str, typer.Option("--memories", help="Memories to try: hbm2e, hbm3, hbm3e, lpddr5x, gddr6, gddr7, none.")
]
DiesOption = Annotated[str, typer.Option("--dies", help="Logic dies of a package to try, as '1' or '1,2'.")]
ObjectiveOption = Annotated[
    str, typer.Option("--objective", help="What the front is sorted by: per_usd, per_watt or per_mm2.")
]
CandidatesOption = Annotated[int, typer.Option("--candidates", help="Designs drawn and screened.", min=100)]
FullOption = Annotated[int, typer.Option("--full", help="Most designs judged in full (one in a hundred is).", min=1)]
PricesOption = Annotated[
    str | None,
    typer.Option("--rule-dates", metavar="DAYS", help="What the rules cost: the best design at each of these days "
                 "against the best without rules."),
]  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add ``design`` to the application."""
    app.command("design")(design)


def design(
    jobs: ForOption = "llama-3.1-70b:decode,dlrm-dcnv2:recommend",
    spec: SpecOption = None,
    node: NodeOption = "N5",
    rules: RulesOption = "bis",
    date: DateOption = "2024-06-25",
    to: ToOption = "CN",
    owner: OwnerOption = "CN",
    maker: MakerOption = "TW",
    fact: FactOption = None,
    allow: GroupsOption = "free",
    max_area: AreaOption = "858mm2",
    max_power: PowerOption = None,
    max_price: PriceOption = None,
    budget: BudgetOption = None,
    volume: VolumeOption = 100_000.0,
    memories: MemoryOption = "hbm2e,hbm3,hbm3e,lpddr5x,gddr6",
    dies: DiesOption = "1",
    objective: ObjectiveOption = "per_usd",
    candidates: CandidatesOption = 500_000,
    full: FullOption = 6000,
    refine: Annotated[bool, typer.Option("--refine/--no-refine", help="Refine the best designs.")] = True,
    field: Annotated[bool, typer.Option("--field/--no-field", help="Set the best beside chips that exist.")] = True,
    rule_dates: PricesOption = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the drawing.")] = 1,
    png: Annotated[Path | None, typer.Option("--png", metavar="FOLDER", help="Write pictures into FOLDER.")] = None,
    parquet: Annotated[
        Path | None, typer.Option("--parquet", metavar="PATH", help="Write every design judged in full.")
    ] = None,
    json_path: JsonPath = None,
) -> None:
    """Find the chips worth building for workloads inside a rule: Pareto front, rulings, cost, what binds."""
    from suanli.design import Limits, Space

    out = console(json_path)
    asked = _jobs(jobs)
    place = _place(rules, date, to, owner, maker, fact)
    limits = Limits(
        area=_quantity(max_area, "m2"),
        power=_quantity(max_power, "W"),
        price=_quantity(max_price, "USD"),
        budget=_quantity(budget, "USD"),
        volume=volume,
        place=place,
        groups=_groups(allow),
    )
    if spec is not None:
        data = _evaluated(out, spec, asked, limits, field=field, png=png)
        emit_json(json_path, data)
        return
    space = Space(
        node=node,
        memories=tuple(m.strip() for m in memories.split(",") if m.strip()),
        dies=_whole(dies),
        maker_country=maker,
        designer_country=dict(place.facts).get("designer_hq", "US") if place else "US",
    )
    found = _searched(
        asked, space, limits, candidates=candidates, objective=objective, full=full, refine=refine, seed=seed
    )
    data = show_search(out, found, limits)
    data |= show_doubts(out, found.front[0], asked, limits, objective)
    if field:
        rows = _beside(asked, [found.front[0].design], volume)
        show_field(out, rows)
        data["field"] = [field_data(r) for r in rows]
    if rule_dates:
        data["cost_of_rules"] = _rule_costs(out, asked, rule_dates, limits, space, candidates, objective, seed)
    if png is not None:
        draw_search(png, found, limits, _beside(asked, [found.front[0].design], volume) if field else ())
        out.print(f"pictures in {png}")
    if parquet is not None:
        write_parquet(parquet, found)
    emit_json(json_path, data)


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


def _place(rules: str, date: str, to: str, owner: str, maker: str, facts: Sequence[str] | None) -> Any:
    from suanli.controls import parse_facts
    from suanli.design import Place

    if rules not in {"bis", "none"}:
        raise InputError(f"--rules: '{rules}'; allowed: bis, none")
    if rules == "none":
        return None
    for pair in facts or ():
        parse_facts(pair)  # refuses unknown keys and values
    stated = tuple((k, v) for k, _, v in (pair.partition("=") for pair in facts or ()))
    return Place(to=to, owner=owner, maker=maker, date=date, facts=stated)


def _searched(jobs: Sequence[Job], space: Any, limits: Limits, **options: Any) -> Search:
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

        return search(jobs, space=space, limits=limits, progress=tell, **options)


def _beside(jobs: Sequence[Job], designs: Sequence[Design], volume: float) -> tuple[Beside, ...]:
    from suanli.design import against_field

    return against_field(jobs, designs=designs, volume=volume)


def _rule_costs(
    out: Console, jobs: Sequence[Job], days: str, limits: Limits, space: Any, candidates: int, objective: str, seed: int
) -> list[dict[str, Any]]:
    """Print and return the best design at each day against the best without rules."""
    from dataclasses import replace

    from suanli.design import cost_of_rules

    if limits.place is None:
        raise InputError("--rule-dates needs --rules bis")
    places = [None, *(replace(limits.place, date=d.strip()) for d in days.split(",") if d.strip())]
    found = cost_of_rules(
        jobs, places, limits=limits, space=space, candidates=max(100, candidates // 5), objective=objective, seed=seed
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


def _evaluated(
    out: Console, name: str, jobs: Sequence[Job], limits: Limits, *, field: bool, png: Path | None
) -> dict[str, Any]:
    """Print and return one design: blocks, money, schedule, flags, rulings, and its place in the field."""
    from suanli.design import build_terms, design_file, evaluate, rulings

    found = design_file(name)
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
    data: dict[str, Any] = {
        "design": found.spec.name, "area_m2": interval(whole.area), "power_w": interval(whole.power),
        "cost_usd": interval(whole.cost), "price_usd": interval(whole.price), "nre_usd": interval(whole.nre),
        "area_by_block_m2": {k: float(v.reshape(-1)[0]) for k, v in whole.area.breakdown.items()},
        "power_by_block_w": {k: float(v.reshape(-1)[0]) for k, v in whole.power.breakdown.items()},
        "cost_by_part_usd": {k: float(v.reshape(-1)[0]) for k, v in whole.cost.breakdown.items()},
        "tpp": float(whole.tpp[0]), "density": float(whole.density[0]), "transistors": float(whole.transistors[0]),
        "flags": [f.text for f in whole.flags], "volume_month": list(terms.volume_month),
        "rulings": {act: {"outcome": r.outcome, "group": r.group, "eccn": r.eccn} for act, r in ruled.items()},
    }  # fmt: skip
    data["power_at_work"] = show_work(out, whole, jobs)
    rows = _beside(jobs, [whole], limits.volume) if field else ()
    if rows:
        show_field(out, rows)
        data["field"] = [field_data(r) for r in rows]
    if png is not None:
        draw_one(png, whole, rows)
        out.print(f"pictures in {png}")
    return data
