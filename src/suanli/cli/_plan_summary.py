"""One screen for a director: what to order, build, lease and run; what it costs; what the rules take; what binds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from suanli.cli.common import table
from suanli.quantities import show, show_money

Body = Mapping[str, Any]
TOKENS = "USD per million"


def summary(body: Body, *, full: bool = False) -> Iterator[Any]:
    """Yield what to print of a plan, in order; ``full`` adds money, every cost, every future and the alternatives."""
    main = body["plans"][f"{body['main']['view']}/{body['main']['variant']}"]
    yield Text(body["title"], style="bold")
    if body["label"]:
        yield Text(body["label"], style="yellow")
    yield _orders(body, main) if main["orders"] or main["works"] else Text("Nothing to order.")
    yield _plans(body)
    yield from _rules(body)
    if any(plan["runs"] for plan in body["plans"].values()):
        yield _runs(body)
    yield from _estimates(body, full=full)
    if full:
        yield _money(main, int(_view(body)["orders_from"][:4]))
    if any(row["unit"].startswith(TOKENS) for row in body["unit_costs"]):
        yield _unit_costs(body, most=None if full else 3)
    if body["screened"]:
        yield _screened(body, most=None if full else 4)
    if main["binding"]:
        yield _binding(main, most=None if full else 3)
    yield _futures(body, main) if full else Text(_range(body, main))
    if full:
        yield from _near_optimal(body)
    if body.get("tornado"):
        yield _tornado(body, most=30 if full else 5)
    if body.get("lots"):
        yield Text(_lots(body))
    yield Text(_worth(body) if full else _worth_in_short(body))


def _cut(text: str, most: int) -> str:
    """Return ``text`` in at most ``most`` letters."""
    return text if len(text) <= most else text[: most - 1].rstrip(" ,") + "…"


def _near_optimal(body: Body) -> Iterator[Any]:
    for a in body["alternatives"]:
        before, after = show_money(a["before"], "USD"), show_money(max(a["after"], 0.0), "USD")
        yield Text(f"Near-optimal: {a['sentence']}: {before} become {after}.")


def _orders(body: Body, main: Body) -> Table:
    """Return what to order by quarter in the first year, by year after it; chips, and MW of what is built."""
    quarters = sorted({o["quarter"] for o in main["orders"]} | {w["quarter"] for w in main["works"]})
    years = sorted({q[:4] for q in quarters})
    shown = [q for q in quarters if q[:4] == years[0]] + list(years[1:])
    rows: dict[str, dict[str, float]] = {}
    for order in main["orders"]:
        name = {"buy": "order", "lease": "lease", "build": "make"}[order["way"]] + " " + order["offer"]
        _add(rows, name, order["quarter"], shown, order["chips"])
    for work in main["works"]:
        unit = ", MW" if work["unit"] == "MW" else ""
        _add(rows, f"build {_cut(work['what'], 46)}{unit}", work["quarter"], shown, work["amount"])
    title = f"Chips to order, {_view(body)['title']}, {body['main']['variant']}"
    cells = [[name, *[f"{v[q]:,.0f}" if v.get(q, 0) >= 0.5 else "" for q in shown]] for name, v in rows.items()]
    return table(None, [title, *shown], cells, right=shown)


def _add(rows: dict[str, dict[str, float]], name: str, quarter: str, shown: list[str], value: float) -> None:
    column = quarter if quarter in shown else quarter[:4]
    rows.setdefault(name, {})[column] = rows.setdefault(name, {}).get(column, 0.0) + value


def _view(body: Body) -> Body:
    found: Body = next(v for v in body["views"] if v["id"] == body["main"]["view"])
    return found


def _plans(body: Body) -> Table:
    rows = []
    shares = any(plan["shares"] for plan in body["plans"].values())
    for key, plan in body["plans"].items():
        view, variant = key.split("/")
        cost, served = plan["cost"], plan["served"]
        gaps = ", ".join(f"{s['year']} {_share(s['reached'])}" for s in plan["shares"])
        row = [
            f"{view}, {variant}", show(served["share"], "%"),
            f"{show(served['p10'], '%')} to {show(served['p90'], '%')}",
            show_money(cost["usd"], "USD"), f"{show_money(cost['p10'], 'USD')} to {show_money(cost['p90'], 'USD')}",
        ]  # fmt: skip
        rows.append([*row, gaps] if shares else row)
    columns = ["As known, and budget", "served", "p10 to p90", "expected cost", "p10 to p90 "]
    return table(None, [*columns, "share reached"] if shares else columns, rows, right=columns[1:])


def _rules(body: Body) -> Iterator[Any]:
    """Yield what the rules of every later view cost beside the first."""
    main = body["main"]
    first = body["plans"][f"{main['view']}/{main['variant']}"]
    for view in body["views"][1:]:
        later = body["plans"][f"{view['id']}/{main['variant']}"]
        points = 100.0 * (later["served"]["share"] - first["served"]["share"])
        more = later["cost"]["usd"] - first["cost"]["usd"]
        yield Text(
            f"{view['title'].capitalize()}: {points:+.1f} points of demand served, "
            f"{'+' if more >= 0 else '-'}{show_money(abs(more), 'USD')} of cost."
        )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _runs(body: Body) -> Table:
    """Return a line a training run: when it is done and how good it can be, for each view."""
    names: dict[str, list[str]] = {}
    for view in body["views"]:
        for run in body["plans"][f"{view['id']}/{body['main']['variant']}"]["runs"]:
            told = "no chip may train it"
            if run["loss"] is not None:
                told = f"{run['finish'] or 'late'}, {run['odds']:.0%}, {run['loss']:.2f}"
                told += f" ({run['loss_p10']:.2f}-{run['loss_p90']:.2f})"
            names.setdefault(f"{_cut(run['name'], 42)} by {run['deadline']}", []).append(told)
    title = "Training: median end, odds, loss in nats a token"
    return table(None, (title, *[v["id"] for v in body["views"]]), [[name, *told] for name, told in names.items()])


def _money(main: Body, since: int) -> Table:
    rows = [
        [m["pot"], str(m["year"]), _usd(m["budget"]), _usd(m["committed"]), _usd(m["planned"]), _usd(m["left"])]
        for m in main["money"]
        if m["budget"] is not None and m["year"] >= since
    ]
    return table(
        "Money", ("pot", "year", "budget", "committed", "planned", "left"), rows,
        right=("year", "budget", "committed", "planned", "left"),
    )  # fmt: skip


def _usd(value: float | None) -> str:
    return "unlimited" if value is None else show_money(0.0 if abs(value) < 1.0 else value, "USD")


def _unit_costs(body: Body, *, most: int | None) -> Table:
    """Return the cost of a million output tokens by chip, the cheapest first."""
    chips: dict[str, dict[str, str]] = {}
    cheapest: dict[str, float] = {}
    services: list[str] = []
    for row in body["unit_costs"]:
        if not row["unit"].startswith(TOKENS):
            continue
        if row["service"] not in services:
            services.append(row["service"])
        name = f"{row['chip']}, {'leased' if row['way'] == 'lease' else 'owned'}"
        chips.setdefault(name, {}).setdefault(row["service"], f"{row['usd']:.2f} ({row['p10']:.2f}-{row['p90']:.2f})")
        cheapest[name] = min(cheapest.get(name, float("inf")), row["usd"])
    ranked = sorted(chips, key=lambda n: cheapest[n])
    rows = [[name, *[chips[name].get(s, "") for s in services]] for name in ranked[:most]]
    left = "" if len(rows) == len(ranked) else f", cheapest {len(rows)} of {len(ranked)}"
    return table(None, [f"{TOKENS} output tokens{left}", *services], rows, right=services)


def _estimates(body: Body, *, full: bool) -> Iterator[Any]:
    for e in body["estimates"]:
        if e["rebuilt"] is None:
            continue
        others = ", ".join(f"{o['chips']:,.0f} {o['chip']}" for o in e["others"])
        yield Text(
            f"Published: {e['published']:,.0f} {e['chip']} for {e['of']}; rebuilt {e['rebuilt']:,.0f} "
            f"({e['p10']:,.0f} to {e['p90']:,.0f}). With other chips: {others}"
        )
        rows = [
            [s["input"], _end(s["low"]), _end(s["high"]), f"{s['at_low']:,.0f}", f"{s['at_high']:,.0f}"]
            for s in e["swings"][: None if full else 4]
        ]
        columns = ("low", "high", "chips at low", "chips at high")
        yield table(None, ("What carries it", *columns), rows, right=columns)


def _end(value: float | None) -> str:
    return "" if value is None else f"{value:,.6g}"


def _screened(body: Body, *, most: int | None) -> Table:
    """Return what is shut out, by which rule, from when; the view is named where it is not all of them."""
    groups: dict[tuple[str, str], dict[str, list[str]]] = {}
    for e in body["screened"]:
        views = groups.setdefault((e["rule"], e["outcome"]), {})
        views.setdefault(f"{e['since']} {e['view']}", []).append(e["offer"])
    rows = []
    for (rule, outcome), views in groups.items():
        offers = list(dict.fromkeys(o for names in views.values() for o in names))
        since = sorted({key.split(" ")[0] for key in views})
        where = sorted({key.split(" ")[1] for key in views})
        named = "" if len(where) == len(body["views"]) else f" ({', '.join(where)})"
        rows.append([", ".join(offers), outcome, rule, ", ".join(since) + named])
    left = "" if most is None or len(rows) <= most else f" ({len(rows) - most} more in the report)"
    shown = [[_cut(r[0], 44), *r[1:]] for r in rows] if most is not None else rows
    shown.sort(key=lambda r: ("(" in r[3], -r[0].count(",")))  # every view first, then what shuts the most offers
    return table(None, (f"Shut out by rules{left}", "ruling", "rule", "from"), shown[:most])


def _binding(main: Body, *, most: int | None) -> Table:
    best: dict[str, Body] = {}
    for b in main["binding"]:
        if b["worth"] > best.get(b["family"], {"worth": 0.0})["worth"]:
            best[b["family"]] = b
    told = list(best.values())[:most]
    rows = [
        [_cut(b["sentence"], 84) if most else b["sentence"], f"{show_money(b['worth'], 'USD')} / {b['per']}"]
        for b in told
    ]
    return table(None, ("What binds most, by kind", "one more saves"), rows, right=("one more saves",))


def _range(body: Body, main: Body) -> str:
    """Return in words how the plan fares over the futures."""
    every, w = main["scenarios"], body["worth"]
    served = sorted(float(s["served"]) for s in every)
    costs = sorted(float(s["cost"]) for s in every)
    return (
        f"Over {w['kept']} futures (of {w['joint']:,} joint ones): served {show(served[0], '%')} to "
        f"{show(served[-1], '%')}; cost {show_money(costs[0], 'USD')} to {show_money(costs[-1], 'USD')}."
    )


def _futures(body: Body, main: Body) -> Table:
    every = sorted(main["scenarios"], key=lambda s: -float(s["cost"]))
    told = every if len(every) <= 7 else [*every[:3], *every[-2:]]
    rows = [
        [f"{s['probability']:.0%}", show(s["served"], "%"), show_money(s["cost"], "USD"),
         "" if s["regret"] is None else show_money(s["regret"], "USD"), _short(s["scenario"])]
        for s in told
    ]  # fmt: skip
    w = body["worth"]
    which = "" if len(told) == len(every) else ", the three dearest and two cheapest"
    title = f"The plan in each future{which} ({w['kept']} of {w['joint']} joint ones, error {w['reduction_error']:.0%})"
    numbers = ("odds", "served", "cost", "regret")
    return table(title, (*numbers, "future"), rows, right=numbers)


def _lots(body: Body) -> str:
    found = body["lots"]
    return (
        f"In whole lots ({found['status']}): {show_money(found['cost'], 'USD')}, at least "
        f"{show_money(found['bound'], 'USD')}; the plan rounded down to lots: {show_money(found['rounded'], 'USD')}."
    )


def _tornado(body: Body, *, most: int) -> Table:
    rows = [
        [s["name"], f"{s['low']:,.6g}", f"{s['high']:,.6g}", show_money(s["at_low"], "USD"),
         show_money(s["at_high"], "USD")]
        for s in body["tornado"][:most]
    ]  # fmt: skip
    numbers = ("low", "high", "cost at low", "cost at high")
    return table(None, ("One input at a time, planned anew", *numbers), rows, right=numbers)


def _short(name: str, most: int = 110) -> str:
    return _cut("; ".join(p.split(": ", 1)[-1] for p in name.split("; ")), most)


def _worth_in_short(body: Body) -> str:
    w, t = body["worth"], body["trial"]
    told = (
        f"Planning on futures saves {show_money(w['vss'], 'USD')} against expected values (VSS); knowing the future "
        f"{show_money(w['evpi'], 'USD')} more (EVPI)."
    )
    if t is None:
        return told
    told += (
        f"\nOn {t['fresh']} fresh futures it costs {show_money(t['plan'], 'USD')}, the plan on expected values "
        f"{show_money(t['deterministic'], 'USD')}"
    )
    if t.get("margin") is not None:
        low, high = (show_money(t["margin"][k], "USD") for k in ("low", "high"))
        told += f": {show_money(t['margin']['usd'], 'USD')} less (95 %: {low} to {high})"
    return told + "."


def _worth(body: Body) -> str:
    w, t = body["worth"], body["trial"]
    told = (
        f"Planning on futures saves {show_money(w['vss'], 'USD')} against a plan on expected values (VSS); knowing the "
        f"future would save {show_money(w['evpi'], 'USD')} more (EVPI)."
    )
    if t is not None:
        told += (
            f" On {t['fresh']} fresh futures the plan costs {show_money(t['plan'], 'USD')}, the other "
            f"{show_money(t['deterministic'], 'USD')}; it is better in {t['better_in']:.0%}."
        )
        told += _measured(w, t)
    return told


def _measured(w: Body, t: Body) -> str:
    """Return how sure the margin is, and how well the kept futures know the cost of a plan not made on them."""
    if t.get("margin") is None:
        return ""
    m, k = t["margin"], t["kept"]
    return (
        f" It is cheaper by {show_money(m['usd'], 'USD')} (95 %: {show_money(m['low'], 'USD')} to "
        f"{show_money(m['high'], 'USD')}). The {w['kept']} futures kept of {w['joint']:,} put the other plan's cost "
        f"{abs(k['error']):.1%} {'below' if k['error'] < 0 else 'above'} what fresh ones do (those know it within "
        f"{k['half_width']:.1%})."
    )
