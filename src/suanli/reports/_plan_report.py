"""The report of a plan: one page that opens offline, made of plan.json and its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from suanli.errors import InputError
from suanli.files import read_json, read_table, write_text
from suanli.quantities import show, show_money
from suanli.reports import _html as html
from suanli.reports._plan_charts import CHARTS, DESK, PHONE, ChartOf, numbered, plan_chart, spoken
from suanli.reports._theme import save_chart

Document = Mapping[str, Any]
Row = Mapping[str, Any]


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
            save_chart(chart.properties(title=kind.title), path)
            out.append(path)
    return out


def read_plan(folder: Path) -> tuple[Document, dict[str, pl.DataFrame]]:
    """Return plan.json and its tables. Raises InputError where they are missing or broken."""
    path = folder / "plan.json"
    plan = read_json(path)
    if not isinstance(plan, dict) or "plans" not in plan or "tables" not in plan:
        raise InputError(f"{path}: is not a plan; 'suanli plan' writes one")
    return plan, {name: read_table(folder / file) for name, file in plan["tables"].items()}


def main_tables(plan: Document, tables: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Return the tables of the main view and variant, and what it screens out."""
    view, variant = plan["main"]["view"], plan["main"]["variant"]
    out = {
        name: frame.filter((pl.col("view") == view) & (pl.col("variant") == variant)) if frame.height else frame
        for name, frame in tables.items()
    }
    screened = [row for row in plan["screened"] if row["view"] == view]
    out["screened"] = pl.DataFrame(screened, infer_schema_length=None) if screened else pl.DataFrame()
    swings = plan.get("tornado") or []
    out["tornado"] = pl.DataFrame(swings, infer_schema_length=None) if swings else pl.DataFrame()
    last = pl.lit(plan["case"]["last"]).alias("horizon")
    return out | {name: out[name].with_columns(last) for name in ("training", "screened") if out[name].height}


def render(plan: Document, tables: Mapping[str, pl.DataFrame]) -> str:
    """Return the page of a plan."""
    mine = main_tables(plan, tables)
    charts = {kind.id: kind for kind in CHARTS}

    def drawn(*names: str) -> str:
        return "".join(_figure(charts[name], mine) for name in names)

    main = plan["plans"][f"{plan['main']['view']}/{plan['main']['variant']}"]
    sections = [
        ("What to do", drawn("orders") + _orders(main)),
        ("Views and budgets", _comparison(plan)),
        ("Capacity and demand", drawn("stock", "service")),
        ("Training", drawn("training") + _training(main)),
        ("Cost per unit of work", _unit_costs(plan)),
        ("Money", drawn("money") + _shares(main)),
        ("Power", drawn("power")),
        ("Screened out", _screened(plan) + drawn("legal-life")),
        ("What binds", drawn("bindings") + _bindings(main)),
        ("Uncertainty", drawn("scenarios", "regret") + _futures(mine["scenarios"]) + _worth(plan)),
        ("What moves the cost", drawn("tornado")),
        ("Whole lots", _lots(plan)),
        ("Other plans as good", _alternatives(plan)),
        ("Published figures rebuilt", _estimates(plan)),
        ("Claims and denials", _claims(plan)),
        ("Rates used", _rates(plan)),
        ("Sources", _sources(plan)),
    ]
    return html.page(plan["title"], sections, _head(plan, main))


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
    runs = _by_run(main["training"])
    pairs = [
        (_share_range(served["share"], served["p10"], served["p90"]), "of demand served, by worth"),
        (show_money(cost["usd"], "USD"), f"expected cost ({_money_range(cost['p10'], cost['p90'])})"),
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


def _orders(main: Document) -> str:
    rows = [(r["quarter"], r["offer"], r["site"], r["way"], f"{r['chips']:,.0f}") for r in main["orders"]]
    works = [
        (quarter, what, f"{amount:,.1f} {unit}", show_money(usd, "USD"))
        for quarter, what, unit, amount, usd in _works(main["works"])
    ]
    out = html.table(("quarter", "offer", "site", "way", "chips"), sorted(rows), numbers=("chips",)) if rows else ""
    if not rows:
        out = html.paragraph("Nothing is ordered: no offer that the rules let in pays for itself.")
    if works:
        out += "<h3>Build</h3>" + html.table(
            ("quarter", "what", "amount", "cost"), sorted(works), numbers=("amount", "cost")
        )
    return out


def _works(rows: Sequence[Row]) -> list[tuple[str, str, str, float, float]]:
    """Return (quarter, what, unit, amount, USD), the months of a quarter added up."""
    sums: dict[tuple[str, str, str], tuple[float, float]] = {}
    for row in rows:
        key = (row["quarter"], row["what"], row["unit"])
        amount, usd = sums.get(key, (0.0, 0.0))
        sums[key] = (amount + row["amount"], usd + row["usd"])
    return [(*key, *both) for key, both in sorted(sums.items())]


def _comparison(plan: Document) -> str:
    rows = []
    for key, found in plan["plans"].items():
        view, variant = key.split("/")
        served, runs = found["served"], _by_run(found["training"])
        domestic = next((s["reached"] for s in found["shares"] if s["reached"] is not None), None)
        rows.append(
            (
                view,
                variant,
                show_money(found["cost"]["usd"], "USD"),
                _share_range(served["share"], served["p10"], served["p90"]),
                ", ".join(f"{r['odds']:.0%}" for r in runs) or "-",
                "none bought" if domestic is None else f"{domestic:.0%}",
            )
        )
    columns = ("as known", "budget", "expected cost", "demand served", "training odds", "domestic share, 1st year")
    meaning = "; ".join(f"{v['id']}: {v['title']}" for v in (*plan["views"], *plan["variants"]))
    return html.table(columns, rows, numbers=columns[2:]) + html.paragraph(meaning, "muted")


def _by_run(rows: Sequence[Row]) -> list[dict[str, Any]]:
    out: dict[str, dict[str, Any]] = {}
    for row in rows:
        run = out.setdefault(row["run"], {"name": row["name"], "odds": 0.0, "done": 0.0, "months": [], "chips": {}})
        run["odds"] += row["probability"] * bool(row["finish"])
        run["done"] += row["probability"] * row["done"]
        run["chips"][row["chip"]] = run["chips"].get(row["chip"], 0.0) + row["probability"]
        if row["finish"]:
            run["months"].append(row["finish"])
    return list(out.values())


def _training(main: Document) -> str:
    rows = []
    for run in _by_run(main["training"]):
        months = sorted(run["months"])
        chips = max(run["chips"], key=lambda c: run["chips"][c]) if run["chips"] else ""
        when = f"{months[0]} to {months[-1]}" if months else "not in the horizon"
        rows.append((run["name"], when, f"{run['odds']:.0%}", f"{run['done']:.0%}", chips or "none"))
    return html.table(("run", "done, earliest to latest", "odds", "tokens done, mean", "most on"), rows)


def _unit_costs(plan: Document) -> str:
    """Return the cost of each service's unit by chip, the cheapest line of each, and every line behind a fold."""
    rows = plan["unit_costs"]
    units = {row["service"]: row["unit"] for row in rows}
    best: dict[tuple[str, str], Row] = {}
    for row in rows:
        key = (row["chip"], row["service"])
        if key not in best or row["usd"] < best[key]["usd"]:
            best[key] = row
    chips = list(dict.fromkeys(row["chip"] for row in rows))
    cells = [[chip, *(_cost_cell(best.get((chip, service))) for service in units)] for chip in chips]
    unit = html.paragraph("; ".join(f"{service}: {unit}" for service, unit in units.items()), "muted")
    table = html.table(("chip", *units), cells, numbers=tuple(units))
    lines = [
        (r["service"], r["line"], r["way"], _cost_cell(r), r["unit"], show(r["chip_hour_usd"], ""))
        for r in rows
    ]  # fmt: skip
    columns = ("service", "line", "way", "cost (p10 to p90)", "unit", "USD a chip-hour")
    folded = html.folded(f"All {len(rows)} lines", html.table(columns, lines, numbers=(columns[3], columns[5])))
    return table + unit + folded if rows else ""


def _cost_cell(row: Row | None) -> str:
    return "-" if row is None else f"{row['usd']:.3g} ({row['p10']:.3g} to {row['p90']:.3g})"


def _shares(main: Document) -> str:
    rows = [
        (r["share"], r["year"], f"{r['target']:.0%}", _reached(r["reached"]),
         show_money(r["shortfall"], "USD"))
        for r in main["shares"]
    ]  # fmt: skip
    return html.table(("share", "year", "target", "reached", "short by"), rows, numbers=("short by",)) if rows else ""


def _reached(share: float | None) -> str:
    return "nothing spent" if share is None else f"{share:.0%}"


def _screened(plan: Document) -> str:
    titles = {v["id"]: v["title"] for v in plan["views"]}
    rows = [
        (s["offer"], s["site"], s["act"], f"{s['since']} to {s['until'] or 'the end'}", s["outcome"], s["rule"],
         s["citation"], titles[s["view"]])
        for s in plan["screened"]
    ]  # fmt: skip
    columns = ("offer", "site", "act", "shut", "outcome", "rule", "citation", "as known")
    note = html.paragraph(
        "What a ruling restricts or leaves open does not enter the plan and bears no price. This screens and explains; "
        "it is not legal advice."
    )
    return note + (html.folded(f"All {len(rows)} rulings", html.table(columns, rows)) if rows else "")


def _bindings(main: Document) -> str:
    """Return the limits that bind, each in its dearest month."""
    dearest: dict[tuple[str, str], Row] = {}
    for row in main["binding"]:
        key = (row["family"], row["subject"])
        if key not in dearest or row["worth"] > dearest[key]["worth"]:
            dearest[key] = row
    rows = [(b["sentence"], show_money(b["worth"], "USD"), b["per"]) for b in list(dearest.values())[:15]]
    return html.table(("limit, in its dearest month", "one more is worth", "per"), rows, numbers=("one more is worth",))


def _futures(frame: pl.DataFrame) -> str:
    rows = [
        (
            r["future"].split(",")[0],
            f"{r['probability']:.0%}",
            f"{r['served']:.0%}",
            show_money(r["cost"], "USD"),
            spoken(r["scenario"]),
        )
        for r in numbered(frame).iter_rows(named=True)
    ]
    columns = ("future", "odds", "served", "cost", "what happens")
    return html.table(columns, rows, numbers=columns[1:4]) if rows else ""


def _worth(plan: Document) -> str:
    w, trial = plan["worth"], plan["trial"]
    rows = [
        ("this plan, mean over its futures", show_money(w["plan"], "USD")),
        ("the plan made for the mean, over the same futures", show_money(w["deterministic"], "USD")),
        ("value of the stochastic solution (VSS)", show_money(w["vss"], "USD")),
        ("with each future known beforehand", show_money(w["perfect"], "USD")),
        ("expected value of perfect information (EVPI)", show_money(w["evpi"], "USD")),
    ]
    out = html.table(("", "USD"), rows, numbers=("USD",))
    out += html.paragraph(
        f"{w['kept']} futures stand for {w['joint']:,} joint ones; reducing them moved the cost by "
        f"{abs(w['reduction_error']):.1%}.", "muted",
    )  # fmt: skip
    if trial:
        out += html.paragraph(
            f"Out of sample, on {trial['fresh']} fresh futures: this plan costs {show_money(trial['plan'], 'USD')} on "
            f"average, the plan for the mean {show_money(trial['deterministic'], 'USD')}; this plan is cheaper in "
            f"{trial['better_in']:.0%} of them and serves {trial['served']:.0%} of demand."
        )
    return out


def _alternatives(plan: Document) -> str:
    rows = [
        (a["sentence"], show_money(a["before"], "USD"), show_money(a["after"], "USD"), f"{a['slack']:.0%}",
         show_money(a["cost"], "USD"))
        for a in plan["alternatives"]
    ]  # fmt: skip
    columns = ("direction", "before", "after", "slack", "cost")
    return html.table(columns, rows, numbers=columns[1:]) if rows else ""


def _lots(plan: Document) -> str:
    lots = plan.get("lots")
    if lots is None:
        return ""
    rows = [
        ("orders in whole lots", show_money(lots["cost"], "USD")),
        ("the plan rounded to lots", show_money(lots["rounded"], "USD")),
        ("proven lower bound", show_money(lots["bound"], "USD")),
    ]
    return html.table((f"solver: {lots['status']}", "cost"), rows, numbers=("cost",))


def _estimates(plan: Document) -> str:
    """Return published chip counts beside those built from first principles, and the inputs that carry them."""
    parts = []
    for e in plan.get("estimates", ()):
        rebuilt = f"{e['rebuilt']:,.0f} ({e['p10']:,.0f} to {e['p90']:,.0f})"
        parts.append(f"<h3>{html.text(e['of'])} on {html.text(e['chip'])}</h3>")
        parts.append(html.paragraph(f"Published ({e['source']}): {e['published']:,.0f} chips; rebuilt: {rebuilt}."))
        swings = [(s["input"], _end(s["low"]), _end(s["high"]), f"{s['at_low']:,.0f}", f"{s['at_high']:,.0f}")
                  for s in e["swings"]]  # fmt: skip
        columns = ("input", "low", "high", "chips at low", "chips at high")
        parts.append(html.table(columns, swings, numbers=columns[1:]))
        others = [(o["chip"], f"{o['chips']:,.0f}", f"{o['p10']:,.0f} to {o['p90']:,.0f}") for o in e["others"]]
        parts.append(
            html.table(("chip of another kind", "needed", "p10 to p90"), others, numbers=("needed", "p10 to p90"))
        )
    return "".join(parts)


def _end(value: float | None) -> str:
    return "-" if value is None else show(value, "")


def _claims(plan: Document) -> str:
    parts = []
    for c in plan["claims"]:
        claim = c["claim"]
        parts.append(f"<h3>{html.text(claim['statement'])}</h3>")
        parts.append(
            html.paragraph(f"{claim['id']}, {claim['date']}, {claim['certainty']}: {claim['source']}", "source")
        )
        parts.append(html.paragraph(f"Used as: {c['used_as']}"))
        parts += [
            html.paragraph(f"Against it: {d['statement']} ({d['id']}, {d['date']}, {d['certainty']}: {d['source']})")
            for d in c["denials"]
        ]
    return "".join(parts)


def _rates(plan: Document) -> str:
    rows = [
        (r["workload"], r["chip"], show(r["rate"], ""), f"{show(r['p10'], '')} to {show(r['p90'], '')}", r["unit"],
         r["how"], r["source"])
        for r in plan["rates"]
    ]  # fmt: skip
    columns = ("workload", "chip", "rate", "p10 to p90", "unit", "how", "from")
    out = html.folded(f"All {len(rows)} rates", html.table(columns, rows, numbers=("rate", "p10 to p90")))
    if plan["unfit"]:
        unfit = [(r["workload"], r["chip"], r["reason"]) for r in plan["unfit"]]
        out += html.folded(f"{len(unfit)} pairs that do not fit", html.table(("workload", "chip", "reason"), unfit))
    return out


def _sources(plan: Document) -> str:
    sources = plan["provenance"]["sources"].values()
    rows = sorted({(s["ref"], s["date"], s["kind"], s["note"]) for s in sources})
    note = "".join(html.paragraph(n) for n in plan["notes"])
    how = "<p>Any figure: <code>suanli explain plan.json FIGURE</code> prints its formula, inputs and sources.</p>"
    return note + how + html.folded(f"All {len(rows)} sources", html.table(("source", "date", "kind", "note"), rows))


def _share_range(value: float, low: float, high: float) -> str:
    return f"{value:.0%} ({low:.0%} to {high:.0%})" if (low, high) != (value, value) else f"{value:.0%}"


def _money_range(low: float, high: float) -> str:
    return f"{show_money(low, 'USD')} to {show_money(high, 'USD')}"
