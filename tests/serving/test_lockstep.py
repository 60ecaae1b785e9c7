from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli import catalog
from suanli.errors import InputError
from suanli.kinds import Service
from suanli.serving import (
    Choice,
    Failure,
    Layout,
    Replay,
    Requests,
    arrivals,
    expert_times,
    lengths,
    requests,
    scheduler,
    search,
    simulate,
    step_lane,
)
from tests.serving.lanes import column, lane, one

HALF = 0.5 * lane().linear[0]  # experts take half of what the table holds


def load(n: int = 600, rate: float = 15.0) -> Requests:
    prompts, answers = lengths(600, n=n, seed=1, spread=0.8), lengths(100, n=n, seed=2, spread=0.8)
    return requests(arrivals("poisson", rate=rate, n=n, seed=3), prompts, answers)


def run(asked: Requests, group: int, framework: str = "vllm", **changes: Any) -> Replay:
    options = {"experts": changes.pop("experts", None)}
    mixes = one(framework != "sglang")
    return simulate(
        lane(mixes=mixes, **changes), asked, scheduler=scheduler(framework), replicas=4, group=group, **options
    )


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 60), st.floats(1.0, 60.0), st.sampled_from([2, 4]), st.floats(1500.0, 20_000.0), st.booleans())
def test_groups_answer_every_request_once(n: int, rate: float, group: int, room: float, mixes: bool) -> None:
    asked = load(n=n, rate=rate)
    seen = run(asked, group, "vllm" if mixes else "sglang", capacity=one(room), experts=HALF)
    assert np.isfinite(column(seen, "latency_s")).all()
    if column(seen, "preemptions").sum() == 0:
        assert seen.totals["prefill_tokens"] == asked.input_tokens.sum()
    assert seen.totals["decode_tokens"] == pytest.approx((asked.output_tokens - 1).sum())


def test_one_request_in_a_group_shares_its_experts_over_the_ranks() -> None:
    asked = requests(np.array([0.0]), np.array([512]), np.array([11]))
    alone = column(run(asked, 1), "latency_s")[0]
    assert column(run(asked, 4), "latency_s")[0] == pytest.approx(alone)  # nothing shared: nothing gained
    # with experts, the prompt's 512 tokens are 128 a rank
    full, quarter = HALF[9], HALF[7]
    single = HALF[0]
    saved = (full - quarter) + 10 * (single - single)
    assert column(run(asked, 4, experts=HALF), "latency_s")[0] == pytest.approx(alone - saved)


def test_ranks_wait_for_the_busiest() -> None:
    busy = load(n=1200, rate=60.0)
    free, together = run(busy, 1), run(busy, 4)
    assert column(together, "tpot_s").mean() > 1.1 * column(free, "tpot_s").mean()
    shared = run(busy, 4, experts=HALF)
    assert column(shared, "tpot_s").mean() < column(together, "tpot_s").mean()


def test_a_closed_loop_goes_round_in_groups() -> None:
    asked = load(n=400)
    seen = simulate(lane(), asked, scheduler=scheduler("vllm"), replicas=4, group=2, clients=8)
    assert np.isfinite(column(seen, "latency_s")).all()
    assert seen.totals["decode_tokens"] == pytest.approx((asked.output_tokens - 1).sum())


def test_groups_come_out_even_and_stand_alone() -> None:
    with pytest.raises(InputError, match="4 replicas do not divide into groups of 3"):
        run(load(n=10), 3)
    with pytest.raises(InputError, match="without failures"):
        simulate(
            lane(),
            load(n=10),
            scheduler=scheduler("vllm"),
            replicas=4,
            group=4,
            failures=[Failure(replica=0, start_s=0, end_s=1)],
        )


def test_wide_expert_parallelism_of_deepseek_steps_together() -> None:
    service = Service(
        model=catalog.model("deepseek-v3"),
        rate=1.0,
        input_tokens=2000.0,
        output_tokens=300.0,
        ttft_s=2.0,
        tpot_s=0.06,
        precision="fp8",
    )
    chip = catalog.chip("h200-sxm")
    found = search(service, chip, n_chips=8, budgets=(4096,), disaggregate=False)
    wide: Choice = next(c for c in found if c.layout == Layout(dp=8, ep=8))
    lanes, experts = step_lane(service, chip, wide), expert_times(service, chip, wide)
    assert (experts > 0).all()
    assert (experts < lanes.linear[0]).all()
    n = 800
    asked = requests(
        arrivals("poisson", rate=0.7 * wide.requests_per_s, n=n, seed=1),
        lengths(2000, n=n, seed=2, spread=0.5),
        lengths(300, n=n, seed=3, spread=0.5),
    )
    free, together = (
        simulate(lanes, asked, scheduler=scheduler("vllm"), replicas=8, group=g, experts=experts) for g in (1, 8)
    )
    assert 1.0 < column(together, "tpot_s").mean() / column(free, "tpot_s").mean() < 10.0
    skewed = replace(service, skew=1.2)
    assert (
        expert_times(skewed, chip, wide)[8:12] > 1.1 * expert_times(replace(service, skew=0.0), chip, wide)[8:12]
    ).all()
