"""What the plan takes from the engines, and published counts rebuilt from measured rates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from suanli import fleet
from suanli.fleet._engines import Tables, bills_of, chips_of, segments, tables_of
from suanli.fleet._lines import lines_of
from suanli.fleet._measured import ServeRate, TrainRate
from suanli.fleet._needs import rebuilt

SMALL = Path(__file__).parent / "data" / "small"


def test_segments_are_the_concave_hull() -> None:
    widths, speed = segments((1000, 2000, 4000), (10.0, 30.0, 40.0))
    assert widths == pytest.approx([2.0, 2.0])  # the small pool lies below the line to the middle one
    assert speed == pytest.approx([15.0, 5.0])
    assert (np.diff(speed) < 0).all()


def test_a_pool_that_gets_slower_adds_nothing() -> None:
    widths, speed = segments((1000, 2000), (10.0, 8.0))
    assert widths == pytest.approx([1.0])
    assert speed == pytest.approx([10.0])


def test_measured_rates_come_before_the_engines() -> None:
    tables = tables_of(fleet.load_case(SMALL).spec)
    assert tables.serve["chat", "h100-sxm"].rate == 2.0
    assert tables.serve["chat", "h100-sxm"].source == "own"
    assert tables.train["training", "h100-sxm"].rate[-1] == pytest.approx(512 * 6000)
    assert tables.unfit == ()


def test_designed_chips_are_chips_like_any_other() -> None:
    chips, names, designs = chips_of(fleet.load_case("bytedance-2025").spec)
    chip = chips[names["design:bytedance-5nm"]]
    assert chip.peak["bf16"] > 0
    assert chip.id in designs


def test_the_asic_is_filled_from_the_cost_model() -> None:
    spec = fleet.load_case("bytedance-2025").spec
    chips, names, designs = chips_of(spec)
    tables = Tables(chips=chips, names=names, serve={}, train={}, unfit=(), designs=designs)
    lines = [x for x in lines_of(spec, names) if x.offer is not None and x.offer.build is not None]
    bills = bills_of(spec, lines, tables)
    made = next(iter(designs.values()))
    assert bills.unit_usd[0] == pytest.approx(float(made.cost.value[0]) * 1.6)  # the margin that the case states
    assert 4_000 <= bills.unit_usd[0] <= 12_000  # P-TPU-own: what a partner-made ASIC costs its buyer
    dies = 1.0 / bills.wafers[0]
    assert 0 < dies < float(made.gross_dies[0])
    assert bills.fabric_usd[0] > 0


def test_trendforce_count_from_given_rates() -> None:
    spec = fleet.load_case("trendforce-gpt").spec
    chips, names, _ = chips_of(spec)
    serve = {("chatgpt", "a100-80-sxm"): ServeRate(rate=0.2, p10=0.1, p90=0.4, layout="given", source="A-own")}
    # 1,024 A100 made 300 billion tokens in 34 days (Megatron-LM, arXiv 2104.04473)
    rate = 300e9 / (34 * 86400)
    train = {("gpt3", "a100-80-sxm"): TrainRate(chips=(1024,), rate=(rate,), p10=(rate,), p90=(rate,), mfu=(None,),
             strategy=("published",), source="A-own")}  # fmt: skip
    tables = Tables(chips=chips, names=names, serve=serve, train=train, unfit=(), designs={})
    service = spec.services[0].model_copy(update={n: getattr(spec.services[0], n).model_copy(
        update={"low": None, "high": None}) for n in ("input_tokens", "output_tokens", "tpot")})  # fmt: skip
    training, serving = rebuilt(spec.model_copy(update={"services": [service]}), tables)
    assert training.figure is not None
    assert training.figure.value == pytest.approx(1024)
    assert serving.figure is not None
    busy = 13e6 * 10 / 86400 * 2.0
    assert serving.figure.value == pytest.approx(busy / 0.2)
    ends = np.array([serving.figure.p10, serving.figure.p90], dtype=float)
    assert ends == pytest.approx(np.array([busy / 0.4, busy / 0.1]))
    widest = serving.swings[0]
    assert abs(widest["at_high"] - widest["at_low"]) >= abs(
        serving.swings[-1]["at_high"] - serving.swings[-1]["at_low"]
    )
