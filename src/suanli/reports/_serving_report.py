"""The page of a service: what it takes, how fast it answers, what it costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suanli.files import write_text
from suanli.quantities import show, show_money
from suanli.reports import _html as html
from suanli.reports._serving_charts import cost_chart, goodput_chart, latency_chart, occupancy_chart, pareto_chart

if TYPE_CHECKING:
    from suanli.serving import Replay

_DESK, _PHONE = 860, 340
_LISTED = 12


def write_serving_report(path: Path, answer: Mapping[str, Any], replay: Replay) -> None:
    """Write the page of what ``suanli serve`` answered, with its simulation, to ``path`` (whole or not at all)."""
    write_text(path, serving_page(answer, replay))


def serving_page(answer: Mapping[str, Any], replay: Replay) -> str:
    """Return the page: numbers, layouts, pictures and launch commands; it needs nothing else."""
    best, limits = answer["best"], answer["limits"]
    title = f"{answer['model']} on {answer['chip']}"
    wanted = ", ".join(
        f"{n.removesuffix('_s').upper()} {show(limits[n], 's')}" for n in ("ttft_s", "tpot_s") if limits[n]
    )
    head = f"<h1>{html.text(title)}</h1>" + html.paragraph(
        f"{answer['precision']}, {answer['input_tokens']:,.0f} tokens in, {answer['output_tokens']:,.0f} out;"
        f" {wanted or 'no limits'}",
        "lead",
    )
    subtitle = f"{answer['model']} in {answer['precision']} on {answer['chip']}"
    rent = answer["rent_usd_per_chip_hour"]
    pictures = ""
    if answer["pareto"]:
        pictures = _figure("Throughput against speed", lambda w: pareto_chart(answer["pareto"], subtitle, width=w))
    if rent and answer["pareto"]:
        pictures += _figure(
            f"What speed costs at USD {rent:.2f} a chip and hour", partial(_cost, answer["pareto"], rent)
        )
    load = (
        _figure("Goodput against rate, simulated", lambda w: goodput_chart(answer["goodput"], width=w))
        + _figure("Requests below a latency; dashed: the limit", lambda w: latency_chart(replay, limits, width=w - 60))
        + _figure("A replica over time, means while it works", lambda w: occupancy_chart(replay, width=w))
    )
    return html.page(
        title,
        [
            ("The answer", _tiles(answer, best) + _layouts(answer)),
            ("Speed and cost", pictures),
            ("Under load", _seen(answer["simulation"]) + load),
            ("How to start it", _commands(answer["launch"])),
        ],
        head,
    )


def _figure(caption: str, draw: Callable[[int], Any]) -> str:
    """Return a chart whose caption stands above it, in place of its own title."""

    def untitled(width: int) -> Any:
        chart = draw(width)
        chart.title = ""
        return chart

    return html.figure(caption, untitled, desk=_DESK, phone=_PHONE)


def _cost(rows: Sequence[Mapping[str, Any]], rent: float, width: int) -> Any:
    return cost_chart(rows, rent, width=width)


def _commands(launch: Mapping[str, Sequence[str]]) -> str:
    """Return launch commands, wrapped where they are long."""
    out = []
    for framework, commands in launch.items():
        out.append(html.paragraph(framework, "lead"))
        out += [f'<pre style="white-space: pre-wrap">{html.text(command)}</pre>' for command in commands]
    return "".join(out)


def _tiles(answer: Mapping[str, Any], best: Mapping[str, Any]) -> str:
    cost, energy = answer["usd_per_million_output_tokens"], answer["joule_per_output_token"]
    low, high = best["requests_per_s_p10"], best["requests_per_s_p90"]
    pairs = [
        (str(best["layout"]), "best layout"),
        (f"{best['requests_per_s']:.3g}/s", f"requests, 80 % between {low:.3g} and {high:.3g}"),
        (f"{best['output_tokens_per_s_per_chip']:,.0f}", "output tokens/s a chip"),
        (show_money(cost, "USD") if cost else "unknown", "a million output tokens"),
        (show(energy, "J"), "an output token at design power"),
    ]
    if answer["chips_needed"]:
        pairs.append((f"{answer['chips_needed']:,}", f"chips for {answer['asked_requests_per_s']:,.1f} requests/s"))
    return html.tiles(pairs)


def _layouts(answer: Mapping[str, Any]) -> str:
    rows = [
        (
            c["layout"],
            c["chips"],
            f"{c['requests_per_s']:.3g}" if c["requests_per_s"] else "-",
            f"{c['output_tokens_per_s_per_chip']:,.0f}" if c["requests_per_s"] else "-",
            show(c["ttft_s"], "s") if c["requests_per_s"] else "-",
            show(c["tpot_s"], "s") if c["requests_per_s"] else "-",
            c["why_not"] or "the best",
        )
        for c in answer["layouts"][:_LISTED]
    ]
    columns = ("layout", "chips", "requests/s", "tokens/s/chip", "TTFT", "TPOT", "why not")
    return html.table(columns, rows, numbers=columns[1:6])


def _seen(found: Mapping[str, Any]) -> str:
    rows = [
        (name, *(show(found[column][q], "s") for q in ("p50", "p90", "p99")))
        for name, column in (
            ("time to first token", "ttft_s"),
            ("of it the prompt", "prefill_s"),
            ("of it the hand-over", "handover_s"),
            ("time per token", "tpot_s"),
            ("whole answer", "latency_s"),
        )
        if column in found
    ]
    lead = (
        f"{found['requests']:,} requests simulated at {found['requests_per_s']:.3g}/s:"
        f" {found['goodput_requests_per_s']:.3g}/s within the limits, {found['preemptions']:,} preemptions."
    )
    return html.paragraph(lead) + html.table(("", "p50", "p90", "p99"), rows, numbers=("p50", "p90", "p99"))
