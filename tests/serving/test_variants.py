from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from suanli import catalog
from suanli.errors import InputError
from suanli.kinds import Adapters, Chip, Service
from suanli.serving import (
    Bank,
    Layout,
    Requests,
    arrivals,
    bank_of,
    different,
    draw_adapters,
    fullest,
    hit_rate,
    lengths,
    options,
    requests,
    scheduler,
    simulate,
    tokens_a_step,
)
from suanli.serving._balance import chances, placed
from tests.serving.lanes import column, lane, one

BANK = Bank(slots=8, bytes_each=8e7, load_s=2e-3, step_s=1e-3, each_s=5e-5, token_s=1e-6)


def chat(name: str = "llama-3.1-8b", **changes: Any) -> Service:
    fields: dict[str, Any] = {
        "rate": 1.0,
        "input_tokens": 1000.0,
        "output_tokens": 200.0,
        "ttft_s": 2.0,
        "tpot_s": 0.05,
    }
    return Service(model=catalog.model(name), **{**fields, **changes})


def rate(service: Service, layout: Layout, chip: str | Chip = "h100-sxm") -> float:
    one_chip = catalog.chip(chip) if isinstance(chip, str) else chip
    found = options([service], [one_chip], layouts=[layout])[0]
    assert found.reason == ""
    return found.requests_per_s


def tenants(kind: Adapters, n: int = 3000, rate: float = 4.0) -> Requests:
    return requests(
        arrivals("poisson", rate=rate, n=n, seed=1),
        lengths(400, n=n, seed=2, spread=0.5),
        lengths(60, n=n, seed=3, spread=0.5),
        adapter=draw_adapters(kind, n, seed=4),
    )


def test_one_adapter_at_home_costs_its_thin_products_and_no_more() -> None:
    asked = tenants(Adapters(count=1), n=1)
    asked = replace(asked, input_tokens=np.array([512]), output_tokens=np.array([11]))
    bare = simulate(lane(), replace(asked, adapter=None), scheduler=scheduler("vllm"))
    seen = simulate(lane(), asked, scheduler=scheduler("vllm"), bank=replace(BANK, load_s=0.0))
    more = column(seen, "latency_s")[0] - column(bare, "latency_s")[0]
    assert more == pytest.approx(11 * (1e-3 + 5e-5) + (512 + 10) * 1e-6)
    loaded = simulate(lane(), asked, scheduler=scheduler("vllm"), bank=BANK)
    assert column(loaded, "ttft_s")[0] - column(seen, "ttft_s")[0] == pytest.approx(2e-3)
    free = Bank(slots=1, bytes_each=0.0, load_s=0.0, step_s=0.0, each_s=0.0, token_s=0.0)
    same = simulate(lane(), tenants(Adapters(count=1)), scheduler=scheduler("vllm"), bank=free)
    plain = simulate(lane(), replace(tenants(Adapters(count=1)), adapter=None), scheduler=scheduler("vllm"))
    np.testing.assert_allclose(column(same, "latency_s"), column(plain, "latency_s"), rtol=1e-9)


@pytest.mark.parametrize(("count", "slots", "zipf"), [(200, 16, 1.0), (50, 8, 0.5), (1000, 64, 1.2)])
def test_slots_hold_what_che_says(count: int, slots: int, zipf: float) -> None:
    kind = Adapters(count=count, slots=slots, zipf=zipf)
    asked = tenants(kind, n=6000, rate=2.0)
    seen = simulate(lane(), asked, scheduler=scheduler("vllm"), bank=replace(BANK, slots=slots))
    missed = seen.totals["adapter_loads"] / 6000
    assert 1.0 - missed == pytest.approx(hit_rate(kind), abs=0.04)
    assert hit_rate(replace(kind, slots=count)) == 1.0


def test_a_batch_holds_no_more_adapters_than_slots() -> None:
    kind = Adapters(count=100, zipf=0.0)
    asked = tenants(kind, rate=60.0)
    few, many = (simulate(lane(), asked, scheduler=scheduler("vllm"), bank=replace(BANK, slots=s)) for s in (4, 100))
    assert np.isfinite(column(few, "latency_s")).all()
    assert (
        few.timeline["batch"].to_numpy().max() < 0.4 * many.timeline["batch"].to_numpy().max()
    )  # only four adapters at once
    assert many.totals["adapter_loads"] == 100
    assert column(many, "latency_s").mean() < column(few, "latency_s").mean()
    # one of every hundred: 8 sequences hold nearly 8 adapters, 1,000 all of them
    assert different(kind, np.array([1.0, 8.0, 1000.0])) == pytest.approx([1.0, 7.73, 100.0], abs=0.01)


def test_adapters_survive_preemption_and_lost_replicas() -> None:
    from suanli.serving import Failure

    asked = tenants(Adapters(count=30), n=600, rate=40.0)
    seen = simulate(
        lane(capacity=one(4000.0)),
        asked,
        scheduler=scheduler("vllm"),
        bank=BANK,
        replicas=2,
        failures=[Failure(replica=0, start_s=2.0, end_s=6.0)],
    )
    assert np.isfinite(column(seen, "latency_s")).all()
    assert seen.totals["decode_tokens"] == pytest.approx((asked.output_tokens - 1).sum())


def test_requests_go_where_their_adapter_is() -> None:
    asked = tenants(Adapters(count=40), n=2000, rate=10.0)
    loads = {
        routing: simulate(lane(), asked, scheduler=scheduler("vllm"), bank=BANK, replicas=4, routing=routing).totals[
            "adapter_loads"
        ]
        for routing in ("round_robin", "cache_aware")
    }
    assert loads["cache_aware"] < 0.7 * loads["round_robin"]


def test_adapters_take_room_and_time_of_a_service() -> None:
    chip, model = catalog.chip("a100-80-sxm"), catalog.model("llama-2-7b")
    bank = bank_of(model, chip, Layout(), 16, 32)
    # Llama 2 7B, rank 16 on seven matrices a layer: 39,976,960 parameters (peft's count for the same targets)
    assert bank.bytes_each == pytest.approx(2 * 39_976_960)
    assert 2.0 * bank.bytes_each == pytest.approx(bank_of(model, chip, Layout(), 32, 32).bytes_each)
    # Punica (arXiv 2310.18547, figure 7) adds about 2 ms a token on an A100
    assert 0.5e-3 < bank.step_s + 32 * bank.each_s < 6e-3
    base = rate(chat("llama-2-7b"), Layout(), chip)
    few = rate(chat("llama-2-7b", adapters=Adapters(count=1000, slots=32)), Layout(), chip)
    wide = rate(chat("llama-2-7b", adapters=Adapters(count=1000, slots=32, rank=128)), Layout(), chip)
    alone = rate(chat("llama-2-7b", adapters=Adapters(count=1, slots=1)), Layout(), chip)
    assert wide < few < alone < base
    with pytest.raises(InputError, match="rank and slots of at least 1"):
        bank_of(model, chip, Layout(), 0, 4)


def test_bank_and_requests_go_together() -> None:
    asked = tenants(Adapters(count=4), n=10)
    with pytest.raises(InputError, match="need a bank"):
        simulate(lane(), asked, scheduler=scheduler("vllm"))
    with pytest.raises(InputError, match="needs requests with adapters"):
        simulate(lane(), replace(asked, adapter=None), scheduler=scheduler("vllm"), bank=BANK)


def test_guesses_give_tokens_until_one_is_refused() -> None:
    assert tokens_a_step(0, 0.9) == 1.0
    assert tokens_a_step(3, 0.0) == 1.0
    assert tokens_a_step(3, 1.0) == 4.0
    # DeepSeek-V3 report: one MTP token accepted with 85 to 90 % gives 1.8 times the tokens a step
    assert tokens_a_step(1, 0.85) == pytest.approx(1.85)
    with pytest.raises(InputError, match=r"acceptance 1\.5"):
        tokens_a_step(1, 1.5)
    plain, guessing = (chat("deepseek-v3", precision="fp8", drafts=d, acceptance=0.85, tpot_s=0.06) for d in (0, 1))
    assert 1.1 < rate(guessing, Layout(dp=8, ep=8), "h200-sxm") / rate(plain, Layout(dp=8, ep=8), "h200-sxm") < 2.5
    refused = chat("deepseek-v3", precision="fp8", drafts=1, acceptance=0.0, tpot_s=0.06)
    assert rate(refused, Layout(dp=8, ep=8), "h200-sxm") < rate(plain, Layout(dp=8, ep=8), "h200-sxm")


def test_a_narrower_cache_holds_more() -> None:
    # long answers: memory binds
    wide, narrow = (chat(output_tokens=8_000.0, tpot_s=1.0, kv_precision=k) for k in ("bf16", "fp8"))
    assert rate(narrow, Layout()) > 1.2 * rate(wide, Layout())
    found = options([chat(kv_precision="fp9")], [catalog.chip("h100-sxm")], layouts=[Layout()])
    assert "unknown KV format 'fp9'; did you mean 'fp" in found[0].reason


def test_a_balanced_router_loads_every_rank_alike() -> None:
    assert fullest(256, 8, 32, 0.0, 0, 4096) == 1.0
    assert fullest(256, 8, 1, 1.0, 0, 4096) == 1.0
    loads = [fullest(256, 8, 32, s, 0, 4096) for s in (0.0, 0.25, 0.5, 1.0)]
    assert loads == sorted(loads)
    # fewer ranks hold more experts each, which evens out
    assert fullest(256, 8, 8, 0.5, 0, 4096) < fullest(256, 8, 32, 0.5, 0, 4096)
    # chances of the eight of a token add up to eight, none above 1
    chance = chances(256, 8, 1.0)
    assert chance.sum() == pytest.approx(8.0)
    assert chance.max() <= 1.0


def test_copies_of_the_busiest_experts_even_the_ranks() -> None:
    chance = np.random.default_rng(0).permutation(chances(256, 8, 1.0))
    for copies in (0, 32, 64):
        share = placed(chance, 32, copies)
        assert share.sum() == pytest.approx(1.0)
    assert placed(chance, 32, 32).max() < 1.2 / 32 < 2.0 / 32 < placed(chance, 32, 0).max()
    with pytest.raises(InputError, match="do not divide over 32 expert ranks"):
        fullest(256, 8, 32, 1.0, 7, 4096)


def test_skew_slows_wide_expert_parallelism_and_copies_mend_it() -> None:
    chip, layout = catalog.chip("h200-sxm"), Layout(dp=16, ep=16)

    def at(skew: float | None, copies: int = 0) -> float:
        service = chat("deepseek-v3", precision="fp8", tpot_s=0.05, skew=skew, redundant=copies)
        return options([service], [chip], layouts=[layout])[0].requests_per_s

    even, skewed, mended = at(0.0), at(1.0), at(1.0, 16)
    assert skewed < 0.9 * even
    assert skewed < mended <= even * 1.001
