import numpy as np
import pytest

from suanli.errors import InputError
from suanli.serving import anchors, arrivals, lengths, requests, users_to_load
from suanli.sources import roots


@pytest.mark.parametrize("kind", ["poisson", "gamma", "mmpp", "diurnal", "uniform"])
def test_arrivals_keep_their_rate(kind: str) -> None:
    times = arrivals(kind, rate=50.0, n=40_000, seed=7, dwell_s=5.0, period_s=200.0)
    assert np.all(np.diff(times) >= 0)
    assert len(times) / times[-1] == pytest.approx(50.0, rel=0.1)


def test_burstiness_orders_the_kinds() -> None:
    def spread(kind: str) -> float:
        counts = np.histogram(arrivals(kind, rate=50.0, n=40_000, seed=7, dwell_s=5.0), bins=400)[0]
        return float(counts.var() / counts.mean())

    assert spread("uniform") < spread("poisson") < spread("gamma")
    assert spread("mmpp") > 3.0
    assert spread("poisson") == pytest.approx(1.0, abs=0.25)


def test_gamma_gaps_have_the_stated_variation() -> None:
    gaps = np.diff(arrivals("gamma", rate=5.0, n=50_000, seed=1, cv=3.0))
    assert gaps.std() / gaps.mean() == pytest.approx(3.0, rel=0.08)


def test_lengths_keep_their_mean() -> None:
    for law, spread in (("uniform", 0.5), ("lognormal", 0.8)):
        drawn = lengths(1000, n=50_000, seed=3, spread=spread, law=law)
        assert drawn.mean() == pytest.approx(1000, rel=0.02)
        assert drawn.min() >= 1


def test_loads_that_do_not_match_are_refused() -> None:
    with pytest.raises(InputError, match="do not match"):
        requests(np.zeros(2), np.ones(2, dtype=int), np.ones(1, dtype=int))
    with pytest.raises(InputError, match="descend"):
        requests(np.array([1.0, 0.0]), np.ones(2, dtype=int), np.ones(2, dtype=int))
    with pytest.raises(InputError, match="arrivals 'weibull' are unknown"):
        arrivals("weibull", rate=1.0, n=1)
    with pytest.raises(InputError, match="rate above 0"):
        arrivals("poisson", rate=0.0, n=1)


def test_ten_million_users_of_doubao() -> None:
    # Volcano Engine put Doubao at 120 billion tokens a day in May 2024 and 1.3 trillion in September 2024, when it
    # had more than 10 million active users (events S001-07); app and interface together. Ten million chat users alone
    # ask for about a tenth of a trillion.
    demand = users_to_load(10e6)
    assert demand.mean_rate == pytest.approx(10e6 * 7.3 / 86_400)
    first, second = (a.tokens_per_day for a in anchors("doubao")[:2])
    assert 0.5 * first < demand.tokens_per_day < second
    assert demand.low < demand.mean_rate < demand.high
    assert demand.peak_rate == pytest.approx(2.0 * demand.mean_rate)
    assert any("Azure LLM" in s.source.ref for s in roots(demand.figure))


def test_regions_share_the_peak() -> None:
    demand = users_to_load(1e6, regions={"CN": 0.7, "SEA": 0.3}, messages_per_user_day=10)
    assert demand.regions["CN"] == pytest.approx(0.7 * demand.peak_rate)
    with pytest.raises(InputError, match="must add up to 1"):
        users_to_load(1e6, regions={"CN": 0.7})
    with pytest.raises(InputError, match="users is -1"):
        users_to_load(-1)
    with pytest.raises(InputError, match="peak_factor is 0"):
        users_to_load(1, peak_factor=0)
