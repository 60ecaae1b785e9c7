"""Calibration finds the machine it measured."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from suanli.errors import InputError
from suanli.silicon import Machine, Sample, attention_time, chip_of, gemm_time, measure_machine, this_machine
from suanli.silicon._calibrate import GEMMS, STREAMS, _processor, predicted


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


class _Clock:
    """Seconds that pass only when a machine works."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1e-9
        return self.now


def test_a_disturbance_for_part_of_the_time_disturbs_all_samples_alike() -> None:
    clock = _Clock()
    calls = {"all": 0}

    def work(seconds: float) -> Callable[[], None]:
        def run() -> None:
            calls["all"] += 1
            clock.now += seconds * (3.0 if calls["all"] < 100 else 1.0)  # something else runs at first

        return run

    machine = Machine(
        "fake", ("fp32",), lambda m, n, k, _: work(2e-12 * m * n * k), lambda b: work(1e-9 * b), lambda: None, clock,
        this_machine().start,
    )  # fmt: skip
    samples = measure_machine(machine, seconds=60.0)
    assert len(samples) == len(STREAMS) + len(GEMMS)
    for s in samples:
        once = 1e-9 * s.size[0] if s.op == "stream" else 2e-12 * s.size[0] * s.size[1] * s.size[2]
        assert s.seconds == pytest.approx(once, rel=0.01)


class _Tensor:
    """What the fake device below knows of a tensor: its sizes."""

    def __init__(self, device: _Device, *sizes: int) -> None:
        self.device, self.sizes = device, sizes

    def __mul__(self, factor: float) -> _Tensor:
        self.device.queue += 2.0 * 2.0 * self.sizes[0] / self.device.bandwidth  # bf16, read and written
        return self


class _Device:
    """An accelerator as torch shows it: work is queued at once and done when it is waited for."""

    peak, bandwidth = 2e14, 1e12

    def __init__(self, clock: _Clock) -> None:
        self.clock, self.queue = clock, 0.0

    def is_available(self) -> bool:
        return True

    def get_device_properties(self, _: int) -> SimpleNamespace:
        return SimpleNamespace(name="Fake 100", total_memory=8e10, multi_processor_count=100, L2_cache_size=4e7)

    def synchronize(self) -> None:
        self.clock.now += self.queue
        self.queue = 0.0

    def randn(self, *sizes: Any, device: str, dtype: str) -> _Tensor:
        assert (device, dtype) in {("cuda", "bf16"), ("cuda", "fp16")}
        return _Tensor(self, *(sizes[0] if isinstance(sizes[0], tuple) else sizes))

    def matmul(self, a: _Tensor, b: _Tensor) -> None:
        (m, k), (inner, n) = a.sizes, b.sizes
        assert k == inner
        self.queue += max(2.0 * m * n * k / self.peak, 2.0 * (m * k + k * n + m * n) / self.bandwidth) + 2e-6

    def clone(self, a: _Tensor) -> _Tensor:
        return _Tensor(self, *a.sizes)


def test_an_accelerator_is_measured_through_torch_when_its_queue_has_run(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = _Clock()
    device = _Device(clock)
    fake = SimpleNamespace(
        cuda=device, randn=device.randn, matmul=device.matmul, clone=device.clone, bfloat16="bf16", float16="fp16"
    )
    monkeypatch.setitem(sys.modules, "torch", fake)
    monkeypatch.setattr("suanli.silicon._calibrate.time.perf_counter", clock)
    machine = this_machine()
    assert machine.name == "Fake 100"
    samples = measure_machine(machine, seconds=60.0)
    found = chip_of(machine, samples, date="2026-11-22")
    stream = max((s for s in samples if s.op == "stream"), key=lambda s: s.size)
    assert stream.seconds == pytest.approx(stream.size[0] / device.bandwidth, rel=0.01)
    product = max((s for s in samples if s.op == "gemm"), key=lambda s: s.size[0] * s.size[1] * s.size[2])
    assert product.seconds == pytest.approx(2.0 * np.prod(product.size) / device.peak, rel=0.1)
    assert set(found.peak) == {"bf16", "fp16"}
    assert np.median(np.abs(np.log(predicted(found, samples) / [s.seconds for s in samples]))) < 0.3


def test_a_processor_pads_no_lone_row_and_packs_weights_for_several() -> None:
    core = replace(
        _processor().start, peak={"fp32": 1.5e11}, memory_bandwidth=1.2e10, clock_hz=1e9, n_cores=1, l2_bytes=1e6
    )
    shape = {"phase": "decode", "batch": 8, "q_len": 1, "kv_len": 512, "n_heads": 12, "n_kv_heads": 12, "head_dim": 64}
    keys = 2.0 * 8 * 512 * 12 * 64 * 4.0
    time = attention_time(core, dtype="fp32", cache="cold", **shape)[0]  # type: ignore[arg-type]
    assert keys / 1.2e10 < time < 1.5 * keys / 1.2e10
    one, two, many = gemm_time(core, m=[1, 2, 512], n=4096, k=768, dtype="fp32", cache="cold")
    # A Xeon core through NumPy, weights not in cache, 2026-11-22: 1.1, 2.4 and 22 ms
    assert 1.5 < two / one < 3.0
    assert many == pytest.approx(2.0 * 512 * 4096 * 768 / 1.5e11, rel=0.25)
