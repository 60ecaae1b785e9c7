"""What a cache keeps: cold runs are never faster than warm ones, and memory delivers what no cache can hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.catalog import chip
from suanli.silicon import attention_time, mla_time, moe_time
from suanli.silicon._cache import Traffic, missing, missing_in_order
from suanli.silicon._unit import unit_of

CHIPS = st.sampled_from(["h100-sxm", "l40s", "ascend910b3", "b200-sxm", "rtxpro6000-server", "mi300x"])
BYTES = st.floats(1.0, 1e11)


def assert_never_faster_cold(time: Callable[..., Any], name: str, **shape: Any) -> None:
    """Assert that ``time`` of ``shape`` on the chip ``name`` is no less where nothing is kept."""
    warm, cold = (time(chip(name), cache=cache, **shape)[0] for cache in ("warm", "cold"))
    assert cold >= warm * (1.0 - 1e-12)


@settings(max_examples=80, deadline=None)
@given(
    name=CHIPS,
    kernel=st.sampled_from([None, "sglang/sglang_fused_moe_triton", "trtllm/moe_torch_flow_cutlass", "vllm/marlin"]),
    tokens=st.integers(1, 100_000),
    hidden=st.integers(256, 16_384),
    inter=st.integers(64, 16_384),
    log_experts=st.integers(3, 9),
    top_k=st.integers(1, 8),
    ep=st.sampled_from([1, 2, 8]),
    skew=st.sampled_from([0.0, 1.01, 1.2]),
)
def test_experts_whose_weights_come_from_memory_are_never_faster(
    name: str,
    kernel: str | None,
    tokens: int,
    hidden: int,
    inter: int,
    log_experts: int,
    top_k: int,
    ep: int,
    skew: float,
) -> None:
    assert_never_faster_cold(
        moe_time,
        name,
        tokens=tokens,
        hidden=hidden,
        inter=inter,
        n_experts=2**log_experts,
        top_k=top_k,
        ep=ep,
        skew=skew,
        dtype="bf16",
        kernel=kernel,
    )


@settings(max_examples=80, deadline=None)
@given(
    name=CHIPS,
    kernel=st.sampled_from([None, "sglang/triton", "trtllm/torch_flow", "vllm/vllm_flash_attn_fa3"]),
    phase=st.sampled_from(["prefill", "decode", "encoder"]),
    batch=st.integers(1, 512),
    tokens=st.integers(1, 16_384),
    past=st.integers(0, 65_536),
    groups=st.integers(1, 16),
    share=st.integers(1, 16),
    width=st.sampled_from([64, 72, 128, 256]),
    window=st.sampled_from([0, 128, 4096]),
)
def test_attention_whose_keys_come_from_memory_is_never_faster(
    name: str,
    kernel: str | None,
    phase: str,
    batch: int,
    tokens: int,
    past: int,
    groups: int,
    share: int,
    width: int,
    window: int,
) -> None:
    q_len = 1 if phase == "decode" else tokens
    assert_never_faster_cold(
        attention_time,
        name,
        phase=phase,
        batch=batch,
        q_len=q_len,
        kv_len=q_len + past,
        n_heads=groups * share,
        n_kv_heads=groups,
        head_dim=width,
        window=window,
        dtype="bf16",
        kernel=kernel,
    )


@pytest.mark.parametrize("name", ["h100-sxm", "l40s", "b200-sxm"])
def test_keys_that_a_cache_could_hold_cost_a_cold_run_their_way_from_memory(name: str) -> None:
    size = 0.25 * unit_of(chip(name)).cache
    shape = {"batch": 8, "q_len": 1, "kv_len": int(size / (2 * 8 * 8 * 128 * 2.0)), "n_heads": 8, "n_kv_heads": 8}
    warm, cold = (
        attention_time(chip(name), phase="decode", **shape, head_dim=128, dtype="bf16", cache=cache)[0]  # type: ignore[arg-type]
        for cache in ("warm", "cold")
    )
    assert cold > size * 0.99 / unit_of(chip(name)).bandwidth
    assert cold > warm


@given(size=BYTES, turns=st.floats(1.0, 10.0), cache=st.floats(0.0, 1e9))
def test_a_cache_keeps_no_more_than_it_holds_and_less_of_what_comes_rarely(
    size: float, turns: float, cache: float
) -> None:
    alone, several = (missing(np.array([size]), np.array([t * size]), cache)[0] for t in (1.0, turns))
    assert size - cache <= alone * (1.0 + 1e-9)
    assert alone <= several * (1.0 + 1e-9)
    assert several <= size


@given(size=BYTES, more=st.floats(1.0, 4.0), cache=st.floats(0.0, 1e9))
def test_what_is_read_in_order_misses_more_the_more_of_it_there_is(size: float, more: float, cache: float) -> None:
    few, many = (missing_in_order(np.array([s]), cache)[0] for s in (size, more * size))
    assert few <= many * (1.0 + 1e-9)
    assert many >= (more * size - cache) * (1.0 - 1e-9)


@given(size=BYTES, kept=st.floats(0.0, 1.0), again=st.floats(0.0, 1e11))
def test_traffic_is_shared_between_what_any_run_misses_and_what_a_cold_one_does(
    size: float, kept: float, again: float
) -> None:
    whole, lacking = np.array([size]), np.array([size * (1.0 - kept)])
    cold, warm = Traffic(whole, lacking, again), Traffic(lacking, lacking, again)
    assert not warm.held.any()
    assert cold.held[0] * cold.missed[0] == pytest.approx(size - lacking[0], abs=1e-6 * size)
    assert cold.kept(whole)[0] == 0.0
    assert warm.kept(whole)[0] == pytest.approx(kept, abs=1e-9)


@settings(max_examples=80, deadline=None)
@given(
    name=CHIPS,
    phase=st.sampled_from(["prefill", "decode"]),
    module=st.booleans(),
    batch=st.integers(1, 256),
    tokens=st.integers(1, 8_192),
    past=st.integers(0, 32_768),
    log_heads=st.integers(3, 7),
)
def test_latent_attention_whose_keys_come_from_memory_is_never_faster(
    name: str, phase: str, module: bool, batch: int, tokens: int, past: int, log_heads: int
) -> None:
    q_len = 1 if phase == "decode" else tokens
    assert_never_faster_cold(
        mla_time,
        name,
        phase=phase,
        batch=batch,
        q_len=q_len,
        kv_len=q_len + past,
        n_heads=2**log_heads,
        dtype="bf16",
        module=module,
    )
