"""A timeline of one step's pipeline that opens in Perfetto (Chrome trace events), and pictures of it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from suanli.quantities import GIB, show
from suanli.training._pipeline import Lengths, Work, span, timeline
from suanli.training._ranking import Step, memory_by_stage
from suanli.training._strategy import SCHEDULES

_MOST_PASSES = 4096  # passes drawn: more add nothing to see
_MOST_STAGES = 32  # rows of a picture
_AFTER = ("dp", "optimizer", "data")
_NAMES = {"F": "forward", "B": "backward", "W": "weights"}
_TRACE_COLOURS = {"F": "thread_state_running", "B": "thread_state_iowait", "W": "good"}
_PAPER = {"F": ("#3b6fb6", "#7ea3d6"), "B": ("#d9822b", "#f0b878"), "W": ("#4b9b5f", "#93c9a1")}


def pipeline_events(one: Step) -> list[dict[str, Any]]:
    """Return trace events of a step: a track a stage with every pass under the step's own schedule.

    Times in µs. The parts of a pass lie nested in it, in proportion to the step's breakdown; a counter a stage shows
    the micro-batches whose activations it holds. As many micro-batches are drawn as make 4,096 passes; data-parallel
    collectives, the optimizer and waiting for data follow.
    """
    work = drawn(one)
    pp = int(one.strategies.pp[0])
    events: list[dict[str, Any]] = [{"ph": "M", "name": "process_name", "pid": 0, "args": {"name": one.text}}]
    for stage in range(pp):
        events.append({"ph": "M", "name": "thread_name", "pid": 0, "tid": stage, "args": {"name": f"stage {stage}"}})
        events.append({"ph": "M", "name": "thread_sort_index", "pid": 0, "tid": stage, "args": {"sort_index": stage}})
    shares = _shares(one)
    for w in work:
        args = {"micro-batch": w.micro, "chunk": w.lane, "pass": _NAMES[w.kind]}
        events.append(_event(f"{w.kind}{w.micro}", w.stage, w.start, w.end - w.start, args, _TRACE_COLOURS[w.kind]))
        events += _nested(w, shares[w.kind])
    events += _held(work)
    last = span(work)
    for name in _AFTER:
        seconds = float(one.time.breakdown[name][0])
        if seconds > 0:
            events += [_event(name, stage, last, seconds, {}, "grey") for stage in range(pp)]
            last += seconds
    return events


def drawn(one: Step) -> list[Work]:
    """Return the passes of a step's pipeline, as many micro-batches as make some 4,096 of them."""
    s = one.strategies
    pp, vpp, schedule = int(s.pp[0]), int(s.vpp[0]), SCHEDULES[int(s.schedule[0])]
    n_micro = max(1, one.batch // int(s.dp[0] * s.micro_batch[0]))
    most = max(2 * pp, _MOST_PASSES // (pp * vpp * (3 if schedule in {"zero_bubble", "dualpipe"} else 2)))
    if most < n_micro:
        n_micro = most // pp * pp if schedule == "interleaved" else most
    return timeline(schedule, pp=pp, vpp=vpp, n_micro=n_micro, lengths=lengths_of(one))


def lengths_of(one: Step) -> Lengths:
    """Return the seconds of a stage's passes over one micro-batch, by the usual shares of forward and backward.

    Backward computes two products for each forward one; full recomputation adds a forward pass to it.
    """
    s = one.strategies
    n_micro = max(1, one.batch // int(s.dp[0] * s.micro_batch[0]))
    b = {name: float(value[0]) for name, value in one.time.breakdown.items()}
    busy = sum(b.values()) - b["bubble"] - sum(b[name] for name in _AFTER)
    again = b["recompute"] / n_micro
    once = busy / n_micro - again
    return Lengths(forward=once / 3.0, inputs=once / 3.0 + again, weights=once / 3.0)


def _shares(one: Step) -> dict[str, list[tuple[str, float]]]:
    """Return the parts of each kind of pass as shares of it; recomputation belongs to backward passes."""
    b = {name: float(value[0]) for name, value in one.time.breakdown.items()}
    plain = [(name, b[name]) for name in b if name not in {"bubble", "recompute", *_AFTER} and b[name] > 0]
    once = sum(seconds for _, seconds in plain)
    lengths = lengths_of(one)
    whole = lengths.forward + lengths.inputs + lengths.weights
    again = b["recompute"] / max(once + b["recompute"], 1e-30) * whole
    backward = lengths.inputs + lengths.weights
    split = SCHEDULES[int(one.strategies.schedule[0])] in {"zero_bubble", "dualpipe"}
    back = lengths.inputs if split else backward
    return {
        "F": [(name, seconds / once) for name, seconds in plain],
        "B": [("recompute", again / back)] * (again > 0)
        + [(name, seconds / once * (1.0 - again / back)) for name, seconds in plain],
        "W": [],
    }


def _nested(w: Work, shares: Sequence[tuple[str, float]]) -> list[dict[str, Any]]:
    at, out = w.start, []
    for name, share in shares:
        seconds = share * (w.end - w.start)
        out.append(_event(name, w.stage, at, seconds, {}, None))
        at += seconds
    return out


def _held(work: Sequence[Work]) -> list[dict[str, Any]]:
    """Return counters of the micro-batches (times chunks) that each stage holds activations of."""
    split = any(w.kind == "W" for w in work)
    changes = [(w.start, w.stage, 1) for w in work if w.kind == "F"]
    changes += [(w.end, w.stage, -1) for w in work if w.kind == ("W" if split else "B")]
    held: dict[int, int] = {}
    out = []
    for at, stage, change in sorted(changes):
        held[stage] = held.get(stage, 0) + change
        name = f"held by stage {stage}"
        out.append(
            {"ph": "C", "name": name, "pid": 0, "ts": round(at * 1e6, 3), "args": {"micro-batches": held[stage]}}
        )
    return out


def _event(
    name: str, stage: int, start: float, seconds: float, args: dict[str, Any], colour: str | None
) -> dict[str, Any]:
    event: dict[str, Any] = {
        "ph": "X",
        "name": name,
        "pid": 0,
        "tid": stage,
        "ts": round(start * 1e6, 3),
        "dur": round(seconds * 1e6, 3),
        "args": args,
    }
    return event | ({"cname": colour} if colour else {})


def picture(one: Step, *, width: int = 72) -> list[str]:
    """Return a picture of the pipeline, a line a stage: digits for forward, letters for backward, + for weights, dots
    for idle; the first three rounds of micro-batches of up to eight stages."""
    work = _few(one)
    shown = min(int(one.strategies.pp[0]), 8)
    rows = [["."] * width for _ in range(shown)]
    scale = width / span(work)
    for w in work:
        if w.stage < shown:
            mark = {"F": "0123456789", "B": "abcdefghij", "W": "+" * 10}[w.kind][w.micro % 10]
            for x in range(round(w.start * scale), max(round(w.start * scale) + 1, round(w.end * scale))):
                if x < width:
                    rows[w.stage][x] = mark
    return ["".join(row) for row in rows]


def _few(one: Step) -> list[Work]:
    """Return the passes of as many micro-batches as show the pattern: three rounds of the stages at most."""
    s = one.strategies
    pp, schedule = int(s.pp[0]), SCHEDULES[int(s.schedule[0])]
    n_micro = min(max(1, one.batch // int(s.dp[0] * s.micro_batch[0])), max(3 * pp, 4))
    return timeline(schedule, pp=pp, vpp=int(s.vpp[0]), n_micro=n_micro, lengths=lengths_of(one))


def picture_svg(one: Step, *, width: int = 1200) -> str:
    """Return the pipeline as an SVG image: a row a stage with its memory, coloured by pass, shaded by chunk.

    The first three rounds of micro-batches of up to 32 stages; the step's time, schedule and bubble stand above.
    """
    work = _few(one)
    shown = min(int(one.strategies.pp[0]), _MOST_STAGES)
    left, top, row, right = 76, 64, 26 if shown <= 16 else 16, 84
    whole = span(work)
    scale = (width - left - right) / whole
    height = top + shown * row + 62
    seconds = float(one.time.value[0])
    n_micro = max(1, one.batch // int(one.strategies.dp[0] * one.strategies.micro_batch[0]))
    bubble = 100.0 * float(one.time.breakdown["bubble"][0]) / seconds
    drawn_micro = len({w.micro for w in work})
    schedule = SCHEDULES[int(one.strategies.schedule[0])].replace("_", " ")
    said = (
        f"{schedule}, step {show(seconds, 's')}, bubble {bubble:.1f} %; {drawn_micro} of {n_micro} micro-batches drawn"
    )
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        '<g font-family="system-ui, sans-serif" font-size="12" fill="#222">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{left}" y="24" font-size="15" font-weight="600">{escape(_title(one))}</text>',
        f'<text x="{left}" y="46" fill="#555">{escape(said)}</text>',
    ]
    held = memory_by_stage(one) / GIB
    for stage in range(shown):
        y = top + stage * row
        out.append(f'<text x="{width - 8}" y="{y + row / 2 + 3:.0f}" text-anchor="end">{held[stage]:.1f} GiB</text>')
        out.append(f'<rect x="{left}" y="{y + 1}" width="{width - left - right}" height="{row - 3}" fill="#eef0f3"/>')
        out.append(f'<text x="{left - 8}" y="{y + row / 2 + 3:.0f}" text-anchor="end" fill="#555">stage {stage}</text>')
    out += [_box(w, left, top, row, scale) for w in work if w.stage < shown]
    return "\n".join(
        [
            *out,
            *_axis(whole, left, top + shown * row, scale),
            *_legend({w.kind for w in work}, left, top + shown * row),
            "</g></svg>",
            "",
        ]
    )


def _title(one: Step) -> str:
    where = one.setting
    return f"{where.model.name} on {int(one.strategies.chips[0]):,} x {where.site.chip.name}: {one.text}"[:150]


def _box(w: Work, left: int, top: int, row: int, scale: float) -> str:
    x, wide = left + w.start * scale, max(0.5, (w.end - w.start) * scale - 0.6)
    y = top + w.stage * row + 1
    box = (
        f'<rect x="{x:.1f}" y="{y}" width="{wide:.1f}" height="{row - 3}" fill="{_PAPER[w.kind][w.lane % 2]}">'
        f"<title>{_NAMES[w.kind]} of micro-batch {w.micro}, lane {w.lane}</title></rect>"
    )
    if wide < 15 or row < 20:
        return box
    middle = x + wide / 2
    return box + f'<text x="{middle:.1f}" y="{y + 16}" text-anchor="middle" font-size="11" fill="#fff">{w.micro}</text>'


def _axis(whole: float, left: int, y: int, scale: float) -> list[str]:
    """Return the axis in five steps of time."""
    out = []
    for i in range(6):
        at = whole * i / 5
        anchor = "start" if i == 0 else "end" if i == 5 else "middle"
        out.append(
            f'<line x1="{left + at * scale:.1f}" x2="{left + at * scale:.1f}" y1="{y}" y2="{y + 5}" stroke="#999"/>'
        )
        out.append(
            f'<text x="{left + at * scale:.1f}" y="{y + 19}" text-anchor="{anchor}" fill="#555">{show(at, "s")}</text>'
        )
    return out


def _legend(kinds: set[str], x: int, y: int) -> list[str]:
    """Return the legend of the kinds of passes that are drawn, under the axis."""
    out = []
    marks = [(_PAPER[kind][0], name) for kind, name in _NAMES.items() if kind in kinds] + [("#eef0f3", "idle")]
    for i, (colour, name) in enumerate(marks):
        at = x + 110 * i
        out.append(f'<rect x="{at}" y="{y + 34}" width="14" height="14" fill="{colour}" stroke="#bbb"/>')
        out.append(f'<text x="{at + 20}" y="{y + 46}">{name}</text>')
    return out
