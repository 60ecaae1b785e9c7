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
from suanli.fleet._reduction import balanced
from suanli.fleet._risks import build_factor, first_change, hazard_rate, outcome_probabilities, space_of
from suanli.fleet._scenarios import Futures, again, fresh, mean_future, reduced, select, strata_means, triangular
from suanli.fleet._schema import Effect

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


FIVE = [np.array(o) for o in ([0.25, 0.75], [0.3, 0.3, 0.4], [0.5, 0.25, 0.25], [0.2, 0.8], [0.07, 0.93])]


def gaps(picks: np.ndarray, weights: np.ndarray, odds: list[np.ndarray]) -> float:
    return max(float(abs(weights[picks[:, i] == k].sum() - p)) for i, o in enumerate(odds) for k, p in enumerate(o))


@pytest.mark.parametrize("n", [12, 20, 40])
def test_kept_futures_hold_the_odds_of_every_outcome_exactly(n: int) -> None:
    picks, weights, error = balanced(FIVE, np.array([5.0, 3.0, 1.0, 0.0, 1.0]), n)
    assert picks.shape == (n, 5)
    assert gaps(picks, weights, FIVE) < 1e-7
    assert (weights > 0).all()
    assert weights.sum() == pytest.approx(1.0)
    assert 0.0 < error < 0.5


def test_risks_that_matter_meet_in_proportion() -> None:
    """Of a product of two risks' effects, the kept futures know the mean far better than as many free draws."""
    picks, weights, _ = balanced(FIVE, np.array([1.0, 1.0, 0.0, 0.0, 0.0]), 20)
    a, b = np.array([1.0, 0.0]), np.array([4.0, 1.0, 0.0])
    exact = (FIVE[0] @ a) * (FIVE[1] @ b)
    spread = math.sqrt((FIVE[0] @ a**2) * (FIVE[1] @ b**2) - exact**2)
    assert abs(weights @ (a[picks[:, 0]] * b[picks[:, 1]]) - exact) < 0.25 * spread / math.sqrt(20)


def test_kept_futures_repeat() -> None:
    one, two = (balanced(FIVE, np.ones(5), 20) for _ in range(2))
    assert np.array_equal(one[0], two[0])
    assert np.array_equal(one[1], two[1])


def test_strata_keep_the_mean_of_a_range() -> None:
    effect = Effect.model_validate(
        {"on": ["*"], "what": "demand", "value": {"value": 2.0, "source": "own", "low": 1.4, "high": 3.0}}
    )
    edges = np.array([0.0, 0.2, 0.55, 1.0])
    means = strata_means(effect, edges)
    assert np.diff(edges) @ means == pytest.approx((1.4 + 2.0 + 3.0) / 3.0)
    u = (np.arange(200_000) + 0.5) / 200_000
    drawn = triangular(effect, u)
    assert drawn.mean() == pytest.approx((1.4 + 2.0 + 3.0) / 3.0, rel=1e-6)
    assert means[0] == pytest.approx(drawn[u < 0.2].mean(), rel=1e-4)


def kept(n: int) -> Futures:
    return reduced(SPEC, VIEW, LINES, MONTHS, n=n)


def test_changed_odds_keep_the_futures_and_change_their_weights() -> None:
    few = kept(6)
    less = SPEC.factors[0]
    first = less.outcomes[0]
    assert first.probability is not None
    rare = first.model_copy(update={"probability": first.probability.model_copy(update={"value": 0.1})})
    spec = SPEC.model_copy(
        update={"factors": [less.model_copy(update={"outcomes": [rare, less.outcomes[1]]}), *SPEC.factors[1:]]}
    )
    other = again(spec, VIEW, LINES, MONTHS, few)
    assert np.array_equal(other.picks, few.picks)
    assert other.probability[few.picks[:, 0] == 0].sum() == pytest.approx(0.1, abs=1e-6)
    same = again(SPEC, VIEW, LINES, MONTHS, few)
    assert same.probability @ same.delivered[:, 0] == pytest.approx(few.probability @ few.delivered[:, 0])


def test_what_is_known_is_no_risk_any_more() -> None:
    told = [h.model_copy(update={"known_from": dt.date(2024, 1, 15)}) for h in SPEC.happened[:1]]
    space = space_of(SPEC.model_copy(update={"happened": told}), VIEW, LINES)
    assert space.odds[0].tolist() == [1.0, 0.0]
    assert space.joint == 4
    later = [h.model_copy(update={"known_from": dt.date(2024, 3, 15)}) for h in SPEC.happened[:1]]
    assert space_of(SPEC.model_copy(update={"happened": later}), VIEW, LINES).joint == 8


def test_fresh_futures_draw_the_month_of_a_change_from_its_window() -> None:
    f = fresh(SPEC, VIEW, LINES, MONTHS, n=160, seed=4)
    closed = [s for s in range(f.n) if not f.open[s, 0].all()]
    months = {MONTHS[int(np.flatnonzero(~f.open[s, 0])[0])] for s in closed}
    assert len(months) > 3
    assert min(months) >= "2024-06"
    assert max(months) <= "2024-12"
    assert np.bincount(f.group).tolist() == [20] * 8


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
