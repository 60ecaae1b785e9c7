"""Futures: probabilities from dated history, reduction, fresh draws."""

from __future__ import annotations

import datetime as dt
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from suanli import fleet
from suanli.fleet._lines import lines_of, month_list
from suanli.fleet._scenarios import (
    build_factor,
    first_change,
    forward_selection,
    fresh,
    hazard_rate,
    mean_future,
    outcome_probabilities,
    reduced,
    select,
)

SMALL = fleet.load_case(Path(__file__).parent / "data" / "small")
SPEC, VIEW = SMALL.spec, SMALL.spec.views[0]
MONTHS = month_list(SPEC)
LINES = lines_of(SPEC, {c: c for c in ("h100-sxm", "h100-pcie", "a100-80-sxm")})


def test_hazard_counts_dated_changes() -> None:
    stop = SPEC.factors[2]
    assert stop.hazard is not None
    assert stop.hazard.since is not None
    months = (stop.hazard.until - stop.hazard.since).days / 30.4375
    assert hazard_rate(stop) == pytest.approx(2 / months * 0.5)
    p = outcome_probabilities(stop, "2024-02")
    h = hazard_rate(stop)
    assert p[0] == pytest.approx(math.exp(-4 * h) - math.exp(-11 * h))
    assert p.sum() == pytest.approx(1.0)


def test_two_jurisdictions_have_their_own_process() -> None:
    factors = {f.id: f for f in fleet.load_case("bytedance-2025").spec.factors}
    us, china = factors["us-rule-reduced-chips"], factors["china-side"]
    early = first_change(us, 36)
    assert early[0] > early[-1] > 0  # January 2025 was an active month: the next change is likelier soon
    assert early.sum() < 1.0
    assert first_change(us, 1)[0] > first_change(china, 1)[0] > 0
    calm = first_change(us, 1, known_to=dt.date(2024, 9, 1))[0]
    assert calm < early[0]  # summer 2024 was calm
    assert 0 < first_change(china, 1, known_to=dt.date(2024, 6, 25))[0] < first_change(china, 1)[0]
    for factor in (us, china):
        p = outcome_probabilities(factor, "2025-02", dt.date(2025, 1, 22))
        assert p.sum() == pytest.approx(1.0)
        assert (p > 0).all()


def test_all_joint_futures_keep_the_odds() -> None:
    f = reduced(SPEC, VIEW, LINES, MONTHS, n=8)
    assert f.joint == 8
    assert f.error == pytest.approx(0.0, abs=1e-9)
    assert f.probability.sum() == pytest.approx(1.0)
    assert f.probability @ f.delivered[:, 0] == pytest.approx(0.4 * 0.5 + 0.6)
    assert f.probability @ f.demand[:, 0, -1] == pytest.approx(0.3 * 1.5 + 0.7)


def test_fewer_futures_state_a_larger_error() -> None:
    errors = [reduced(SPEC, VIEW, LINES, MONTHS, n=n).error for n in (1, 2, 4, 8)]
    assert errors[0] == pytest.approx(1.0)
    assert all(a >= b - 1e-12 for a, b in pairwise(errors))


def test_forward_selection_picks_the_middle_first() -> None:
    kept, weights, error = forward_selection(np.array([[0.0], [1.0], [10.0]]), np.full(3, 1 / 3), 2)
    assert kept == [1, 2]
    assert weights == pytest.approx([2 / 3, 1 / 3])
    assert error == pytest.approx((1 / 3) / (10 / 3))


def test_a_stop_closes_deliveries_from_the_middle_of_its_window() -> None:
    f = reduced(SPEC, VIEW, LINES, MONTHS, n=8)
    closed = [s for s in range(f.n) if not f.open[s, 0].all()]
    assert closed
    first = {MONTHS[int(np.flatnonzero(~f.open[s, 0])[0])] for s in closed}
    assert first == {"2024-09"}
    assert f.open[:, 1].all()  # the other offer is not touched


def test_fresh_draws_repeat_with_their_seed_and_stay_in_range() -> None:
    a, b = (fresh(SPEC, VIEW, LINES, MONTHS, n=50, seed=3) for _ in range(2))
    assert np.array_equal(a.delivered, b.delivered)
    assert set(np.unique(a.delivered[:, 0] < 1)) <= {True, False}
    partly = a.delivered[a.delivered[:, 0] < 1, 0]
    assert (partly >= 0.4).all()
    assert (partly <= 0.6).all()


def test_expected_values_and_selection() -> None:
    f = reduced(SPEC, VIEW, LINES, MONTHS, n=8)
    mean = mean_future(f)
    assert mean.n == 1
    assert mean.delivered[0, 0] == pytest.approx(0.8)
    some = select(f, [2, 5])
    assert some.probability.sum() == pytest.approx(1.0)
    assert some.names == (f.names[2], f.names[5])


def test_a_project_fails_late_or_succeeds() -> None:
    build = fleet.load_case("bytedance-2025").spec.builds[0]
    p = outcome_probabilities(build_factor(build), "2025-02")
    assert p[0] == pytest.approx(0.8 * 0.7 * 0.9)
    assert p.sum() == pytest.approx(1.0)
    assert 0 < p[2] < 0.5
