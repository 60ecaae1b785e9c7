from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from suanli import catalog
from suanli.kinds import Service
from suanli.serving._other import Pass, other_lane, other_options
from suanli.serving._other import _batch_seconds as batch_seconds
from suanli.serving._other import _seconds as seconds
from suanli.serving._steady import GRID

H100 = catalog.chip("h100-sxm")


def clicks(name: str = "dlrm-dcnv2", **more: float) -> Service:
    return Service(model=catalog.model(name), rate=1.0, input_tokens=500.0, output_tokens=0.0, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["dlrm-dcnv2", "dlrmv3-hstu", "flux.1-dev"])
def test_passes_timed_together_take_what_each_takes_alone(name: str) -> None:
    passes = [Pass(1, 300, 1), Pass(4, 300, 2), Pass(64, 300, 8), Pass(4, 300, 1)]
    together = seconds(H100, catalog.model(name), "bf16", passes)
    alone = [float(seconds(H100, catalog.model(name), "bf16", [one])[0]) for one in passes]
    assert together == pytest.approx(alone, rel=1e-12)
    assert together[3] > together[0]


def test_the_best_batch_is_the_best_of_all_within_the_limit() -> None:
    service = clicks(latency_s=0.06)
    limited = other_options([service], [H100], max_chips=4)
    for option in limited:
        tp = option.layout.tp
        spent = batch_seconds(service, H100, [(2**k, tp) for k in range(13)])
        rates = np.array([2**k for k in range(13)]) / spent
        fine = np.nan_to_num(2.6 * spent, nan=np.inf) <= 0.06
        assert option.requests_per_s == pytest.approx(rates[fine].max(), rel=1e-12)
        assert option.ttft_s <= 0.06
    free, tight = (other_options([replace(service, latency_s=limit)], [H100], max_chips=1)[0] for limit in (None, 1e-6))
    assert free.requests_per_s >= limited[0].requests_per_s
    assert "latency" in tight.reason


def test_batches_too_large_to_run_have_no_time() -> None:
    assert np.isnan(batch_seconds(clicks(), H100, [(1, 1), (2**20, 1)])).tolist() == [False, True]


def test_what_does_not_fit_says_so_for_every_degree() -> None:
    small = replace(H100, memory_bytes=2e9)
    picture = Service(model=catalog.model("flux.1-dev"), rate=1.0, input_tokens=0.0, output_tokens=0.0)
    found = other_options([picture, clicks()], [small, replace(H100, memory_bytes=20e9)])
    assert all("too much for a chip" in o.reason for o in found if o.service == 0 and o.chip == small)
    some = [o.fits for o in found if o.service == 0 and o.chip != small]
    assert some == sorted(some)
    assert not some[0]
    assert some[-1]


def test_a_lane_steps_up_to_its_best_batch_and_in_proportion_beyond() -> None:
    lane = other_lane(clicks(latency_s=0.06), H100, 2)
    most = lane.budget[0]
    assert most > 1
    beyond = lane.linear[0][most < GRID] / GRID[most < GRID]
    assert beyond == pytest.approx(lane.linear[0][most == GRID][0] / most)
    assert (np.diff(lane.linear[0]) > 0).all()
