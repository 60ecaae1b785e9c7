"""Tiles that kernels of routed experts take, by their own rules."""

from __future__ import annotations

import numpy as np
import pytest

from suanli.catalog import chip
from suanli.silicon import moe_time
from suanli.silicon._formats import format_of
from suanli.silicon._moe_grid import drawn, layout_of, spent, tiles_of, ungated_shapes
from suanli.silicon._moe_load import load_of
from suanli.silicon._moe_work import moe_work
from suanli.silicon._unit import unit_of

SHAPE = {"hidden": 4096.0, "inter": 1536.0, "top_k": 8.0, "n_experts": 128.0, "tp": 1.0, "ep": 1.0, "skew": 0.0}


def _arrays(tokens: list[float], **changes: float) -> dict[str, np.ndarray]:
    shape = {**SHAPE, **changes}
    return {"tokens": np.array(tokens), **{name: np.full(len(tokens), value) for name, value in shape.items()}}


def _tiles(kernel: str, form: str, tokens: list[float], ep: float = 1.0) -> list[tuple[float, float]]:
    shape = _arrays(tokens, ep=ep)
    load = load_of(*(shape[name] for name in ("tokens", "top_k", "n_experts", "ep", "skew")))
    (found,) = tiles_of(layout_of(kernel, form), unit_of(chip("h100")), load, [shape["inter"]])
    return list(zip(found.high.tolist(), found.wide.tolist(), strict=True))


@pytest.mark.parametrize(
    ("kernel", "form", "tokens", "tiles"),
    [
        # SGLang's and old vLLM's default: small tiles up to as many tokens as local experts
        ("sglang/sglang_fused_moe_triton", "bf16", [128.0, 129.0], [(16.0, 32.0), (64.0, 64.0)]),
        ("vllm/vllm_fused_moe", "bf16", [128.0, 129.0], [(16.0, 32.0), (64.0, 64.0)]),
        ("sglang/sglang_fused_moe_triton", "fp8_block", [1.0, 4096.0], [(64.0, 128.0), (64.0, 128.0)]),
        # vLLM since pull request 34846: by tokens alone
        (
            "vllm/vllm_unquantizedfusedmoe_triton_tritonexperts",
            "bf16",
            [32.0, 96.0, 512.0, 513.0],
            [(16.0, 64.0), (32.0, 128.0), (64.0, 128.0), (128.0, 128.0)],
        ),
        # Marlin: the first of 8, 16, 32, 48, 64 rows that nine tenths of an expert's do not fill
        (
            "vllm/x_marlin_marlinexperts",
            "int4_wo",
            [112.0, 512.0, 4096.0],
            [(8.0, 128.0), (48.0, 128.0), (64.0, 128.0)],
        ),
    ],
)
def test_tiles_follow_the_kernels_rules(
    kernel: str, form: str, tokens: list[float], tiles: list[tuple[float, float]]
) -> None:
    assert _tiles(kernel, form, tokens) == tiles


def test_local_experts_decide_under_expert_parallelism() -> None:
    assert _tiles("sglang/sglang_fused_moe_triton", "bf16", [16.0, 17.0], ep=8.0) == [(16.0, 32.0), (64.0, 64.0)]


def test_an_unknown_kernel_takes_the_tile_with_the_least_work() -> None:
    unit = unit_of(chip("h100"))
    shape = _arrays([1.0, 64.0, 1024.0, 16384.0])
    load = load_of(*(shape[name] for name in ("tokens", "top_k", "n_experts", "ep", "skew")))
    (best,) = tiles_of(layout_of(None, "bf16"), unit, load, [shape["inter"]])
    (own,) = tiles_of(layout_of("sglang/sglang_fused_moe_triton", "bf16"), unit, load, [shape["inter"]])
    needed = 2.0 * load.rows * shape["hidden"] * shape["inter"]
    work = spent(best, unit, shape["hidden"], shape["inter"])
    assert (work >= needed * (1 - 1e-12)).all()
    assert best.high[0] < best.high[-1]
    assert (best.high * best.wide)[-1] > (own.high * own.wide)[-1]


def test_kernels_that_keep_all_slots_move_the_rows_of_other_chips_experts() -> None:
    # H100, 128 experts on 64 chips, 16,384 tokens: SGLang 0.5.14 takes 1,567 us, though two experts' own rows take a
    # tenth of that (aiconfigurator-core 0.12.0, Apache-2.0); 4.2 GB pass through memory
    shape = _arrays([16384.0], ep=64.0)
    all_slots, own = (
        moe_work(chip("h100"), format_of("bf16"), kernel=kernel, **shape)  # type: ignore[arg-type]
        for kernel in ("sglang/sglang_fused_moe_triton", "trtllm/moe_torch_flow_cutlass")
    )
    assert 1.0e-3 < all_slots.memory[0] < 1.6e-3
    assert own.memory[0] < 0.1 * all_slots.memory[0]


def test_kernels_that_compute_all_slots_take_as_long_on_any_number_of_chips() -> None:
    # RTX PRO 6000, hidden 4,096, 128 experts of 1,536, 16,384 tokens: TensorRT-LLM's Triton kernel for block-scaled fp8
    # takes 26.2 ms on one chip and 26.5 ms as one of 128 (aiconfigurator-core 0.12.0, Apache-2.0)
    times = [
        moe_time(
            chip("rtxpro6000-server"),
            tokens=16384,
            hidden=4096,
            inter=1536,
            top_k=8,
            n_experts=128,
            ep=ep,
            dtype="fp8_block",
            kernel="trtllm/moe_torch_flow_triton_fp8_block",
        )[0]
        for ep in (1, 128)
    ]
    assert abs(np.log(times[1] / times[0])) < 0.2
    assert abs(np.log(times[0] / 26.2e-3)) < 0.2


def test_a_kernel_that_is_not_named_takes_its_formats_usual_tiles() -> None:
    assert layout_of(None, "int4_wo").by == "rows_over_experts"
    assert layout_of(None, "bf16").steps == ()
    assert layout_of(None, "bf16").slots == layout_of("trtllm/moe_torch_flow_cutlass", "bf16").slots == "own"


def test_shapes_without_a_gate_are_told() -> None:
    # Nemotron-3 Nano: hidden 2,688, experts of 1,856, 128 of them
    assert (2688.0, 1856.0, 128.0) in ungated_shapes()


def test_clusters_load_an_operand_once_for_two_tiles() -> None:
    load = load_of(*(np.array([v]) for v in (4096.0, 8.0, 128.0, 1.0, 0.0)))
    width = np.array([1536.0])
    (tiles,) = tiles_of(layout_of("trtllm/moe_torch_flow_cutlass", "bf16"), unit_of(chip("h100")), load, [width])
    alone, paired = (drawn(tiles, format_of("bf16"), width, width, paired=p)[0] for p in (False, True))
    assert 0.66 * alone < paired <= 0.75 * alone
    cutlass, triton = (layout_of(k, "bf16") for k in ("trtllm/moe_torch_flow_cutlass", "vllm/vllm_fused_moe"))
    assert [cutlass.paired(unit_of(chip(c))) for c in ("a100", "h100", "b200", "rtxpro6000-server")] == [
        False,
        True,
        True,
        False,
    ]
    assert not triton.paired(unit_of(chip("h100")))
