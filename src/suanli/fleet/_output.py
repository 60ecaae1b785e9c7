"""Writing a plan: plan.json, Parquet tables and the report, whole or not at all.

plan.json holds: ``schema`` (number), ``title``, ``label``, ``case``, ``options``, ``frozen`` (what an earlier plan
began; null for none), ``views``, ``variants``, ``main``
(view and variant of the plan that the worth, trial and alternatives are of), ``plans`` ("VIEW/VARIANT" -> headline
numbers and small tables), ``worth``, ``trial``, ``alternatives``, ``screened``, ``rates``, ``unfit``, ``left_out``,
``unit_costs``, ``estimates``, ``tornado``, ``lots``, ``claims``, ``notes``, ``tables`` (name -> file), ``seconds`` and
``provenance`` (``figures``, ``values``, ``sources`` as suanli.sources.pack gives them).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from suanli import catalog, files
from suanli.errors import InputError
from suanli.fleet._engines import SERVING, final_tokens
from suanli.fleet._export import write_tables
from suanli.fleet._figures import cost_parts, figures_of
from suanli.fleet._lots import Lots
from suanli.fleet._needs import Rebuilt, rebuilt
from suanli.fleet._plan import Outlook, Plan
from suanli.fleet._results import Row, grouped, spread, tables
from suanli.fleet._rolling import frozen_rows
from suanli.fleet._schema_work import Run
from suanli.fleet._solve import Solved, interval, margin, served_share
from suanli.fleet._tornado import Swing
from suanli.fleet._units import unit_costs
from suanli.sources import pack

SCHEMA = 1
Tables = Mapping[tuple[str, str], Mapping[str, list[Row]]]


def tables_of_plan(plan: Plan) -> dict[tuple[str, str], dict[str, list[Row]]]:
    """Return the tables of every (view, variant); regret stands with the main plan."""
    out = {}
    for i, outlook in enumerate(plan.outlooks):
        for k, variant in enumerate(plan.variants):
            main = i == 0 and k == 0
            regret = plan.worth.regret if main else None
            other = plan.worth.regret_deterministic if main else None
            out[outlook.view.id, variant.id] = tables(outlook.plans[variant.id], regret, other)
    return out


def document(plan: Plan) -> tuple[dict[str, Any], Tables]:
    """Return (what plan.json says, the large tables)."""
    every = tables_of_plan(plan)
    figures = figures_of(plan, every)
    first = plan.outlooks[0]
    spec = plan.case.spec
    costs = [row for row, _ in unit_costs(plan, first, plan.variants[0].id)]
    body: dict[str, Any] = {
        "schema": SCHEMA,
        "title": spec.title,
        "label": spec.label,
        "case": {"name": plan.case.name, "first": spec.horizon.first, "last": spec.horizon.last},
        "options": {"scenarios": first.futures.n, "seed": plan.options.seed, "fresh": plan.options.fresh},
        "frozen": frozen_rows(plan.options.frozen),
        "views": [
            {"id": o.view.id, "title": o.view.title, "known_to": o.view.known_to.isoformat(),
             "orders_from": o.view.orders_from, "ruleset": o.view.ruleset}
            for o in plan.outlooks
        ],
        "variants": [{"id": v.id, "title": v.title} for v in plan.variants],
        "main": {"view": first.view.id, "variant": plan.variants[0].id},
        "plans": {
            f"{o.view.id}/{v.id}": headline(o, o.plans[v.id], every[o.view.id, v.id])
            for o in plan.outlooks
            for v in plan.variants
        },
        "worth": _worth(plan),
        "trial": _trial(plan),
        "alternatives": [
            {"id": a.id, "sentence": a.sentence, "slack": a.slack, "cost": a.cost * 1e6, "before": a.before * 1e6,
             "after": a.after * 1e6, "orders": _decision_rows(first, a.decision)}
            for a in plan.alternatives
        ],
        "screened": [{"view": o.view.id, **asdict(e)} for o in plan.outlooks for e in o.screening.out],
        "rates": _rates(plan),
        "unfit": [{"workload": w, "chip": c, "reason": r} for w, c, r in plan.tables.unfit],
        "left_out": [{"line": x, "reason": r} for x, r in first.left_out],
        "unit_costs": costs,
        "estimates": [_estimate(r) for r in rebuilt(spec, plan.tables)],
        "claims": _claims(plan),
        "notes": list(spec.notes),
        "tables": {name: f"tables/{name}.parquet" for name in next(iter(every.values()))},
        "seconds": {k: round(v, 2) for k, v in plan.seconds.items()},
        "provenance": pack(figures),
    }  # fmt: skip
    return body, every


def headline(outlook: Outlook, solved: Solved, found: Mapping[str, list[Row]]) -> dict[str, Any]:
    """Return the numbers of one plan that a director asks for, and its small tables."""
    p = solved.program.setting.futures.probability
    cost = spread(solved.costs * 1e6, p)
    served = spread(served_share(solved.program, solved.answer.x), p)
    quarters = [
        {"quarter": q, "offer": o, "site": s, "way": w, "chips": chips}
        for (q, o, s, w), chips in grouped(found["orders"], ("quarter", "offer", "site", "way"), "chips")
    ]
    return {
        "cost": {"usd": cost[0], "p10": cost[1], "p90": cost[2]},
        "cost_parts": {k: float(p @ v) * 1e6 for k, v in cost_parts(solved).items()},
        "served": {"share": served[0], "p10": served[1], "p90": served[2]},
        "orders": quarters,
        "works": found["works"],
        "money": found["money"],
        "shares": found["share"],
        "training": found["training"],
        "runs": run_rows(outlook, found["training"]),
        "scenarios": found["scenarios"],
        "binding": dearest(found["binding"]),
        "projects": {
            "carried_on": [x.name for x, on in zip(solved.grid.projects, solved.projects, strict=True) if on],
            "tried": [{"projects": list(way), "objective": value * 1e6} for way, value in solved.tried.items()],
        },
        "legal_life": legal_life(outlook, solved),
    }


def dearest(rows: list[Row], most: int = 40) -> list[Row]:
    """Return the ``most`` dearest rows of each family of limits; the table beside plan.json holds every month."""
    taken: dict[str, int] = {}
    out = []
    for row in rows:
        taken[row["family"]] = taken.get(row["family"], 0) + 1
        if taken[row["family"]] <= most:
            out.append(row)
    return out


def run_rows(outlook: Outlook, rows: list[Row]) -> list[Row]:
    """Return a row per training run: odds, median month of finish, and the loss that its compute can reach.

    ``loss`` is that of the compute-optimal model for the compute spent on the final run by the deadline (mean over the
    futures), ``loss_as_sized`` that of the stated model on its tokens; None where no chip may train.
    """
    out = []
    for run in outlook.spec.runs:
        mine = [r for r in rows if r["run"] == run.id]
        done = sum(r["probability"] * r["done"] for r in mine)
        finish = _median_month(mine)
        chips: dict[str, float] = {}
        for r in mine:
            chips[r["chip"]] = chips.get(r["chip"], 0.0) + r["probability"]
        out.append(
            {"run": run.id, "name": run.name, "deadline": run.deadline, "finish": finish,
             "odds": sum(r["probability"] for r in mine if r["finish"]), "done": done,
             "chip": max(chips, key=lambda c: chips[c], default=""), **_loss(run, done)}
        )  # fmt: skip
    return out


def _median_month(rows: list[Row]) -> str:
    total = 0.0
    for row in sorted((r for r in rows if r["finish"]), key=lambda r: str(r["finish"])):
        total += row["probability"]
        if total >= 0.5 - 1e-9:
            return str(row["finish"])
    return ""


def _loss(run: Run, done: float) -> Row:
    from suanli.training import compute_optimal, loss
    from suanli.workloads import parameters

    if done <= 1e-6:
        return dict.fromkeys(("compute_flop", "loss", "loss_p10", "loss_p90", "loss_as_sized"))
    weights = float(parameters(catalog.model(run.model)).active)
    tokens = final_tokens(run) * done
    best = compute_optimal(6.0 * weights * tokens)
    return {
        "compute_flop": 6.0 * weights * tokens, "loss": best.loss, "loss_p10": best.loss_p10,
        "loss_p90": best.loss_p90, "loss_as_sized": float(loss(weights, tokens)[0]),
    }  # fmt: skip


def legal_life(outlook: Outlook, solved: Solved) -> list[Row]:
    """Return a row per line: months in which it may be delivered and run under the rules of the view."""
    g = solved.grid
    return [
        {"line": line.id, "chip": line.chip, "site": line.site, "supplier": line.supplier, "pot": line.pot,
         "deliver": _stretches(g.months, g.arrive[j]), "run": _stretches(g.months, g.run[j])}
        for j, line in enumerate(outlook.lines)
    ]  # fmt: skip


def _stretches(months: tuple[str, ...], may: Any) -> list[list[str]]:
    out: list[list[str]] = []
    for t, month in enumerate(months):
        if not may[t]:
            continue
        if out and t > 0 and may[t - 1]:
            out[-1][1] = month
        else:
            out.append([month, month])
    return out


def _estimate(one: Rebuilt) -> Row:
    """Return a published count beside what the case's own inputs give, other chips, and the inputs that carry it."""
    own = one.figure
    return {
        "id": one.estimate.id, "of": one.estimate.of, "chip": one.estimate.chip, "published": one.estimate.count.si,
        "source": one.estimate.count.source, "figure": own.name if own else None,
        "rebuilt": own.value if own else None, "p10": own.p10 if own else None, "p90": own.p90 if own else None,
        "others": [{"chip": f.name.split(".", 2)[2], "chips": f.value, "p10": f.p10, "p90": f.p90} for f in one.others],
        "swings": list(one.swings),
    }  # fmt: skip


def _worth(plan: Plan) -> dict[str, Any]:
    w = plan.worth
    f = plan.main.program.setting.futures
    return {
        "plan": w.plan * 1e6, "deterministic": w.deterministic * 1e6, "perfect": w.perfect * 1e6,
        "vss": w.vss * 1e6, "evpi": w.evpi * 1e6, "joint": f.joint, "kept": f.n, "reduction_error": f.error,
    }  # fmt: skip


def _trial(plan: Plan) -> dict[str, Any] | None:
    t = plan.trial
    if t is None:
        return None
    told: dict[str, Any] = {"margin": None, "kept": None}
    if len(t.costs) > 1:
        gain = margin(t)
        mean, low, high = interval(t.deterministic, t.group)
        told["margin"] = {"usd": gain.mean * 1e6, "low": gain.low * 1e6, "high": gain.high * 1e6}
        told["kept"] = {"error": plan.worth.deterministic / mean - 1.0, "half_width": (high - low) / 2.0 / mean}
    return told | {
        "fresh": len(t.costs), "plan": float(np.mean(t.costs)) * 1e6,
        "deterministic": float(np.mean(t.deterministic)) * 1e6,
        "better_in": float(np.mean(t.costs < t.deterministic)), "served": float(np.mean(t.served)),
        "costs": [c * 1e6 for c in t.costs.tolist()],
        "deterministic_costs": [c * 1e6 for c in t.deterministic.tolist()],
    }  # fmt: skip


def _decision_rows(outlook: Outlook, decision: Any) -> list[Row]:
    totals: dict[str, float] = {}
    for j, line in enumerate(outlook.lines):
        totals[line.id] = totals.get(line.id, 0.0) + float(decision.order[j].sum()) * 1e3
    return [{"line": k, "chips": v} for k, v in totals.items() if v >= 0.5]


def lots_row(plan: Plan, lots: Lots) -> Row:
    """Return what whole lots cost, in USD, beside the plan without them."""
    return {
        "status": lots.status, "cost": lots.cost * 1e6, "bound": lots.bound * 1e6, "rounded": lots.rounded * 1e6,
        "seconds": lots.seconds, "orders": _decision_rows(plan.outlooks[0], lots.decision),
    }  # fmt: skip


def _rates(plan: Plan) -> list[Row]:
    serving = [
        {"workload": w, "chip": c, "rate": r.rate, "p10": r.p10, "p90": r.p90, "unit": "request/s per chip",
         "how": r.layout + (f", x {r.factor:.2f} measured" if r.factor != 1.0 else ""), "source": r.source,
         "measured": r.source != SERVING}
        for (w, c), r in plan.tables.serve.items()
    ]  # fmt: skip
    training = [
        {"workload": w, "chip": c, "rate": rate, "p10": low, "p90": high, "unit": f"token/s of {n:,} chips",
         "how": how + (f", x {r.factor:.2f} measured" if r.factor != 1.0 else ""), "source": r.source,
         "measured": n in r.measured or r.factor != 1.0, "mfu": mfu, "chips": n}
        for (w, c), r in plan.tables.train.items()
        for n, rate, low, high, mfu, how in zip(r.chips, r.rate, r.p10, r.p90, r.mfu, r.strategy, strict=True)
    ]  # fmt: skip
    return serving + training


def _claims(plan: Plan) -> list[Row]:
    """Return the claims with what denies or contradicts them, each with its certainty and source."""
    events = {e.id: e for e in catalog.events()}

    def told(name: str) -> Row:
        e = events[name]
        return {"id": name, "date": e.date, "statement": e.statement, "certainty": e.certainty, "source": e.source.ref}

    return [
        {"claim": told(c.claim), "denials": [told(d) for d in c.denials], "used_as": c.used_as}
        for c in plan.case.spec.claims
    ]


def check_writable(out: Path) -> None:
    """Raise InputError where a plan can't be written to ``out``: before an hour is spent on it."""
    _refuse_foreign(out)
    parent = next(p for p in (out, *out.resolve().parents) if p.exists())
    if not parent.is_dir():
        raise InputError(f"{out}: cannot be written ({parent} is a file)")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(f"{out}: cannot be written (no permission in {parent})")


def write_plan(
    plan: Plan,
    out: Path,
    *,
    finish: Callable[[Path], None] | None = None,
    export: str | None = None,
    swings: Sequence[Swing] = (),
    lots: Lots | None = None,
) -> dict[str, Any]:
    """Write plan.json and tables into the folder ``out``, and whatever ``finish`` adds; whole or not at all.

    ``export`` "csv" or "xlsx" writes the tables in that form too. Returns what plan.json says. Raises InputError
    where the folder can't be written or holds something else.
    """
    check_writable(out)
    if export not in {None, "csv", "xlsx"}:
        raise InputError(f"--export: '{export}' is no kind of table; allowed: csv, xlsx")
    body, every = document(plan)
    body["tornado"] = [asdict(s) for s in swings]
    body["lots"] = None if lots is None else lots_row(plan, lots)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise InputError(f"{out.parent}: cannot be written ({error.strerror})") from error
    try:
        files.write_json(temporary / "plan.json", body)
        write_tables(temporary / "tables", every, body, export)
        if finish is not None:
            finish(temporary)
        temporary.chmod(0o755)
        _swap(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return body


def _refuse_foreign(out: Path) -> None:
    if out.is_file():
        raise InputError(f"{out}: is a file; a plan is written into a folder")
    if out.is_dir() and any(out.iterdir()) and not (out / "plan.json").is_file():
        raise InputError(f"{out}: holds something other than a plan; name a new folder")


def _swap(temporary: Path, out: Path) -> None:
    """Put the finished folder in place of the old one; the old one goes only when the new one stands."""
    old = out.parent / f".{out.name}.old"
    try:
        if out.exists():
            shutil.rmtree(old, ignore_errors=True)
            out.rename(old)
        temporary.rename(out)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror})") from error
    shutil.rmtree(old, ignore_errors=True)
