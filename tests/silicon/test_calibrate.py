"""Calibration finds the machine it measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from suanli.errors import InputError
from suanli.silicon import Machine, Sample, chip_of, gemm_time, this_machine
from suanli.silicon._calibrate import GEMMS, STREAMS, predicted


def test_a_machine_that_obeys_the_law_is_found() -> None:
    machine = this_machine()
    if machine.dtypes != ("fp32",):
        pytest.skip("an accelerator is measured instead")
    truth = replace(machine.start, peak={"fp32": 3e11}, memory_bandwidth=2e10, clock_hz=2.5e9)
    sizes = [("stream", (s,)) for s in STREAMS] + [("gemm", s) for s in GEMMS]
    blank = [Sample(op, size, "fp32", 1.0) for op, size in sizes]
    samples = [replace(s, seconds=float(t)) for s, t in zip(blank, predicted(truth, blank), strict=True)]
    found = chip_of(machine, samples, date="2026-11-21")
    errors = np.abs(np.log(predicted(found, samples) / predicted(truth, samples)))
    assert np.median(errors) < 0.05
    assert found.source.kind == "measured"
    large = {"m": 8192, "n": 8192, "k": 8192, "dtype": "fp32"}
    assert gemm_time(found, **large)[0] == pytest.approx(gemm_time(truth, **large)[0], rel=0.1)  # type: ignore[arg-type]


def test_nothing_measured_is_an_error() -> None:
    machine: Machine = this_machine()
    with pytest.raises(InputError, match="nothing was measured"):
        chip_of(machine, [], date="2026-11-21")
