"""How tables timed products, and the quantisation that narrow activations need before a product."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from suanli.catalog import chip, fitted
from suanli.silicon import gemm_time
from suanli.silicon._formats import format_of
from suanli.silicon._gemm_work import gemm_work
from suanli.silicon._laws import Work
from suanli.silicon._tables import table
from suanli.silicon._timing import TURNS, USUAL, Timing, timing_of

ENTRIES: list[dict[str, Any]] = table("timing")["kernels"]


def work(name: str, dtype: str, timing: Timing = USUAL, *, m: float = 2048.0, n: float = 4096.0) -> Work:
    one = np.ones(1)
    return gemm_work(
        chip(name), format_of(dtype), m=one * m, n=one * n, k=one * 4096.0, batch=one, kernel=None, timing=timing
    )


def test_weights_in_turn_are_as_the_collectors_take_them() -> None:
    # aiconfigurator: collector/vllm/collect_gemm.py, collector/trtllm/collect_gemm.py
    assert timing_of("vllm/CutlassFP8ScaledMMLinearKernel", "fp8") == USUAL
    eager = timing_of("vllm/DeepGemmFp8BlockScaledMMKernel", "fp8_block")
    assert (eager.turns, eager.eager) == (1, True)
    filling = timing_of("trtllm/torch_flow", "bf16")
    weights = np.array([1e6, 2e7, 1e9])
    np.testing.assert_allclose(filling.cycled(weights, 5e7), [5e6, 6e7, 1e9])  # 5, 3 and 1 copies
    np.testing.assert_allclose(USUAL.cycled(weights, 5e7), TURNS * weights)


def test_one_matrix_alone_stays_in_the_cache_and_several_do_not() -> None:
    alone, several = (float(work("h100-sxm", "bf16", t, m=8.0).memory[0]) for t in (Timing(turns=1.0), USUAL))
    assert alone == 0.0
    assert several > 0.0


@pytest.mark.parametrize("dtype", ["fp8", "fp8_block", "int8"])
def test_narrow_activations_are_quantised_before_the_product(dtype: str) -> None:
    found, fed, wide = work("h100-sxm", dtype), work("h100-sxm", dtype, Timing(quantises=False)), work("h100", "bf16")
    moved = (2.0 + format_of(dtype).activation) * 2048.0 * 4096.0
    assert chip("h100").memory_bandwidth is not None
    assert 0.0 < found.before[0] <= moved / (chip("h100").memory_bandwidth or 1.0)
    assert found.launch == 2.0 * fed.launch
    assert not fed.before.any()
    assert not wide.before.any()


def test_apart_units_exchange_sums_at_the_rate_of_their_ports() -> None:
    # 20 cores at 1.8 GHz pass 96.5 B a cycle each; 32-bit sums go out and come in.
    sums = 2048.0 * 4096.0
    assert work("ascend910b3", "int8").exchange[0] == pytest.approx(8.0 * sums / (20 * 1.8e9 * 96.5))
    assert not work("ascend910b3", "int8", Timing(quantises=False)).exchange.any()
    assert not work("h100-sxm", "int8").exchange.any()
    assert work("h100-sxm", "int8").cache[0] == work("h100-sxm", "int8", Timing(quantises=False)).cache[0]


def test_the_hosts_time_shows_only_where_no_graph_launches() -> None:
    assert work("h100-sxm", "fp8_block", Timing(eager=True)).host[0] > 0.0
    assert not work("h100-sxm", "fp8_block").host.any()
    h100 = chip("h100-sxm")
    quick = gemm_time(h100, m=16, n=4096, k=4096, dtype="fp8_block", kernel="vllm/DeepGemmFp8BlockScaledMMKernel")[0]
    assert quick < 25e-6  # 78 us at the least in the table, whose host launched each kernel


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e["match"])
def test_every_entry_is_of_kernels_that_were_measured_and_says_what_is_known(entry: dict[str, Any]) -> None:
    known = {"match", "ops", "formats", "source"} | {field.name for field in fields(Timing)}
    assert set(entry) <= known
    laws = fitted("ops")["laws"]
    for op in entry.get("ops", ["gemm"]):
        kernels = [kernel.rpartition(":") for name in laws if name.startswith(op) for kernel in laws[name]["kernels"]]
        for form in entry.get("formats", [""]):
            mine = [(name, f) for name, _, f in kernels if name.startswith(entry["match"]) and f.startswith(form)]
            assert mine, (op, form)
            assert any(timing_of(name, f, op) != USUAL for name, f in mine)
