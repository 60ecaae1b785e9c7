"""``suanli explain RESULT --why-not NAME``: why an offer or chip is not, or not always, in a plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from suanli.errors import InputError, nearest
from suanli.quantities import show, show_money

Body = Mapping[str, Any]


def reasons(body: Body, name: str) -> dict[str, list[str]]:
    """Return, for each view and line that ``name`` (an offer, a chip or a line) means, sentences that say why.

    What a rule shuts out is told with its rule and bears no price. Raises InputError for a name that is in no plan.
    """
    if not isinstance(body, dict) or "plans" not in body or "main" not in body:
        raise InputError("the result is no plan; 'suanli plan' writes one")
    variant = body["main"]["variant"]
    out: dict[str, list[str]] = {}
    for view in body["views"]:
        plan = body["plans"][f"{view['id']}/{variant}"]
        for line in plan["legal_life"]:
            if name.casefold() in {line["line"].casefold(), line["chip"].casefold(), _offer(line["line"]).casefold()}:
                out[f"{line['line']}, {view['title']}"] = list(_told(body, view, plan, line))
    left = [f"{r['line']}: {r['reason']}" for r in body["left_out"] if name.casefold() in r["line"].casefold()]
    if left:
        out["left out of every plan"] = left
    if not out:
        known = {x for p in body["plans"].values() for r in p["legal_life"] for x in (_offer(r["line"]), r["chip"])}
        close = nearest(name, known)
        raise InputError(f"no offer or chip '{name}' in the plan" + (f"; did you mean '{close}'?" if close else ""))
    return out


def _offer(line: str) -> str:
    return line.split("@")[0]


def _told(body: Body, view: Body, plan: Body, line: Body) -> Iterator[str]:
    for s in body["screened"]:
        if s["line"] == line["line"] and s["view"] == view["id"]:
            yield (
                f"shut ({s['act']}) from {s['since']} to {s['until'] or 'the end'}: {s['outcome']} by {s['rule']} "
                f"({s['citation']})"
            )
    may = [f"{a} to {b}" for a, b in line["deliver"] if b >= view["orders_from"]]
    if not may:
        yield f"may not be delivered in any month from {view['orders_from']} on"
        return
    yield f"may be delivered {', '.join(may)}"
    offer, _, site = line["line"].partition("@")
    ordered = [o for o in plan["orders"] if o["offer"] == offer and o["site"] == site]
    if ordered:
        yield "ordered: " + ", ".join(f"{o['chips']:,.0f} in {o['quarter']}" for o in ordered)
        yield from _limits(plan, line)
        return
    yield "not ordered: nothing that it serves is worth its cost beside the other offers, within the limits that bind"
    elsewhere = sorted({o["site"] for o in plan["orders"] if o["offer"] == offer and o["site"] != site})
    if elsewhere:
        yield f"the same offer is ordered at {', '.join(elsewhere)}"
    yield from _limits(plan, line)
    if view["id"] == body["main"]["view"]:
        yield from _beside(body, line["line"])


def _limits(plan: Body, line: Body) -> Iterator[str]:
    """Yield the business limits that bind on a line's supplier, site and pot, each in its dearest month."""
    named = {line.get("supplier"), line.get("site"), f"pot '{line.get('pot')}'"}
    dearest: dict[tuple[str, str], Body] = {}
    for b in plan.get("binding", ()):
        key = b["family"], b["subject"]
        if b["subject"] in named and b["worth"] > dearest.get(key, {"worth": 0.0})["worth"]:
            dearest[key] = b
    for b in sorted(dearest.values(), key=lambda b: -float(b["worth"]))[:3]:
        yield f"what binds on it: {b['sentence']}; one more is worth {show_money(b['worth'], 'USD')} per {b['per']}"


def _beside(body: Body, line: str) -> Iterator[str]:
    """Yield its cost of each service's unit beside the cheapest line's, in the main view, of what may enter there."""
    for row in body["unit_costs"]:
        if row["line"] != line:
            continue
        best = min((r for r in body["unit_costs"] if r["service"] == row["service"]), key=lambda r: float(r["usd"]))
        yield f"{row['service']}: {show(row['usd'], '')} {row['unit']}; cheapest {best['line']} {show(best['usd'], '')}"
