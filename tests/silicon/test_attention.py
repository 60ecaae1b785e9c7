"""Attention, MLA and MoE: counts, bounds and measured anchors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.catalog import chip
from suanli.errors import InputError
from suanli.silicon import attention_time, mla_time, moe_time
from suanli.silicon._attention_work import attended
from suanli.silicon._moe_load import load_of

HEADS = {"n_heads": 32, "n_kv_heads": 8, "head_dim": 128, "dtype": "bf16"}


@given(q=st.integers(1, 40), past=st.integers(0, 40), window=st.integers(0, 50))
def test_attended_pairs_are_counted_exactly(q: int, past: int, window: int) -> None:
    keys = past + q
    brute = sum(min(past + i + 1, window or keys) for i in range(q))
    counted = attended(np.array([q * 1.0]), np.array([keys * 1.0]), np.array([window * 1.0]), causal=True)
    assert counted[0] == brute


@settings(max_examples=30, deadline=None)
@given(
    name=st.sampled_from(["h100-sxm", "a100-80-sxm", "ascend910b3", "b200-sxm"]),
    batch=st.integers(1, 256),
    kv=st.integers(1, 65536),
    phase=st.sampled_from(["prefill", "decode", "encoder"]),
)
def test_never_above_peak_nor_memory(name: str, batch: int, kv: int, phase: str) -> None:
    c = chip(name)
    q = 1 if phase == "decode" else kv
    time = attention_time(
        c,
        phase=phase,
        batch=batch,
        q_len=q,
        kv_len=kv,
        n_heads=32,
        n_kv_heads=8,
        head_dim=128,
        dtype="bf16",
        cache="cold",
    )[0]
    pairs = attended(np.array([q * 1.0]), np.array([kv * 1.0]), np.zeros(1), causal=phase != "encoder")[0]
    assert c.memory_bandwidth is not None
    assert time >= 4.0 * batch * 32 * 128 * pairs / c.peak["bf16"]
    assert time >= 2.0 * batch * 8 * 128 * kv * 2.0 / c.memory_bandwidth


def test_measured_prefill_anchor() -> None:
    # A100, batch 2, 96 heads that share one KV head, 10,240 tokens: 35.2 ms (aiconfigurator-core 0.12.0, Apache-2.0)
    time = attention_time(
        chip("a100"),
        phase="prefill",
        batch=2,
        q_len=10240,
        kv_len=10240,
        n_heads=96,
        n_kv_heads=1,
        head_dim=128,
        dtype="bf16",
    )
    assert abs(np.log(time[0] / 35.2e-3)) < 0.3


def test_windows_groups_and_small_caches_save_time() -> None:
    h100 = chip("h100")
    full = attention_time(h100, phase="prefill", batch=4, q_len=16384, kv_len=16384, **HEADS)  # type: ignore[arg-type]
    near = attention_time(h100, phase="prefill", batch=4, q_len=16384, kv_len=16384, window=1024, **HEADS)  # type: ignore[arg-type]
    assert near[0] < 0.4 * full[0]
    long = {"phase": "decode", "batch": 64, "q_len": 1, "kv_len": 16384}
    wide = attention_time(h100, **{**long, **HEADS, "n_kv_heads": 32})  # type: ignore[arg-type]
    grouped = attention_time(h100, **{**long, **HEADS})  # type: ignore[arg-type]
    eight = attention_time(h100, **{**long, **HEADS, "kv_dtype": "fp8"})  # type: ignore[arg-type]
    assert grouped[0] < 0.4 * wide[0]
    assert eight[0] < 0.9 * grouped[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"phase": "refill"}, "it must be one of prefill"),
        ({"kv_len": 8}, "kv_len is below q_len"),
        ({"n_kv_heads": 64}, "n_kv_heads is above n_heads"),
        ({"head_dim": 0}, "head_dim is 0"),
        ({"window": -1}, "window is -1"),
    ],
)
def test_shapes_that_are_no_attention(changes: dict[str, object], words: str) -> None:
    good = {"phase": "prefill", "batch": 1, "q_len": 16, "kv_len": 16, **HEADS}
    with pytest.raises(InputError, match=words):
        attention_time(chip("h100"), **{**good, **changes})  # type: ignore[arg-type]


def test_pictures_may_look_at_a_text_shorter_than_themselves() -> None:
    shape = {"phase": "encoder", "batch": 1, "q_len": 32760, **HEADS}
    cross = attention_time(chip("h100"), kv_len=512, **shape)  # type: ignore[arg-type]
    own = attention_time(chip("h100"), kv_len=32760, **shape)  # type: ignore[arg-type]
    assert 0 < cross[0] < own[0]


def test_mla_block_is_its_core_and_more() -> None:
    shape = {"phase": "decode", "batch": 32, "q_len": 1, "kv_len": 4096, "n_heads": 128, "dtype": "bf16"}
    core = mla_time(chip("h100"), **shape)  # type: ignore[arg-type]
    block = mla_time(chip("h100"), module=True, gemm_dtype="fp8_block", **shape)  # type: ignore[arg-type]
    assert block[0] > core[0]
    with pytest.raises(InputError, match="prefill or decode"):
        mla_time(chip("h100"), **{**shape, "phase": "encoder"})  # type: ignore[arg-type]


@given(
    tokens=st.integers(1, 30000),
    top_k=st.integers(1, 8),
    log_experts=st.integers(3, 9),
    log_ep=st.integers(0, 8),
    skew=st.sampled_from([0.0, 1.01, 1.2]),
)
def test_routing_keeps_rows_and_experts_within_what_there_is(
    tokens: int, top_k: int, log_experts: int, log_ep: int, skew: float
) -> None:
    experts, ep = 2**log_experts, 2 ** min(log_ep, log_experts)
    load = load_of(*(np.array([float(v)]) for v in (tokens, top_k, experts, ep, skew)))
    rows, awake = load.rows, load.awake
    total, local = tokens * top_k, experts / ep
    assert total / ep * (1 - 1e-9) <= rows[0] <= max(total, 1.0) * (1 + 1e-9)
    assert 0.0 < awake[0] <= local
    assert skew == 0.0 or rows[0] >= awake[0] * (1 - 1e-9)


def test_balanced_experts_wake_one_by_one() -> None:
    # H100, 256 experts, top 8, ep 8: with 2, 4 and 8 tokens 2, 4 and 8 of the chip's 32 experts read their weights
    load = load_of(np.array([2.0, 4.0, 8.0, 64.0]), *(np.full(4, v) for v in (8.0, 256.0, 8.0, 0.0)))
    assert load.awake.tolist() == [2.0, 4.0, 8.0, 32.0]
    assert load.rows.tolist() == [2.0, 4.0, 8.0, 64.0]


def test_measured_moe_anchor_and_skew() -> None:
    # H100, DeepSeek-V3 experts in bf16, ep 8, 128 tokens, balanced: 973 us (aiconfigurator-core 0.12.0, Apache-2.0)
    shape = {"hidden": 7168, "inter": 2048, "top_k": 8, "n_experts": 256, "ep": 8, "dtype": "bf16"}
    time = moe_time(chip("h100"), tokens=128, **shape)  # type: ignore[arg-type]
    assert abs(np.log(time[0] / 973e-6)) < 0.25
    even, uneven = (moe_time(chip("h100"), tokens=16384, skew=s, **shape)[0] for s in (0.0, 1.2))  # type: ignore[arg-type]
    assert 1.3 < uneven / even < 4.0


@pytest.mark.parametrize(
    ("changes", "words"), [({"top_k": 512}, "top_k is above n_experts"), ({"ep": 512}, "ep is above n_experts")]
)
def test_shapes_that_are_no_moe(changes: dict[str, object], words: str) -> None:
    good = {"tokens": 1, "hidden": 64, "inter": 64, "top_k": 2, "n_experts": 8, "dtype": "bf16"}
    with pytest.raises(InputError, match=words):
        moe_time(chip("h100"), **{**good, **changes})  # type: ignore[arg-type]


def test_heads_of_no_multiple_of_16_load_slowly_in_triton() -> None:
    # RTX PRO 6000, SGLang's encoder, long pictures: 5.2 ps a pair of heads of 72, 2.1 ps of 80, which are padded alike
    # (medians; aiconfigurator-core 0.12.0, Apache-2.0).
    odd, even = (
        attention_time(
            chip("rtxpro6000-server"),
            phase="encoder",
            batch=8,
            q_len=4096,
            kv_len=4096,
            n_heads=16,
            n_kv_heads=16,
            head_dim=width,
            dtype="bf16",
            kernel="sglang/triton",
        )[0]
        for width in (72, 80)
    )
    assert odd > 1.5 * even
