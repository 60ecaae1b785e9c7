import itertools
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from suanli import catalog
from suanli.errors import InfeasibleError
from suanli.kinds import Chip, Service
from suanli.serving import Layout, capacity_table, launch_flags, options, pareto, search, step_lane


def chat(name: str = "llama-3.1-70b", **changes: Any) -> Service:
    fields: dict[str, Any] = {
        "model": catalog.model(name),
        "rate": 10.0,
        "input_tokens": 1155.0,
        "output_tokens": 211.0,
        "ttft_s": 2.0,
        "tpot_s": 0.05,
        "precision": "fp8",
    }
    return Service(**{**fields, **changes})


def rate(chip: Chip, service: Service, layout: Layout) -> float:
    return options([service], [chip], layouts=[layout])[0].requests_per_s


def test_capacity_names_every_chip_once_with_its_reason() -> None:
    chips = [catalog.chip(c) for c in ("h100-sxm", "h20-96", "ascend910b", "l40s", "t4")]
    table = capacity_table([chat(), chat(tpot_s=1e-4)], chips)
    assert table.height == 10
    assert table.filter(pl.col("fits"))["reason"].unique().to_list() == [""]
    assert (table.filter(~pl.col("fits"))["reason"].str.len_chars() > 10).all()
    good = table.filter(pl.col("fits"))
    assert (good["p10"] < good["requests_per_s_per_chip"]).all()
    assert (good["p90"] > good["requests_per_s_per_chip"]).all()
    assert (good["tpot_s"] <= 0.0505).all()
    assert not table.filter(pl.col("service") == 1)["fits"].any()
    assert "TPOT" in table.filter((pl.col("service") == 1) & (pl.col("chip") == "h100-sxm"))["reason"][0]


def test_more_bandwidth_and_more_compute_are_never_slower() -> None:
    chip, service, layout = catalog.chip("h100-sxm"), chat(), Layout(tp=4)
    base = rate(chip, service, layout)
    assert chip.memory_bandwidth is not None
    assert rate(replace(chip, memory_bandwidth=1.5 * chip.memory_bandwidth), service, layout) >= base
    assert rate(replace(chip, peak={k: 1.5 * v for k, v in chip.peak.items()}), service, layout) >= base


def test_looser_limits_longer_prompts_cached_prompts() -> None:
    chip, layout = catalog.chip("h100-sxm"), Layout(tp=4)
    base = rate(chip, chat(), layout)
    assert rate(chip, chat(tpot_s=0.1), layout) > base
    assert rate(chip, chat(percentile=0.99), layout) < base
    assert rate(chip, chat(input_tokens=4000.0), layout) < base
    assert rate(chip, chat(prefix_hit=0.8), layout) > base


def test_never_above_the_peak_nor_the_bandwidth() -> None:
    # a step reads all weights once: no chip decodes faster than that, nor prefills above its FLOP peak
    for name in ("h100-sxm", "b200-sxm", "ascend910b", "mi300x"):
        chip = catalog.chip(name)
        precision = "fp8" if "fp8" in chip.peak else "bf16"
        service = chat(precision=precision, output_tokens=1.0, ttft_s=60.0, tpot_s=None)
        found = options([service], [chip], layouts=[Layout(tp=8)])[0]
        flop = 2.0 * 69.5e9 * service.input_tokens * found.requests_per_s / 8
        assert flop < chip.peak[precision], name
        answer = options([chat(precision=precision, ttft_s=60.0, tpot_s=1.0)], [chip], layouts=[Layout(tp=8)])[0]
        weights = 70.5e9 * (1.0 if precision == "fp8" else 2.0) / 8
        assert answer.tpot_s > weights / (chip.memory_bandwidth or 1.0), name


def test_pictures_and_recommenders_are_served_too() -> None:
    picture = Service(model=catalog.model("flux.1-dev"), rate=1.0, input_tokens=0.0, output_tokens=0.0)
    clicks = Service(model=catalog.model("dlrm-dcnv2"), rate=1.0, input_tokens=500.0, output_tokens=0.0, latency_s=0.06)
    chips = [catalog.chip("h100-sxm"), catalog.chip("a100-80-sxm")]
    table = capacity_table([picture, clicks], chips)
    assert table["fits"].all()
    h100, a100 = table.filter(pl.col("service") == 0)["requests_per_s_per_chip"].to_list()
    assert h100 > 1.5 * a100
    assert (table.filter(pl.col("service") == 1)["ttft_s"] <= 0.06).all()
    larger = capacity_table([replace(picture, height=2048, width=2048)], chips[:1])
    assert larger["requests_per_s_per_chip"][0] < h100 / 4
    fewer = capacity_table([replace(picture, steps=4)], chips[:1])
    assert fewer["requests_per_s_per_chip"][0] > 5 * h100


def test_search_ranks_layouts_and_says_why_others_lose() -> None:
    found = search(chat("deepseek-r1", input_tokens=4000.0, output_tokens=1000.0), catalog.chip("h200-sxm"), n_chips=16)
    good = [c for c in found if c.requests_per_s == c.requests_per_s]
    assert good[0].reason == ""
    assert all(c.reason for c in found[1:])
    assert all(a.requests_per_s >= b.requests_per_s for a, b in itertools.pairwise(good))
    assert all(c.n_chips <= 16 for c in good)
    assert {c.prefill is None for c in good} == {True, False}
    assert all(c.tpot_s <= 0.0505 for c in good)


def test_published_search_of_deepseek_on_32_h200() -> None:
    # aiconfigurator 0.12.0, 4,000 in, 1,000 out, TTFT 2 s, TPOT 50 ms: disaggregated 495 tokens/s a chip, one pool 309
    service = chat("deepseek-r1", input_tokens=4000.0, output_tokens=1000.0)
    found = search(service, catalog.chip("h200-sxm"), n_chips=32, framework="trtllm", budgets=(8192,))
    pair = next(c for c in found if c.prefill is not None)
    one = next(c for c in found if c.prefill is None)
    assert 495 / 2 < pair.per_chip < 495 * 2
    assert 309 / 2 < one.per_chip < 309 * 2


def test_what_does_not_fit_says_by_how_much() -> None:
    with pytest.raises(InfeasibleError, match=r"GiB too much for the 48 GiB of a chip.*about \d+ chips would hold it"):
        search(chat("deepseek-r1"), catalog.chip("l40s"), n_chips=2)


def test_pareto_front_falls() -> None:
    front = pareto(chat(), catalog.chip("h100-sxm"), n_chips=8)
    users, chips = zip(*((a, b) for a, b, _ in front), strict=True)
    assert all(a > b for a, b in itertools.pairwise(users))
    assert all(a < b for a, b in itertools.pairwise(chips))


def test_launch_commands_carry_the_layout() -> None:
    service = chat("deepseek-r1", input_tokens=4000.0, output_tokens=1000.0)
    best = search(service, catalog.chip("h200-sxm"), n_chips=16, budgets=(8192,))
    wide = next(c for c in best if c.prefill is None and c.layout == Layout(dp=8, ep=8))
    flags = launch_flags(service, wide)
    assert "--data-parallel-size 8 --enable-expert-parallel" in flags["vllm"][0]
    assert "--tp-size 8 --dp-size 8 --enable-dp-attention --ep-size 8" in flags["sglang"][0]
    assert "--ep_size 8" in flags["trtllm"][0]
    pair = next(c for c in best if c.prefill is not None)
    assert [("producer" in x, "consumer" in x) for x in launch_flags(service, pair)["vllm"]] == [
        (True, False),
        (False, True),
    ]
    lane = step_lane(service, catalog.chip("h200-sxm"), wide)
    assert lane.ranks[0] == 1.0
    assert lane.capacity[0] > 5000
