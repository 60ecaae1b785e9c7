"""``suanli calibrate``: measure this machine and write it as a chip file."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from suanli.cli.common import JsonPath, console, emit_json, table
from suanli.quantities import parse, show


def register(app: typer.Typer) -> None:
    """Add ``calibrate`` to the application."""
    app.command("calibrate", help="Measure this machine and write a chip file that any command accepts.")(calibrate)


def calibrate(
    out: Annotated[Path, typer.Option(metavar="FILE", help="Chip file to write.")] = Path("this-machine.yaml"),
    time_limit: Annotated[
        str, typer.Option("--time-limit", help="How long to measure, such as '60 s'; fitting adds seconds.")
    ] = "120 s",
    json_path: JsonPath = None,
) -> None:
    """Measure products and streams (processor, or the accelerator torch sees) and print predicted against measured."""
    from suanli.catalog import write_chip
    from suanli.silicon import chip_of, measure_machine, predicted, this_machine

    limit = parse(time_limit, "s")
    machine = this_machine()
    screen = console(json_path)
    with screen.status(f"Measuring {machine.name}, up to {show(limit, 's')} ..."):
        samples = measure_machine(machine, seconds=limit)
    chip = chip_of(machine, samples, date=date.today().isoformat())
    write_chip(out, chip)
    times = predicted(chip, samples)
    rows = [
        {"op": s.op, "size": list(s.size), "dtype": s.dtype, "measured_s": s.seconds, "predicted_s": float(t)}
        for s, t in zip(samples, times, strict=True)
    ]
    lines = [
        (
            s.op,
            " x ".join(f"{n:,}" for n in s.size) + (" B" if s.op == "stream" else ""),
            s.dtype,
            show(s.seconds, "s"),
            show(float(t), "s"),
            f"{100.0 * (t / s.seconds - 1.0):+.0f} %",
        )
        for s, t in zip(samples, times, strict=True)
    ]
    columns = ("op", "size", "format", "measured", "predicted", "error")
    screen.print(table(machine.name, columns, lines, right=columns[3:]))
    errors = sorted(abs(t / s.seconds - 1.0) for s, t in zip(samples, times, strict=True))
    peaks = ", ".join(f"{name} {show(rate, 'FLOP/s')}" for name, rate in chip.peak.items())
    screen.print(f"\neffective figures: {peaks}; memory {show(chip.memory_bandwidth, 'B/s')}")
    screen.print(
        f"median error {100.0 * errors[len(errors) // 2]:.0f} % (these figures were fitted on the same samples)"
    )
    screen.print(f"written: {out}; try it with --on {out}")
    emit_json(json_path, {"machine": machine.name, "chip": str(out), "samples": rows})
