"""How much of each job a chip does: a roofline over arrays for the search, silicon and fabric for the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from suanli.design._cost import site_capacity
from suanli.design._jobs import LIMIT, UNIT, Job, Variant, format_for, stored_share, variants, with_stored_rows
from suanli.design._power import memory_bandwidth
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
    link = np.maximum(
        (spec.array("lanes") - spec.array("scale_out_lanes")) * spec.array("lane_rate") * spec.array("dies"), 1e6
    )
    best = np.zeros(spec.shape)
    for variant in variants(job, dtype):
        t = totals(variant, dtype)
        waiting = np.maximum(1.0, spec.array("rows") / t.rows)
        compute = (t.narrow / narrow + t.wide / wide) * waiting
        kept = np.where(0.8 * sram >= variant.weights, t.weights, 0.0)
        looked = t.lookups * (1.0 - stored_share(0.8 * sram, variant.tables))
        memory = (t.bytes - kept + looked) / bandwidth
        ring = 2.0 * (variant.group - 1.0) / variant.group
        exchange = variant.exchanges * (ring * variant.exchanged / (link * LINK_SHARE) + EXCHANGE_LATENCY)
        time = np.maximum(compute, memory) + exchange + t.n_ops * STEP_OVERHEAD
        room_for = (variant.resident <= room) | (0.8 * sram >= variant.resident)
        apart = (variant.group == 1) | (spec.array("lanes") > spec.array("scale_out_lanes"))
        ok = room_for & apart & (time <= LIMIT[job.phase]) & (variant.group <= spec.scale_up_domain)
        best = np.maximum(best, np.where(ok, variant.units / (time * variant.group), 0.0))
    return best


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
    fitting = [
        v
        for v in variants(job, dtype)
        if v.group <= domain and v.resident <= max(memory, 0.8 * (chip.sram_bytes or 0.0))
    ]
    if not fitting:
        need = min(v.resident for v in variants(job, dtype) if v.group <= domain)
        return _none(job, f"needs {need / 1e9:.0f} GB a chip on {domain} chips, the memory holds {memory / 1e9:.0f} GB")
    timed = [(v, *_pass_time(chip, v)) for v in _promising(chip, job, fitting, dtype)]
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


def _promising(chip: Chip, job: Job, fitting: Sequence[Variant], dtype: str) -> list[Variant]:
    """Return the variants worth timing: the four best by roofline, and the quickest."""
    narrow = chip.peak[dtype]
    wide = max(chip.peak.get("bf16", 0.0), chip.peak.get("fp16", 0.0)) or narrow
    link = chip.scale_up_bandwidth or 1e6
    scored = []
    for v in fitting:
        t = totals(v, dtype)
        compute = t.narrow / narrow + t.wide / wide
        seconds = max(compute / MATRIX_SHARE, (t.bytes + t.lookups) / (chip.memory_bandwidth or 1e6) / MEMORY_SHARE)
        seconds += v.exchanges * (2.0 * v.exchanged / link + EXCHANGE_LATENCY) + t.n_ops * STEP_OVERHEAD
        scored.append((v.units / seconds / v.group * (1.0 if seconds <= LIMIT[job.phase] else 1e-3), seconds, v))
    best = sorted(scored, key=lambda s: -s[0])[:4]
    quickest = min(scored, key=lambda s: s[1])
    return list({id(s[2]): s[2] for s in (*best, quickest)}.values())


def _pass_time(chip: Chip, variant: Variant) -> tuple[float, float, float, str]:
    """Return (seconds, p10, p90, what binds most) of one pass of ``variant``."""
    from suanli.fabric import collective_time, network_of
    from suanli.silicon import ops_time

    timed = ops_time(chip, with_stored_rows(variant, chip))
    exchange = 0.0
    if variant.exchanges:
        network = network_of(chip, variant.group, chips_per_node=max(chip.scale_up_domain or 8, variant.group))
        one = collective_time(network, "all_reduce", variant.exchanged, variant.group, library="kernel")
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
