from __future__ import annotations

import pytest

from suanli.errors import InputError
from suanli.training import Trained, compare, loss, loss_of, seconds_for, tokens_by, tokens_for

DAY = 86400.0


def test_tokens_of_deliveries_in_parts() -> None:
    starts, rates = [0.0, 30 * DAY, 60 * DAY], [1e6, 3e6, 4e6]
    by = tokens_by(starts, rates, 90 * DAY)
    assert by == pytest.approx((30 * 1e6 + 30 * 3e6 + 30 * 4e6) * DAY)
    for end in (10 * DAY, 45 * DAY, 90 * DAY, 200 * DAY):
        assert seconds_for(starts, rates, tokens_by(starts, rates, end)) == pytest.approx(end)
    with pytest.raises(InputError, match="2 starts but 1 rates"):
        tokens_by([0.0, 1.0], [1.0], 2.0)
    with pytest.raises(InputError, match="starts must rise"):
        tokens_by([1.0, 0.0], [1.0, 2.0], 2.0)


def test_a_model_against_itself_is_level() -> None:
    one = Trained(weights=70e9, tokens=1.4e12)
    level = compare(one, one)
    assert (level.gap, level.p10, level.p90, level.behind) == (0.0, 0.0, 0.0, 0.0)
    assert level.tokens_to_match == pytest.approx(one.tokens)
    unsure = compare(Trained(weights=70e9, tokens=1.4e12, sigma=0.2), one)
    assert unsure.p10 < 0 < unsure.p90
    assert unsure.behind == pytest.approx(0.5, abs=0.05)


def test_chinchilla_is_better_than_gopher() -> None:
    # Hoffmann et al. 2022: 70B on 1.4T tokens beats 280B on 300B tokens at the same compute; both laws agree
    chinchilla, gopher = Trained(weights=70e9, tokens=1.4e12), Trained(weights=280e9, tokens=300e9)
    got = compare(gopher, chinchilla)
    assert got.p10 > 0
    assert got.behind > 0.95
    assert compare(chinchilla, gopher).gap == pytest.approx(-got.gap)
    # the gap is surer than either loss
    _, low, high = loss_of(gopher)
    assert got.p90 - got.p10 < high - low


def test_tokens_to_match_reach_the_loss() -> None:
    target = float(loss(400e9, 15e12)[0])
    needed = tokens_for(350e9, target)
    assert needed > 15e12
    assert float(loss(350e9, needed)[0]) == pytest.approx(target)
    assert tokens_for(500e9, target) < 15e12
    assert tokens_for(1e9, target) == float("inf")


def test_nothing_trained_has_no_loss() -> None:
    with pytest.raises(InputError, match="must be above zero"):
        loss_of(Trained(weights=1e9, tokens=0.0))
