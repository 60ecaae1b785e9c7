"""``suanli roofline MODEL --on CHIP``: the operators of a model on a chip's roofline, and what binds each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from suanli.cli.common import JsonPath, console, emit_json, table
from suanli.errors import InputError
from suanli.quantities import show

if TYPE_CHECKING:
    from suanli.kinds import Chip
    from suanli.silicon import OpsTime
    from suanli.workloads import Ops

PHASES = ("prefill", "decode", "encoder", "train")


def register(app: typer.Typer) -> None:
    """Add ``roofline`` to the application."""
    app.command("roofline", help="Draw the operators of a model on a chip's roofline, and say what bounds each.")(
        roofline
    )


def roofline(
    model: Annotated[str, typer.Argument(help="A preset or a Hugging Face config.json.")],
    on: Annotated[str, typer.Option("--on", metavar="CHIP", help="Chip, in any spelling of the catalogue, or a file.")],
    phase: Annotated[str, typer.Option(help=f"One of {', '.join(PHASES)}.")] = "decode",
    batch: Annotated[int, typer.Option(help="Sequences at once.", min=1)] = 32,
    seq: Annotated[int, typer.Option(help="Tokens of each sequence (decode: in the cache).", min=1)] = 4096,
    tp: Annotated[int, typer.Option(help="Tensor-parallel degree; operators are one chip's share.", min=1)] = 1,
    ep: Annotated[int, typer.Option(help="Expert-parallel degree.", min=1)] = 1,
    dtype: Annotated[str, typer.Option(help="Format of weights and products, such as bf16, fp8, int4_wo.")] = "bf16",
    kv_dtype: Annotated[str | None, typer.Option("--kv-dtype", help="Format of the KV cache.")] = None,
    png: Annotated[Path | None, typer.Option(help="Draw the picture as PNG to this file.")] = None,
    svg: Annotated[Path | None, typer.Option(help="Draw the picture as SVG to this file.")] = None,
    json_path: JsonPath = None,
) -> None:
    """Print the operators of one pass by time with what bounds each, and draw them on the roofline."""
    from suanli import catalog
    from suanli.silicon import ops_time
    from suanli.workloads import forward_ops

    if phase not in PHASES:
        raise InputError(f"--phase is '{phase}'; it must be one of {', '.join(PHASES)}")
    for path, suffix in ((png, ".png"), (svg, ".svg")):
        if path is not None and path.suffix.lower() != suffix:
            raise InputError(f"{path}: a picture by --{suffix[1:]} ends in {suffix}")
    architecture, chip = catalog.model(model), catalog.chip(on)
    q_len = 1 if phase == "decode" else seq
    ops = forward_ops(
        architecture, phase=phase, batch=batch, q_len=q_len, kv_len=seq, tp=tp, ep=ep, dtype=dtype, kv_dtype=kv_dtype
    )
    times = ops_time(chip, ops)
    rows = _rows(ops, times)
    share = f", one of {tp * ep} chips" if tp * ep > 1 else ""
    setting = f"{phase}, {batch} x {seq:,} tokens, {dtype}{share}"
    _print(rows, chip, f"{architecture.name} on {chip.name}: {setting}", json_path)
    for path in filter(None, (png, svg)):
        from suanli.cli._roofline_chart import chart
        from suanli.reports import save_chart

        save_chart(chart(rows, chip, title=f"{architecture.name} on {chip.name}", subtitle=setting), path)
    emit_json(
        json_path,
        {"model": architecture.id, "chip": chip.id, "setting": setting, "total_s": times.total, "operators": rows},
    )


def _rows(ops: Ops, times: OpsTime) -> list[dict[str, Any]]:
    """Return a record an operator, the longest first: seconds, intensity (FLOP/B), rates, what binds it."""
    total = times.total
    out = []
    for i, name in enumerate(ops.name):
        seconds, runs = float(times.value[i]), float(ops.count[i])
        flop, moved = runs * float(ops.flop[i]), runs * float(ops.bytes[i])
        out.append(
            {
                "operator": name,
                "runs": runs,
                "seconds": seconds,
                "p10": float(times.p10[i]),
                "p90": float(times.p90[i]),
                "share": seconds / total,
                "intensity": flop / moved if moved else None,
                "flop_per_s": flop / seconds,
                "bytes_per_s": moved / seconds,
                "dtype": ops.dtype[i],
                "bound": times.bound[i],
            }
        )
    return sorted(out, key=lambda row: -row["seconds"])


def _print(rows: list[dict[str, Any]], chip: Chip, title: str, json_path: str | None) -> None:
    columns = ("operator", "runs", "time", "±80 %", "share", "FLOP/B", "TFLOP/s", "TB/s", "bound by")
    lines = [
        (
            row["operator"],
            f"{row['runs']:g}",
            show(row["seconds"], "s"),
            f"{100.0 * (row['p90'] / row['seconds'] - 1.0):.0f} %",
            f"{100.0 * row['share']:.1f} %",
            f"{row['intensity']:.3g}" if row["intensity"] else "-",
            f"{row['flop_per_s'] / 1e12:.3g}" if row["intensity"] else "-",
            f"{row['bytes_per_s'] / 1e12:.3g}",
            row["bound"],
        )
        for row in rows
    ]
    out = console(json_path)
    out.print(table(title, columns, lines, right=columns[1:8]))
    total = sum(row["seconds"] for row in rows)
    out.print(f"\nall operators one after the other: {show(total, 's')}; {_bounds(rows, total)}")
    peaks = ", ".join(f"{name} {show(rate, 'FLOP/s')}" for name, rate in chip.peak.items() if name in _used(rows))
    out.print(f"{chip.name}: {peaks}; memory {show(chip.memory_bandwidth, 'B/s')}")


def _used(rows: list[dict[str, Any]]) -> set[str]:
    from suanli.silicon import rate_of

    return {rate_of(row["dtype"]) for row in rows}


def _bounds(rows: list[dict[str, Any]], total: float) -> str:
    """Return what share of the time each bound has, in words."""
    by: dict[str, float] = {}
    for row in rows:
        by[row["bound"]] = by.get(row["bound"], 0.0) + row["seconds"]
    ordered = sorted(by.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{100.0 * seconds / total:.0f} % bound by {name}" for name, seconds in ordered)
