from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from suanli.errors import InputError
from suanli.training import SCHEDULES, Lengths, timeline
from suanli.training._schedule import idle_passes, in_flight, stage_layers


def a(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


@pytest.mark.parametrize(
    ("schedule", "pp", "vpp", "n_micro"),
    [
        ("1f1b", 2, 1, 3),
        ("1f1b", 4, 1, 9),
        ("1f1b", 8, 1, 16),
        ("interleaved", 4, 2, 8),
        ("interleaved", 4, 3, 12),
        ("zero_bubble", 4, 1, 12),
        ("zero_bubble", 8, 1, 32),
    ],
)
def test_closed_forms_are_what_the_passes_give(schedule: str, pp: int, vpp: int, n_micro: int) -> None:
    lengths = Lengths(forward=1.0, inputs=1.2, weights=0.8)
    work = timeline(schedule, pp=pp, vpp=vpp, n_micro=n_micro, lengths=lengths)
    f, i, w = idle_passes(a(pp), a(vpp), a(SCHEDULES.index(schedule)))
    idle = float((f * lengths.forward + i * lengths.inputs + w * lengths.weights)[0])
    assert max(x.end for x in work) == pytest.approx(n_micro * 3.0 + idle)


def test_dualpipe_as_drawn_idles_less_than_1f1b() -> None:
    lengths = Lengths(forward=1.0, inputs=1.0, weights=1.0)
    ends = {
        name: max(x.end for x in timeline(name, pp=8, vpp=1, n_micro=20, lengths=lengths))
        for name in ("1f1b", "zero_bubble", "dualpipe")
    }
    assert 60.0 <= ends["dualpipe"] < ends["zero_bubble"] < ends["1f1b"]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_pass_happens_once_in_its_order(schedule: str) -> None:
    pp, vpp, n_micro = 4, 2 if schedule == "interleaved" else 1, 8
    work = timeline(schedule, pp=pp, vpp=vpp, n_micro=n_micro, lengths=Lengths(forward=1.0, inputs=1.0, weights=1.0))
    kinds = 3 if schedule in {"zero_bubble", "dualpipe"} else 2
    assert len({(w.stage, w.kind, w.micro, w.lane) for w in work}) == len(work) == pp * vpp * n_micro * kinds
    ends = {(w.stage, w.kind, w.micro, w.lane): w.end for w in work}
    for w in work:
        if w.kind == "B":
            assert ends[w.stage, "F", w.micro, w.lane] <= w.start
        if w.kind == "W":
            assert ends[w.stage, "B", w.micro, w.lane] <= w.start
    for stage in range(pp):
        mine = sorted((w for w in work if w.stage == stage), key=lambda w: w.start)
        assert all(x.end <= y.start + 1e-9 for x, y in pairwise(mine))


def test_odd_rounds_and_names_are_refused() -> None:
    lengths = Lengths(forward=1.0, inputs=1.0, weights=1.0)
    with pytest.raises(InputError, match="rounds of 4 micro-batches, not 6"):
        timeline("interleaved", pp=4, vpp=2, n_micro=6, lengths=lengths)
    with pytest.raises(InputError, match="schedule 'gpipe' is not one of 1f1b"):
        timeline("gpipe", pp=4, vpp=1, n_micro=6, lengths=lengths)


def test_interleaving_divides_the_bubble_and_zero_bubble_fills_it() -> None:
    plain = [x[0] for x in idle_passes(a(8), a(1), a(0))]
    chunks = [x[0] for x in idle_passes(a(8), a(4), a(1))]
    assert chunks == pytest.approx([x / 4 for x in plain])
    f, i, w = (x[0] for x in idle_passes(a(8), a(1), a(2)))
    assert f + i + w == pytest.approx(7.0)  # (p - 1)(F + B - W), one of each


def test_dualpipe_is_table_2_of_deepseek_v3() -> None:
    # (PP/2 - 1)(F&B + B - 3W) with F&B = F + B and B = input + weight gradients (2412.19437, table 2)
    f, i, w = (x[0] for x in idle_passes(a(16), a(1), a(3)))
    forward, inputs, weights = 1.0, 1.1, 0.9
    whole = inputs + weights
    assert f * forward + i * inputs + w * weights == pytest.approx(7 * (forward + whole + whole - 3 * weights))


def test_layers_of_stages() -> None:
    full, last = stage_layers(a(96, 126, 70, 61), a(8, 16, 12, 8), a(1, 1, 1, 1))
    assert full.tolist() == [12, 8, 6, 8]
    assert last.tolist() == [12, 7, 5, 7]  # Llama 3 405B and BLOOM take one off the ends


def test_micro_batches_in_flight() -> None:
    # Korthikanti 2022, section 4.2.3: p for 1F1B, p (1 + (p - 1) / (p v)) interleaved
    assert in_flight(a(8), a(1), a(64), a(0))[0] == 8
    assert in_flight(a(8), a(3), a(64), a(1))[0] == pytest.approx(8 * (1 + 7 / 24))
    assert in_flight(a(8), a(1), a(2), a(0))[0] == 2
    assert in_flight(a(1), a(1), a(64), a(0))[0] == 1
