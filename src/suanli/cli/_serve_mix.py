"""``suanli serve --mix``: one fleet for several services over a day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from suanli.cli._serve_options import Asked
from suanli.cli.common import console, emit_json, table
from suanli.errors import InputError
from suanli.quantities import DAY, HOUR, parse, show, show_money

if TYPE_CHECKING:
    from suanli.kinds import Chip
    from suanli.serving import Shared


def serve_mix(asked: Asked) -> None:
    """Print and write the least chips that hold every service of the mix file, apart and sharing by time."""
    from suanli import catalog
    from suanli.cli._serve_show import framework_facts
    from suanli.serving import check_peak, read_mix, share

    assert asked.mix is not None
    for name in ("model", "rate", "users", "trace", "slo"):
        if getattr(asked, name) is not None:
            raise InputError(f"--mix says what is served; leave {name if name == 'model' else '--' + name} out")
    parts, named, start = read_mix(asked.mix)
    on = asked.on or named
    if on is None:
        raise InputError(f"{asked.mix}: name a chip there or with --on")
    chip = catalog.chip(on)
    found = share(
        parts,
        chip,
        framework=asked.framework,
        max_chips=asked.chips,
        start_s=parse(asked.start, "s") if start is None else start,
        simulated=asked.simulate,
        seed=asked.seed,
    )
    checked = check_peak(found, seed=asked.seed).to_dicts() if asked.simulate else []
    answer = {**framework_facts(asked.framework), **_answer(found, chip, asked.year, checked)}
    if asked.png is not None or asked.report is not None:
        from suanli.reports import mix_chart, save_chart

        for path in filter(None, (asked.png, asked.report)):
            save_chart(mix_chart(answer["day"], f"Chips in use over a day on {chip.name}"), path)
    emit_json(asked.json_path, answer)
    _show(console(asked.json_path), answer, chip)


def _answer(found: Shared, chip: Chip, year: int, checked: list[dict[str, Any]]) -> dict[str, Any]:
    from suanli import catalog

    rent = catalog.rent(chip.id, year)
    chips = found.chips
    hours = DAY / HOUR / chips.shape[1]
    return {
        "chip": chip.id,
        "start_s": found.start_s,
        "chips_apart": found.apart,
        "chips_together": found.together,
        "mean_chips_in_use": found.mean_chips,
        "rent_usd_per_chip_hour": rent.value if rent else None,
        "usd_per_day_apart": 24.0 * found.apart * rent.value if rent else None,
        "usd_per_day_together": 24.0 * found.together * rent.value if rent else None,
        "services": found.table().to_dicts(),
        "checked_by_simulation": checked,
        "day": [
            {"hour": t * hours, "service": part.name, "chips": int(chips[i, t])}
            for i, part in enumerate(found.parts)
            for t in range(chips.shape[1])
        ],
    }


def _show(out: Any, answer: dict[str, Any], chip: Chip) -> None:
    from suanli.cli._serve_show import framework_line

    columns = ("service", "layout", "peak/s", "a copy/s", "copies", "chips apart", "at fleet peak", "mean")
    rows = [
        (
            s["name"],
            s["layout"],
            f"{s['requests_per_s']:,.4g}",
            f"{s['requests_per_s_a_copy']:,.3g}",
            f"{s['copies']:,}",
            f"{s['chips_apart']:,}",
            f"{s['chips_at_the_fleets_peak']:,}",
            f"{s['mean_chips']:,.1f}",
        )
        for s in answer["services"]
    ]
    out.print(f"A day of {len(rows)} services on {chip.name}", soft_wrap=True, style="bold")
    out.print(table(None, columns, rows, right=columns[2:]))
    out.print(framework_line(answer), soft_wrap=True, markup=False)
    saved = 1.0 - answer["chips_together"] / answer["chips_apart"]
    out.print(
        f"Apart: {answer['chips_apart']:,} chips. Sharing by time: {answer['chips_together']:,} ({saved:.0%} fewer),"
        f" copies loaded {show(answer['start_s'], 's')} ahead; {answer['mean_chips_in_use']:,.1f} in use on average.",
        soft_wrap=True,
    )
    if answer["usd_per_day_together"] is not None:
        apart, together = (show_money(answer[f"usd_per_day_{k}"], "USD") for k in ("apart", "together"))
        out.print(f"Rent: {apart} a day apart, {together} sharing", soft_wrap=True)
    for s in answer["checked_by_simulation"]:
        held = "holds" if s["holds"] else "MISSES"
        what = f"answer {show(s['latency_s'], 's')}"
        if s["tpot_s"]:
            what = f"TTFT {show(s['ttft_s'], 's')}, TPOT {show(s['tpot_s'], 's')}"
        out.print(
            f"  {s['name']}: {held} its limits at the busiest time ({s['requests']:,} requests over"
            f" {s['simulated']} of {s['copies']} copies: mean {what})",
            soft_wrap=True,
        )
