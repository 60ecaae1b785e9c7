"""Reading a case folder: YAML parts and CSV tables, checked as a whole before anything is computed."""

from __future__ import annotations

import datetime as dt
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import BaseModel, create_model

from suanli import catalog, files
from suanli.errors import InputError, nearest
from suanli.fleet._figure import Fig, ordinal
from suanli.fleet._references import ids, known_ids, references
from suanli.fleet._schema import CaseSpec
from suanli.fleet._tables import fill


@dataclass(frozen=True, slots=True)
class Case:
    """A case as read: its folder, what it says, and where each part was written (for messages)."""

    name: str
    folder: Path
    spec: CaseSpec
    trees: Mapping[str, tuple[Path, Any]]

    def at(self, location: Sequence[str | int]) -> str:
        """Return "file:line: field" of a location, for an error line."""
        path, tree = self.trees.get(str(location[0]), (self.folder, None))
        line = files.line_of(tree, location) if tree is not None else None
        return f"{path}{f':{line}' if line else ''}: {'.'.join(str(p) for p in location)}"


def example_folders() -> dict[str, Path]:
    """Return the shipped cases by name: those beside the package's source, else those inside the wheel."""
    here = Path(__file__).resolve().parent
    out: dict[str, Path] = {}
    for root in (here / "examples", *(p / "examples" for p in here.parents[2:3])):
        if root.is_dir():
            out |= {p.name: p for p in sorted(root.iterdir()) if (p / "case.yaml").is_file()}
    return out


FIRST = "small-cloud"
"""The shipped case to start from."""


def new_case(folder: Path, like: str = FIRST) -> Path:
    """Copy a shipped case into the new ``folder`` and return it.

    Raises UnknownNameError for no such case, InputError where the folder holds something or can't be written.
    """
    source = _shipped(like)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: is there already; name a new folder")
    try:
        shutil.copytree(source, folder, dirs_exist_ok=True, copy_function=shutil.copyfile)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror})") from error
    return folder


def load_case(path_or_name: str | Path) -> Case:
    """Return the case in a folder, or the shipped one of that name (its year may be left out).

    Raises UnknownNameError for a name that is neither, InputError (file:line: field: problem) for bad content.
    """
    folder = Path(path_or_name)
    if folder.is_file():
        folder = folder.parent
    if not folder.is_dir():
        if len(folder.parts) > 1:
            raise InputError(f"{path_or_name}: no such case folder")
        folder = _shipped(str(path_or_name))
    if not (folder / "case.yaml").is_file():
        raise InputError(f"{folder}: holds no case.yaml, so it is no case folder")
    trees, data = _parts(folder)
    _beside(folder, data)
    fill(folder, data, catalogue_ids())
    case = Case(name=folder.resolve().name, folder=folder, spec=_spec(folder, trees, data), trees=trees)
    _check_groups(case)
    case = replace(case, spec=_without_groups(case.spec))
    _check(case)
    return case


def _shipped(name: str) -> Path:
    """Return the shipped case ``name``, also where its year is left out and only one has that name."""
    shipped = example_folders()
    undated = [one for one in shipped if one.rpartition("-")[0] == name and one.rpartition("-")[2].isdigit()]
    found = name if name in shipped else (undated[0] if len(undated) == 1 else None)
    if found is None:
        close = nearest(name, shipped)
        hint = f"did you mean '{close}'?" if close else f"shipped: {', '.join(shipped)}"
        raise InputError(f"no case folder '{name}'; {hint}")
    return shipped[found]


def _parts(folder: Path) -> tuple[dict[str, tuple[Path, Any]], dict[str, Any]]:
    """Return the trees by top-level field, and the plain data, of every YAML file in ``folder``."""
    trees: dict[str, tuple[Path, Any]] = {}
    data: dict[str, Any] = {}
    known = list(CaseSpec.model_fields)
    read = {path: files.read_yaml(path) for path in sorted(folder.glob("*.yaml"))}
    named = {name for tree in read.values() for name in _files_named(tree)}
    for path, tree in read.items():
        if path.name in named:
            continue  # a chip or a design that the case names, no part of it
        if not isinstance(tree, Mapping):
            raise InputError(f"{path}: a case file is a mapping of fields such as title, horizon, sites, offers")
        for key, value in tree.items():
            where = f"{path}:{files.line_of(tree, [key])}: {key}"
            if key not in known:
                close = nearest(str(key), known)
                raise InputError(
                    f"{where}: unknown field; "
                    + (f"did you mean '{close}'?" if close else f"allowed: {', '.join(known)}")
                )
            if key in trees:
                raise InputError(f"{where}: is stated in {trees[key][0].name} too")
            trees[key] = (path, tree)
            data[key] = files.plain(value)
    return trees, data


def _files_named(node: Any) -> Iterator[str]:
    """Yield the YAML files that a case's text names, such as a chip beside it."""
    if isinstance(node, str):
        if node.endswith(".yaml"):
            yield node.removeprefix("design:")
    elif isinstance(node, Mapping):
        for value in node.values():
            yield from _files_named(value)
    elif isinstance(node, list):
        for value in node:
            yield from _files_named(value)


def _beside(folder: Path, data: dict[str, Any]) -> None:
    """Take chip, design and model files that stand beside the case by their path, wherever a chip or model is named."""
    for part in ("offers", "stock", "services", "runs", "rates", "corrections", "builds", "estimates"):
        for item in data.get(part) or []:
            for field in ("chip", "model", "design"):
                if isinstance(item, dict) and isinstance(item.get(field), str):
                    item[field] = _path_or_name(folder, item[field])
            if isinstance(item, dict) and isinstance(item.get("chips"), list):
                item["chips"] = [_path_or_name(folder, c) if isinstance(c, str) else c for c in item["chips"]]


def _path_or_name(folder: Path, text: str) -> str:
    head, name = ("design:", text.removeprefix("design:")) if text.startswith("design:") else ("", text)
    found = folder / name
    return f"{head}{found}" if found.suffix and found.is_file() else text


def _spec(folder: Path, trees: Mapping[str, tuple[Path, Any]], data: Mapping[str, Any]) -> CaseSpec:
    """Return the case's content; a first error names its own file and line."""
    fields = CaseSpec.model_fields
    for path in dict.fromkeys(p for p, _ in trees.values()):
        own = [k for k, (p, _) in trees.items() if p == path]
        part: Any = create_model("Part", __base__=None, **{k: (fields[k].annotation, fields[k]) for k in own})  # type: ignore[call-overload]
        files.validate({k: data[k] for k in own}, part, where=str(path), tree=trees[own[0]][1])
    for name, info in fields.items():
        if info.is_required() and name not in data:
            raise InputError(f"{folder}: {name}: is missing")
    return files.validate(dict(data), CaseSpec, where=str(folder))


# ------------------------------------------------------------------------------------------------- checks across parts


def figures(node: Any, location: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Fig]]:
    """Yield every sourced figure below ``node`` with its place."""
    if isinstance(node, Fig):
        yield location, node
    elif isinstance(node, BaseModel):
        for name in type(node).model_fields:
            yield from figures(getattr(node, name), (*location, name))
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from figures(value, (*location, key))
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from figures(value, (*location, index))


def rule_ids() -> tuple[str, ...]:
    """Return the ids of the rule book's rules."""
    return tuple(re.findall(r"^- id: (\S+)", files.read_text(catalog.rulebook_path()), flags=re.MULTILINE))


def known_sources(spec: CaseSpec) -> set[str]:
    """Return every id that a figure may name as its source."""
    return catalogue_ids() | set(spec.sources)


def catalogue_ids() -> set[str]:
    """Return the ids of everything in the catalogue that can be a source."""
    facts = {e.id for e in catalog.events()} | {c.id for c in catalog.costs()} | set(rule_ids())
    things = {c.id for c in catalog.chips()} | {s.id for s in catalog.switches()} | {m.id for m in catalog.models()}
    return facts | things


def _check_groups(case: Case) -> None:
    s = case.spec
    known = set().union(*(ids(x) for x in (s.suppliers, s.offers, s.sites, s.services, s.stock, s.builds, s.parties)))
    for i, group in enumerate(s.groups):
        if group.id in known:
            raise InputError(f"{case.at(('groups', i, 'id'))}: '{group.id}' is the id of something else too")
        for j, name in enumerate(group.members):
            _member(case, ("groups", i, "members", j), name, known, "member")
        known.add(group.id)


def _without_groups(spec: CaseSpec) -> CaseSpec:
    """Return the case with the members of groups in the place of their names, in shares and risks."""
    groups: dict[str, list[str]] = {}

    def flat(names: Sequence[str]) -> list[str]:
        return list(dict.fromkeys(m for n in names for m in groups.get(n, [n])))

    for group in spec.groups:
        groups[group.id] = flat(group.members)
    if not groups:
        return spec
    shares = [x.model_copy(update={"suppliers": flat(x.suppliers)}) for x in spec.shares]
    factors = []
    for factor in spec.factors:
        outcomes = [
            o.model_copy(update={"effects": [e.model_copy(update={"on": flat(e.on)}) for e in o.effects]})
            for o in factor.outcomes
        ]
        factors.append(factor.model_copy(update={"outcomes": outcomes}))
    return spec.model_copy(update={"shares": shares, "factors": factors})


def _check(case: Case) -> None:
    spec = case.spec
    known = known_sources(spec)
    for location, figure in figures(spec):
        _member(case, (*location, "source"), figure.source, known, "source")
    _check_references(case)
    _check_dates(case)
    _check_risks(case)


def _member(case: Case, location: Sequence[str | int], name: str, known: Any, kind: str) -> None:
    if name not in known:
        close = nearest(name, known)
        hint = f"; did you mean '{close}'?" if close else f"; known: {', '.join(sorted(known)[:12])}"
        raise InputError(f"{case.at(location)}: unknown {kind} '{name}'{hint}")


NAMED = (
    "views", "parties", "groups", "pots", "sites", "suppliers", "foundries", "allocations", "fabrics", "offers",
    "builds", "stock", "services", "runs", "shares", "factors", "estimates",
)  # fmt: skip
"""Lists of a case whose items have an id of their own."""


def _check_references(case: Case) -> None:
    """Check that no id is stated twice, and that whatever is named is there."""
    for part in NAMED:
        seen: set[str] = set()
        for i, item in enumerate(getattr(case.spec, part)):
            if item.id in seen:
                raise InputError(f"{case.at((part, i, 'id'))}: '{item.id}' is stated twice")
            seen.add(item.id)
    known = known_ids(case.spec)
    for kind, location, name in references(case.spec):
        _member(case, location, name, known[kind], kind)
    _check_rates(case)
    _check_names(case)


def _check_rates(case: Case) -> None:
    """Check that measured rates are in the unit of their workload's kind."""
    services = ids(case.spec.services)
    for i, rate in enumerate(case.spec.rates):
        if (rate.workload in services) != rate.unit.startswith("request"):
            wanted = "request/s/chip" if rate.workload in services else "token/s/chip"
            raise InputError(f"{case.at(('rates', i, 'rate'))}: '{rate.workload}' takes {wanted}, found {rate.unit}")


def _check_names(case: Case) -> None:
    """Check that chips, models and switches are in the catalogue."""
    s = case.spec
    for part in ("offers", "stock", "rates", "corrections"):
        for i, item in enumerate(getattr(s, part)):
            if not item.chip.startswith("design:"):
                _known(case, (part, i, "chip"), catalog.chip, item.chip)
    designs = {b.id: b.design for b in s.builds}
    for i, offer in enumerate(s.offers):
        if offer.build is not None and offer.chip != f"design:{designs[offer.build]}":
            raise InputError(
                f"{case.at(('offers', i, 'chip'))}: '{offer.chip}' is not what build '{offer.build}' makes; "
                f"write 'design:{designs[offer.build]}'"
            )
    for part in ("services", "runs"):
        for i, work in enumerate(getattr(s, part)):
            _known(case, (part, i, "model"), catalog.model, work.model)
            for j, chip in enumerate(work.chips):
                if not chip.startswith("design:"):
                    _known(case, (part, i, "chips", j), catalog.chip, chip)
    for i, estimate in enumerate(s.estimates):
        for chip in (estimate.chip, *estimate.compare):
            _known(case, ("estimates", i, "chip"), catalog.chip, chip)
    for i, fabric in enumerate(s.fabrics):
        _known(case, ("fabrics", i, "switch"), catalog.switch, fabric.switch)
        _known(case, ("fabrics", i, "optics"), catalog.switch, fabric.optics)


def _known(case: Case, location: Sequence[str | int], look_up: Any, name: str) -> None:
    try:
        look_up(name)
    except InputError as error:
        raise InputError(f"{case.at(location)}: {error}") from error


def _check_dates(case: Case) -> None:
    s = case.spec
    first, last = ordinal(s.horizon.first), ordinal(s.horizon.last)
    for i, view in enumerate(s.views):
        if not first <= ordinal(view.orders_from) <= last:
            raise InputError(
                f"{case.at(('views', i, 'orders_from'))}: {view.orders_from} is outside the horizon "
                f"{s.horizon.first} to {s.horizon.last}"
            )
    rising: list[tuple[tuple[str | int, ...], list[str]]] = [
        *((("sites", i, "power"), [p.since for p in x.power]) for i, x in enumerate(s.sites)),
        *((("sites", i, "electricity"), [p.since for p in x.electricity]) for i, x in enumerate(s.sites)),
        *((("offers", i, "prices"), [p.since for p in x.prices]) for i, x in enumerate(s.offers)),
    ]
    for location, months in rising:
        for before, after in pairwise(months):
            if ordinal(after) < ordinal(before):
                raise InputError(f"{case.at(location)}: dates are out of order: {after} follows {before}")
    days: dict[str, dt.date] = {}
    for i, x in enumerate(s.exchange):
        if x.currency in days and x.since <= days[x.currency]:
            raise InputError(
                f"{case.at(('exchange', i, 'since'))}: dates are out of order: {x.since} follows {days[x.currency]}"
            )
        days[x.currency] = x.since


def _check_risks(case: Case) -> None:
    s = case.spec
    targets = {"*"} | ids(s.offers) | ids(s.suppliers) | ids(s.services) | ids(s.sites) | ids(s.foundries)
    targets |= {o.chip for o in s.offers} | {x.chip for x in s.stock} | ids(s.stock) | ids(s.builds)
    targets |= {x.region for x in s.sites} | ids(s.parties)
    names = {f.id for f in s.factors}
    rules = set(rule_ids())
    outcomes = {f.id: [o.id for o in f.outcomes] for f in s.factors}
    for i, event in enumerate(s.happened):
        _member(case, ("happened", i, "factor"), event.factor, names, "factor")
        _member(case, ("happened", i, "outcome"), event.outcome, outcomes[event.factor], "outcome")
    for i, guidance in enumerate(s.guidance):
        _member(case, ("guidance", i, "rule"), guidance.rule, rules, "rule")
    for i, view in enumerate(s.views):
        for j, name in enumerate(view.factors or []):
            _member(case, ("views", i, "factors", j), name, names, "factor")
    for i, factor in enumerate(s.factors):
        for j, rule in enumerate(factor.hazard.rules if factor.hazard else []):
            _member(case, ("factors", i, "hazard", "rules", j), rule, rules, "rule")
        total = sum(o.probability.si for o in factor.outcomes if o.probability)
        stated = [o for o in factor.outcomes if o.probability is not None]
        rest = [o for o in factor.outcomes if o.probability is None and o.window is None]
        if total > 1 + 1e-9 or (len(stated) == len(factor.outcomes) and abs(total - 1) > 1e-6) or len(rest) > 1:
            raise InputError(
                f"{case.at(('factors', i, 'outcomes'))}: probabilities of '{factor.id}' add up to "
                f"{total:g}; they must make 1, one outcome may take the rest"
            )
        for j, outcome in enumerate(factor.outcomes):
            where = ("factors", i, "outcomes", j)
            if outcome.window and factor.hazard is None:
                raise InputError(f"{case.at(where)}: a window needs the factor's hazard")
            for k, effect in enumerate(outcome.effects):
                if effect.what not in {"closes", "stops"} and effect.value is None:
                    raise InputError(f"{case.at((*where, 'effects', k))}: '{effect.what}' needs a value")
                for m, name in enumerate(effect.on):
                    _member(case, (*where, "effects", k, "on", m), name, targets, "target")
