"""Limits as arrays, the plane of TPP and density, legal lives, regimes and differences."""

from __future__ import annotations

import numpy as np
import pytest

from suanli import catalog
from suanli.controls import (
    Query,
    chips_on_plane,
    diff,
    distances,
    feasible_region,
    history,
    legal_life,
    months_on_sale,
    near_border,
    plane,
    regimes,
    sample_regimes,
    screen,
)
from suanli.errors import InputError


def limits(date: str, fact: str) -> set[float]:
    region = feasible_region(date)
    return {float(v) for v, f in zip(region.limit, region.fact, strict=True) if f == fact}


def test_published_limits_by_date() -> None:
    assert limits("2023-05-01", "transfer_rate_gbs") == {600}  # 87 FR 62186
    assert limits("2023-05-01", "pd") == set()
    assert limits("2024-05-01", "tpp") == {1600, 2400, 4800}  # 88 FR 73458
    assert limits("2024-05-01", "pd") == {1.6, 3.2, 5.92}
    assert limits("2025-02-01", "hbm_density_gbs_mm2") == {2.0, 3.3}  # 89 FR 96790
    assert limits("2025-02-01", "transistors_bn") == {30, 35, 40}  # 90 FR 5298
    assert {1400, 4000} <= limits("2025-06-01", "mem_bw_gbs")
    assert 21000 in limits("2026-02-01", "tpp")  # 91 FR 1684


def test_distances_and_borders_of_candidates() -> None:
    region = feasible_region("2024-06-01")
    figures = {"tpp": [1500.0, 2368.0, 1599.0], "pd": [2.5, 2.0, 20.0]}
    out = distances(region, figures)
    assert out.shape == (3, len(region.rule))
    at = list(zip(region.rule, region.name, strict=True)).index(("US-2023-3A090B", "b1_TPP"))
    assert out[1, at] == pytest.approx(2368 / 2400 - 1)
    assert near_border(region, figures).tolist() == [False, True, True]
    hbm = region.fact.index("transistors_bn") if "transistors_bn" in region.fact else None
    assert hbm is None or np.isnan(out[:, hbm]).all()


@pytest.mark.parametrize("date", ["2023-05-01", "2024-06-15", "2025-06-01", "2026-03-01"])
def test_the_plane_says_what_single_rulings_say(date: str) -> None:
    tpp = np.array([100.0, 1599.9, 1600.0, 2399.0, 2400.0, 4799.0, 4800.0, 20999.0, 21000.0, 50000.0])
    pd = np.array([0.5, 1.59, 1.6, 3.19, 3.2, 5.91, 5.92, 20.0])
    found = plane(date, tpp[:, None], pd)
    assert found.code.shape == (10, 8)
    rng = np.random.default_rng(3)
    for i, j in zip(rng.integers(0, 10, 25), rng.integers(0, 8, 25), strict=True):
        query = Query(
            date=date, destination="CN", end_user_hq="CN", ultimate_parent_hq="CN", nonplanar=1,
            designed_for_datacenter=1, transfer_rate_gbs=600.0, mem_bw_gbs=0.0, has_hbm=1,
            tpp=float(tpp[i]), pd=float(pd[j]),
        )  # fmt: skip
        ruling = screen(query)
        code = found.code[i, j]
        said = (found.outcome[code], found.eccn[code], found.presumption[code])
        assert said == (ruling.outcome, ruling.eccn, ruling.presumption)


def test_the_white_zone_of_2023() -> None:
    found = plane("2024-06-15", [1500.0, 2368.0, 4799.0], [50.0, 2.91, 1.59])
    assert {found.outcome[c] for c in found.code} == {"NOT_LISTED"}


def test_chips_on_the_plane() -> None:
    points = {name: (tpp, pd) for name, tpp, pd in chips_on_plane(catalog.chips())}
    assert points["h20-96"] == pytest.approx((2368, 2368 / 814))
    assert "bytedance-broadcom-5nm" not in points


@pytest.mark.parametrize(("chip", "months"), [("a800-80-sxm", 11), ("h800-sxm", 7), ("h20-96", 12)])
def test_how_long_the_parts_for_china_were_legal(chip: str, months: int) -> None:
    """A800 November 2022 to October 2023, H800 March to October 2023, H20 April 2024 to April 2025 (press, 8-K)."""
    assert int(months_on_sale(catalog.chip(chip))) == months


def test_a_legal_life_has_no_gap() -> None:
    spans = legal_life(catalog.chip("h20-96"))
    assert [(s.first, s.outcome) for s in spans] == [("2022-08-26", "NOT_LISTED"), ("2025-04-09", "LICENCE_REQUIRED")]
    assert spans[0].last == "2025-04-08"
    assert "US-2025-04-LETTERS" in spans[1].rules
    a800 = legal_life(catalog.chip("a800-80-sxm"))
    assert [s.first for s in a800] == ["2022-08-26", "2023-10-23", "2023-11-17"]


def test_regimes_are_fitted_from_the_dated_history() -> None:
    us, cn = regimes()
    assert (us.jurisdiction, cn.jurisdiction) == ("US", "CN")
    for regime in (us, cn):
        assert regime.rate[1] > 3 * regime.rate[0]
        assert np.allclose(regime.move.sum(axis=1), 1.0)
        assert regime.counts.sum() == sum(len(c.rules) for c in regime.history)
        assert all(c.citations for c in regime.history)
    assert us.active[us.months.index("2023-11")] > 0.9  # 88 FR 73458 and its companions
    assert cn.active[cn.months.index("2025-09")] > 0.9
    assert cn.active[cn.months.index("2023-06")] < 0.2


def test_only_the_past_counts() -> None:
    early = regimes(["US"], until="2025-01-22")[0]
    assert early.months[-1] == "2025-01"
    assert max(c.day for c in early.history) < "2025-01-22"
    with pytest.raises(InputError, match="two are needed"):
        regimes(["KR"])
    assert history("US")[0].day == "2019-05-16"


def test_futures_are_seeded_and_follow_the_rates() -> None:
    fitted = regimes()
    one = sample_regimes(fitted, first="2025-02", n_months=36, n_scenarios=2000, seed=5)
    two = sample_regimes(fitted, first="2025-02", n_months=36, n_scenarios=2000, seed=5)
    assert (one.changes == two.changes).all()
    assert (one.changes != sample_regimes(fitted, first="2025-02", n_months=36, n_scenarios=2000, seed=6).changes).any()
    assert one.months[0] == "2025-02"
    assert one.months[-1] == "2028-01"
    assert (one.tighter <= one.changes).all()
    for j, regime in enumerate(fitted):
        share = regime.move[0, 1] / (regime.move[0, 1] + regime.move[1, 0])
        assert one.active[:, j, 12:].mean() == pytest.approx(share, abs=0.05)
        assert one.changes[:, j][one.active[:, j]].mean() == pytest.approx(regime.rate[1], rel=0.1)


def test_what_changed_between_two_days() -> None:
    chips = [catalog.chip(name) for name in ("h20-96", "t4", "ascend910b", "h100-sxm")]
    found = diff("2025-03-30", "2025-06-01", chips)
    assert {"US-2025-04-LETTERS", "US-2025-GP10-PRC", "US-2025-DIFF-NONENF"} <= {r.id for r in found.began}
    assert not found.ended
    h20 = next(c for c in found.changed if c.chip == "h20-96" and c.destination == "CN" and c.activity == "export")
    assert (h20.before[0], h20.after[0]) == ("NOT_LISTED", "LICENCE_REQUIRED")
    assert h20.groups == ("free", "restricted")
    assert h20.why == ("US-2025-04-LETTERS",)
    ascend = next(c for c in found.changed if c.chip == "ascend910b" and c.activity == "use_in_place")
    assert ascend.why == ("US-2025-GP10-PRC",)
    assert not [c for c in found.changed if c.chip in {"t4", "h100-sxm"}]
    with pytest.raises(InputError, match="out of order"):
        diff("2025-06-01", "2025-03-30", chips)


def test_the_two_days_around_new_year_2025() -> None:
    chips = [catalog.chip("h100-sxm"), catalog.chip("t4")]
    found = diff("2024-11-30", "2025-02-20", chips)
    assert {"US-2024-3A090C", "US-2025-FDD-PRES"} <= {r.id for r in found.began}
    foundry = [c for c in found.changed if c.activity == "foundry_export" and c.chip == "t4" and c.destination == "CN"]
    assert [(c.before[0], c.after[0]) for c in foundry] == [("NOT_LISTED", "LICENCE_REQUIRED")]
