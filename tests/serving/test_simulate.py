from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.errors import InfeasibleError, InputError
from suanli.serving import Failure, Requests, Scaling, arrivals, lengths, requests, scheduler, simulate
from tests.serving.lanes import column, lane, one


def load(n: int = 400, rate: float = 5.0, seed: int = 1, **more: Any) -> Requests:
    prompts, answers = lengths(600, n=n, seed=seed, spread=0.8), lengths(100, n=n, seed=seed + 1, spread=0.8)
    return requests(arrivals("poisson", rate=rate, n=n, seed=seed), prompts, answers, **more)


@pytest.mark.parametrize("framework", ["vllm", "sglang", "trtllm"])
def test_every_token_is_computed_once_and_every_request_answered(framework: str) -> None:
    asked = load()
    seen = simulate(lane(mixes=one(framework != "sglang")), asked, scheduler=scheduler(framework))
    assert np.isfinite(column(seen, "latency_s")).all()
    assert seen.totals["prefill_tokens"] == asked.input_tokens.sum()
    assert seen.totals["decode_tokens"] == pytest.approx((asked.output_tokens - 1).sum())
    assert (column(seen, "ttft_s") > 0).all()
    assert (column(seen, "latency_s") >= column(seen, "ttft_s")).all()


def test_one_request_takes_its_steps_and_no_more() -> None:
    asked = requests(np.array([0.0]), np.array([512]), np.array([11]))
    seen = simulate(lane(), asked, scheduler=scheduler("vllm"))
    first = 1e-3 + 2e-3 + 11e-3 + 512 * 512 / 2 * 1e-9
    assert column(seen, "ttft_s")[0] == pytest.approx(first)
    steps = sum(1e-3 + 13e-3 + (512 + k) * 4.5e-8 + 1e-6 for k in range(10))
    assert column(seen, "latency_s")[0] == pytest.approx(first + steps)


def test_the_same_seed_gives_the_same_run_and_another_seed_another() -> None:
    runs = [simulate(lane(), load(seed=s), scheduler=scheduler("vllm"), accepted=1.7, seed=s) for s in (3, 3, 4)]
    assert runs[0].requests.equals(runs[1].requests)
    assert not runs[0].requests.equals(runs[2].requests)


def test_a_small_cache_preempts_but_loses_nothing() -> None:
    asked = load(rate=40.0)
    seen = simulate(lane(capacity=one(6000.0)), asked, scheduler=scheduler("vllm"))
    assert column(seen, "preemptions").sum() > 0
    assert np.isfinite(column(seen, "latency_s")).all()
    assert seen.totals["prefill_tokens"] > asked.input_tokens.sum()  # recomputed
    assert seen.timeline["kv_tokens"].to_numpy().max() <= 6000.0 * 1.001
    kept = simulate(lane(capacity=one(6000.0)), asked, scheduler=scheduler("trtllm"))
    assert column(kept, "preemptions").sum() == 0  # it reserves the whole answer


def test_shared_prefixes_are_computed_once_while_cached() -> None:
    asked = load(shared_prefix=256, groups=4)
    without, shared = load(), simulate(lane(), asked, scheduler=scheduler("vllm"))
    plain = simulate(lane(), without, scheduler=scheduler("vllm"))
    assert column(shared, "hit_tokens").sum() > 0.8 * 240 * (len(asked.arrival_s) - 40)
    assert column(shared, "ttft_s").mean() < column(plain, "ttft_s").mean()


def test_speculation_takes_fewer_steps_and_makes_the_same_tokens() -> None:
    asked = load()
    one_each = simulate(lane(), asked, scheduler=scheduler("vllm"))
    several = simulate(lane(verify=one(4.0)), asked, scheduler=scheduler("vllm"), accepted=2.5)
    assert several.totals["decode_tokens"] == pytest.approx(one_each.totals["decode_tokens"])
    assert column(several, "tpot_s").mean() < 0.6 * column(one_each, "tpot_s").mean()


def test_priority_goes_first() -> None:
    n = 400
    order = np.arange(n) % 2
    asked = load(n=n, rate=30.0, priority=order)
    seen = simulate(lane(seats=one(8.0)), asked, scheduler=scheduler("vllm"))
    ttft = column(seen, "ttft_s")
    assert ttft[order == 0].mean() < 0.5 * ttft[order == 1].mean()


def test_two_replicas_share_and_a_lost_one_hands_on() -> None:
    asked = load(n=800, rate=20.0)
    pair = simulate(lane(), asked, scheduler=scheduler("vllm"), replicas=2)
    assert 0.4 < (column(pair, "replica") == 0).mean() < 0.6
    failed = simulate(
        lane(), asked, scheduler=scheduler("vllm"), replicas=2, failures=[Failure(replica=0, start_s=5, end_s=25)]
    )
    assert np.isfinite(column(failed, "latency_s")).all()
    assert (column(failed, "replica") == 0).mean() < 0.5
    assert column(failed, "latency_s").mean() > column(pair, "latency_s").mean()


def test_caching_routes_to_the_replica_that_has_the_prefix() -> None:
    asked = load(n=800, rate=10.0, shared_prefix=512, groups=8)
    hits = {
        routing: simulate(lane(), asked, scheduler=scheduler("vllm"), replicas=4, routing=routing)
        .requests["hit_tokens"]
        .sum()
        for routing in ("round_robin", "cache_aware")
    }
    assert hits["cache_aware"] > hits["round_robin"]


def test_scaling_starts_replicas_under_load() -> None:
    asked = load(n=3000, rate=40.0)
    rule = Scaling(high=20, low=2, period_s=2, start_s=5)
    seen = simulate(lane(seats=one(32.0)), asked, scheduler=scheduler("vllm"), replicas=4, scaling=rule)
    assert len(set(column(seen, "replica"))) > 1
    fixed = simulate(lane(seats=one(32.0)), asked, scheduler=scheduler("vllm"), replicas=1)
    assert column(seen, "latency_s").mean() < column(fixed, "latency_s").mean()


def test_a_decode_pool_starts_with_its_cache_filled() -> None:
    asked = load()
    seen = simulate(lane(), asked, scheduler=scheduler("vllm"), filled=True)
    assert seen.totals["prefill_tokens"] == 0
    assert np.isfinite(column(seen, "latency_s")).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 60), st.floats(0.5, 50.0), st.integers(700, 20_000), st.integers(1, 64), st.booleans())
def test_no_load_breaks_conservation(n: int, rate: float, capacity: int, seats: int, mixes: bool) -> None:
    prompts, answers = lengths(200, n=n, seed=n, spread=0.9), lengths(40, n=n, seed=n + 1, spread=0.9)
    asked = requests(arrivals("gamma", rate=rate, n=n, seed=n), prompts, answers)
    one_lane = lane(capacity=one(float(capacity)), seats=one(float(seats)), mixes=one(mixes), budget=one(256.0))
    seen = simulate(one_lane, asked, scheduler=scheduler("vllm"))
    assert np.isfinite(column(seen, "latency_s")).all()
    assert seen.totals["decode_tokens"] >= (answers - 1).sum() - 1e-6


def test_what_can_never_run_is_said() -> None:
    asked = requests(np.array([0.0]), np.array([5000]), np.array([5000]))
    with pytest.raises(InfeasibleError, match="10,000 tokens never fits the KV cache of 6,000"):
        simulate(lane(capacity=one(6000.0)), asked, scheduler=scheduler("vllm"))
    with pytest.raises(InputError, match="routing 'best' is unknown"):
        simulate(lane(), load(), scheduler=scheduler("vllm"), routing="best")
    with pytest.raises(InputError, match="at least one token"):
        simulate(lane(), load(), scheduler=scheduler("vllm"), accepted=0.5)
