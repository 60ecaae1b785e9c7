"""TensorRT-LLM's choice of kernel and blocks in decode, by its source and by steps of its measured latency."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from suanli.catalog import chip
from suanli.silicon import attention_time
from suanli.silicon._attention_grid import decode_layout, grid_of
from suanli.silicon._attention_xqa import Blocks, xqa_blocks
from suanli.silicon._unit import unit_of
from tests.silicon.test_attention_grid import heads

H100 = unit_of(chip("h100"))
KIB = 1024.0


def blocks(
    *, batch: float, heads: float, groups: float, kv: float, barred: bool = False, splits: bool = True, q: float = 1
) -> Blocks:
    one = np.ones(1)
    return xqa_blocks(
        H100,
        227.0 * KIB,
        batch=batch * one,
        heads=heads * one,
        groups=groups * one,
        q_len=q * one,
        history=kv * one,
        reach=kv * one,
        barred=np.array([barred]),
        splits=splits,
        held=1.0,
    )


def test_xqa_takes_shared_keys_where_its_blocks_fill_a_quarter_of_the_cores() -> None:
    assert blocks(batch=4, heads=32, groups=8, kv=64).apart[0]  # 4 x 32 blocks on 132 cores
    assert not blocks(batch=5, heads=32, groups=8, kv=64).apart[0]
    assert not blocks(batch=2, heads=32, groups=8, kv=512).apart[0]  # 4 blocks a sequence
    assert blocks(batch=512, heads=8, groups=8, kv=512).apart[0]  # nothing is shared
    assert blocks(batch=512, heads=264, groups=8, kv=512).apart[0]  # 33 heads a group
    assert blocks(batch=512, heads=32, groups=8, kv=512, barred=True).apart[0]
    assert not blocks(batch=1, heads=8, groups=8, kv=64, q=4).apart[0]  # drafted tokens


def test_xqa_splits_by_128_keys_up_to_a_square_root_and_eight_waves() -> None:
    # computeMultiBlockCount: keys / 128, at most round(sqrt(8 x that)), at most eight waves.
    parts = {kv: blocks(batch=2, heads=32, groups=8, kv=kv).split[0] for kv in (512, 1024, 2048, 65536)}
    assert parts == {512: 4, 1024: 8, 2048: 11, 65536: 64}
    assert blocks(batch=64, heads=32, groups=8, kv=65536).split[0] == 2  # 512 sequences and 8 x 132 blocks
    assert blocks(batch=2, heads=32, groups=8, kv=65536, splits=False).split[0] == 1


@given(batch=st.integers(1, 4096), groups=st.sampled_from([1, 2, 8, 64]), kv=st.integers(1, 200_000))
def test_the_masked_kernel_splits_to_one_wave_or_as_memory_demands(batch: int, groups: int, kv: int) -> None:
    found = blocks(batch=batch, heads=groups, groups=groups, kv=kv)
    assert found.apart[0]
    assert found.split[0] >= np.ceil(kv * 6 / (225 * KIB))
    assert found.split[0] <= max(np.ceil(H100.cores / (batch * groups)), np.ceil(kv * 6 / (225 * KIB)))
    assert found.held[0] in (1.0, 2.0, 4.0)


def test_latency_shows_the_steps() -> None:
    # H100, 32 heads in 8 groups of 128, bf16 (aiconfigurator-core 0.12.0, Apache-2.0): a wave of 132 blocks takes
    # 4.8 us with next to no keys, and 512 keys start four times as many blocks as 2 do.
    shape = {"phase": "decode", "q_len": 1, "n_heads": 32, "n_kv_heads": 8, "head_dim": 128, "dtype": "bf16"}
    batch, kv = [128, 1024, 2048, 16, 16], [2, 2, 2, 2, 512]
    times = attention_time(chip("h100"), batch=batch, kv_len=kv, kernel="trtllm/torch_flow", **shape)  # type: ignore[arg-type]
    measured = np.array([43.4e-6, 298.2e-6, 595.3e-6, 10.2e-6, 28.5e-6])
    assert np.abs(np.log(times / measured)).max() < 0.25


def test_a_cache_of_8_bits_is_read_in_one_block_where_no_kernel_was_written_for_it() -> None:
    # L40S, 8 KV heads of 128, 8,192 keys: 139 us over fp8 at batch 1 as at batch 4, 23 us over 16 bits at batch 1
    # (aiconfigurator-core 0.12.0, Apache-2.0).
    shape = {"phase": "decode", "q_len": 1, "kv_len": 8192, "n_heads": 32, "n_kv_heads": 8, "head_dim": 128}

    def micros(kv_dtype: str, batch: float) -> float:
        seconds = attention_time(
            chip("l40s"),
            dtype="bf16",
            kv_dtype=kv_dtype,
            batch=batch,
            kernel="trtllm/torch_flow",
            **shape,  # type: ignore[arg-type]
        )
        return 1e6 * float(seconds[0])

    assert micros("fp8", 1) > 3.0 * micros("bf16", 1)
    assert micros("fp8", 4) < 1.2 * micros("fp8", 1)


def test_generated_kernels_of_blackwell_fill_idle_cores() -> None:
    # fmhaKernels.h: cores over blocks, at most one a step of keys.
    unit, sizes = unit_of(chip("b200")), heads(batch=4, kv=65536, n=32, groups=8)
    assert decode_layout(unit, grid_of("trtllm/torch_flow"), sizes).split[0] == np.floor(unit.cores / 32)
