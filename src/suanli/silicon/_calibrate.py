"""Measure the machine at hand and state it as a chip."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InputError
from suanli.kinds import Chip
from suanli.silicon._gemm import gemm_time
from suanli.silicon._memory import elementwise_time
from suanli.silicon._timing import TURNS
from suanli.sources import Source

Array = NDArray[np.float64]

GEMMS: tuple[tuple[int, int, int], ...] = (
    (1, 1024, 1024),
    (1, 4096, 4096),
    (4, 1024, 4096),
    (8, 1024, 1024),
    (8, 4096, 1024),
    (16, 4096, 1024),
    (32, 2048, 2048),
    (64, 1024, 4096),
    (128, 512, 512),
    (256, 1024, 1024),
    (512, 2048, 2048),
    (1024, 1024, 1024),
    (2048, 2048, 2048),
    (4096, 1024, 4096),
)
"""m, n, k of the products that are measured, least work first."""

STREAMS: tuple[int, ...] = (65_536, 1_048_576, 16_777_216, 134_217_728, 402_653_184)
"""Bytes that are read and written by the streams that are measured."""

_REPEATS = 15
_SHORT = 1e-3  # s; shorter work is timed many times at once
_ROUNDS = 3  # of the descent on each figure
_HELD = 1.5  # times memory's rate, from which a stream is taken to be in the cache


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement: what ran, its size (m, n, k or bytes), its format and the median seconds."""

    op: str
    size: tuple[int, ...]
    dtype: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Machine:
    """Something that can be measured: its name, formats, and how to run a product and a stream once.

    ``sync`` waits until what was started has ended; ``clock`` tells seconds.
    """

    name: str
    dtypes: tuple[str, ...]
    product: Callable[[int, int, int, str], Callable[[], Any]]
    stream: Callable[[int], Callable[[], Any]]
    sync: Callable[[], None]
    clock: Callable[[], float]
    start: Chip


def measure_machine(machine: Machine, *, seconds: float) -> list[Sample]:
    """Return median times of products and streams on random data, warmed up, within about ``seconds``.

    They take turns, so that what else runs on the machine disturbs all alike. Raises InputError for a time limit that
    is not above zero.
    """
    if not seconds > 0.0:
        raise InputError(f"the time limit is {seconds:g} s; it must be more than zero")
    end = time.perf_counter() + seconds
    tasks: list[tuple[str, tuple[int, ...], str]] = [("stream", (size,), "fp32") for size in STREAMS]
    tasks += [("gemm", size, dtype) for size in GEMMS for dtype in machine.dtypes]
    runs: list[tuple[Callable[[], Any], int]] = []
    for op, size, dtype in tasks:
        if len(runs) > len(STREAMS) and time.perf_counter() > end:
            break
        run = machine.stream(size[0]) if op == "stream" else machine.product(size[0], size[1], size[2], dtype)
        runs.append((run, _warmed(run, machine)))
    times: list[list[float]] = [[] for _ in runs]
    for turn in range(_REPEATS):
        for (run, inner), found in zip(runs, times, strict=True):
            if turn == 0 or time.perf_counter() < end:
                found.append(_seconds(run, inner, machine))
    return [Sample(*task, float(np.median(found))) for task, found in zip(tasks, times, strict=False)]


def _warmed(run: Callable[[], Any], machine: Machine) -> int:
    """Run twice, and return how many times ``run`` is to be timed at a time: short work many times."""
    run()  # the first time allocates
    machine.sync()
    began = time.perf_counter()
    run()
    machine.sync()
    return max(1, int(_SHORT / max(time.perf_counter() - began, 1e-7)))


def _seconds(run: Callable[[], Any], inner: int, machine: Machine) -> float:
    """Return the seconds of ``run``, timed ``inner`` times at once; others' data have left the cache before."""
    if inner > 1:
        run()
        machine.sync()
    at = machine.clock()
    for _ in range(inner):
        run()
    machine.sync()
    return (machine.clock() - at) / inner


def predicted(chip: Chip, samples: Sequence[Sample]) -> Array:
    """Return the seconds that the laws give for ``samples`` on ``chip``."""
    out = np.empty(len(samples))
    for i, s in enumerate(samples):
        if s.op == "gemm":
            out[i] = gemm_time(chip, m=s.size[0], n=s.size[1], k=s.size[2], dtype=s.dtype)[0]
        else:
            out[i] = elementwise_time(chip, bytes=s.size[0], cache="warm")[0]
    return out


def chip_of(machine: Machine, samples: Sequence[Sample], *, date: str) -> Chip:
    """Return the machine as a chip whose peak, bandwidth, clock and cache best explain ``samples``.

    The figures are effective ones: what a datasheet would have to say for the pooled laws to give these times (least
    sum of absolute log errors, by coordinate descent). Raises InputError where nothing was measured.
    """
    if not samples:
        raise InputError("nothing was measured within the time limit")
    measured = np.array([s.seconds for s in samples])
    chip = _first_guess(machine, samples)

    def loss(candidate: Chip) -> float:
        return float(np.abs(np.log(predicted(candidate, samples) / measured)).sum())

    best = loss(chip)
    for step in (2.0, 1.3, 1.08):
        for _ in range(_ROUNDS):
            for change in _changes(chip, machine.dtypes):
                for factor in (step, 1.0 / step):
                    trial = change(chip, factor)
                    value = loss(trial)
                    if value < best:
                        chip, best = trial, value
    source = Source(ref=f"suanli calibrate on {machine.name}", date=date, kind="measured")
    if set(chip.peak) != {"fp32"}:
        return replace(chip, source=source)
    # A processor without a 16-bit unit computes 16-bit operands in fp32, at that rate.
    wide = Source(ref="16-bit operands computed in fp32", date=date, kind="estimated")
    peak = dict.fromkeys(("fp32", "bf16", "fp16"), chip.peak["fp32"])
    return replace(chip, source=source, peak=peak, field_sources={"peak.bf16": wide, "peak.fp16": wide})


def _changes(chip: Chip, dtypes: Sequence[str]) -> list[Callable[[Chip, float], Chip]]:
    """Return what may be turned: memory bandwidth, clock, shared cache, and each format's peak."""
    out: list[Callable[[Chip, float], Chip]] = [
        lambda c, f: replace(c, memory_bandwidth=(c.memory_bandwidth or 1.0) * f),
        lambda c, f: replace(c, clock_hz=(c.clock_hz or 1.0) * f),
    ]
    if chip.l2_bytes:
        out.append(lambda c, f: replace(c, l2_bytes=(c.l2_bytes or 1.0) * f))
    for name in dtypes:

        def turn(c: Chip, f: float, name: str = name) -> Chip:
            return replace(c, peak={**c.peak, name: c.peak[name] * f})

        out.append(turn)
    return out


def _first_guess(machine: Machine, samples: Sequence[Sample]) -> Chip:
    """Return the machine's own figures with peak and bandwidth at the best that was measured."""
    peak = {
        dtype: max(
            2.0 * s.size[0] * s.size[1] * s.size[2] / s.seconds for s in samples if s.dtype == dtype and s.op == "gemm"
        )
        for dtype in machine.dtypes
        if any(s.op == "gemm" and s.dtype == dtype for s in samples)
    }
    if not peak:
        raise InputError("no product was measured within the time limit")
    streams = [s for s in samples if s.op == "stream"]
    slowest = streams[-1].size[0] / streams[-1].seconds
    held = [s.size[0] for s in streams if s.size[0] / s.seconds > _HELD * slowest]
    return replace(
        machine.start,
        peak=peak,
        memory_bandwidth=slowest,
        clock_hz=(machine.start.clock_hz or 1.0) / 3.0,
        l2_bytes=float(max(held, default=streams[0].size[0])),
    )


def _turns(weights: Any, copy: Callable[[Any], Any]) -> Iterator[Any]:
    """Return ``weights`` and copies of it in turn for ever: a model's layers find theirs in memory, not in cache."""
    return cycle([weights, *(copy(weights) for _ in range(int(TURNS) - 1))])


def this_machine() -> Machine:
    """Return the accelerator that torch sees, else the processor through NumPy."""
    return _accelerator() or _processor()


def _processor() -> Machine:
    rng = np.random.default_rng(0)

    def product(m: int, n: int, k: int, dtype: str) -> Callable[[], Any]:
        kind = np.float32 if dtype == "fp32" else np.float64
        a, b = rng.random((m, k), dtype=kind), rng.random((k, n), dtype=kind)
        out = np.empty((m, n), dtype=kind)
        weights = _turns(b, np.copy)
        return lambda: np.matmul(a, next(weights), out=out)

    def stream(size: int) -> Callable[[], Any]:
        a = rng.random(size // 8, dtype=np.float32)
        out = np.empty_like(a)
        return lambda: np.multiply(a, np.float32(1.5), out=out)

    threads = float(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))
    name = _processor_name()
    start = Chip(
        id="this-machine",
        name=name,
        vendor="",
        family="cpu",
        peak={"fp32": 1.0},
        memory_kind="DRAM",
        clock_hz=3e9,
        n_cores=int(threads),
        l2_bytes=_last_cache(),
    )
    # One thread's own time leaves out what else runs on the machine; several threads' would be added up.
    clock = time.process_time if threads == 1.0 else time.perf_counter
    return Machine(name, ("fp32",), product, stream, lambda: None, clock, start)


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _last_cache() -> float:
    """Return the bytes of the processor's last cache, 32 MiB where the system does not say."""
    sizes = []
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        text = path.read_text(encoding="utf-8").strip()
        scale = {"K": 1024.0, "M": 1024.0**2, "G": 1024.0**3}.get(text[-1:], 1.0)
        sizes.append(float(text.rstrip("KMG")) * scale)
    return max(sizes, default=32.0 * 1024.0**2)


def _accelerator() -> Machine | None:
    """Return the CUDA, ROCm or Ascend device that an installed torch sees, or None."""
    try:
        import torch
    except ImportError:
        return None
    kind = "cuda" if torch.cuda.is_available() else "npu" if hasattr(torch, "npu") and torch.npu.is_available() else ""
    if not kind:
        return None
    device = getattr(torch, kind)
    facts = device.get_device_properties(0)
    kinds = {"bf16": torch.bfloat16, "fp16": torch.float16}

    def product(m: int, n: int, k: int, dtype: str) -> Callable[[], Any]:
        a, b = (torch.randn(s, device=kind, dtype=kinds[dtype]) for s in ((m, k), (k, n)))
        weights = _turns(b, torch.clone)
        return lambda: torch.matmul(a, next(weights))

    def stream(size: int) -> Callable[[], Any]:
        a = torch.randn(size // 4, device=kind, dtype=torch.bfloat16)
        return lambda: a * 1.5

    start = Chip(
        id="this-machine",
        name=str(facts.name),
        vendor="",
        family="",
        peak={"bf16": 1.0},
        memory_bytes=float(facts.total_memory),
        memory_kind="device",
        clock_hz=1.5e9,
        n_cores=int(getattr(facts, "multi_processor_count", 0)) or None,
        l2_bytes=float(getattr(facts, "L2_cache_size", 0)) or None,
    )
    return Machine(str(facts.name), tuple(kinds), product, stream, device.synchronize, time.perf_counter, start)
