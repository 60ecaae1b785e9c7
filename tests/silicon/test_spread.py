"""Spreads of errors: what strangers are given, and how errors of left-out rows become spreads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from validation.fit._ops_spread import Errors, factors, quantile, spread_of, spread_of_new

from suanli.catalog import chip, fitted
from suanli.estimates import Z80
from suanli.silicon._laws import PARTS
from suanli.silicon._parameters import law_for

LAWS = sorted(fitted("ops")["laws"])


@pytest.mark.parametrize("name", LAWS)
def test_no_stored_spread_of_a_stranger_is_below_that_of_a_known_kernel(name: str) -> None:
    law = fitted("ops")["laws"][name]
    for spread in (law["spread"], *law["spread_without"].values()):
        assert set(spread["standing"]) == {"known", "unknown", "stranger"}
        assert min(spread["standing"].values()) == spread["standing"]["known"]


@pytest.mark.parametrize("name", LAWS)
def test_a_chip_that_resembles_none_is_trusted_less_than_one_that_does(name: str) -> None:
    for kernel in fitted("ops")["laws"][name]["kernels"]:
        software, _, form = kernel.rpartition(":")
        # Blackwell resembles Hopper, and no chip of it was measured.
        like, none = (law_for(chip("b200-sxm"), name, form, kernel=software, stranger=s) for s in (False, True))
        assert all(none.sigma[part] >= like.sigma[part] for part in PARTS), kernel


def errors(seed: int, *, strange: float = 1.0) -> Errors:
    """Return errors of three chips: on chips left out twice those on shapes, as strangers ``strange`` times that."""
    rng = np.random.default_rng(seed)
    size = 1500
    chips = np.repeat(["a", "b", "c"], size // 3)
    of = {name: rng.choice(values, size) for name, values in {"form": ["bf16", "fp8"], "kernel": ["k", "l"]}.items()}
    return Errors(
        seen=rng.normal(0.0, 0.1, size),
        new=rng.normal(0.0, 0.2, size),
        alone=rng.normal(0.0, 0.2 * strange, size),
        part=np.full(size, "compute"),
        new_part=np.full(size, "compute"),
        alone_part=np.full(size, "memory"),
        chip=chips,
        standing=np.where(chips == "a", "unknown", "known"),
        count=np.ones(size),
        **of,
    )


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), strange=st.floats(0.05, 20.0))
def test_strangers_are_feared_within_bounds_whatever_the_errors(seed: int, strange: float) -> None:
    standing = spread_of_new(errors(seed, strange=strange))["standing"]
    for ratio in standing.values():
        assert standing["known"] <= ratio <= 2.0 * max(standing["known"], 1.0)


def test_spreads_hold_four_fifths_of_the_errors_that_they_were_found_from() -> None:
    found = errors(1)
    spread = spread_of(found)
    ratio = [spread["format_seen"][f] for f in found.form] * np.array(
        [spread["kernel_seen"]["kl".index(k)] for k in found.kernel]
    )
    held = np.mean(np.abs(found.seen) <= Z80 * spread["seen"]["compute"] * ratio)
    assert held == pytest.approx(0.8, abs=0.03)
    assert spread["new"]["compute"] == pytest.approx(2.0 * spread["seen"]["compute"], rel=0.25)
    # No row was bound by a part but compute: what holds of all rows holds of it.
    assert spread["seen"]["power"] == pytest.approx(spread["seen"]["compute"], rel=0.05)


def test_what_is_said_of_new_chips_does_not_rest_on_the_one_left_out() -> None:
    found = errors(2)
    worse = replace(found, new=np.where(found.chip == "b", 5.0 * found.new, found.new))
    assert spread_of_new(found, without="b") == spread_of_new(worse, without="b")
    assert spread_of_new(found) != spread_of_new(worse)


def test_where_one_chip_alone_was_measured_a_new_one_is_feared_by_its_errors_on_shapes() -> None:
    found = errors(3)
    unknown = np.full(len(found.new), np.nan)
    spread = spread_of(replace(found, new=unknown, alone=unknown))
    assert spread["new"]["compute"] == pytest.approx(2.5 * spread["seen"]["compute"], rel=0.1)


def test_a_label_of_few_rows_leans_to_the_whole() -> None:
    size, rng = 2000, np.random.default_rng(4)
    wide = np.arange(size) < 10
    values = rng.normal(0.0, np.where(wide, 1.0, 0.1), size)
    _, ratios = factors(values, np.ones(size), [np.full(size, "all"), np.where(wide, "few", "many")])
    assert ratios["many"] == pytest.approx(1.0, abs=0.05)
    assert 1.0 < ratios["few"] < 1.5


def test_quantiles_are_of_the_weight_and_not_of_the_rows() -> None:
    values = np.array([3.0, 1.0, 2.0])
    assert quantile(values, np.ones(3)) == 3.0
    assert quantile(values, np.array([0.1, 1.0, 8.0])) == 2.0
    assert quantile(values, np.array([0.1, 9.0, 0.1])) == 1.0
