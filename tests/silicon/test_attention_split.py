"""Over how many blocks decode's kernels spread a sequence's keys."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanli.silicon._attention_split import RULES, Spread, split_of
from suanli.silicon._tables import table


def spread(tasks: float, reach: float = 8192.0, *, cores: float = 132.0, batch: float = 1.0) -> Spread:
    one = np.ones(1)
    return Spread(tasks=tasks * one, reach=reach * one, batch=batch * one, cores=cores)


def test_every_kernel_names_a_rule_that_exists() -> None:
    named = {entry.get("split", "idle") for entry in table("kernels")["kernels"]}
    assert named <= {*RULES, "xqa"}


@given(
    rule=st.sampled_from(sorted(RULES)),
    tasks=st.integers(1, 100_000),
    reach=st.integers(1, 1_000_000),
    batch=st.integers(1, 4096),
)
def test_a_split_is_a_whole_number_of_parts(rule: str, tasks: int, reach: int, batch: int) -> None:
    parts = split_of(rule, spread(tasks, reach, batch=batch))[0]
    assert parts >= 1.0
    assert parts == round(parts)


def flash_attention_2(tasks: int, cores: int, steps: int) -> int:
    """num_splits_heuristic of csrc/flash_attn/flash_api.cpp, block by block, for two blocks a core."""
    if tasks >= 0.8 * cores:
        return 1
    tried = range(1, min(128, cores, steps) + 1)
    use = {s: (tasks * s / cores) / np.ceil(tasks * s / cores) for s in tried}
    return next(s for s in tried if use[s] >= 0.85 * max(use.values()))


@pytest.mark.parametrize("tasks", [1, 3, 8, 16, 24, 40, 64, 100, 150, 200, 216, 300])
def test_flash_attention_2_takes_the_fewest_parts_that_use_cores_well(tasks: int) -> None:
    mine = split_of("efficient", spread(tasks, 65536.0, cores=108.0))[0]
    theirs = flash_attention_2(tasks, 216, 512)
    assert mine == pytest.approx(theirs, rel=0.2)  # many parts are counted without trying each


def test_flash_attention_3_gives_cores_equal_steps() -> None:
    assert split_of("balanced", spread(8.0, 8192.0))[0] == 13.0  # 64 steps in parts of ceil(1.1 x 8 x 64 / 132) = 5
    assert split_of("balanced", spread(132.0))[0] == 1.0


def test_sglang_counts_cores_more_often_the_longer_keys_are_and_stops_at_eight() -> None:
    # get_num_kv_splits_triton: ceil(cores x log2(keys / 64) / blocks), eight at most.
    assert split_of("sglang", spread(512.0, 1024.0))[0] == np.ceil(132 * 4 / 512)
    assert split_of("sglang", spread(1.0, 65536.0))[0] == 8.0


def test_vllm_plans_flash_attention_4_for_graphs_before_it_knows_the_keys() -> None:
    # H100, one head of 512, two keys: 1,697 us at batch 512, 174 us at 1,024 (aiconfigurator-core 0.12.0, Apache-2.0).
    assert split_of("planned", spread(512.0, 2.0, batch=512.0))[0] == 32.0
    assert split_of("planned", spread(1024.0, 2.0, batch=1024.0))[0] == 1.0


def test_vllm_s_triton_kernel_splits_small_grids_alone() -> None:
    assert split_of("segments", spread(128.0))[0] == 16.0
    assert split_of("segments", spread(129.0))[0] == 1.0
