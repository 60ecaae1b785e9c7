"""Operator tables, streams, and the law that joins resources."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from suanli.catalog import chip, model
from suanli.errors import InputError
from suanli.silicon import elementwise_time, embedding_time, ops_time
from suanli.silicon._laws import PARTS, RESOURCES, join
from suanli.silicon._unit import unit_of
from suanli.workloads import forward_ops


@pytest.mark.parametrize("name", ["llama-3.1-70b", "deepseek-v3", "mixtral-8x7b"])
@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_a_pass_is_never_faster_than_its_flop_and_weights(name: str, phase: str) -> None:
    h100 = chip("h100")
    ops = forward_ops(model(name), phase=phase, batch=16, q_len=1 if phase == "decode" else 512, kv_len=512, tp=8)
    found = ops_time(h100, ops)
    assert (found.p10 < found.value).all()
    assert (found.value < found.p90).all()
    assert set(found.bound) <= set(PARTS)
    assert found.total > float((ops.count * ops.flop).sum()) / h100.peak["bf16"]
    gemm = ops.kind == 0
    weights = float((ops.count * ops.weight_bytes)[gemm].sum())
    assert h100.memory_bandwidth is not None
    assert float(found.value[gemm].sum()) > weights / h100.memory_bandwidth


def test_a_chip_without_the_format_says_what_it_has() -> None:
    ops = forward_ops(model("llama-3.1-8b"), phase="decode", batch=1, kv_len=128, dtype="fp8")
    with pytest.raises(InputError, match="no rate for fp8; the nearest format it has is bf16"):
        ops_time(replace(chip("a100"), peak={"bf16": 3e14}), ops)


def test_streams_run_below_memory_bandwidth_and_cached_ones_faster() -> None:
    a100 = chip("a100")
    assert a100.memory_bandwidth is not None
    cold = elementwise_time(a100, bytes=[1e6, 1e8, 1e10])
    warm = elementwise_time(a100, bytes=[1e6, 1e8, 1e10], cache="warm")
    assert (cold >= np.array([1e6, 1e8, 1e10]) / a100.memory_bandwidth).all()
    assert (warm <= cold).all()
    assert 0.6 < 1e10 / a100.memory_bandwidth / cold[2] < 1.0


def test_short_embedding_rows_cost_a_sector() -> None:
    h100 = chip("h100")
    narrow, wide = (embedding_time(h100, lookups=1e7, dim=d, bytes_per_element=2)[0] for d in (4, 32))
    assert 0.7 < narrow / wide <= 1.0


def test_join_lies_between_the_slowest_part_and_the_sum() -> None:
    rng = np.random.default_rng(0)
    parts = {name: rng.uniform(0.0, 1.0, 50) for name in PARTS}
    resources = np.stack([parts[n] for n in RESOURCES])
    time = join(parts | {"host": np.zeros(50)}, 3.0) - parts["overhead"]
    assert (time >= resources.max(axis=0) - 1e-12).all()
    assert (time <= resources.sum(axis=0) + 1e-12).all()
    assert join({name: np.zeros(1) for name in PARTS}, 3.0)[0] == 0.0


def test_cores_are_the_datasheets_or_follow_from_the_rate() -> None:
    assert unit_of(chip("h20")).cores == 78.0
    assert unit_of(chip("ascend910b3")).cores == 20.0
    # TPU v4: 2 cores of 4 units of 128 x 128 (Jouppi et al., ISCA 2023)
    assert unit_of(chip("tpuv4")).cores == 8.0
    with pytest.raises(InputError, match="states no peak rate"):
        unit_of(replace(chip("h100"), peak={}, n_cores=None))
