"""What an unmeasured family inherits, and what a spread rests on."""

from __future__ import annotations

from typing import Any

import pytest

from suanli.catalog import chip, fitted
from suanli.errors import InputError
from suanli.silicon._parameters import law_for, parameters_from

_RATIO = {"seen": 1.0, "new": 1.0}
_LAW: dict[str, Any] = {
    "columns": ["compute||one", "compute|family:ampere|one", "compute|family:ada|one"],
    "sharpness": 4.0,
    "chips": {"a100-80-sxm": "ampere", "l40s": "ada"},
    "formats": ["bf16"],
    "kernels": {"f/one:bf16": ["a100-80-sxm", "l40s"], "f/two:bf16": ["l40s"]},
    "spread": {
        **{name: dict.fromkeys(("overhead", "compute", "memory", "cache", "vector", "power"), 0.1) for name in _RATIO},
        "format_seen": {"bf16": 1.0},
        "format_new": {"bf16": 2.0},
        "kernel_seen": [0.5, 1.0],
        "kernel_new": [0.5, 1.0],
        "standing": {"known": 1.0, "unknown": 1.5, "stranger": 2.0},
    },
    "spread_without": {
        "l40s": {"new": dict.fromkeys(("overhead", "compute", "memory", "cache", "vector", "power"), 0.3)}
    },
}


def _constant(name: str) -> float:
    stored = parameters_from({"gemm": [0.5, 1.0, -2.0]}, {"gemm": _LAW})
    return law_for(chip(name), "gemm", "bf16", kernel="f/one", parameters=stored).slopes["compute"]["one"]


def test_an_unmeasured_family_takes_its_likeness_and_for_the_rest_the_mean_of_all() -> None:
    assert _constant("a100") == pytest.approx(0.5 + 1.0)  # its own
    assert _constant("h100") == pytest.approx(0.5 + 0.5 * 1.0 + 0.5 * (1.0 - 2.0) / 2)  # half Ampere's
    assert _constant("ascend910b") == pytest.approx(0.5 + (1.0 - 2.0) / 2)  # like none


def test_a_chip_left_out_is_given_a_spread_that_does_not_rest_on_it() -> None:
    def sigma(name: str, kernel: str, without: str = "") -> float:
        stored = parameters_from({"gemm": [0.5, 1.0, -2.0]}, {"gemm": _LAW}, without=without)
        return law_for(chip(name), "gemm", "bf16", kernel=kernel, parameters=stored).sigma["compute"]

    assert sigma("l40s", "f/two") == pytest.approx(0.1)
    assert sigma("l40s", "f/one") == pytest.approx(0.1 * 0.5)
    assert sigma("l40s", "f/one", "l40s") == pytest.approx(0.3 * 2.0 * 0.5)
    assert sigma("l40s", "f/two", "l40s") == pytest.approx(0.3 * 2.0 * 1.5)  # now measured nowhere
    assert sigma("ascend910b", "f/two") == pytest.approx(0.1 * 2.0 * 2.0)


def test_every_stored_law_tells_of_each_chip_left_out() -> None:
    for name, law in fitted("ops")["laws"].items():
        assert set(law["spread_without"]) == set(law["chips"]), name
        assert len(law["spread"]["kernel_seen"]) == len(law["kernels"]), name


def test_values_that_do_not_match_their_columns_are_refused() -> None:
    with pytest.raises(InputError, match="3 columns but 1 values"):
        parameters_from({"gemm": [0.5]}, {"gemm": _LAW})
