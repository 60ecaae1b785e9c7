from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.serving import (
    Lanes,
    Steady,
    closed_loop,
    lengths,
    load_curve,
    most_within,
    requests,
    scheduler,
    simulate,
    tail,
)
from tests.serving.lanes import column, lane, one, plain_habits


def state(clients: float, prompt: float = 1024.0, answer: float = 512.0, **changes: Any) -> Steady:
    return closed_loop(
        lane(**changes), plain_habits(), clients=one(clients), prompt=one(prompt), answer=one(answer), rounds=one(30.0)
    )


@pytest.mark.parametrize(
    ("framework", "changes"), [("vllm", {}), ("vllm", {"budget": one(512.0)}), ("sglang", {"mixes": one(False)})]
)
@pytest.mark.parametrize("clients", [1, 16, 128, 256, 400])
def test_closed_form_follows_the_simulator(framework: str, changes: dict[str, Any], clients: int) -> None:
    n = clients * 30
    asked = requests(np.zeros(n), lengths(1024, n=n, seed=2, spread=0.3), lengths(512, n=n, seed=3, spread=0.3))
    seen = simulate(lane(**changes), asked, scheduler=scheduler(framework), clients=clients)
    found = state(float(clients), **changes)
    assert found.requests_per_s[0] == pytest.approx(seen.totals["requests_per_s"], rel=0.06)
    assert found.tpot_s[0] == pytest.approx(column(seen, "tpot_s").mean(), rel=0.04)
    if clients >= 256:  # where queues make the time, not single steps
        assert found.ttft_s[0] == pytest.approx(column(seen, "ttft_s").mean(), rel=0.35)


@settings(max_examples=30, deadline=None)
@given(st.floats(1, 300), st.floats(64, 8000), st.floats(8, 2000), st.floats(1.05, 4.0))
def test_faster_memory_is_never_slower(clients: float, prompt: float, answer: float, factor: float) -> None:
    slow, fast = state(clients, prompt, answer), state(clients, prompt, answer, kv_s=one(4.5e-8 / factor))
    assert fast.tpot_s[0] <= slow.tpot_s[0] * 1.001
    assert fast.requests_per_s[0] >= slow.requests_per_s[0] * 0.999


def test_tpot_rises_and_rate_rises_with_users() -> None:
    found = [state(float(c)) for c in (1, 2, 4, 8, 16, 32, 64, 128, 250)]
    assert np.all(np.diff([f.tpot_s[0] for f in found]) > 0)
    assert np.all(np.diff([f.requests_per_s[0] for f in found]) > 0)


def test_a_batch_of_lanes_is_the_lanes_one_by_one() -> None:
    single = [lane(), lane(mixes=one(False)), lane(capacity=one(20_000.0))]
    many = Lanes(**{k: np.concatenate([getattr(x, k) for x in single]) for k in Lanes.__slots__})
    habits = plain_habits()
    wide = type(habits)(**{k: np.repeat(getattr(habits, k), 3) for k in habits.__slots__})
    args = {"clients": 64.0, "prompt": 700.0, "answer": 300.0, "rounds": 10.0}
    three: dict[str, Any] = {k: np.full(3, v) for k, v in args.items()}
    scalars: dict[str, Any] = {k: one(v) for k, v in args.items()}
    together = closed_loop(many, wide, **three)
    for i, each in enumerate(single):
        alone = closed_loop(each, habits, **scalars)
        for name in together.__slots__:
            assert getattr(together, name)[i] == getattr(alone, name)[0]


def test_a_request_that_does_not_fit_has_no_answer() -> None:
    assert np.isnan(state(4.0, capacity=one(100.0)).ttft_s[0])


def test_queued_requests_wait_for_seats() -> None:
    few, many = state(256.0), state(512.0)
    assert many.requests_per_s[0] == pytest.approx(few.requests_per_s[0])
    waited = many.ttft_s[0] - few.ttft_s[0]
    assert waited == pytest.approx(256 / few.requests_per_s[0], rel=0.05)


def test_greatest_load_meets_the_limit_and_no_more_would() -> None:
    prompt, answer = one(1024.0), one(512.0)
    _, curve = load_curve(lane(), plain_habits(), prompt=prompt, answer=answer)
    _, best = most_within(curve, ttft=one(5.0), tpot=one(0.025))
    assert best.tpot_s[0] == pytest.approx(0.025, rel=0.02)
    _, none = most_within(curve, ttft=one(5.0), tpot=one(0.001))
    assert np.isnan(none.requests_per_s[0])


def test_tails_grow_with_the_percentile() -> None:
    # p99 over mean: 2.6 for TTFT, 1.12 for TPOT (medians of MLPerf Inference v5.1 closed, server and interactive)
    assert tail(0.5, metric="ttft") == 1.0
    assert tail(0.99, metric="ttft") == pytest.approx(2.6)
    assert tail(0.99, metric="tpot") == pytest.approx(1.12)
    assert 1.0 < tail(0.9, metric="ttft") < 2.6
    assert tail(0.1, metric="ttft") == 1.0
    assert tail(1.0, metric="tpot") == float("inf")
