"""How much of each job a chip does: a roofline over arrays for the search, silicon and fabric for the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from suanli.design._cost import site_capacity
from suanli.design._jobs import LIMIT, UNIT, Job, Variant, format_for, stored_share, variants, with_stored_rows
from suanli.design._power import Activity, memory_bandwidth
from suanli.design._process import Constants
from suanli.design._spec import DesignSpec, peak
from suanli.errors import InputError
from suanli.estimates import Array
from suanli.kinds import BITS, Chip
from suanli.workloads import KINDS

MATRIX_SHARE, MEMORY_SHARE, LINK_SHARE = 0.75, 0.82, 0.8
"""Shares of the peaks that the screening roofline counts on; silicon replaces them for the best designs."""

STEP_OVERHEAD = 2e-6
"""Seconds that each operator costs beside its work, in the screening roofline."""

RESIDENT_SHARE = 0.92
"""Share of a chip's memory that weights and caches may fill."""

ENOUGH = 3
"""Sizes in time after which the ranking by roofline is trusted."""

EXCHANGE_LATENCY = 8e-6
"""Seconds that an all-reduce costs beside its bytes, in the screening roofline."""


@dataclass(frozen=True, slots=True)
class Totals:
    """A variant added up: FLOP in the job's format and in 16 bits, rows a product streams, bytes."""

    narrow: float
    wide: float
    rows: float
    bytes: float
    lookups: float
    weights: float
    n_ops: float


def totals(variant: Variant, dtype: str) -> Totals:
    """Return the sums of ``variant``'s operators that the screening roofline reads."""
    ops = variant.ops
    flop, moved = ops.count * ops.flop, ops.count * ops.bytes
    own = np.array([d == dtype for d in ops.dtype])
    gemm = ops.kind == KINDS.index("gemm")
    streamed = np.where(gemm, ops.m * 1.0, np.maximum(ops.batch, 1) * np.maximum(ops.q_len, 1))
    work = np.where(gemm, flop, 0.0)
    rows = float(work.sum() / max((work / np.maximum(streamed, 1.0)).sum(), 1e-9)) if work.sum() else 1e9
    lookup = ops.kind == KINDS.index("embedding")
    return Totals(
        narrow=float(flop[own].sum()), wide=float(flop[~own].sum()), rows=rows,
        bytes=float(moved[~lookup].sum()), lookups=float(moved[lookup].sum()),
        weights=float((ops.count * ops.weight_bytes).sum()), n_ops=float(ops.count.sum()),
    )  # fmt: skip


Timed = tuple[Variant, float, float, float, str]
"""A variant with the seconds of its pass, their 10th and 90th percentile, and what binds most."""


@lru_cache(maxsize=512)
def summed(job: Job, dtype: str) -> tuple[tuple[Variant, Totals], ...]:
    """Return the variants of ``job`` in ``dtype`` with their sums."""
    return tuple((v, totals(v, dtype)) for v in variants(job, dtype))


def wide_format(spec: DesignSpec) -> str:
    """Return the 16-bit format of the arrays, or the widest that they have."""
    names = [n for n, _ in spec.formats]
    return max(names, key=lambda n: (BITS[n] == 16, BITS[n]))


def screened_rate(spec: DesignSpec, job: Job, c: Constants) -> Array:
    """Return units a second and chip of ``job`` by a roofline, the best over sizes; 0 where none fits or is in time.

    pass = max(FLOP / peak, bytes / bandwidth) + exchanges + overhead. A product that streams fewer rows than the
    array is high leaves the array waiting for its weights: max(1, rows of the array / rows streamed). Weights that
    SRAM holds are not read again; embedding rows that it holds neither.
    """
    dtype = format_for(job, [n for n, _ in spec.formats])
    narrow, wide = peak(spec, dtype) * MATRIX_SHARE, peak(spec, wide_format(spec)) * MATRIX_SHARE
    bandwidth = np.maximum(memory_bandwidth(spec, c), 1e6) * MEMORY_SHARE
    room = site_capacity(spec, c) * RESIDENT_SHARE
    sram = (spec.array("shared_sram") + spec.array("cores") * spec.array("scratchpad")) * spec.array("dies")
    lane = spec.array("lane_rate") * spec.array("dies")
    inside = np.maximum((spec.array("lanes") - spec.array("scale_out_lanes")) * lane, 1e6)
    outside = np.maximum(spec.array("scale_out_lanes") * lane, 1e6)
    best = np.zeros(spec.shape)
    for variant, t in summed(job, dtype):
        waiting = np.maximum(1.0, spec.array("rows") / t.rows)
        compute = (t.narrow / narrow + t.wide / wide) * waiting
        kept = np.where(0.8 * sram >= variant.weights, t.weights, 0.0)
        looked = t.lookups * (1.0 - stored_share(0.8 * sram, variant.tables))
        memory = (t.bytes - kept + looked) / bandwidth
        local = variant.group <= spec.scale_up_domain
        exchange = _exchange(variant, inside if local else outside)
        time = np.maximum(compute, memory) + exchange + t.n_ops * STEP_OVERHEAD
        room_for = (variant.resident <= room) | (0.8 * sram >= variant.resident)
        joined = (variant.group == 1) | ((inside if local else outside) > 1e6)
        ok = room_for & joined & (time <= LIMIT[job.phase]) & (local or job.phase == "recommend")
        best = np.maximum(best, np.where(ok, variant.units / (time * variant.group), 0.0))
    return best


def _exchange(variant: Variant, link: Array) -> Array:
    """Return the seconds of a variant's collectives over ``link`` (B/s) in the screening roofline."""
    share = (variant.group - 1.0) / variant.group * (2.0 if variant.collective == "all_reduce" else 1.0)
    out: Array = variant.exchanges * (share * variant.exchanged / (link * LINK_SHARE) + EXCHANGE_LATENCY)
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRate:
    """What a chip does of a job: ``rate`` units/s and chip with its interval, ``joules`` a unit, and at what size.

    ``reason`` says why the rate is 0.
    """

    job: str
    unit: str
    rate: float
    p10: float
    p90: float
    joules: float
    group: int
    batch: int
    seconds: float
    bound: str
    reason: str = ""


def job_rate(chip: Chip, job: Job) -> JobRate:
    """Return what ``chip`` does of ``job`` by silicon's operator times and fabric's collectives, at its best size.

    Sizes that do not fit the memory or miss the phase's limit are left out. Raises InputError where the chip lacks
    the formats.
    """
    dtype = format_for(job, list(chip.peak))
    memory = (chip.memory_bytes or 0.0) * RESIDENT_SHARE
    domain = chip.scale_up_domain or (8 if chip.scale_up_bandwidth else 1)
    room = max(memory, 0.8 * (chip.sram_bytes or 0.0))
    reached = [(v, t) for v, t in summed(job, dtype) if v.group <= domain or job.phase == "recommend"]
    fitting = [(v, t) for v, t in reached if v.resident <= room]
    if not fitting:
        need, most = min(v.resident for v, _ in reached), max(v.group for v, _ in reached)
        return _none(job, f"needs {need / 1e9:.0f} GB a chip on {most} chips, the memory holds {memory / 1e9:.0f} GB")
    timed = _timed(chip, job, _predicted(chip, fitting, dtype))
    in_time = [t for t in timed if t[1] <= LIMIT[job.phase]]
    if not in_time:
        return _none(job, f"fastest pass takes {min(t[1] for t in timed):.3g} s, the limit is {LIMIT[job.phase]:.3g} s")
    v, seconds, low, high, bound = max(in_time, key=lambda t: t[0].units / (t[1] * t[0].group))
    rate = v.units / (seconds * v.group)
    watts = chip.tdp_w or 0.0
    return JobRate(
        job=job.name, unit=_unit(job), rate=rate, p10=v.units / (high * v.group), p90=v.units / (low * v.group),
        joules=watts / rate, group=v.group, batch=v.batch, seconds=seconds, bound=bound,
    )  # fmt: skip


def _unit(job: Job) -> str:
    return UNIT[job.phase]


def _none(job: Job, reason: str) -> JobRate:
    return JobRate(
        job=job.name, unit=_unit(job), rate=0.0, p10=0.0, p90=0.0, joules=np.inf, group=0, batch=0, seconds=np.inf,
        bound="", reason=reason,
    )  # fmt: skip


def _predicted(chip: Chip, fitting: Sequence[tuple[Variant, Totals]], dtype: str) -> list[tuple[Variant, float]]:
    """Return each variant with the seconds of its pass by a roofline."""
    narrow = chip.peak[dtype]
    wide = max(chip.peak.get("bf16", 0.0), chip.peak.get("fp16", 0.0)) or narrow
    links = (chip.scale_up_bandwidth or 1e6, chip.scale_out_bandwidth or 25e9)
    domain = chip.scale_up_domain or 8
    out = []
    for v, t in fitting:
        compute = t.narrow / narrow + t.wide / wide
        seconds = max(compute / MATRIX_SHARE, (t.bytes + t.lookups) / (chip.memory_bandwidth or 1e6) / MEMORY_SHARE)
        link = np.asarray(links[0] if v.group <= domain else links[1])
        out.append((v, seconds + float(_exchange(v, link)) + t.n_ops * STEP_OVERHEAD))
    return out


def _timed(chip: Chip, job: Job, predicted: Sequence[tuple[Variant, float]]) -> list[Timed]:
    """Return the variants worth timing, timed: those of highest rate that should be in time, until enough are.

    What the roofline missed on the variants timed so far scales its seconds for the others.
    """
    left, limit, factor = list(predicted), LIMIT[job.phase], 1.0
    out: list[Timed] = []
    while left and sum(t[1] <= limit for t in out) < ENOUGH:
        hopeful = [p for p in left if p[1] * factor <= limit]
        if not hopeful and any(t[1] <= limit for t in out):
            break
        pick = max(hopeful, key=lambda p: p[0].units / p[1] / p[0].group) if hopeful else min(left, key=lambda p: p[1])
        left.remove(pick)
        out.append((pick[0], *_pass_time(chip, pick[0])))
        factor = out[-1][1] / pick[1]
        if not hopeful and out[-1][1] > limit:
            break
    return out


def activity_of(chip: Chip, job: Job, rate: JobRate) -> Activity:
    """Return how busy ``chip`` is while it does ``job`` at ``rate``: shares of matrix, memory and link peaks.

    Raises InputError where the chip does not do the job.
    """
    if rate.rate <= 0.0:
        raise InputError(f"{chip.id} does not do {job.name}: {rate.reason}")
    dtype = format_for(job, list(chip.peak))
    variant, t = next((v, t) for v, t in summed(job, dtype) if (v.group, v.batch) == (rate.group, rate.batch))
    wide = max(chip.peak.get("bf16", 0.0), chip.peak.get("fp16", 0.0)) or chip.peak[dtype]
    matrix = (t.narrow / chip.peak[dtype] + t.wide / wide) / rate.seconds
    memory = (t.bytes + t.lookups) / (chip.memory_bandwidth or np.inf) / rate.seconds
    links = variant.exchanges * variant.exchanged / (chip.scale_up_bandwidth or np.inf) / rate.seconds
    return Activity(format=dtype, matrix=min(matrix, 1.0), memory=min(memory, 1.0), links=min(links, 1.0))


def _pass_time(chip: Chip, variant: Variant) -> tuple[float, float, float, str]:
    """Return (seconds, p10, p90, what binds most) of one pass of ``variant``."""
    from suanli.fabric import collective_time, network_of
    from suanli.silicon import ops_time

    timed = ops_time(chip, with_stored_rows(variant, chip))
    exchange = 0.0
    if variant.exchanges:
        network = network_of(chip, variant.group)
        reduces = variant.collective == "all_reduce"
        one = collective_time(
            network,
            variant.collective,
            variant.exchanged,
            variant.group,
            library="kernel" if reduces else "library",
        )
        exchange = variant.exchanges * float(np.ravel(one)[0])
    parts = dict.fromkeys(dict.fromkeys(timed.bound), 0.0)
    for name, seconds in zip(timed.bound, timed.value, strict=True):
        parts[name] += float(seconds)
    parts["links"] = exchange
    bound = max(parts, key=lambda name: parts[name])
    return timed.total + exchange, float(timed.p10.sum()) + exchange, float(timed.p90.sum()) + exchange, bound


def index_of(rates: Mapping[str, Array], base: Mapping[str, float], jobs: Sequence[Job]) -> Array:
    """Return the weighted geometric mean of rates over those of a base chip; 0 where a job cannot run at all."""
    weight = sum(j.weight for j in jobs)
    if any(base[j.name] <= 0.0 for j in jobs):
        raise InputError("the base chip cannot run every job; choose another with --base")
    logs = sum(j.weight * np.log(np.maximum(rates[j.name] / base[j.name], 1e-9)) for j in jobs)
    out: Array = np.where(np.all([rates[j.name] > 0.0 for j in jobs], axis=0), np.exp(logs / weight), 0.0)
    return out
