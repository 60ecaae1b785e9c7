from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli import catalog
from suanli.errors import InputError, UnknownNameError
from suanli.training import (
    PARTS,
    Setting,
    Step,
    eras,
    facts,
    model_flop,
    prior_parameters,
    setting_of,
    sigma_of,
    step,
    strategies,
)

PRIOR = prior_parameters()


def setting(name: str = "llama-3.1-8b", chip: str = "h100-sxm", n: int = 64, **more: object) -> Setting:
    given = {"seq_len": 8192, "global_batch": 128, "year": 2024, **more}
    return setting_of(catalog.model(name), catalog.chip(chip), n, **given)  # type: ignore[arg-type]


def run(where: Setting, **strategy: object) -> Step:
    return step(where, strategies(**strategy), parameters=PRIOR)  # type: ignore[arg-type]


def seconds(where: Setting, **strategy: object) -> float:
    return float(run(where, **strategy).time.value[0])


LAYOUTS = st.sampled_from(
    [
        {"tp": 1, "dp": 64, "sharding": "zero3"},
        {"tp": 2, "dp": 32},
        {"tp": 8, "dp": 8, "recompute": "full"},
        {"tp": 4, "pp": 2, "dp": 8, "recompute": "selective"},
        {"tp": 2, "pp": 4, "vpp": 2, "dp": 8, "tp_overlap": 1.0},
        {"tp": 2, "cp": 4, "dp": 8},
        {"pp": 8, "dp": 8, "schedule": "zero_bubble"},
    ]
)


@settings(max_examples=25, deadline=None)
@given(layout=LAYOUTS, factor=st.sampled_from([1.5, 4.0]))
def test_faster_parts_never_make_a_slower_step(layout: dict[str, object], factor: float) -> None:
    base = setting()
    before = seconds(base, **layout)
    site = base.site
    wider = replace(
        site,
        inner=replace(site.inner, bandwidth=factor * site.inner.bandwidth),
        outer=replace(site.outer, bandwidth=factor * site.outer.bandwidth),
    )
    assert seconds(replace(base, site=wider), **layout) <= before * (1 + 1e-9)
    chip = site.chip
    stronger = replace(chip, peak={k: factor * v for k, v in chip.peak.items()}, tdp_w=factor * (chip.tdp_w or 700.0))
    assert seconds(replace(base, site=replace(site, chip=stronger)), **layout) < before
    quicker = replace(chip, memory_bandwidth=factor * (chip.memory_bandwidth or 1.0))
    assert seconds(replace(base, site=replace(site, chip=quicker)), **layout) <= before * (1 + 1e-9)


@settings(max_examples=15, deadline=None)
@given(layout=LAYOUTS, chip=st.sampled_from(["h100-sxm", "a100-80-sxm", "ascend910b3", "mi300x", "b200-sxm"]))
def test_never_above_the_flop_peak(layout: dict[str, object], chip: str) -> None:
    where = setting(chip=chip)
    one = run(where, **layout)
    flop = float(model_flop(where.facts, np.array([8192.0]))[0])
    peak = where.site.chip.peak["bf16"]
    assert one.tokens_per_s * flop / (64 * peak) == pytest.approx(one.mfu)
    assert one.mfu < 0.9


@settings(max_examples=15, deadline=None)
@given(layout=LAYOUTS)
def test_parts_add_up_to_the_step(layout: dict[str, object]) -> None:
    one = run(setting(), **layout)
    assert set(one.time.breakdown) == set(PARTS)
    total = sum(float(v[0]) for v in one.time.breakdown.values())
    assert total == pytest.approx(float(one.time.value[0]), rel=1e-12)
    assert all(float(v[0]) >= -1e-12 for v in one.time.breakdown.values())
    assert one.time.p10[0] < one.time.value[0] < one.time.p90[0]


def test_work_is_conserved_over_layouts() -> None:
    """Products take the same chip-seconds however they are laid out, up to the efficiency of smaller shapes."""
    base = run(setting(), tp=1, dp=64).time.breakdown["products"][0]
    for layout in ({"pp": 4, "dp": 16}, {"dp": 64, "recompute": "full"}, {"dp": 64, "sharding": "zero3"}):
        assert run(setting(), **layout).time.breakdown["products"][0] == pytest.approx(base, rel=0.05)
    assert run(setting(), tp=8, dp=8).time.breakdown["products"][0] > base


def test_what_costs_time_does() -> None:
    where = setting()
    plain = {"tp": 2, "pp": 4, "dp": 8}
    assert seconds(where, **plain, recompute="full") > seconds(where, **plain, recompute="none")
    assert seconds(where, **plain, tp_overlap=1.0) < seconds(where, **plain)
    assert seconds(where, **plain, dp_overlap=0.0) > seconds(where, **plain)
    assert seconds(where, **plain, vpp=2) < seconds(where, **plain)
    assert seconds(where, **plain, schedule="zero_bubble") < seconds(where, **plain)
    assert seconds(where, **plain, offload=1.0) > seconds(where, **plain)


def test_eight_bits_are_faster_and_old_eras_slower() -> None:
    assert seconds(setting(precision="fp8"), dp=64) < seconds(setting(), dp=64)
    old = setting(year=2021)
    assert old.era.id == "megatron-2021"
    assert seconds(old, tp=2, dp=32) > seconds(setting(), tp=2, dp=32)


def test_interval_widens_for_what_no_run_had() -> None:
    known = replace(
        PRIOR, kin={"nemo": 0.0}, family={"hopper": 0.0}, spread={"base": 0.08, "unseen": 0.1, "missing": 0.05}
    )
    known = replace(known, chips=("h100-sxm",))
    h100, h200, mi300x = (catalog.chip(name) for name in ("h100-sxm", "h200-sxm", "mi300x"))
    base = sigma_of(known, era_id="nemo-2025", chip=h100)
    assert base == pytest.approx(0.08)
    wide = sigma_of(known, era_id="nemo-2025", chip=mi300x)
    assert wide == pytest.approx((0.08**2 + 0.1**2) ** 0.5)
    assert base < sigma_of(known, era_id="nemo-2025", chip=h200) < wide
    assert sigma_of(known, era_id="nemo-2025", chip=h100, missing=["recompute"]) > base


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ({"tp": 3, "dp": 8}, "tp 3 x pp 1 x dp 8 x cp 1 = 24, not 64 chips"),
        ({"tp": 1, "dp": 64, "micro_batch": 3}, "does not divide by dp 64 x micro-batch 3"),
        ({"tp": 64, "dp": 1}, "does not divide the 32 heads"),
        ({"pp": 64, "dp": 1}, "more than the 32 layers"),
        ({"ep": 4, "dp": 64}, "does not divide the 0 experts"),
    ],
)
def test_impossible_strategies_say_why(strategy: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(setting(), **strategy)


def test_odd_sequences_and_names_are_refused() -> None:
    with pytest.raises(InputError, match="does not divide by 2 x cp 8"):
        run(setting(seq_len=8200), cp=8, dp=8)
    with pytest.raises(InputError, match="sharding 'zero9' is not one of none, zero1"):
        strategies(sharding="zero9")
    with pytest.raises(InputError, match="unknown part of a strategy 'tq'"):
        strategies(tq=1)
    with pytest.raises(InputError, match="tp 0 is below 1"):
        strategies(tp=0)
    with pytest.raises(UnknownNameError, match="fsdp2"):
        setting(era_id="fsdp3")
    with pytest.raises(InputError, match="seq: 0 is below 1"):
        setting(seq_len=0)
    with pytest.raises(InputError, match="batch: 0 is below 1"):
        setting(global_batch=0)
    with pytest.raises(InputError, match="chips: 0 is below 1"):
        setting(n=0)


def test_every_era_runs_and_names_its_source() -> None:
    times = {}
    for one in eras():
        assert one.source.count("http")
        times[one.id] = seconds(setting(era_id=one.id), tp=2, dp=32)
    assert times["megatron-2021"] > times["megatron-core"] > times["nemo-2026"]


def test_a_parallel_block_joins_once_a_layer() -> None:
    model = catalog.model("gpt-neox-20b")
    one, other = (
        run(setting_of(m, catalog.chip("a100-80-sxm"), 64, seq_len=2048, global_batch=128, year=2023), tp=8, dp=8)
        for m in (model, replace(model, parallel_block=False))
    )
    assert one.time.breakdown["tp"][0] == pytest.approx(other.time.breakdown["tp"][0] / 2)
    assert one.time.breakdown["products"][0] == other.time.breakdown["products"][0]
    assert one.memory_bytes < other.memory_bytes


def test_a_window_and_a_wide_format_change_what_they_should() -> None:
    whole = catalog.model("mistral-7b")
    windowed = replace(whole, window=1024, full_every=0)
    plain = replace(whole, window=0)
    long = {"seq_len": 16384, "global_batch": 64, "year": 2024}
    near, far = (
        run(setting_of(m, catalog.chip("h100-sxm"), 64, **long), tp=2, dp=32)  # type: ignore[arg-type]
        for m in (windowed, plain)
    )
    assert near.time.breakdown["attention"][0] < 0.5 * far.time.breakdown["attention"][0]
    assert near.time.breakdown["products"][0] == far.time.breakdown["products"][0]
    wide = setting(precision="fp32")
    assert seconds(wide, tp=2, dp=32) > seconds(setting(), tp=2, dp=32)
    mx, eight = setting(chip="b200-sxm", precision="mxfp8"), setting(chip="b200-sxm", precision="fp8")
    four = setting(chip="b200-sxm", precision="nvfp4")
    assert seconds(four, tp=2, dp=32) < seconds(mx, tp=2, dp=32) <= seconds(eight, tp=2, dp=32) * 1.001


def test_experts_and_latent_attention_run() -> None:
    where = setting("deepseek-v3", n=256, seq_len=4096, global_batch=1024)
    one = run(where, pp=4, dp=64, ep=32)
    assert one.time.breakdown["ep"][0] > 0
    # 37 B of 671 B weights work on a token: far faster than a dense model of that size would be
    assert facts(where.model).experts[0] == 256
    assert one.mfu > 0.02


def test_a_slow_last_stage_is_waited_for_once_a_micro_batch() -> None:
    # 1F1B with one slow stage: all stages once, then the slowest for every other micro-batch. So each further
    # micro-batch adds the slowest stage, and without the head's surplus a step is m + p - 1 times a stage.
    where = setting(n=8, global_batch=64)
    few, many = (run(replace(where, batch=b), pp=8, micro_batch=1) for b in (32, 64))
    parts = few.time.breakdown
    pace = (float(many.time.value[0]) - float(few.time.value[0])) / 32.0
    overall = float(parts["products"][0]) / 32.0
    assert pace > overall
    waiting = [float(run(replace(where, batch=b), pp=8, micro_batch=1).time.breakdown["bubble"][0]) for b in (32, 64)]
    assert waiting[0] == pytest.approx(waiting[1])
    stage = sum(float(parts[k][0]) for k in parts if k not in {"bubble", "imbalance", "optimizer", "pp"}) / 32.0
    slow = stage + float(parts["imbalance"][0]) / 32.0
    crossings = 2.0 * float(parts["pp"][0]) / 32.0 * 7.0 / 2.0
    assert waiting[0] == pytest.approx(8.0 * stage - slow + crossings, rel=1e-6)


def test_odd_vocabularies_are_padded_or_pay() -> None:
    where = setting("gpt3-175b", "a100-80-sxm", 8, year=2021, seq_len=2048, global_batch=8)
    odd = replace(where.facts, vocab=np.array([50257.0]))
    padded = replace(where, facts=replace(odd, vocab=np.array([51200.0])))
    layout = {"tp": 8, "micro_batch": 1}
    # The first stage's weights are counted unpadded, hence the tolerance.
    assert seconds(replace(where, facts=odd), **layout) == pytest.approx(seconds(padded, **layout), rel=1e-5)
    free = {"year": 2023, "era_id": "fsdp1", "seq_len": 2048, "global_batch": 8}
    own = setting("llama-3.1-8b", "a100-80-sxm", 8, **free)
    head = {
        v: float(run(replace(own, facts=replace(own.facts, vocab=np.array([v]))), dp=8).time.breakdown["head"][0])
        for v in (50256.0, 50257.0, 50258.0)
    }
    assert head[50256.0] < head[50258.0] < head[50257.0] < 2.5 * head[50256.0]


def test_a_softmax_that_the_fused_kernel_leaves_costs_passes_and_launches() -> None:
    # Megatron-LM's fused softmax takes heads x sequences of a chip in fours (megatron/model/fused_softmax.py).
    def parts(heads: int, micro: int, era: str = "megatron-2021") -> dict[str, float]:
        base = setting("llama-3.1-8b", "a100-80-sxm", n=8, seq_len=1024, era_id=era)
        where = replace(
            base, facts=replace(base.facts, heads=np.array([float(heads)]), kv_heads=np.array([float(heads)]))
        )
        one = run(where, tp=8, micro_batch=micro)
        return {name: float(value[0]) for name, value in one.time.breakdown.items()}

    left, taken = parts(heads=16, micro=1), parts(heads=32, micro=1)
    assert left["attention"] > 1.1 * taken["attention"]  # of half as many scores
    assert left["launch"] > 1.15 * taken["launch"]
    assert parts(heads=16, micro=2)["attention"] < 0.7 * left["attention"]
    on_chip = [parts(heads=n, micro=1, era="megatron-core")["attention"] for n in (16, 32)]
    assert on_chip[0] < on_chip[1]


def test_tensor_collectives_hide_inside_a_domain_only() -> None:
    where = setting("llama-3.1-70b")
    inside = [run(where, tp=8, dp=8, tp_overlap=o).time.breakdown["tp"][0] for o in (0.0, 1.0)]
    across = [run(where, tp=16, dp=4, tp_overlap=o).time.breakdown["tp"][0] for o in (0.0, 1.0)]
    assert inside[1] < 0.7 * inside[0]
    assert across[1] == across[0]


def test_context_parallel_ranks_share_windows_too() -> None:
    # A query sees the window before it however many ranks there are: half the queries of twice the micro-batches.
    local = setting("mistral-7b", n=64, seq_len=32_768, global_batch=64)
    whole, half = (run(local, cp=cp, dp=64 // cp).time.breakdown["attention"][0] for cp in (1, 2))
    assert half == pytest.approx(whole, rel=0.4)
