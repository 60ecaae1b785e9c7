"""``suanli validate KIND FILE...``: score predictions against measured rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from suanli.cli.common import JsonPath, console, emit_json, table
from suanli.files import whole
from suanli.scoring import KINDS, report, score

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from suanli.scoring import Scored


def register(app: typer.Typer) -> None:
    """Add ``validate`` to the application."""
    app.command("validate", help=f"Score predictions against measured rows. KIND is one of {', '.join(KINDS)}.")(
        validate
    )


def validate(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="What the rows measure.", show_default=False)],
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="CSV or Parquet files of that kind.")],
    json_path: JsonPath = None,
    rows: Annotated[
        Path | None, typer.Option("--rows", metavar="PATH", help="Write a line a row and metric as Parquet to PATH.")
    ] = None,
    groups: Annotated[bool, typer.Option("--groups/--no-groups", help="Print the metrics of each group too.")] = True,
) -> None:
    """Score ``files`` and print, per metric, the error beside the naive baseline's."""
    out = console(json_path)
    with out.status(f"Scoring {kind} on {len(files)} file{'s' if len(files) > 1 else ''} ..."):
        scored = score(kind, files)
        data = report(scored)
    if rows is not None:
        with whole(rows) as temporary:
            scored.rows.write_parquet(temporary)
    emit_json(json_path, data)
    _show(out, scored, data, groups=groups)


def _show(out: Console, scored: Scored, data: Mapping[str, Any], *, groups: bool) -> None:
    if scored.kind == "controls":
        _show_labels(out, data)
    else:
        _show_errors(out, data, groups=groups)
    left, final = scored.fitted.get("left_out", 0), scored.fitted.get("final", 0)
    out.print(f"\n{data['n_scored']} of {data['n_rows']} rows scored, {len(scored.skipped)} skipped", end="")
    out.print(f"; {left} judged by parameters fitted without their group, {final} by the final ones" if left else "")
    for reason, n in _reasons(scored)[:8]:
        out.print(f"  skipped {n}: {escape(reason)}")
    for note in scored.notes:
        out.print(escape(note))


_COLUMNS = ("metric", "n", "mean %", "median %", "p90 %", "bias %", "holds %", "width %")


def _show_errors(out: Console, data: Mapping[str, Any], *, groups: bool) -> None:
    lines = []
    for name, m in data["metrics"].items():
        lines.append(_line(name, m))
        naive = data["baseline"].get(name)
        if naive:
            lines.append(_line("  naive", naive))
    out.print(table(f"validate {data['kind']}", _COLUMNS, lines, right=_COLUMNS[1:]))
    out.print("[dim]errors are predicted / measured - 1; holds, width: of the 80 % interval[/dim]")
    if data["baseline"]:
        out.print(f"[dim]naive: {escape(data['baseline_name'])}[/dim]")
    if groups and data["by_group"]:
        only = len(data["metrics"]) == 1
        lines = [
            _line(group if only else f"{group} {name}", m)
            for group, metrics in data["by_group"].items()
            for name, m in metrics.items()
        ]
        out.print()
        first = "group" if only else "group and metric"
        out.print(table("by group", (first, *_COLUMNS[1:]), lines, right=_COLUMNS[1:]))


def _line(name: str, m: Mapping[str, Any]) -> tuple[str, ...]:
    def number(key: str, digits: int = 1) -> str:
        return "" if m.get(key) is None else f"{m[key]:.{digits}f}"

    return (
        name,
        str(m["n"]),
        number("mean_abs_pct"),
        number("median_abs_pct"),
        number("p90_abs_pct"),
        number("bias_pct"),
        number("coverage_80_pct", 0),
        number("width_80_pct", 0),
    )


def _show_labels(out: Console, data: Mapping[str, Any]) -> None:
    lines = [(name, str(m["n"]), f"{m['agree_pct']:.1f}") for name, m in data["metrics"].items()]
    out.print(table("validate controls", ("label", "n", "agree %"), lines, right=("n", "agree %")))
    clears = data.get("false_clears", {"n": 0, "ids": []})
    named = f": {', '.join(clears['ids'])}" if clears["ids"] else ""
    out.print(f"false clears: {clears['n']}{named}")


def _reasons(scored: Scored) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for _, reason in scored.skipped:
        counts[reason] = counts.get(reason, 0) + 1
    return sorted(counts.items(), key=lambda pair: -pair[1])
