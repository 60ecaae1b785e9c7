"""``suanli rules list|show|diff|check|facts|picture``: the dated rule book."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from suanli.cli._rules_picture import picture
from suanli.cli.common import JsonPath, console, emit_json, table
from suanli.controls import Fact, Rule, Rulebook, activities, holds, load_rulebook, vocabulary
from suanli.errors import InputError, unknown_name

RulesFile = Annotated[
    Path | None, typer.Option("--rules", metavar="FILE", help="A rule file whose entries are added to ours.")
]
RulesetOption = Annotated[str, typer.Option("--ruleset", help="as_enforced or as_written.")]


def register(app: typer.Typer) -> None:
    """Add ``rules`` with its sub-commands to the application."""
    group = typer.Typer(help="List, show, compare and check dated export rules.", no_args_is_help=True)
    group.command("list", help="List the rules; --date keeps those in force on a day.")(list_)
    group.command("show", help="Show a rule: dates, limits, what it says when, citation and sources.")(show)
    group.command("diff", help="Say which rules began or ended between two days, and which rulings changed and why.")(
        diff
    )
    group.command("check", help="Check a rule file of your own: schema, conditions, names, with line numbers.")(check)
    group.command("facts", help="List the facts that a screening or a case may state, and what is assumed without.")(
        facts
    )
    group.command("picture", help="Draw the TPP-density plane, chips' legal lives, or the timeline of rules.")(picture)
    app.add_typer(group, name="rules")


def list_(
    date: Annotated[str, typer.Option("--date", metavar="DAY", help="Keep rules in force on this day.")] = "",
    jurisdiction: Annotated[str, typer.Option("--jurisdiction", metavar="CC", help="US, CN, MY or KR.")] = "",
    ruleset: RulesetOption = "as_enforced",
    rules: RulesFile = None,
    json_path: JsonPath = None,
) -> None:
    """Print one line a rule."""
    book = load_rulebook(rules)
    found = [r for r in book.rules.values() if _wanted(book, r, date, jurisdiction, ruleset)]
    emit_json(json_path, [_entry(r) for r in found])
    rows = [(r.id, _first(r), _last(r), r.data.get("verified", ""), r.data["title"]) for r in found]
    console(json_path).print(table(f"{len(rows)} rules", ("rule", "from", "to", "read in", "title"), rows))


def _wanted(book: Rulebook, rule: Rule, date: str, jurisdiction: str, ruleset: str) -> bool:
    from suanli.controls import Query, screen

    if jurisdiction:
        known = {r.data["jurisdiction"] for r in book.rules.values()}
        if jurisdiction.upper() not in known:
            raise InputError(f"unknown jurisdiction '{jurisdiction}'; allowed: {', '.join(sorted(known))}")
        if rule.data["jurisdiction"] != jurisdiction.upper():
            return False
    if not date:
        return True
    screen(Query(date=date, destination="US"), ruleset=ruleset, rulebook=book)  # refuses a bad day or rule set
    return holds(book, rule, date, "as_written" if ruleset == "as_written" else "as_enforced")


def _first(rule: Rule) -> str:
    if not rule.data.get("in_force", True):
        return "not law"
    return rule.start or "always"


def _last(rule: Rule) -> str:
    over = rule.data.get("superseded") or {}
    if rule.data.get("ends"):
        return str(rule.data["ends"])
    if over:
        return f"{'partly ' if over.get('partly') else ''}replaced {over['on']}"
    stays = [f"stayed {s['from']} to {s['to']}" for s in rule.data.get("stays", ())]
    return ", ".join(stays) or ("never enforced" if not rule.data.get("enforced", True) else "")


def _entry(rule: Rule) -> dict[str, Any]:
    return {**rule.data, "first_day": rule.start}


def show(
    rule_id: Annotated[str, typer.Argument(metavar="ID", help="Id of a rule, such as US-2023-HQ.")],
    rules: RulesFile = None,
    json_path: JsonPath = None,
) -> None:
    """Print a rule as data: what it says in each phase and when."""
    book = load_rulebook(rules)
    wanted = {r.casefold(): r for r in book.rules}.get(rule_id.casefold())
    if wanted is None:
        raise unknown_name("rule", rule_id, book.rules)
    rule = book.rules[wanted]
    emit_json(json_path, _entry(rule))
    out = console(json_path)
    out.print(f"[bold]{rule.id}[/bold]: {rule.data['title']}")
    rows = [("citation", rule.citation), ("published", rule.data.get("published", "")), ("from", _first(rule))]
    rows += [("to", _last(rule)), ("under", rule.data.get("only_under") or "both rule sets")]
    rows += [(key, text) for key, text in rule.data.get("scope", {}).items()]
    rows += [(f"lapses {lapse['on']}", lapse["what"]) for lapse in rule.data.get("lapses", ())]
    rows += [(p.name, f"{p.fact} {p.op} {p.value} {p.unit}".strip()) for p in rule.parameters]
    rows += [(name, _names(value)) for name, value in rule.data.get("lists", {}).items()]
    rows += [("read in", f"{rule.data.get('verified', '')}, {rule.data.get('evidence', '')}")]
    rows += [("source", source) for source in rule.data.get("sources", ())]
    out.print(table(None, ("field", "value"), rows))
    lines = [(c.phase, c.text or "always", _effect(c), c.say) for c in rule.clauses]
    if lines:
        out.print()
        out.print(table("What it says", ("phase", "when", "then", "in words"), lines))
    out.print("\nNot legal advice.", style="italic")


def _effect(clause: Any) -> str:
    if clause.answer:
        return "/".join(clause.answer)
    return "remark" if clause.flag else ", ".join(f"{t} = {v}" for t, v in clause.sets)


def _names(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{maker}: {', '.join(items)}" for maker, items in value.items())
    return ", ".join(v if isinstance(v, str) else v["name"] for v in value)


def diff(
    first: Annotated[str, typer.Argument(metavar="DAY", help="The earlier day, as 2024-11-30.")],
    second: Annotated[str, typer.Argument(metavar="DAY", help="The later day.")],
    ruleset: RulesetOption = "as_enforced",
    rules: RulesFile = None,
    chip: Annotated[
        list[str] | None, typer.Option("--chip", metavar="CHIP", help="Compare these chips only; default: all.")
    ] = None,
    case: Annotated[
        str | None,
        typer.Option("--case", metavar="CASE", help="Compare the offers of a case too (folder or name)."),
    ] = None,
    json_path: JsonPath = None,
) -> None:
    """Print rules that began and ended, and the chips and places whose ruling is another, with the rule behind it."""
    from suanli import catalog
    from suanli.controls import diff as compare

    out = console(json_path)
    chips = [catalog.chip(name) for name in chip] if chip else catalog.chips()
    with out.status("Screening the catalogue on both days ..."):
        found = compare(first, second, chips, ruleset=ruleset, rulebook=load_rulebook(rules))
    offers = _offers(case, first, second, ruleset)
    emit_json(json_path, {**_difference(found), "offers": offers})
    for title, side in (("began", found.began), ("ended", found.ended)):
        out.print(
            table(
                f"{len(side)} rules {title}",
                ("rule", "from", "title"),
                [(r.id, _first(r), r.data["title"]) for r in side],
            )
        )
        out.print()
    kinds: dict[tuple[str, ...], list[str]] = {}
    for c in found.changed:
        place = f"{c.activity} to {c.destination}, {c.owner} (parent {c.parent})"
        key = (place, "/".join(c.before), "/".join(c.after), ", ".join(c.why))
        kinds.setdefault(key, []).append(c.chip)
    rows = [(*key, _some(chips)) for key, chips in kinds.items()]
    out.print(
        table(f"{len(found.changed)} rulings changed", ("act, place, buyer", "before", "after", "why", "chips"), rows)
    )
    turned = Counter(c.groups for c in found.changed if c.groups[0] != c.groups[1])
    for (old, new), n in sorted(turned.items()):
        out.print(f"{n} went from {old} to {new}")
    if case:
        out.print()
        lines = [(o["line"], o["act"], o["before"], o["after"], ", ".join(o["rules"])) for o in offers]
        title = f"{len(lines)} rulings on offers of {case} changed"
        out.print(table(title, ("offer and site", "act", "before", "after", "why"), lines))
    out.print("\nNot legal advice.", style="italic")


def _offers(case: str | None, first: str, second: str, ruleset: str) -> list[dict[str, Any]]:
    """Return the lines of a case whose ruling is another, as plain data; none without a case."""
    if case is None:
        return []
    from suanli import fleet

    spec = fleet.load_case(case).spec
    return [asdict(o) for o in fleet.ruling_changes(spec, first, second, ruleset=ruleset)]


def _some(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _difference(found: Any) -> dict[str, Any]:
    changed = [asdict(c) for c in found.changed]
    sides = {"began": [r.id for r in found.began], "ended": [r.id for r in found.ended]}
    return {"first": found.first, "second": found.second, **sides, "changed": changed}


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A rule file (YAML).")],
    json_path: JsonPath = None,
) -> None:
    """Check ``file`` against the schema, read every condition, and say what it adds and replaces."""
    ours, book = load_rulebook(), load_rulebook(file)
    new = [i for i, r in book.rules.items() if i not in ours.rules]
    replaced = [i for i, r in book.rules.items() if i in ours.rules and dict(r.data) != dict(ours.rules[i].data)]
    emit_json(json_path, {"file": str(file), "new": new, "replaced": replaced})
    out = console(json_path)
    out.print(f"{file}: in order")
    out.print(f"{len(new)} new: {', '.join(new) or 'none'}; {len(replaced)} replaced: {', '.join(replaced) or 'none'}")


def facts(json_path: JsonPath = None) -> None:
    """Print the vocabulary: each fact with its unit or values, its default and its meaning."""
    known = [f for f in vocabulary().values() if f.name not in _DERIVED]
    emit_json(json_path, [asdict(f) for f in known])
    rows = [(f.name, f.unit or ", ".join(f.values) or f.kind, _default(f), f.text) for f in known]
    out = console(json_path)
    out.print(
        table(
            "Facts: key=value; a number may be a range low..high",
            ("fact", "unit or values", "without", "meaning"),
            rows,
        )
    )
    out.print(table("\nActs", ("act", "meaning"), list(activities().items())))


_DERIVED = {"listed_ownership", "data_sheet_tpp", "party_list", "party_footnote", "listed_name", "activity"}
"""Names that conditions may use and that follow from what is stated."""


def _default(fact: Fact) -> str:
    return f"as {fact.same_as}" if fact.same_as else "unknown" if fact.default is None else str(fact.default) or "none"
