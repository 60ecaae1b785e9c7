from __future__ import annotations

import numpy as np
import pytest

from suanli.errors import InputError
from suanli.training import goodput, operations


def test_llama3_keeps_about_nine_tenths() -> None:
    # Llama 3 405B: over 90 % effective time on 16,384 H100 with a stop every three hours (2407.21783, section 3.3.4)
    got = goodput(16384, checkpoint_bytes=14 * 405e9 / 16384)
    assert float(got.mtbf_s[0]) / 3600 == pytest.approx(54 * 24 / 419, rel=0.01)
    assert 0.88 < float(got.share[0]) < 0.97


def test_parts_add_up_and_the_interval_is_youngs() -> None:
    got = goodput([8, 1024, 16384], checkpoint_bytes=1e9)
    assert got.share + got.checkpoints + got.lost_work + got.restarts == pytest.approx(1.0)
    assert np.all(np.diff(got.share) < 0)
    stall = 1e9 / operations()["checkpoint_rate"].value * operations()["checkpoint_stall"].value
    assert got.interval_s == pytest.approx(np.sqrt(2 * stall * got.mtbf_s))
    # no other interval does better
    for factor in (0.5, 2.0):
        other = stall / (factor * got.interval_s) + factor * got.interval_s / (2 * got.mtbf_s)
        assert np.all(other >= (got.checkpoints + got.lost_work) / got.share)


def test_every_figure_has_a_source_and_a_range() -> None:
    for item in operations().values():
        assert item.source.ref
        assert item.low is not None
        assert item.high is not None
        assert item.low <= item.value <= item.high


def test_no_chips_is_refused() -> None:
    with pytest.raises(InputError, match="below 1"):
        goodput(0, checkpoint_bytes=1.0)
