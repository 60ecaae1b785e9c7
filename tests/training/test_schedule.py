from __future__ import annotations

import numpy as np
import pytest

from suanli.training import schedule_times
from suanli.training._schedule import idle_passes, in_flight, stage_layers


def a(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


@pytest.mark.parametrize(("pp", "n_micro"), [(2, 3), (4, 4), (4, 9), (8, 16)])
def test_closed_form_of_1f1b_is_what_the_events_give(pp: int, n_micro: int) -> None:
    forward, backward = 1.0, 2.0
    _, ends = schedule_times(pp, n_micro, forward, backward)
    f, i, w = idle_passes(a(pp), a(1), a(0))
    idle = float(f[0] * forward + (i[0] + w[0]) * backward / 2)
    assert ends[0, -1] == pytest.approx(n_micro * (forward + backward) + idle)


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
