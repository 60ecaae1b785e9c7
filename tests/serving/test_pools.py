from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli import catalog
from suanli.errors import InfeasibleError, InputError
from suanli.kinds import Service
from suanli.serving import (
    Lanes,
    Link,
    Replay,
    Requests,
    arrivals,
    lengths,
    link_of,
    requests,
    scheduler,
    search,
    simulate,
    simulate_pools,
    step_lane,
)
from tests.serving.lanes import column, lane, one

TOKEN_BYTES = 327_680.0  # Llama 3.1 70B: 80 layers x 8 heads x 128 x (K, V) x 2 B


def load(n: int = 400, rate: float = 15.0, answer: int = 120) -> Requests:
    prompts = lengths(600, n=n, seed=1, spread=0.8)
    return requests(arrivals("poisson", rate=rate, n=n, seed=2), prompts, lengths(answer, n=n, seed=3, spread=0.8))


def run(
    asked: Requests,
    replicas: tuple[int, int] = (1, 1),
    *,
    prefill: Lanes | None = None,
    decode: Lanes | None = None,
    link: Link | None = None,
) -> Replay:
    return simulate_pools(
        prefill or lane(),
        decode or lane(),
        asked,
        scheduler=scheduler("vllm"),
        replicas=replicas,
        link=link or Link(token_bytes=TOKEN_BYTES, bandwidth=50e9),
    )


@settings(max_examples=12, deadline=None)
@given(
    st.integers(1, 80),
    st.floats(1.0, 60.0),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.floats(2_500.0, 40_000.0),
    st.floats(1e8, 1e12),
)
def test_nothing_is_lost_between_the_pools(
    n: int, rate: float, replicas: tuple[int, int], room: float, bandwidth: float
) -> None:
    asked = load(n=n, rate=rate)
    small = lane(capacity=one(room))
    link = Link(token_bytes=TOKEN_BYTES, bandwidth=bandwidth, latency_s=1e-4)
    seen = run(asked, replicas, prefill=small, decode=small, link=link)
    assert np.isfinite(column(seen, "latency_s")).all()
    assert seen.totals["prefill_tokens"] == asked.input_tokens.sum()
    assert seen.totals["decode_tokens"] == pytest.approx((asked.output_tokens - 1).sum())
    assert seen.totals["transfers"] == (asked.output_tokens > 1).sum()
    decoded = seen.timeline.filter(seen.timeline["pool"] == "decode")
    assert decoded["kv_tokens"].to_numpy().max(initial=0.0) <= room + asked.input_tokens.max()
    moved = column(seen, "handover_s")[asked.output_tokens > 1]
    assert (moved >= 1e-4 + asked.input_tokens[asked.output_tokens > 1] * TOKEN_BYTES / bandwidth - 1e-9).all()


def test_a_link_without_limits_is_no_transfer() -> None:
    asked = load()
    free = run(asked, link=Link(token_bytes=TOKEN_BYTES, bandwidth=float("inf")))
    prompts = requests(asked.arrival_s, asked.input_tokens, np.ones(len(asked.arrival_s), dtype=np.int64))
    alone = simulate(lane(), prompts, scheduler=scheduler("vllm"))
    np.testing.assert_allclose(column(free, "ttft_s"), column(alone, "ttft_s"), rtol=1e-9)
    # the decode pool by itself, with caches that arrive when their prompts are done
    landed = asked.arrival_s + column(free, "ttft_s")
    order = np.argsort(landed)
    later = requests(landed[order], asked.input_tokens[order], asked.output_tokens[order])
    decode = simulate(lane(), later, scheduler=scheduler("vllm"), filled=True)
    assert column(free, "tpot_s")[order].mean() == pytest.approx(column(decode, "tpot_s").mean(), rel=0.01)


def test_one_request_takes_prompt_transfer_and_steps() -> None:
    asked = requests(np.array([0.0]), np.array([512]), np.array([11]))
    link = Link(token_bytes=1e6, bandwidth=1e9, sequence_bytes=1e7, latency_s=0.003)
    seen = run(asked, link=link)
    first = 1e-3 + 2e-3 + 11e-3 + 512 * 512 / 2 * 1e-9
    assert column(seen, "prefill_s")[0] == pytest.approx(first)
    assert link.seconds(512) == pytest.approx(0.003 + 0.01 + 0.512)
    assert column(seen, "ttft_s")[0] == pytest.approx(first + link.seconds(512))
    steps = sum(1e-3 + 13e-3 + (512 + k) * 4.5e-8 + 1e-6 for k in range(10))
    assert column(seen, "latency_s")[0] == pytest.approx(first + link.seconds(512) + steps)


def test_transfers_queue_for_their_link_and_for_the_fabric() -> None:
    asked = load(rate=30.0)
    wide, thin = (run(asked, link=Link(token_bytes=TOKEN_BYTES, bandwidth=b)) for b in (50e9, 7e9))
    alone = asked.input_tokens * TOKEN_BYTES / 7e9
    assert column(wide, "handover_s").mean() < column(thin, "handover_s").mean()
    assert column(thin, "handover_s").mean() > 2.0 * alone.mean()  # it waits as long as it takes
    assert thin.totals["link_share"] > 0.7
    core = run(asked, (3, 3), link=Link(token_bytes=TOKEN_BYTES, bandwidth=50e9, core=7e9))
    assert column(core, "handover_s").mean() > 2.0 * alone.mean()


def test_a_full_decode_pool_holds_prompts_back() -> None:
    asked = load(n=600, rate=60.0, answer=300)
    few = lane(seats=one(24.0))
    tight = run(asked, prefill=lane(capacity=one(20_000.0)), decode=few)
    roomy = run(asked, prefill=lane(), decode=few)
    assert tight.totals["held_back"] > 300
    # the caches wait on the prefill chips: where those are full, prompts wait before they are computed
    assert column(tight, "handover_s").mean() < 0.5 * column(roomy, "handover_s").mean()
    assert column(tight, "prefill_s").mean() > 5 * column(roomy, "prefill_s").mean()
    assert tight.totals["requests_per_s"] == pytest.approx(roomy.totals["requests_per_s"], rel=0.02)


def test_a_request_that_never_fits_is_refused() -> None:
    with pytest.raises(InfeasibleError, match="of a decode replica"):
        run(load(), decode=lane(capacity=one(500.0)))
    with pytest.raises(InfeasibleError, match="of a prefill replica"):
        run(load(), prefill=lane(capacity=one(500.0)))
    with pytest.raises(InputError, match="each pool has at least 1"):
        run(load(), (1, 0))
    with pytest.raises(InputError, match="bandwidth above 0"):
        run(load(), link=Link(token_bytes=1.0, bandwidth=0.0))


def test_the_split_that_search_takes_is_the_one_that_simulation_finds() -> None:
    chip = catalog.chip("h100-sxm")
    service = Service(
        model=catalog.model("llama-3.1-70b"),
        rate=1.0,
        input_tokens=3000.0,
        output_tokens=300.0,
        ttft_s=3.0,
        tpot_s=0.05,
        precision="fp8",
    )
    found = search(service, chip, n_chips=16, budgets=(8192,))
    best = next(
        c for c in found if c.prefill is not None and c.prefill.chips == c.layout.chips == 2 and c.layout.pp == 1
    )
    assert best.n_chips == 16
    first, second = (step_lane(service, chip, best, pool=p) for p in ("prefill", "decode"))
    link = link_of(service, chip, tp=(2, 2), n_chips=16)
    n = 1500
    rate = 0.9 * best.requests_per_s
    asked = requests(
        arrivals("poisson", rate=rate, n=n, seed=5),
        lengths(3000, n=n, seed=6, spread=0.2),
        lengths(300, n=n, seed=7, spread=0.2),
    )
    good = {}
    for prefill in range(1, 8):
        seen = simulate_pools(
            first, second, asked, scheduler=scheduler("vllm"), replicas=(prefill, 8 - prefill), link=link
        )
        good[prefill] = seen.goodput(ttft_s=2.0 * 3.0, tpot_s=0.05)
    assert good[best.prefill_copies] > 0.9 * max(good.values())
    assert min(good.values()) < 0.5 * max(good.values())  # so that the split matters


def test_a_link_is_as_wide_as_the_rank_behind_it() -> None:
    service = Service(model=catalog.model("llama-3.1-70b"), rate=1.0, input_tokens=2000.0, output_tokens=100.0)
    h100 = catalog.chip("h100-sxm")
    inside = link_of(service, h100, tp=(4, 4), n_chips=8)
    outside = link_of(service, h100, tp=(4, 4), n_chips=16)
    assert inside.token_bytes == outside.token_bytes == pytest.approx(TOKEN_BYTES)
    assert inside.bandwidth > 3 * outside.bandwidth
    assert link_of(service, h100, tp=(8, 2), n_chips=16).bandwidth == pytest.approx(outside.bandwidth / 2)
    assert outside.bandwidth < 4 * (h100.scale_out_bandwidth or 0.0)
    half = link_of(replace(service, kv_precision="fp8"), h100, tp=(4, 4), n_chips=16)
    assert half.token_bytes == pytest.approx(TOKEN_BYTES / 2)
