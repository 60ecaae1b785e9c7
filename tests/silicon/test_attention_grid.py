"""How kernels lay attention over cores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanli.catalog import chip
from suanli.silicon import attention_time, mla_time
from suanli.silicon._attention_grid import Heads, decode_layout, grid_of, layout_of, padded, prefill_layout
from suanli.silicon._attention_work import attention_work
from suanli.silicon._cache import missing_in_order
from suanli.silicon._formats import format_of
from suanli.silicon._unit import unit_of

A100 = unit_of(chip("a100-80-sxm"))


def heads(
    *,
    batch: float = 1,
    q: float = 1,
    kv: float = 4096,
    n: float = 32,
    groups: float = 8,
    window: float = 0,
    narrow: bool = False,
) -> Heads:
    one = np.ones(1)
    seen = min(kv, window + q) if window else kv
    pairs = min(q * kv - 0.5 * q * (q - 1), q * window if window else np.inf)
    return Heads(
        batch=batch * one,
        q_len=q * one,
        reach=seen * one,
        pairs=pairs * one,
        heads=n * one,
        groups=groups * one,
        window=window * one,
        cut=np.array([0 < window < kv]),
        keys=512.0 * batch * groups * seen * one,
        lanes=256.0 * one,
        history=kv * one,
        narrow=narrow,
    )


@pytest.mark.parametrize(
    ("kernel", "algorithm"),
    [
        ("vllm/vllm_flash_attn_fa3", "fa3"),
        ("sglang/flash_attention_v3", "fa3"),
        ("sglang/flash_attention", "fa2"),
        ("vllm/vllm_vit_flash_attn_fa2", "fa2"),
        ("vllm/vllm_flashinfer_fidecode", "flashinfer"),
        ("trtllm/torch_flow", "xqa"),
        ("vllm/vllm_triton_attn", "triton"),
        ("somebody/else", ""),
        (None, ""),
    ],
)
def test_a_kernel_names_its_algorithm(kernel: str | None, algorithm: str) -> None:
    assert grid_of(kernel).algorithm == algorithm


def test_heads_of_a_group_share_a_tile_until_the_kernel_takes_them_apart() -> None:
    tasks = {
        (kernel, n, window): decode_layout(A100, grid_of(kernel), heads(batch=512, n=n, window=window)).tasks[0]
        for kernel in ("vllm/vllm_flash_attn_fa2", "vllm/vllm_flash_attn_fa3", "trtllm/torch_flow")
        for n in (32, 320)
        for window in (0, 128)
    }
    assert tasks["vllm/vllm_flash_attn_fa3", 32, 128] == 512 * 8
    assert tasks["vllm/vllm_flash_attn_fa2", 32, 0] == 512 * 8
    assert tasks["vllm/vllm_flash_attn_fa2", 32, 128] == 512 * 32  # no packing under a window
    assert tasks["trtllm/torch_flow", 32, 0] == 512 * 8
    assert tasks["trtllm/torch_flow", 320, 0] == 512 * 320  # 40 query heads a KV head: each on its own


@given(batch=st.integers(1, 4096), kv=st.integers(1, 200_000), groups=st.sampled_from([1, 2, 8, 64]))
def test_splits_fill_cores_and_no_more(batch: int, kv: int, groups: int) -> None:
    lay = decode_layout(A100, grid_of("sglang/flashinfer"), heads(batch=batch, kv=kv, n=64, groups=groups))
    assert 1 <= lay.split[0] <= np.ceil(kv / 128)
    assert lay.tasks[0] * lay.split[0] <= max(lay.tasks[0], A100.cores)
    assert lay.idle[0] >= 1.0
    assert lay.scored[0] >= batch * 64 * kv


@given(q=st.integers(1, 20_000), batch=st.integers(1, 64), window=st.sampled_from([0, 128, 4096]), packs=st.booleans())
def test_a_prefill_computes_all_pairs_and_waits_for_its_longest_tile(
    q: int, batch: int, window: int, packs: bool
) -> None:
    shape = heads(batch=batch, q=q, kv=q, window=window)
    grid = grid_of("vllm/vllm_flash_attn_fa3" if packs else "vllm/vllm_flash_attn_fa2")
    lay = prefill_layout(A100, grid, shape)
    assert lay.scored[0] >= batch * 32 * shape.pairs[0] * (1 - 1e-9)
    per_tile = lay.scored[0] / lay.tasks[0]
    on_longest_core = lay.scored[0] * lay.idle[0] / A100.cores
    assert on_longest_core >= per_tile * (1 - 1e-9)
    assert on_longest_core >= lay.scored[0] / A100.cores * (1 - 1e-9)


def test_one_new_token_is_decode_to_some_kernels() -> None:
    shape = heads(batch=64, kv=512)
    flash, xqa = grid_of("vllm/vllm_flash_attn_fa3"), grid_of("trtllm/torch_flow")
    assert layout_of(A100, flash, shape, decode=False).tasks[0] == 64 * 8
    assert layout_of(A100, xqa, shape, decode=False).tasks[0] == 64 * 32


@given(size=st.floats(1.0, 1e9), cache=st.floats(0.0, 1e8))
def test_what_no_cache_can_hold_comes_from_memory(size: float, cache: float) -> None:
    missed = missing_in_order(np.array([size]), cache)[0]
    assert size >= missed >= (size - cache) * (1 - 1e-9)


def test_latency_counts_rounds_of_tiles() -> None:
    # H100, FlashAttention 3 in SGLang, 32 heads in 8 groups of 128, two keys: 52.6 us at batch 256 and 182.6 us at
    # 1,024 (aiconfigurator-core 0.12.0, Apache-2.0): nothing but rounds of tiles, 16 and 63 on 132 cores.
    shape = {"phase": "decode", "q_len": 1, "kv_len": 2, "n_heads": 32, "n_kv_heads": 8, "head_dim": 128}
    times = attention_time(chip("h100"), batch=[256, 1024], dtype="bf16", kernel="sglang/fa3", **shape)  # type: ignore[arg-type]
    assert np.abs(np.log(times / [52.6e-6, 182.6e-6])).max() < 0.2


def test_latent_attention_splits_its_keys_only_where_the_kernel_does() -> None:
    # TensorRT-LLM, 16 heads, one sequence, 65,536 keys: 7.8 ms on A100, which leaves them to one core, 71 us on H100
    # (aiconfigurator-core 0.12.0, Apache-2.0).
    shape = {"phase": "decode", "batch": 1, "q_len": 1, "kv_len": 65536, "n_heads": 16, "dtype": "bf16"}
    long, short = (mla_time(chip(c), kernel="trtllm/default", **shape)[0] for c in ("a100", "h100"))  # type: ignore[arg-type]
    assert long > 30.0 * short


def test_a_kernel_pads_heads_to_the_widths_it_was_written_for() -> None:
    # Triton multiplies powers of two, FlashAttention 2 multiples of 32 up to 128 (their published sources); XQA's
    # prefill twin pads below 128 only.
    widths = np.array([64.0, 72.0, 80.0, 192.0])
    assert padded(grid_of("sglang/triton"), widths).tolist() == [64, 128, 128, 256]
    assert padded(grid_of("vllm/vllm_vit_flash_attn_fa2"), widths).tolist() == [64, 96, 96, 192]
    assert padded(grid_of("trtllm/torch_flow"), widths).tolist() == [64, 128, 128, 192]
    assert padded(grid_of("somebody/else"), widths).tolist() == widths.tolist()


def test_blocks_that_run_far_apart_read_their_keys_again_from_memory() -> None:
    # L40S, SGLang's Triton encoder, 16 heads of 64, 1,024 tokens: 450 us at batch 16, whose keys fit the cache, and
    # 3,449 us at batch 32, whose keys do not (aiconfigurator-core 0.12.0, Apache-2.0).
    def memory(kernel: str, batch: float) -> float:
        shape = {"n_heads": 16, "n_kv_heads": 16, "head_dim": 64, "window": 0, "q_len": 1024, "kv_len": 1024}
        sizes = {name: np.array([float(value)]) for name, value in (shape | {"batch": batch}).items()}
        form = format_of("bf16")
        return float(attention_work(chip("l40s"), form, form, phase="encoder", kernel=kernel, **sizes).memory[0])  # type: ignore[arg-type]

    assert memory("sglang/triton", 16) == memory("vllm/vllm_vit_flash_attn_fa2", 16)
    assert memory("sglang/triton", 64) > 3 * memory("vllm/vllm_vit_flash_attn_fa2", 64)


def test_prefill_over_a_cache_of_8_bits_multiplies_in_8_bits_where_its_kernel_does() -> None:
    def compute(chip_name: str, kernel: str, kv: str) -> float:
        shape = {
            "n_heads": 32,
            "n_kv_heads": 8,
            "head_dim": 128,
            "window": 0,
            "q_len": 8192,
            "kv_len": 8192,
            "batch": 8,
        }
        sizes = {name: np.array([float(value)]) for name, value in shape.items()}
        form, cache = format_of("bf16"), format_of(kv)
        return float(attention_work(chip(chip_name), form, cache, phase="prefill", kernel=kernel, **sizes).compute[0])  # type: ignore[arg-type]

    # TensorRT-LLM on H100: 709 TFLOP/s over an fp8 cache, 490 over one of 16 bits; on L40S 137 over either
    # (medians of long prompts, heads of 128; aiconfigurator-core 0.12.0, Apache-2.0).
    assert compute("h100", "trtllm/torch_flow", "fp8") < 0.8 * compute("h100", "trtllm/torch_flow", "bf16")
    assert compute("l40s", "trtllm/torch_flow", "fp8") == compute("l40s", "trtllm/torch_flow", "bf16")
    assert compute("h100", "vllm/vllm_flash_attn_fa3", "fp8") == compute("h100", "vllm/vllm_flash_attn_fa3", "bf16")


def test_prefill_s_tiles_of_all_lengths_lose_half_a_round() -> None:
    # 135 tiles on 108 cores take neither 1.25 rounds nor two.
    lay = prefill_layout(A100, grid_of("vllm/vllm_flash_attn_fa2"), heads(q=640, kv=640, n=27, groups=27))
    assert lay.tasks[0] == 135
    assert lay.idle[0] * lay.waves[0] == pytest.approx(1.75)


def test_new_keys_are_written_to_the_cache_before_attention() -> None:
    def before(kernel: str, phase: str) -> float:
        shape = {"n_heads": 32, "n_kv_heads": 8, "head_dim": 128, "window": 0, "q_len": 64, "kv_len": 64, "batch": 2048}
        sizes = {name: np.array([float(value)]) for name, value in shape.items()}
        form = format_of("bf16")
        return float(attention_work(chip("l40s"), form, form, phase=phase, kernel=kernel, **sizes).before[0])  # type: ignore[arg-type]

    # vLLM reads and writes 2 x 8 heads of keys and values, TensorRT-LLM turns 32 of queries as well.
    written = before("vllm/vllm_flash_attn_fa2", "prefill")
    assert before("trtllm/torch_flow", "prefill") == pytest.approx(written * (32 + 16) / 16)
    assert before("vllm/vllm_flash_attn_fa2", "decode") == written
    # TensorRT-LLM's decode appends in the kernel itself; an encoder has no cache.
    assert before("trtllm/torch_flow", "decode") == 0.0
    assert before("vllm/vllm_flash_attn_fa2", "encoder") == 0.0
