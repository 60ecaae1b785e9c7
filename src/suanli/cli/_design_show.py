"""What the design command prints and writes: tables, data for JSON, pictures, Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suanli.cli.common import table
from suanli.quantities import show

if TYPE_CHECKING:
    from rich.console import Console

    from suanli.design import Beside, Design, Found, Job, Limits, Search

_FRONT = ("design", "mm²", "W", "TPP", "/mm²", "memory", "TB/s", "USD", "work/USD", "work/kW", "ruling")
_SHOWN = 10  # designs of the front in the table; JSON and Parquet have all


def show_search(out: Console, found: Search, limits: Limits) -> dict[str, Any]:
    from suanli.design import binding

    data = [found_data(f, binding(f, limits)) for f in found.front]
    title = f"Pareto front of {found.kept:,} designs within limits, out of {found.tried:,}; work in {found.base}s"
    out.print(table(title, _FRONT, [_front_row(f) for f in found.front[:_SHOWN]], right=(*_FRONT[1:5], *_FRONT[6:10])))
    if len(found.front) > _SHOWN:
        out.print(f"and {len(found.front) - _SHOWN} more (--json and --parquet have them); * refined")
    for f in found.front[:3]:
        held = binding(f, limits)
        out.print(_parts_line(f))
        told = "; ".join(f"{h.name} {h.value:,.4g} of {h.limit:,.4g} {h.unit}" for h in held)
        out.print(f"{f.spec.name} is held by: {told or 'none of the limits'}")
        if limits.place is not None:
            low = float(f.design.area.p10[0])
            smaller = f.group_at(low, limits.place)
            if smaller != f.group:
                out.print(f"  a die of {low * 1e6:.0f} mm² (its 10th percentile) would be {smaller}: keep the area")
    lost = ", ".join(f"{n} {c:,}" for n, c in sorted(found.lost.items(), key=lambda p: -p[1]) if c)
    out.print(f"broke first: {lost}")
    out.print(f"judged in full: {len(found.judged)}; " + ", ".join(f"{k} {v:.1f} s" for k, v in found.seconds.items()))
    return {"front": data, "tried": found.tried, "kept": found.kept, "lost": dict(found.lost), "base": found.base,
            "seconds": dict(found.seconds), "objective": found.objective}  # fmt: skip


def _front_row(f: Found) -> tuple[str, ...]:
    spec, chip = f.spec, f.chip
    return (
        spec.name + (" *" if f.refined else ""),
        f"{(chip.die_area_m2 or 0.0) * 1e6:.0f}",
        f"{chip.tdp_w or 0.0:.0f}",
        f"{f.tpp:,.0f}",
        f"{f.density:.2f}",
        f"{spec.memory_sites:.0f} {spec.memory}",
        f"{(chip.memory_bandwidth or 0.0) / 1e12:.2f}",
        f"{f.price:,.0f}",
        f"{f.objectives['per_usd']:.2f}",
        f"{f.objectives['per_watt'] * 1e3:.2f}",
        f.group,
    )


def _parts_line(f: Found) -> str:
    """Return a design's parts in one line."""
    spec, sram = f.spec, (f.chip.sram_bytes or 0.0) / 1e6
    arrays = f"{spec.arrays:.0f} x {spec.rows:.0f}x{spec.cols:.0f} MACs at {float(spec.clock) / 1e9:.2f} GHz"
    cores = f"{spec.cores:.0f} cores ({spec.spare_cores:.0f} spare)"
    return f"{spec.name}: {cores} of {arrays}, {sram:,.0f} MB SRAM, {spec.lanes:.0f} lanes; NRE {show(f.nre, 'USD')}"


def show_work(out: Console, whole: Design, jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Print and return the power of a design at the activity of each job that it does."""
    from suanli.design import activity_of, evaluate, job_rate

    lines, data = [], []
    for job in jobs:
        rate = job_rate(whole.chip, job)
        if rate.rate <= 0.0:
            continue
        busy = activity_of(whole.chip, job, rate)
        power = evaluate(whole.spec, activity=busy, intervals=False).power
        parts = sorted(power.breakdown.items(), key=lambda p: -float(p[1].reshape(-1)[0]))[:4]
        told = ", ".join(f"{k} {float(v.reshape(-1)[0]):.0f}" for k, v in parts)
        lines.append(
            (job.name, f"{100.0 * busy.matrix:.0f} %", f"{100.0 * busy.memory:.0f} %", f"{power.value[0]:.0f}", told)
        )
        data.append({"job": job.name, "matrix": busy.matrix, "memory": busy.memory, "power_w": float(power.value[0])})
    out.print(
        table("Power at work", ("job", "matrix", "memory", "W", "of which"), lines, right=("matrix", "memory", "W"))
    )
    return data


def show_doubts(out: Console, f: Found, jobs: Sequence[Job], limits: Limits, objective: str) -> dict[str, Any]:
    """Print what moves the best design and what its cost is unsure of; return both as data."""
    from suanli.design import base_rates, doubts, sensitivities

    moved = sensitivities(f, jobs, limits=limits, base=base_rates(jobs))
    unsure = doubts(f.spec)
    lines = []
    for m in sorted(moved, key=lambda m: -max(abs(m.more[objective]), abs(m.less[objective]))):
        ends = [(m.more[objective], m.breaks_more), (m.less[objective], m.breaks_less)]
        lines.append((m.name, *(f"{100.0 * v:+.1f} %{' (breaks a limit)' if broken else ''}" for v, broken in ends)))
    out.print(table(f"What moves {f.spec.name} ({objective}, by roofline)", ("a tenth", "more", "less"), lines))
    told = ", ".join(f"{name} {100.0 * low:+.0f} to {100.0 * high:+.0f} %" for name, low, high in unsure[:5])
    out.print(f"unit cost is least sure of: {told}")
    return {
        "sensitivities": [{"name": m.name, "more": dict(m.more), "less": dict(m.less), "breaks_more": m.breaks_more,
                           "breaks_less": m.breaks_less} for m in moved],
        "cost_doubts": [{"constant": name, "at_low": low, "at_high": high} for name, low, high in unsure],
    }  # fmt: skip


def found_data(f: Found, held: Sequence[Any]) -> dict[str, Any]:
    from dataclasses import asdict

    whole = f.design
    return {
        "design": f.spec.name, "spec": asdict(f.spec), "refined": f.refined, "group": f.group,
        "rulings": {act: {"outcome": r.outcome, "eccn": r.eccn, "presumption": r.presumption,
                          "to_check": list(r.to_check), "depends_on": r.depends_on} for act, r in f.rulings.items()},
        "tpp": f.tpp, "density": f.density, "objectives": dict(f.objectives), "usd_per_hour": f.usd_per_hour,
        "area_m2": interval(whole.area), "power_w": interval(whole.power), "cost_usd": interval(whole.cost),
        "price_usd": interval(whole.price), "nre_usd": interval(whole.nre),
        "yields": {k: float(v[0]) for k, v in whole.yields.items()}, "transistors": float(whole.transistors[0]),
        "rates": [{"job": r.job, "unit": r.unit, "rate": r.rate, "p10": r.p10, "p90": r.p90, "chips": r.group,
                   "batch": r.batch, "bound": r.bound} for r in f.rates],
        "binds": [{"name": h.name, "value": h.value, "limit": h.limit, "unit": h.unit} for h in held],
    }  # fmt: skip


def interval(estimate: Any) -> dict[str, float]:
    return {"value": float(estimate.value[0]), "p10": float(estimate.p10[0]), "p90": float(estimate.p90[0])}


def show_field(out: Console, rows: Sequence[Beside]) -> None:
    """Print a table a job: rate of one chip with its interval, energy, money, what binds."""
    from suanli.design import SCALES

    for job in dict.fromkeys(r.rate.job for r in rows):
        here = [r for r in rows if r.rate.job == job]
        unit = next((r.rate.unit for r in here if r.rate.rate > 0.0), "sample")
        plural, money, money_size, energy, energy_size = SCALES[unit]
        lines = []
        for r in here:
            if r.rate.rate <= 0.0:
                lines.append((r.chip, "-", "", "", "", r.note))
                continue
            usd = "unknown" if r.usd_each is None else f"{r.usd_each * money_size:,.3g}"
            low, mid, high = (show(v, "") for v in (r.rate.p10, r.rate.rate, r.rate.p90))
            span = f"{low} to {high}"
            lines.append((r.chip, mid, span, f"{r.rate.joules * energy_size:,.3g}", usd, r.rate.bound))
        columns = ("chip", f"{plural}/s", "80 %", f"J a {energy}", f"USD a {money}", "bound by")
        out.print(table(f"{job}, one chip of each", columns, lines, right=columns[1:5]))


def field_data(r: Beside) -> dict[str, Any]:
    known = r.rate.rate > 0.0
    return {
        "job": r.rate.job, "chip": r.chip, "designed": r.designed, "rate": r.rate.rate, "unit": r.rate.unit,
        "p10": r.rate.p10, "p90": r.rate.p90, "joules": r.rate.joules if known else None, "usd_each": r.usd_each,
        "chips": r.rate.group, "bound": r.rate.bound, "note": r.note,
    }  # fmt: skip


def summary_table(whole: Design, terms: Any) -> Any:
    def line(name: str, estimate: Any, unit: str) -> tuple[str, str, str]:
        low, mid, high = (show(float(v[0]), unit) for v in (estimate.p10, estimate.value, estimate.p90))
        parts = sorted(estimate.breakdown.items(), key=lambda p: -float(p[1].reshape(-1)[0]))[:5]
        text = ", ".join(f"{k} {show(float(v.reshape(-1)[0]), unit)}" for k, v in parts)
        return name, f"{mid} ({low} to {high})", text

    first, middle, last = terms.volume_month
    months = f"{first:.0f} to {last:.0f} months after the start, median {middle:.0f}"
    rows = [
        line("die area", whole.area, "m2"),
        line("power", whole.power, "W"),
        line("unit cost", whole.cost, "USD"),
        line("price", whole.price, "USD"),
        line("NRE", whole.nre, "USD"),
        ("TPP", f"{whole.tpp[0]:,.0f}", f"{whole.density[0]:.2f} a mm²"),
        ("transistors", f"{whole.transistors[0] / 1e9:.0f} bn", ""),
        ("yield", f"{100 * whole.yields['sold'][0]:.0f} % sold", f"{whole.gross_dies[0]:.0f} gross dies a wafer"),
        ("volume", months, f"respin odds {1.0 - terms.stages[1].odds:.0%}"),
    ]
    return table(None, ("", "value (80 %)", "of which"), rows)


def _save(folder: Path, charts: dict[str, Any]) -> None:
    from suanli.reports import save_chart, themed

    for name, chart in charts.items():
        several = any(hasattr(chart, k) for k in ("hconcat", "vconcat"))
        size: dict[str, Any] = {} if several else {"width": chart.width, "height": chart.height}
        save_chart(themed(chart, **size), folder / f"{name}.png")


def draw_one(folder: Path, whole: Design, rows: Sequence[Beside]) -> None:
    from suanli.design import breakdown_chart, field_chart, floorplan_chart
    from suanli.reports import INK, MUTED, PALETTE

    charts = {
        "floorplan": floorplan_chart(whole, ink=INK, muted=MUTED),
        "breakdown": breakdown_chart(whole, colours=PALETTE, ink=INK),
    }
    if rows:
        charts["field"] = field_chart(rows, colours=PALETTE, ink=INK)
    _save(folder, charts)


def draw_search(folder: Path, found: Search, limits: Limits, rows: Sequence[Beside]) -> None:
    from suanli.catalog import chip
    from suanli.design import FIELD, front_chart, plane_chart
    from suanli.design import table as table_of
    from suanli.reports import INK, MUTED

    best = found.front[0]
    draw_one(folder, best.design, rows)
    charts = {"front": front_chart(found, muted=MUTED)}
    if limits.place is not None:
        known = [chip(name) for name in (*FIELD, "h100-sxm", "l20")]
        memory, nm = best.spec.memory, table_of()[f"{best.spec.node}.nm"].value
        charts["plane"] = plane_chart(found.judged, known, place=limits.place, memory=memory, node_nm=nm, ink=INK)
    _save(folder, charts)


def write_parquet(path: Path, found: Search) -> None:
    """Write a line a design judged in full."""
    import polars as pl

    from suanli.files import whole

    rows = [
        {
            "design": f.spec.name, "front": f in found.front, "refined": f.refined, "ruling": f.group, "tpp": f.tpp,
            "density": f.density, "die_area_m2": f.chip.die_area_m2, "power_w": f.chip.tdp_w, "price_usd": f.price,
            "nre_usd": f.nre, "usd_per_hour": f.usd_per_hour, "index": f.index, **f.objectives,
            "memory": f.spec.memory, "memory_sites": float(f.spec.memory_sites), "cores": float(f.spec.cores),
            "rows": float(f.spec.rows), "arrays": float(f.spec.arrays), "clock_hz": float(f.spec.clock),
            "shared_sram_bytes": float(f.spec.shared_sram), "scratchpad_bytes": float(f.spec.scratchpad),
            "lanes": float(f.spec.lanes), "dies": float(f.spec.dies), **{f"rate {r.job}": r.rate for r in f.rates},
        }
        for f in found.judged
    ]  # fmt: skip
    with whole(path) as temporary:
        pl.DataFrame(rows).write_parquet(temporary)
