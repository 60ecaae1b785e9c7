"""The tables of a plan's report, as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from suanli.quantities import show, show_money
from suanli.reports import _html as html
from suanli.reports._risk_charts import numbered, spoken

Document = Mapping[str, Any]
Row = Mapping[str, Any]


def orders(main: Document) -> str:
    """Return what is ordered by offer and quarter, what is built, and behind a fold every order with its site."""
    if not main["orders"]:
        out = html.paragraph("Nothing is ordered: no offer that the rules let in pays for itself.")
    else:
        sums: dict[tuple[str, str, str], float] = {}
        for r in main["orders"]:
            key = r["way"], r["offer"], r["quarter"]
            sums[key] = sums.get(key, 0.0) + r["chips"]
        periods = _periods([q for _, _, q in sums])
        lines = list(dict.fromkeys((way, offer) for way, offer, _ in sums))
        rows = [
            [f"{WAYS[way]} {offer}", *(_chips(sums, way, offer, p) for p in periods)]
            for way, offer in sorted(lines, key=lambda x: (list(WAYS).index(x[0]), x[1]))
        ]
        out = html.table(("chips", *periods), rows, numbers=periods)
        each = [(r["quarter"], r["offer"], r["site"], r["way"], f"{r['chips']:,.0f}") for r in main["orders"]]
        columns = ("quarter", "offer", "site", "way", "chips")
        out += html.folded(f"All {len(each)} orders, by site", html.table(columns, sorted(each), numbers=("chips",)))
    return out + _built(main["works"])


def _built(works: Sequence[Row]) -> str:
    """Return what is built by period, with its cost in all."""
    if not works:
        return ""
    periods = _periods([w["quarter"] for w in works])
    rows = []
    for what, unit in dict.fromkeys((w["what"], w["unit"]) for w in works):
        mine = [w for w in works if (w["what"], w["unit"]) == (what, unit)]
        by = [sum(w["amount"] for w in mine if w["quarter"].startswith(p)) for p in periods]
        cells = [f"{n:,.0f}" if n >= 0.05 else "" for n in by]
        rows.append([f"{what}, {unit}", *cells, show_money(sum(w["usd"] for w in mine), "USD")])
    columns = ("built", *periods, "cost")
    return html.table(columns, rows, numbers=columns[1:])


WAYS = {"buy": "order", "lease": "lease", "build": "make"}


def _periods(quarters: Sequence[str]) -> tuple[str, ...]:
    """Return the quarters of the first year in which something is ordered, and the years after it."""
    years = sorted({q[:4] for q in quarters})
    return (*sorted({q for q in quarters if q[:4] == years[0]}), *years[1:])


def _chips(sums: Mapping[tuple[str, str, str], float], way: str, offer: str, period: str) -> str:
    total = sum(n for (w, o, q), n in sums.items() if (w, o) == (way, offer) and q.startswith(period))
    return f"{total:,.0f}" if total >= 0.5 else ""


def comparison(plan: Document) -> str:
    rows = []
    for key, found in plan["plans"].items():
        view, variant = key.split("/")
        served, runs = found["served"], by_run(found["training"])
        domestic = next((s["reached"] for s in found["shares"] if s["reached"] is not None), None)
        rows.append(
            (
                view,
                variant,
                show_money(found["cost"]["usd"], "USD"),
                share_range(served["share"], served["p10"], served["p90"]),
                ", ".join(f"{r['odds']:.0%}" for r in runs) or "-",
                "none bought" if domestic is None else f"{domestic:.0%}",
            )
        )
    columns = ("as known", "budget", "expected cost", "demand served", "training odds", "domestic share, 1st year")
    meaning = "; ".join(f"{v['id']}: {v['title']}" for v in (*plan["views"], *plan["variants"]))
    return html.table(columns, rows, numbers=columns[2:]) + html.paragraph(meaning, "muted")


def by_run(rows: Sequence[Row]) -> list[dict[str, Any]]:
    out: dict[str, dict[str, Any]] = {}
    for row in rows:
        run = out.setdefault(row["run"], {"name": row["name"], "odds": 0.0, "done": 0.0, "months": [], "chips": {}})
        run["odds"] += row["probability"] * bool(row["finish"])
        run["done"] += row["probability"] * row["done"]
        run["chips"][row["chip"]] = run["chips"].get(row["chip"], 0.0) + row["probability"]
        if row["finish"]:
            run["months"].append(row["finish"])
    return list(out.values())


def training(main: Document) -> str:
    rows = []
    for run in by_run(main["training"]):
        months = sorted(run["months"])
        chips = max(run["chips"], key=lambda c: run["chips"][c]) if run["chips"] else ""
        when = f"{months[0]} to {months[-1]}" if months else "not in the horizon"
        rows.append((run["name"], when, f"{run['odds']:.0%}", f"{run['done']:.0%}", chips or "none"))
    return html.table(("run", "done, earliest to latest", "odds", "tokens done, mean", "most on"), rows)


def unit_costs(plan: Document) -> str:
    """Return the cost of each service's unit by chip, the cheapest line of each, and every line behind a fold."""
    rows = [_readable(row) for row in plan["unit_costs"]]
    if not rows:
        return ""
    best: dict[tuple[str, str], Row] = {}
    for row in rows:
        key = (row["chip"], row["service"])
        if key not in best or row["usd"] < best[key]["usd"]:
            best[key] = row
    out = ""
    for unit in dict.fromkeys(row["unit"] for row in rows):
        services = list(dict.fromkeys(row["service"] for row in rows if row["unit"] == unit))
        chips = dict.fromkeys(row["chip"] for row in rows if row["unit"] == unit)
        cells = [[chip, *(_cost_cell(best.get((chip, service))) for service in services)] for chip in chips]
        out += f"<h3>{html.text(unit)}, p10 to p90</h3>" + html.table(("chip", *services), cells, numbers=services)
    lines = [
        (r["service"], r["line"], r["way"], _cost_cell(r), r["unit"], f"{r['chip_hour_usd']:.2f}")
        for r in rows
    ]  # fmt: skip
    columns = ("service", "line", "way", "cost (p10 to p90)", "unit", "USD a chip-hour")
    return out + html.folded(f"All {len(rows)} lines", html.table(columns, lines, numbers=(columns[3], columns[5])))


def _readable(row: Row) -> Row:
    """Return a cost that reads well: what is below a cent per thousand requests is told per million."""
    if row["unit"] != "USD per thousand requests" or row["usd"] >= 0.1:
        return row
    return {**row, "unit": "USD per million requests", **{k: 1e3 * row[k] for k in ("p10", "usd", "p90")}}


def _cost_cell(row: Row | None) -> str:
    if row is None:
        return ""
    low, mid, high = (f"{row[k]:,.0f}" if row[k] >= 100 else f"{row[k]:.3g}" for k in ("p10", "usd", "p90"))
    return f"{mid} ({low} to {high})"


def shares(main: Document) -> str:
    rows = [
        (r["share"], r["year"], f"{r['target']:.0%}", _reached(r["reached"]),
         show_money(r["shortfall"], "USD"))
        for r in main["shares"]
    ]  # fmt: skip
    return html.table(("share", "year", "target", "reached", "short by"), rows, numbers=("short by",)) if rows else ""


def _reached(share: float | None) -> str:
    return "nothing spent" if share is None else f"{share:.0%}"


def screened(plan: Document) -> str:
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


def bindings(main: Document, months: pl.DataFrame) -> str:
    """Return the limits that bind, each in its dearest month, and behind a fold the worth of each in every month."""
    dearest: dict[tuple[str, str], Row] = {}
    for row in main["binding"]:
        key = (row["family"], row["subject"])
        if key not in dearest or row["worth"] > dearest[key]["worth"]:
            dearest[key] = row
    rows = [(b["sentence"], show_money(b["worth"], "USD"), b["per"]) for b in list(dearest.values())[:15]]
    columns = ("limit, in its dearest month", "one more is worth", "per")
    told = f"The {len(rows)} dearest limits in words"
    return html.folded(told, html.table(columns, rows, numbers=(columns[1],))) + _by_month(months) if rows else ""


def _by_month(months: pl.DataFrame) -> str:
    """Return what one more unit of each limit is worth in every quarter (its mean month) or year."""
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for row in months.iter_rows(named=True):
        mine = found.setdefault((row["subject"], row["per"]), {})
        mine.setdefault(_quarter(row["month"]), []).append(row["worth"])
    periods = sorted({p for mine in found.values() for p in mine})
    cells = [
        [f"{subject}, USD / {per}", *(_brief(mine.get(p)) for p in periods)]
        for (subject, per), mine in list(found.items())[:24]
    ]
    table = html.table(("limit", *periods), cells, numbers=periods)
    return html.folded("Worth of one more unit by quarter (mean of its months) or year, USD", table)


def _quarter(month: str) -> str:
    """Return the quarter of a month, a year as it is, and "any" for what has no time."""
    return f"{month[:4]}Q{(int(month[5:7]) + 2) // 3}" if len(month) == 7 else month or "any"


def _brief(values: Sequence[float] | None) -> str:
    if not values:
        return ""
    mean = sum(values) / len(values)
    return f"{mean:,.0f}" if mean >= 10 else f"{mean:.2f}"


def futures(frame: pl.DataFrame) -> str:
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
    told = f"What happens in each of the {len(rows)} futures"
    return html.folded(told, html.table(columns, rows, numbers=columns[1:4])) if rows else ""


def worth(plan: Document) -> str:
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
        f"{w['kept']} futures stand for {w['joint']:,} joint ones; they miss {abs(w['reduction_error']):.0%} of what "
        "the single likeliest future would (mean discrepancy over costs of the risks and their pairs).", "muted",
    )  # fmt: skip
    if trial:
        out += html.paragraph(
            f"Out of sample, on {trial['fresh']} fresh futures: this plan costs {show_money(trial['plan'], 'USD')} on "
            f"average, the plan for the mean {show_money(trial['deterministic'], 'USD')}; this plan is cheaper in "
            f"{trial['better_in']:.0%} of them and serves {trial['served']:.0%} of demand."
        )
        if trial.get("margin"):
            m, k = trial["margin"], trial["kept"]
            out += html.paragraph(
                f"It is cheaper by {show_money(m['usd'], 'USD')} (95 % interval {show_money(m['low'], 'USD')} to "
                f"{show_money(m['high'], 'USD')}). The futures kept put the cost of the plan for the mean "
                f"{k['error']:+.1%} off what fresh ones do, which know it within {k['half_width']:.1%}."
            )
    return out


def alternatives(plan: Document) -> str:
    rows = [
        (a["sentence"], show_money(a["before"], "USD"), show_money(a["after"], "USD"), f"{a['slack']:.0%}",
         show_money(a["cost"], "USD"))
        for a in plan["alternatives"]
    ]  # fmt: skip
    columns = ("direction", "before", "after", "slack", "cost")
    return html.table(columns, rows, numbers=columns[1:]) if rows else ""


def lots(plan: Document) -> str:
    lots = plan.get("lots")
    if lots is None:
        return ""
    rows = [
        ("orders in whole lots", show_money(lots["cost"], "USD")),
        ("the plan rounded to lots", show_money(lots["rounded"], "USD")),
        ("proven lower bound", show_money(lots["bound"], "USD")),
    ]
    return html.table((f"solver: {lots['status']}", "cost"), rows, numbers=("cost",))


def estimates(plan: Document) -> str:
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


def claims(plan: Document) -> str:
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


def rates(plan: Document) -> str:
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


def sources(plan: Document) -> str:
    sources = plan["provenance"]["sources"].values()
    rows = sorted({(s["ref"], s["date"], s["kind"], s["note"]) for s in sources})
    note = "".join(html.paragraph(n) for n in plan["notes"])
    how = "<p>Any figure: <code>suanli explain plan.json FIGURE</code> prints its formula, inputs and sources.</p>"
    return note + how + html.folded(f"All {len(rows)} sources", html.table(("source", "date", "kind", "note"), rows))


def share_range(value: float, low: float, high: float) -> str:
    return f"{value:.0%} ({low:.0%} to {high:.0%})" if (low, high) != (value, value) else f"{value:.0%}"


def money_range(low: float, high: float) -> str:
    return f"{show_money(low, 'USD')} to {show_money(high, 'USD')}"
