"""The report of a plan: one page that opens offline, made of plan.json and its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from suanli.errors import InputError
from suanli.files import read_json, read_table, write_text
from suanli.quantities import show_money
from suanli.reports import _html as html
from suanli.reports import _plan_sections as sections
from suanli.reports._charts import CHARTS, MADE, ChartOf, main_tables, plan_chart
from suanli.reports._plan_charts import DESK, PHONE
from suanli.reports._theme import save_chart, titled

Document = Mapping[str, Any]


def write_report(folder: Path) -> Path:
    """Write report.html into the folder of a plan and return its path. Raises InputError where it is no plan."""
    plan, tables = read_plan(folder)
    path = folder / "report.html"
    write_text(path, render(plan, tables))
    return path


def write_charts(folder: Path, suffixes: Sequence[str] = (".svg", ".png")) -> list[Path]:
    """Write each chart of a plan into its ``charts`` folder and return the paths."""
    plan, tables = read_plan(folder)
    mine = main_tables(plan, tables)
    out = []
    for kind in CHARTS:
        chart = plan_chart(kind, mine, DESK)
        if chart is None:
            continue
        for suffix in suffixes:
            path = folder / "charts" / f"{kind.id}{suffix}"
            save_chart(titled(chart, kind.title), path)
            out.append(path)
    return out


def read_plan(folder: Path) -> tuple[Document, dict[str, pl.DataFrame]]:
    """Return plan.json and its tables. Raises InputError where they are missing or broken."""
    path = folder / "plan.json"
    plan = read_json(path)
    if not isinstance(plan, dict) or "plans" not in plan or "tables" not in plan:
        raise InputError(f"{path}: is not a plan; 'suanli plan' writes one")
    missing = {kind.table for kind in CHARTS} - set(plan["tables"]) - set(MADE)
    if missing:
        raise InputError(f"{path}: has no table '{min(missing)}'; another version wrote it, plan the case again")
    return plan, {name: read_table(folder / file) for name, file in plan["tables"].items()}


def render(plan: Document, tables: Mapping[str, pl.DataFrame]) -> str:
    """Return the page of a plan."""
    mine = main_tables(plan, tables)
    charts = {kind.id: kind for kind in CHARTS}

    def drawn(*names: str) -> str:
        return "".join(_figure(charts[name], mine) for name in names)

    main = plan["plans"][f"{plan['main']['view']}/{plan['main']['variant']}"]
    told = [
        ("What to do", drawn("orders") + sections.orders(main) + drawn("deliveries")),
        ("Views and budgets", sections.comparison(plan)),
        ("Capacity and demand", drawn("capacity", "stock")),
        ("Training", drawn("training") + sections.training(main)),
        ("Cost per unit of work", sections.unit_costs(plan)),
        ("Money", drawn("money") + sections.shares(main)),
        ("Power", drawn("power")),
        ("Rules", drawn("legal-life") + sections.screened(plan)),
        ("What binds", drawn("bindings") + sections.bindings(main, mine["binding"])),
        ("Uncertainty", drawn("fan", "scenarios", "regret") + sections.futures(mine["scenarios"])
         + sections.worth(plan)),
        ("What moves the cost", drawn("tornado")),
        ("Whole lots", sections.lots(plan)),
        ("Other plans as good", drawn("alternatives") + sections.alternatives(plan)),
        ("Published figures rebuilt", sections.estimates(plan)),
        ("Claims and denials", sections.claims(plan)),
        ("Rates used", sections.rates(plan)),
        ("Sources", sections.sources(plan)),
    ]  # fmt: skip
    return html.page(plan["title"], told, _head(plan, main))


def _figure(kind: ChartOf, tables: Mapping[str, pl.DataFrame]) -> str:
    if kind.table not in tables or not tables[kind.table].height:
        return ""
    return html.figure(kind.title, partial(plan_chart, kind, tables), desk=DESK, phone=PHONE)


def _head(plan: Document, main: Document) -> str:
    view = next(v for v in plan["views"] if v["id"] == plan["main"]["view"])
    variant = next(v for v in plan["variants"] if v["id"] == plan["main"]["variant"])
    known = f"Shown: {view['title']} (rules published by {view['known_to']}); {variant['title']}."
    options = f"{plan['options']['scenarios']} futures, seed {plan['options']['seed']}."
    served, cost = main["served"], main["cost"]
    runs = sections.by_run(main["training"])
    pairs = [
        (f"{served['share']:.0%}", f"of demand served, by worth ({served['p10']:.0%} to {served['p90']:.0%})"),
        (show_money(cost["usd"], "USD"), f"expected cost ({sections.money_range(cost['p10'], cost['p90'])})"),
        *[(f"{r['odds']:.0%}", f"odds that '{r['name']}' is done by its deadline") for r in runs],
        (show_money(plan["worth"]["vss"], "USD"), "saved by planning on many futures rather than the mean"),
        (
            str(len({(s["chip"], s["site"]) for s in plan["screened"]})),
            "chip and place pairs screened out at some time",
        ),
    ]
    label = html.paragraph(plan["label"], "label") if plan["label"] else ""
    return (
        f"<h1>{html.text(plan['title'])}</h1>{label}{html.paragraph(f'{known} {options}', 'muted')}{html.tiles(pairs)}"
    )
