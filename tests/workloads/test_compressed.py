"""Compressed attention: the published sizes of DeepSeek-V4, and what must hold of any schedule of ratios."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from suanli.catalog import chip, model
from suanli.kinds import Model
from suanli.silicon import ops_time
from suanli.workloads import (
    flop_per_token,
    flops,
    forward_ops,
    kv_bytes_per_sequence,
    kv_bytes_per_token,
    layer_groups,
    parameters,
    rows_of,
    state_bytes_per_sequence,
)

MILLION = 2**20
PRO, FLASH, BEFORE = "deepseek-v4-pro", "deepseek-v4-flash", "deepseek-v3.2"


@pytest.mark.parametrize(("name", "total", "active"), [(FLASH, 284e9, 13e9), (PRO, 1.6e12, 49e9)])
def test_counts_the_published_parameters(name: str, total: float, active: float) -> None:
    # Hugging Face model cards of DeepSeek-V4, April 2026: 284B-A13B and 1.6T-A49B
    count = parameters(model(name))
    assert count.total == pytest.approx(total, rel=0.02)
    assert count.active == pytest.approx(active, rel=0.025)


def test_a_long_context_costs_what_was_published() -> None:
    # recipes.vllm.ai, DeepSeek-V4-Pro: 27 % of V3.2's FLOP a token and 10 % of its cache at a million tokens
    new, old = model(PRO), model(BEFORE)
    work = flop_per_token(new, MILLION) / flop_per_token(old, MILLION)
    cache = kv_bytes_per_sequence(new, "fp8", MILLION) / kv_bytes_per_sequence(old, "fp8", MILLION)
    assert float(work) == pytest.approx(0.27, abs=0.01)
    assert float(cache) == pytest.approx(0.10, abs=0.02)


def test_every_layer_is_in_one_group() -> None:
    groups = layer_groups(model(FLASH))
    assert {g.ratio: g.count for g in groups} == {0: 2, 4: 21, 128: 20}
    assert all(g.mixer == "compressed" and g.moe for g in groups)


def _only(ratio: int) -> Model:
    base = model(FLASH)
    assert base.compressed is not None
    shape = replace(base.compressed, ratios=(ratio,) * base.n_layers)
    return replace(base, compressed=shape, indexer=None)


def test_the_cache_is_windows_and_entries() -> None:
    one = _only(128)
    width, layers, window = 512.0, one.n_layers, 128
    assert kv_bytes_per_token(one, "bf16") == pytest.approx(layers * 2.0 * width / 128)
    grown = kv_bytes_per_sequence(one, "bf16", np.array([64.0, 128.0, 1152.0]))
    entries = layers * 2.0 * width / 128 * np.array([64.0, 128.0, 1152.0])
    np.testing.assert_allclose(grown - entries, layers * 2.0 * width * np.minimum([64.0, 128.0, 1152.0], window))
    assert state_bytes_per_sequence(one) == pytest.approx(layers * 2 * 128 * width * 4)


def test_decode_reads_the_window_and_what_the_indexer_chose() -> None:
    lite = model(FLASH)
    rows = {r.name: r for r in rows_of(forward_ops(lite, phase="decode", batch=1, kv_len=100_000))}
    assert rows["compressed attention (window)"].kv_len == 128
    assert rows["compressed attention (1:4)"].kv_len == 128 + 512
    assert rows["compressed attention (1:128)"].kv_len == pytest.approx(128 + 100_000 / 128, abs=1)
    assert rows["indexer score"].n == 25_000


def test_flop_of_a_prompt_match_those_of_its_tokens() -> None:
    lite, length = model(FLASH), 65_536
    forward = flops(forward_ops(lite, phase="train", batch=1, q_len=length, kv_len=length))
    places = np.linspace(1, length, 4097)
    assert forward == pytest.approx(length * float(flop_per_token(lite, places).mean()), rel=0.03)


def test_tensor_parallel_chips_share_heads_and_output_groups() -> None:
    lite = model(FLASH)
    whole = flops(forward_ops(lite, phase="decode", batch=8, kv_len=4096))
    part = flops(forward_ops(lite, phase="decode", batch=8, kv_len=4096, tp=8, ep=8))
    assert whole / 8 < part < whole / 3  # down projections, pools and the router stay whole


def test_a_longer_context_is_never_faster_and_chosen_keys_bound_it() -> None:
    h200 = chip("h200")
    times = [
        ops_time(h200, forward_ops(model(PRO), phase="decode", batch=16, kv_len=n, tp=8, ep=8)).total
        for n in (1_024, 8_192, 65_536, 524_288)
    ]
    assert times == sorted(times)
    assert times[-1] < 2.0 * times[0]


def test_sparse_prompts_cost_less_than_dense_ones() -> None:
    h200, sparse = chip("h200"), model(BEFORE)
    dense = replace(sparse, indexer=None)
    slow, fast = (
        _attention(ops_time(h200, ops).value, ops.name)
        for ops in (forward_ops(m, phase="prefill", batch=1, q_len=32_768, tp=8) for m in (dense, sparse))
    )
    assert fast < 0.25 * slow  # 2,048 of 16,384 keys on average
    slow, fast = (
        _attention(ops_time(h200, ops).value, ops.name)
        for ops in (forward_ops(m, phase="decode", batch=32, kv_len=65_536, tp=8) for m in (dense, sparse))
    )
    assert fast < 0.25 * slow


def _attention(seconds: np.ndarray[tuple[int], np.dtype[np.float64]], names: tuple[str, ...]) -> float:
    return float(sum(s for s, n in zip(seconds, names, strict=True) if n == "latent attention"))
