from __future__ import annotations

import numpy as np
import pytest

from suanli.errors import InputError, UnknownNameError
from suanli.training import compute_optimal, delivered_compute, loss, loss_law, loss_laws, quality_gap
from suanli.training._scaling import split


def test_hoffmanns_own_prediction_at_gophers_budget() -> None:
    # Hoffmann et al. 2022, figure 4: 40B weights at 5.76e23 FLOP by approach 3
    weights, tokens = split(5.76e23, loss_law("hoffmann-2022"))
    assert weights[0] / 1e9 == pytest.approx(40.0, rel=0.02)
    assert 6 * weights[0] * tokens[0] == pytest.approx(5.76e23)


def test_the_replication_recommends_about_twenty_tokens_a_weight() -> None:
    # Besiroglu et al. 2024: the optimal ratio at Chinchilla's budget is near 20
    weights, tokens = split(5.76e23, loss_law("besiroglu-2024"))
    assert tokens[0] / weights[0] == pytest.approx(18.4, rel=0.05)


def test_llama3s_optimum() -> None:
    # Llama 3: 402B weights on 16.55T tokens at 3.8e25 FLOP (2407.21783, section 3.2.1)
    weights, tokens, _ = compute_optimal(3.8e25).by_law["llama3-2024"]
    assert weights / 1e9 == pytest.approx(402, rel=0.05)
    assert tokens / 1e12 == pytest.approx(16.55, rel=0.05)


def test_optimum_is_the_least_loss_on_its_budget() -> None:
    for law in loss_laws():
        weights, tokens = split(1e24, law)
        best = loss(weights, tokens, law=law)[0]
        for factor in (0.7, 0.95, 1.05, 1.4):
            assert loss(weights * factor, tokens / factor, law=law)[0] > best


def test_more_compute_is_better_and_intervals_hold_the_middle() -> None:
    small, large = compute_optimal(1e23), compute_optimal(1e25)
    assert large.loss < small.loss
    for o in (small, large):
        assert o.loss_p10 <= o.loss <= o.loss_p90
        assert o.weights_p10 <= o.weights <= o.weights_p90
        assert o.tokens_p10 <= o.tokens <= o.tokens_p90
        assert o.sources
    assert quality_gap(1e25, 1e23) == pytest.approx(small.loss - large.loss)
    assert compute_optimal(1e24, overtrain=4.0).loss > compute_optimal(1e24).loss


def test_deliveries_in_parts_add_up() -> None:
    month = 2_629_800.0
    assert delivered_compute([0, 6], [1e18, 1e18], end=12) == pytest.approx((12 + 6) * month * 1e18)
    assert delivered_compute([0, 20], [1e18, 1e18], end=12) == pytest.approx(12 * month * 1e18)
    with pytest.raises(InputError, match="2 months but 1 rates"):
        delivered_compute([0, 1], [1.0], end=2)


def test_bad_budgets_and_names() -> None:
    for compute in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="above zero"):
            compute_optimal(compute)
    with pytest.raises(UnknownNameError, match="besiroglu-2024"):
        loss_law("besiroglu")
    with pytest.raises(InputError, match="above zero"):
        loss(np.array([0.0]), 1e9)
