"""A design is a chip like any other."""

from __future__ import annotations

import numpy as np
import pytest

from suanli.catalog import model
from suanli.controls import query_of_chip, screen
from suanli.design import (
    DesignSpec,
    area_figure,
    build_terms,
    cost_figure,
    design_file,
    evaluate,
    preset,
    presets,
    price_figure,
)
from suanli.design._schedule import draw, schedule, yield_ramp
from suanli.errors import InputError, UnknownNameError
from suanli.kinds import Chip
from suanli.silicon import ops_time
from suanli.sources import Figure, roots
from suanli.workloads import forward_ops

MONTH = 365.25 * 86400 / 12


def test_a_design_is_a_chip_that_engines_take() -> None:
    chip = evaluate(preset("bytedance-5nm")).chip
    assert isinstance(chip, Chip)
    ops = forward_ops(model("llama-3.1-8b"), phase="decode", batch=8, q_len=1, kv_len=1024, dtype="fp8")
    timed = ops_time(chip, ops)
    # Never above the peak of its format, nor above the bandwidth for weights that no cache of it holds.
    assert timed.total > float(np.sum(ops.count * ops.flop)) / chip.peak["fp8"]
    assert chip.memory_bandwidth is not None
    assert timed.total > 7e9 / chip.memory_bandwidth
    assert screen(query_of_chip(chip, to="CN", owner="CN", date="2024-06-25")).outcome == "NOT_LISTED"


def test_train_and_serve_take_a_design() -> None:
    from suanli.kinds import Service
    from suanli.serving import capacity_table
    from suanli.training import rate_table

    chip = evaluate(preset("bytedance-5nm")).chip
    service = Service(
        model=model("llama-3.1-8b"), rate=10.0, input_tokens=512, output_tokens=128, ttft_s=2.0, tpot_s=0.05,
        precision="fp8",
    )  # fmt: skip
    served = capacity_table([service], [chip])
    assert served["chip"].to_list() == ["bytedance-5nm"]
    assert served["output_tokens_per_s_per_chip"][0] > 100.0
    trained = rate_table(model("llama-3.1-8b"), [chip], [64], year=2025)
    assert trained["fits"][0]
    # Never above the peak: six FLOP a parameter and token.
    assert trained["tokens_per_s"][0] * 6 * 8.0e9 < 64 * chip.peak["bf16"]


def test_rates_and_tpp_follow_from_the_parts() -> None:
    # 64 cores of 64 x 64 MACs at 1 GHz: 2 x 262,144 x 1e9 = 524 TFLOP/s in bf16, twice that in 8 bits: TPP 8,389.
    found = evaluate(DesignSpec(cores=64, rows=64, cols=64, clock=1e9))
    assert found.chip.peak["bf16"] == pytest.approx(524.288e12)
    assert found.chip.peak["fp8"] == pytest.approx(2 * 524.288e12)
    assert found.tpp[0] == pytest.approx(8388.608)
    assert found.density[0] == pytest.approx(8388.608 / (found.area.value[0] * 1e6))
    assert found.chip.tpp == pytest.approx(8388.608)


def test_spare_cores_are_made_but_not_sold() -> None:
    whole, spared = (evaluate(DesignSpec(cores=32, spare_cores=s)) for s in (0, 2))
    assert whole.area.value[0] == pytest.approx(spared.area.value[0])
    assert spared.tpp[0] == pytest.approx(whole.tpp[0] * 30 / 32)
    assert spared.chip.n_cores == 30


def test_two_dies_double_what_they_hold() -> None:
    one, two = (evaluate(DesignSpec(dies=d)) for d in (1, 2))
    assert two.tpp[0] == pytest.approx(2 * one.tpp[0])
    assert two.chip.memory_bytes == pytest.approx(2 * (one.chip.memory_bytes or 0))
    assert two.density[0] == pytest.approx(one.density[0])
    assert two.chip.n_logic_dies == 2


def test_several_candidates_are_several_chips() -> None:
    many = evaluate(DesignSpec(cores=np.array([8.0, 16.0])))
    assert [c.id for c in many.chips] == ["design-1", "design-2"]
    with pytest.raises(InputError, match="2 candidates; take one"):
        _ = many.chip


def test_the_founding_design_stands_inside_the_published_thresholds() -> None:
    found = evaluate(preset("bytedance-5nm"))
    assert not found.flags
    assert found.tpp[0] < 2400  # 3A090.b(1), 88 FR 73458
    assert found.density[0] < 3.2  # 3A090.b(2)
    assert found.spec.node == "N5"
    assert found.area.value[0] < 858e-6
    facts = {a.field: a for a in design_file("bytedance-5nm").assumptions}
    assert facts["node"].source.kind == "reported"
    assert facts["shared_sram"].source.kind == "estimated"


def test_build_terms_carry_money_stages_and_sources() -> None:
    known = design_file("bytedance-5nm")
    terms = build_terms(evaluate(known.spec), facts=known.build)
    assert 100e6 < terms.nre.p10[0] < terms.nre.value[0] < terms.nre.p90[0] < 1e9
    assert terms.unit_cost.value[0] < terms.price.value[0]
    assert 12 < terms.stages[0].months[0] < terms.stages[0].months[2] < 24  # the window of tape-out
    assert terms.volume_month[0] < terms.volume_month[1] < terms.volume_month[2]
    odds = list(terms.odds_by_month.values())
    assert odds == sorted(odds)
    assert odds[0] == 0.0
    assert odds[-1] == 1.0
    assert terms.yield_by_month[0] < terms.yield_by_month[-1] < 1.0
    assert all(s.source.ref for s in terms.sources)


def test_stages_add_up() -> None:
    futures = draw("N5", 2000, seed=2)
    assert np.all(futures["samples"] > futures["tape_out"])
    assert np.all(futures["volume"] >= futures["samples"] + futures["respin"])
    found = schedule("N5")
    assert found.tape_out[0] < found.tape_out[1] < found.tape_out[2]
    # Tape-out to volume takes 9-18 months with one respin.
    gap = (futures["volume"] - futures["tape_out"])[futures["respin"] > 0] / MONTH
    assert 9 < np.median(gap) < 24
    assert yield_ramp(np.array([0.0]), {"ramp.start": 0.5, "ramp.time": 9 * MONTH})[0] == pytest.approx(0.5)


def test_design_files_explain_what_is_wrong(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UnknownNameError, match="did you mean 'bytedance-5nm'"):
        preset("bytedance-5m")
    assert "bytedance-5nm" in presets()
    text = design_file("bytedance-5nm").path.read_text(encoding="utf-8")
    for old, new, told in (
        ("vector_lanes:", "vector_lane:", r":\d+: vector_lane: unknown field; did you mean 'vector_lanes'"),
        ("clock: 1.0 GHz", "clock: 1.0 W", "clock: '1.0 W' has the wrong kind of unit"),
        ("spare_cores: 4", "spare_cores: 80", "spare_cores 80 exceeds cores 76"),
        ("node: N5", "node: N55", "did you mean 'N5'"),
        ("memory: HBM3", "memory: HBM33", "hbm3"),
    ):
        path = tmp_path / "mine.yaml"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(InputError, match=told):
            design_file.__wrapped__(path)
    path = tmp_path / "good.yaml"
    path.write_text(text.replace("name: bytedance-5nm", "name: mine"), encoding="utf-8")
    assert design_file(path).spec.name == "mine"


def test_figures_explain_area_cost_and_price_down_to_sources() -> None:
    found = evaluate(preset("bytedance-5nm"))
    price = price_figure(found)
    assert price.value == pytest.approx(float(found.price.value[0]))
    cost = price.inputs["unit cost"]
    assert isinstance(cost, Figure)
    parts = [p.value for p in cost.inputs.values()]
    assert sum(parts) == pytest.approx(cost.value)
    area = area_figure(found)
    assert sum(p.value for p in area.inputs.values()) == pytest.approx(area.value)
    names = {r.name for r in roots(price)}
    assert {"N5.wafer", "N5.defects", "margin", "hbm3.price", "sram.shared", "sram.shared multiplier"} <= names
    assert all(r.source.ref for r in roots(price))
    with pytest.raises(InputError, match="not of 2"):
        cost_figure(evaluate(DesignSpec(cores=[8, 16])))


def test_only_a_cache_of_measured_size_is_carried_over() -> None:
    small, large = (evaluate(DesignSpec(shared_sram=mb * 2.0**20)).chip for mb in (32, 400))
    assert small.l2_bytes == pytest.approx(32 * 2.0**20)
    assert large.l2_bytes == pytest.approx(48 * 2.0**20)  # the knee of the area model
    assert (large.sram_bytes or 0.0) - (small.sram_bytes or 0.0) == pytest.approx(368 * 2.0**20)
