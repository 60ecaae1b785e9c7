import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanli.estimates import lognormal, relative_sigma, total

positive = st.floats(min_value=1e-6, max_value=1e6)


@given(positive, st.floats(min_value=1e-3, max_value=1.0))
def test_lognormal_interval_gives_back_its_sigma(value: float, sigma: float) -> None:
    estimate = lognormal(value, sigma)
    assert estimate.p10[0] < estimate.value[0] < estimate.p90[0]
    assert relative_sigma(estimate)[0] == pytest.approx(sigma, rel=1e-9)


@given(positive, positive, st.floats(min_value=0.0, max_value=1.0))
def test_total_adds_values_and_keeps_widths_between_the_extremes(a: float, b: float, correlation: float) -> None:
    parts = {"a": lognormal(a, 0.2), "b": lognormal(b, 0.1)}
    out = total(parts, correlation=correlation)
    assert out.value[0] == pytest.approx(a + b)
    assert np.sum([v[0] for v in out.breakdown.values()]) == pytest.approx(out.value[0])
    widths = [p.p90[0] - p.value[0] for p in parts.values()]
    assert max(widths) <= (out.p90 - out.value)[0] * (1 + 1e-6) + 1e-9
    assert (out.p90 - out.value)[0] <= sum(widths) * (1 + 1e-6) + 1e-9


def test_a_correlation_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match="outside"):
        total({"a": lognormal(1.0, 0.1)}, correlation=1.5)
