"""The pages that are made from the code: the case language from its schema, the mathematics from its families.

``python -m suanli.fleet._pages DOCS`` writes case.md and mathematics.md into the folder DOCS.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from suanli.files import read_text, write_text
from suanli.fleet._case import FIRST, example_folders
from suanli.fleet._figure import Fig, In
from suanli.fleet._schema import CaseSpec
from suanli.fleet._tables import DEMAND, MEASURED, PRICES, RATES
from suanli.fleet.mathematics import FAMILIES, NOTES

CASE_HEAD = """# The case language

A case is a folder with `case.yaml` and, if you like, more YAML files beside it: each top-level field stands in one of
them. `suanli plan new my-case` copies a small one to start from (it stands at the end of this page), and
`suanli plan my-case` plans it; what is wrong is told as one line, `file:line: field: problem`.

**Figures.** Every number that says something about the world is written
`{value: ..., source: ..., low: ..., high: ..., note: ...}`. `value` is text with its unit (`110 MW`, `USD 16.7 k/chip`,
`CNY 40 bn`) or a plain number in the unit that the table names. `source` is the id of an event, a cost, a rule, a chip,
a model or a switch in the catalogue (`suanli events`, `suanli prices`, `suanli rules`, `suanli chips`), or of an entry
under `sources`. Money is in USD, CNY, EUR or MYR and converted at the rates under `exchange`.

**What is known when.** A part with `known_from` exists only in views that know it: a view leaves out facts dated
after its `facts_to` and rules published after its `known_to`.

**Rules.** Rulings come from the rule book, for each chip, site, owner, act and month. A restricted or open ruling
never enters a plan; a conditional one enters only where `conditions` states its condition as met, with a source;
advice that the rule book itself calls no ban may be stated as tolerated under `guidance`.

**Rates.** What a chip serves or trains comes from the engines, for training by pool size (4,096, 16,384 and the
run's largest pool: speed a chip falls as pools grow). `rates` replaces a rate by a measured one. A rate with the `pool`
that it was measured on sets the level there, and the engine's curve is drawn through it; `corrections` multiply what
the engines say of a chip, and `measurements` make such corrections of your own rows beside their predictions. `suanli
explain RESULT rate.WORKLOAD.CHIP` shows which it was. A chip file that `suanli calibrate` wrote may lie beside the case
and be named as `chip: this-machine.yaml`; so may a model's `config.json`, and a design as `design:ours.yaml`.

**Tables.** Long lists may lie in CSV or Parquet files beside the case, with these columns (those in brackets may be
absent):

| named under | columns |
| --- | --- |
{tables}

`source` is an id as above; any other text needs its day under `date` and becomes a source of its own. A price list
names an `offer`, or a `chip` (and `supplier`) for all offers that sell it; a price is text with its currency
(`USD 31 k`) or a number with its `currency`. A rate is text with its unit (`420 token/s/chip`) or a number with its
`unit`.

The tables below are made from the schema: field, type and unit, whether it must be stated, and what it is.
"""

MATH_HEAD = """# The mathematics of the plan

The plan is a two-stage stochastic linear programme in thousand chips, million USD and MW. First stage: orders x, power
a, projects z (each project is tried carried on and dropped). Second stage, for every future ω with probability π: use
u and training v, parked chips p, unserved requests s, missing parts of runs m. It minimises

$$(1-\\theta)\\,\\sum_\\omega \\pi_\\omega C_\\omega + \\theta\\,\\mathrm{CVaR}_\\alpha(C)$$

where the cost C of a future is orders and rents, power and upkeep, sites and projects, less the second-hand value at
the horizon's end, plus what unserved requests, unfinished runs and missing shares cost, all discounted.

**Reduced form.** A stock per line and scenario is not needed: scenarios in which a line's orders arrive in the same
months share one nominal stock K, and what is there is y K with y the scenario's delivered share. It is the same
programme with fewer variables; the tests hold it against the textbook form in linopy.

Duals and infeasibilities speak in the sentences below: the worth of one more unit is what it would save, summed over
the futures by their probability. Only families marked *business limit* are ever told as colliding or proposed to
change.
"""


def mathematics_page() -> str:
    """Return docs/mathematics.md: a section a family."""
    parts = [MATH_HEAD]
    for title, sentence, equation in NOTES:
        parts.append(f"## {title}\n\n{sentence}\n\n$${equation}$$\n")
    for family in FAMILIES:
        kind = "Business limit. " if family.business else ""
        per = f" One more is priced per {family.per}." if family.per else ""
        parts.append(
            f"## {family.title}\n\n*{family.sentence}*\n\n$${family.equation}$$\n\n{family.where}.\n\n"
            f"{kind}Rows are in {family.unit}.{per}\n"
        )
    return "\n".join(parts)


def case_page() -> str:
    """Return docs/case.md: a table for each part of the language, and the case to start from."""
    parts = [CASE_HEAD.replace("{tables}", "\n".join(_table_rows()))]
    for model in _models(CaseSpec):
        rows = ["| field | type | required | meaning |", "| --- | --- | --- | --- |"]
        rows += [_row(name, info) for name, info in model.model_fields.items() if name != "code"]
        title = "The case" if model is CaseSpec else model.__name__
        parts.append(f"## {title}\n\n{_first_line(model)}\n\n" + "\n".join(rows) + "\n")
    folder = example_folders()[FIRST]
    parts.append(f"## A case to start from\n\nThis is the shipped case `{FIRST}`.\n")
    for name, kind in (("case.yaml", "yaml"), ("demand.csv", ""), ("prices.csv", ""), ("rates.csv", "")):
        parts.append(f"`{name}`:\n\n```{kind}\n{read_text(folder / name).rstrip()}\n```\n")
    return "\n".join(parts)


def _table_rows() -> list[str]:
    """Return a row a kind of table: where a case names it, and its columns."""
    kinds = {"`demand` of a service": DEMAND, "`price_lists`": PRICES, "`rate_tables`": RATES}
    rows = [
        f"| {where} | {', '.join(f'`{c}`' for c in needed)}, [{', '.join(f'`{c}`' for c in may)}] |"
        for where, (needed, may) in kinds.items()
    ]
    return [*rows, f"| `measurements` | {', '.join(f'`{c}`' for c in MEASURED[0])}; other columns are left alone |"]


def _models(root: type[BaseModel]) -> list[type[BaseModel]]:
    """Return a model and those it is made of, each once, in order of first use; figures aside."""
    out: list[type[BaseModel]] = []

    def walk(kind: Any) -> None:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            if kind in out or issubclass(kind, Fig):
                return
            out.append(kind)
            for info in kind.model_fields.values():
                walk(info.annotation)
            return
        for inner in get_args(kind):
            walk(inner)

    walk(root)
    return out


def _first_line(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split())


def _row(name: str, info: FieldInfo) -> str:
    needed = "yes" if info.is_required() else _default(info)
    return f"| `{name}` | {_type(info.annotation, info.metadata)} | {needed} | {_meaning(name, info)} |"


USUAL = {
    "id": "by which other parts name it",
    "name": "as readers are told of it",
    "title": "as readers are told of it",
    "note": "what a reader should know of it",
    "known_from": "day from which a view may know it; absent: always",
    "since": "from when on it holds",
    "source": "id of its source",
    "pot": "pot that pays; absent: none",
    "country": "ISO 3166-1 alpha-2 code",
    "model": "model id, alias or config.json",
    "chip": "chip id, alias or chip file",
    "precision": "number format of the work",
    "facts": "facts for the screen, as in its vocabulary",
    "region": "demand region, as sites name it",
    "site": "id of a site",
    "supplier": "id of a supplier",
    "offer": "id of an offer",
    "foundry": "id of a foundry",
    "workload": "id of a service or run",
    "first": "first month",
    "last": "last month",
    "until": "last month in which it holds; absent: for good",
    "month": "month in which it falls",
    "year": "calendar year",
    "currency": "USD, CNY, EUR or MYR",
    "ruleset": "rules as they are enforced, or as written",
    "quantity": "chips",
    "count": "chips, as published",
    "power_factor": "server power over chip power",
    "users": "users, where requests are told by user",
    "rate": "mean requests a second",
    "ttft": "limit of the time to the first token",
    "tpot": "limit of the time between tokens",
    "percentile": "share of requests that keeps the limits; absent: half",
    "prefix_hit": "share of a prompt found in the cache",
    "stands_for": "what the model stands for where the real one is not public",
    "sequence": "tokens of a training sequence",
    "earliest": "first month in which it may be trained",
    "deadline": "month by which it is to be done",
    "firm": "a limit that holds in every future, instead of a cost",
    "minimum": "least share",
    "years": "years in which it holds",
    "statement": "what is stated, in words",
    "sentence": "the risk in words",
}
"""What fields of these names mean where the schema says no more."""


def _meaning(name: str, info: FieldInfo) -> str:
    """Return what a field means: as the schema says, as the part it holds says of itself, or as its name usually."""
    if info.description:
        return info.description
    parts = [m for m in _models_in(info.annotation) if not issubclass(m, Fig)]
    return _first_line(parts[0]).rstrip(".") if parts else USUAL.get(name, "")


def _models_in(kind: Any) -> list[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    return [m for inner in get_args(kind) for m in _models_in(inner)]


def _default(info: FieldInfo) -> str:
    if info.default is None or info.default_factory is not None or info.default in ("", []):
        return ""
    return f"{info.default}"


def _type(kind: Any, metadata: Any = ()) -> str:
    unit = next((m for m in metadata if isinstance(m, In)), None)
    if get_origin(kind) is Literal:
        return ", ".join(f"`{a}`" for a in get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Fig):
        return (
            f"figure, {unit.text if unit is not None else 'number'}" if unit is None or unit.text != "1" else "figure"
        )
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return f"[{kind.__name__}](#{kind.__name__.lower()})"
    if hasattr(kind, "__metadata__"):
        return _type(get_args(kind)[0], kind.__metadata__)
    if get_origin(kind) in {list, dict, tuple}:
        inner = [_type(a) for a in get_args(kind)[get_origin(kind) is dict :]]
        word = {list: "list of", dict: "by name:", tuple: "pair of"}[get_origin(kind)]
        return f"{word} {', '.join(dict.fromkeys(inner))}"
    args = [a for a in get_args(kind) if a is not type(None)]
    if args:
        return " or ".join(dict.fromkeys(_type(a, metadata) for a in args))
    if unit is not None:
        return unit.text
    return {"str": "text", "int": "whole number", "float": "number", "bool": "yes or no", "date": "date"}.get(
        getattr(kind, "__name__", ""), str(kind)
    )


def main(folder: str) -> None:
    """Write both pages into ``folder``."""
    write_text(Path(folder) / "case.md", case_page())
    write_text(Path(folder) / "mathematics.md", mathematics_page())


if __name__ == "__main__":
    main(sys.argv[1])
