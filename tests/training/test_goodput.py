from __future__ import annotations

import numpy as np
import pytest

from suanli.errors import InputError
from suanli.training import daly_interval, goodput, operations


def test_llama3_keeps_about_nine_tenths() -> None:
    # Llama 3 405B: over 90 % effective time on 16,384 H100 with a stop every three hours (2407.21783, section 3.3.4)
    got = goodput(16384, checkpoint_bytes=14 * 405e9 / 16384)
    assert float(got.mtbf_s[0]) / 3600 == pytest.approx(54 * 24 / 419, rel=0.01)
    assert 0.88 < float(got.share[0]) < 0.97


def test_parts_add_up() -> None:
    got = goodput([8, 1024, 16384], checkpoint_bytes=1e9)
    assert got.share + got.checkpoints + got.lost_work + got.restarts == pytest.approx(1.0)
    assert np.all(np.diff(got.share) < 0)


def test_the_interval_is_dalys_and_loses_least() -> None:
    # Daly 2006: exact waste of writing C after each tau and losing to stops at rate 1/M
    stall, mtbf = np.array([2.0, 60.0, 600.0]), np.array([1e4, 2e4, 4e3])
    tau = daly_interval(stall, mtbf)
    assert tau[0] == pytest.approx(np.sqrt(2 * 2.0 * 1e4), rel=0.01)  # Young's where the stall is short

    def waste(interval: np.ndarray) -> np.ndarray:
        return np.asarray(mtbf * (np.exp((interval + stall) / mtbf) - 1.0) / interval)

    for factor in (0.8, 1.25):
        assert np.all(waste(tau) < waste(factor * tau))
    assert daly_interval(300.0, 100.0)[0] == 100.0


def test_asynchronous_checkpoints_stall_for_the_copy_only() -> None:
    size = 14 * 70e9 / 512
    later, halting = (goodput(512, checkpoint_bytes=size, synchronous=s) for s in (False, True))
    assert later.write_s == halting.write_s == pytest.approx(size / operations()["checkpoint_rate"].value)
    assert halting.stall_s == halting.write_s
    assert later.stall_s == pytest.approx(size / operations()["checkpoint_copy"].value)
    assert later.share > halting.share
    assert np.all(later.interval_s >= later.write_s)
    fast = goodput(512, checkpoint_bytes=size, checkpoint_rate=1e9)
    assert fast.share > later.share
    with pytest.raises(InputError, match="checkpoint rate: 0 is not above zero"):
        goodput(8, checkpoint_bytes=1e9, checkpoint_rate=0.0)


def test_every_figure_has_a_source_and_a_range() -> None:
    for item in operations().values():
        assert item.source.ref
        assert item.low is not None
        assert item.high is not None
        assert item.low <= item.value <= item.high


def test_no_chips_is_refused() -> None:
    with pytest.raises(InputError, match="below 1"):
        goodput(0, checkpoint_bytes=1.0)
