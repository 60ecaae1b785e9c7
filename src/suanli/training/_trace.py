"""A timeline of one step's pipeline that opens in Perfetto (Chrome trace events), and a picture of it in text."""

from __future__ import annotations

from typing import Any

import numpy as np

from suanli.training._ranking import Step

_MOST_MICRO = 64  # micro-batches drawn: more add nothing to see


def pipeline_events(one: Step) -> list[dict[str, Any]]:
    """Return trace events of a step: stages as processes, forward and backward of each micro-batch, collectives.

    Times in µs. A 1F1B order per stage at the step's own forward and backward times; chunks of interleaved schedules
    are drawn as whole stages, at most 64 micro-batches.
    """
    pp, n_micro, forward, backward, tail = _shape(one)
    ends_f, ends_b = schedule_times(pp, n_micro, forward, backward)
    events: list[dict[str, Any]] = []
    for stage in range(pp):
        events.append({"ph": "M", "name": "process_name", "pid": stage, "args": {"name": f"stage {stage}"}})
        for kind, ends, length in (("F", ends_f, forward), ("B", ends_b, backward)):
            for m in range(n_micro):
                end = ends[stage, m]
                events.append(_event(f"{kind}{m}", stage, end - length, length, {"micro-batch": m, "pass": kind}))
        last = float(ends_b[stage].max())
        for name, seconds in tail:
            events.append(_event(name, stage, last, seconds, {}))
            last += seconds
    return events


def _event(name: str, stage: int, start: float, seconds: float, args: dict[str, Any]) -> dict[str, Any]:
    return {
        "ph": "X",
        "name": name,
        "pid": stage,
        "tid": 0,
        "ts": round(start * 1e6, 3),
        "dur": round(seconds * 1e6, 3),
        "args": args,
    }


def _shape(one: Step) -> tuple[int, int, float, float, list[tuple[str, float]]]:
    """Return (stages, micro-batches drawn, forward s, backward s of a stage, (name, s) of what follows them)."""
    s = one.strategies
    pp = int(s.pp[0])
    n_micro = max(1, one.batch // int(s.dp[0] * s.micro_batch[0]))
    b = {name: float(value[0]) for name, value in one.time.breakdown.items()}
    after = [(name, b[name]) for name in ("dp", "optimizer") if b[name] > 0]
    busy = sum(b.values()) - b["bubble"] - sum(seconds for _, seconds in after)
    per_micro = busy / n_micro
    share = 1.0 / 3.0 if b["recompute"] == 0 else 0.25
    return pp, min(n_micro, _MOST_MICRO), share * per_micro, (1.0 - share) * per_micro, after


def schedule_times(
    pp: int, n_micro: int, forward: float, backward: float
) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.float64]], np.ndarray[tuple[int, int], np.dtype[np.float64]]]:
    """Return the end times (s) of each (stage, micro-batch) forward and backward pass under 1F1B.

    Stage i runs min(pp - i, n) forwards first, then one backward and one forward in turn; the last backward of stage 0
    ends at (n + pp - 1)(F + B), the closed form's time.
    """
    ends_f, ends_b = np.full((pp, n_micro), np.nan), np.full((pp, n_micro), np.nan)
    orders = [_order(pp, n_micro, stage) for stage in range(pp)]
    at, clock = [0] * pp, [0.0] * pp
    left = 2 * pp * n_micro
    while left:
        for stage in range(pp):
            while at[stage] < len(orders[stage]):
                kind, m = orders[stage][at[stage]]
                if kind == "F":
                    ready = 0.0 if stage == 0 else ends_f[stage - 1, m]
                else:
                    ready = ends_f[stage, m] if stage == pp - 1 else ends_b[stage + 1, m]
                if np.isnan(ready):
                    break
                clock[stage] = max(clock[stage], float(ready)) + (forward if kind == "F" else backward)
                (ends_f if kind == "F" else ends_b)[stage, m] = clock[stage]
                at[stage] += 1
                left -= 1
    return ends_f, ends_b


def _order(pp: int, n_micro: int, stage: int) -> list[tuple[str, int]]:
    warm = min(pp - stage, n_micro)
    out = [("F", m) for m in range(warm)]
    for m in range(n_micro):
        out.append(("B", m))
        if warm + m < n_micro:
            out.append(("F", warm + m))
    return out


def picture(one: Step, *, width: int = 72) -> list[str]:
    """Return a picture of the pipeline, a line a stage: digits for forward, letters for backward, dots for idle."""
    pp, n_micro, forward, backward, _ = _shape(one)
    n_micro, shown = min(n_micro, 3 * pp), min(pp, 8)
    ends_f, ends_b = schedule_times(pp, n_micro, forward, backward)
    scale = width / float(ends_b.max())
    lines = []
    for stage in range(shown):
        row = ["."] * width
        for ends, length, marks in ((ends_f, forward, "0123456789"), (ends_b, backward, "abcdefghij")):
            for m in range(n_micro):
                start, stop = (ends[stage, m] - length) * scale, ends[stage, m] * scale
                for x in range(int(start), max(int(start) + 1, int(stop))):
                    if x < width:
                        row[x] = marks[m % 10]
        lines.append("".join(row))
    return lines
