"""Dies from a wafer, harvesting, and money."""

from __future__ import annotations

from dataclasses import replace
from math import comb

import numpy as np
import pytest

from suanli.design import DesignSpec, evaluate, mids, table
from suanli.design._cost import price
from suanli.design._yield import binomial_tail, block_yield, gross_dies, sellable


@pytest.mark.parametrize(("area", "gross"), [(100, 572), (400, 130), (600, 82), (814, 58)])
def test_gross_dies_are_those_of_chiplet_actuary(area: float, gross: int) -> None:
    # 300 mm wafer, 5 mm edge, 0.2 mm scribe: formula of Feng and Ma, DAC 2022.
    assert round(float(gross_dies(np.array([area * 1e-6]), mids())[0])) == gross


@pytest.mark.parametrize(("area", "nb3", "nb10"), [(100, 0.906, 0.905), (400, 0.687, 0.676), (814, 0.487, 0.457)])
def test_yield_is_the_negative_binomial(area: float, nb3: float, nb10: float) -> None:
    # 0.10 defects a cm2
    a = np.array([area * 1e-6])
    assert block_yield(a, 1000.0, 3.0)[0] == pytest.approx(nb3, abs=6e-4)
    assert block_yield(a, 1000.0, 10.0)[0] == pytest.approx(nb10, abs=6e-4)


def test_the_price_of_a_good_die_is_that_of_chiplet_actuary() -> None:
    # 400 mm2 with its defect densities and cluster 10: USD 102 at 7 nm (9,346 a wafer), 201 at 5 nm (16,988).
    a = np.array([400e-6])
    for wafer, defects, usd in ((9346.0, 900.0, 102.0), (16988.0, 1100.0, 201.0)):
        assert wafer / gross_dies(a, mids())[0] / block_yield(a, defects, 10.0)[0] == pytest.approx(usd, rel=0.01)


@pytest.mark.parametrize(("n", "spare", "p"), [(12, 0, 0.9), (12, 3, 0.9), (144, 12, 0.97), (5, 5, 0.5)])
def test_harvesting_is_the_binomial_sum(n: int, spare: int, p: float) -> None:
    brute = sum(comb(n, k) * (1 - p) ** k * p ** (n - k) for k in range(spare + 1))
    assert float(binomial_tail(n, spare, p)) == pytest.approx(brute)


def test_spare_cores_rescue_dies() -> None:
    spec = DesignSpec(node="N5", cores=132, rows=32, cols=32, scratchpad=2.0**20 * 2, shared_sram=2.0**26)
    none = evaluate(spec)
    some = evaluate(replace(spec, cores=144, spare_cores=12))
    assert some.yields["sold"][0] > none.yields["sold"][0]
    assert none.yields["sold"][0] == pytest.approx(none.yields["whole"][0])
    assert some.yields["sold"][0] <= some.yields["rest"][0]


def test_sellable_shares_are_shares() -> None:
    spec = DesignSpec(cores=np.arange(4, 100, 8), spare_cores=np.zeros(12))
    found = sellable(spec, evaluate(spec).area.breakdown, mids())
    for share in found.values():
        assert np.all((share >= 0.0) & (share <= 1.0))


def test_cost_adds_up_and_rises_with_area() -> None:
    small, large = (evaluate(DesignSpec(shared_sram=mb * 2.0**20)) for mb in (64, 400))
    for found in (small, large):
        assert sum(float(v[0]) for v in found.cost.breakdown.values()) == pytest.approx(float(found.cost.value[0]))
        assert found.cost.p10[0] < found.cost.value[0] < found.cost.p90[0]
        assert found.price.p10[0] < found.price.value[0] < found.price.p90[0]
    assert large.cost.value[0] > small.cost.value[0]
    assert large.nre.value[0] > small.nre.value[0]


def test_price_carries_margin_and_nre() -> None:
    c = {**mids(), "margin": 0.5}
    assert price(np.array([1000.0]), np.array([1e8]), 1e5, c)[0] == pytest.approx(2000.0)
    assert price(np.array([1000.0]), np.array([1e8]), 1e5, c, buyer_pays_nre=False)[0] == pytest.approx(4000.0)


def test_design_cost_is_a_share_of_ibs() -> None:
    # 25-60 % of IBS's USD 449 m at 5 nm, for 300 mm2 where the area part is neutral; masks of USD 10-20 m beside.
    share = table()["nre.factor"]
    found = evaluate(DesignSpec(node="N5", cores=16, shared_sram=0.0, memory_sites=4, lanes=8))
    ibs = table()["N5.design"].value
    assert share.low is not None
    assert share.high is not None
    assert 0.7 * share.low * ibs < found.nre.breakdown["design"][0] < 1.3 * share.high * ibs
    assert 10e6 < found.nre.breakdown["masks"][0] < 60e6
