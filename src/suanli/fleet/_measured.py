"""Measured rates of a case: they take the engines' place, or set the engines' level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from suanli import catalog
from suanli.fleet._schema import CaseSpec
from suanli.fleet._schema_work import Correction, Rate

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeRate:
    """Requests/s of one chip serving one service within its limits, and how it is laid out."""

    rate: float
    p10: float
    p90: float
    layout: str
    source: str
    power_w: float | None = None
    factor: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRate:
    """Tokens/s of pools of one chip in one run, by chips in the pool; ``measured`` pools were run, not predicted."""

    chips: tuple[int, ...]
    rate: tuple[float, ...]
    p10: tuple[float, ...]
    p90: tuple[float, ...]
    mfu: tuple[float | None, ...]
    strategy: tuple[str, ...]
    source: str
    factor: float = 1.0
    measured: frozenset[int] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """What a case states of rates, by (workload, chip id), and corrections by (kind, chip id)."""

    rates: Mapping[tuple[str, str], tuple[Rate, ...]]
    corrections: Mapping[tuple[str, str], tuple[Correction, ...]]

    def factor(self, kind: str, workload: str, chip: str) -> Correction | None:
        """Return the correction that a case states for a workload on a chip, or None."""
        stated = self.corrections.get((kind, chip), ())
        named = [c for c in stated if workload in c.workloads]
        return next(iter(named or [c for c in stated if not c.workloads]), None)


def own_rates(spec: CaseSpec, names: Mapping[str, str]) -> Own:
    """Return a case's measured rates and corrections by chip id; ``names`` maps the case's spellings to ids."""
    rates: dict[tuple[str, str], tuple[Rate, ...]] = {}
    for rate in spec.rates:
        key = rate.workload, names.get(rate.chip) or catalog.chip(rate.chip).id
        rates[key] = (*rates.get(key, ()), rate)
    corrections: dict[tuple[str, str], tuple[Correction, ...]] = {}
    for one in spec.corrections:
        at = one.kind, names.get(one.chip) or catalog.chip(one.chip).id
        corrections[at] = (*corrections.get(at, ()), one)
    return Own(rates=rates, corrections=corrections)


def _ends(rate: Rate) -> tuple[float, float]:
    low, high = (rate.rate if v is None else v for v in (rate.low, rate.high))
    return min(float(low), float(high)), max(float(low), float(high))


def measured_serve(rates: Sequence[Rate]) -> ServeRate:
    """Return the last stated rate of a service on a chip."""
    last = rates[-1]
    low, high = _ends(last)
    return ServeRate(rate=float(last.rate), p10=low, p90=high, layout="measured", source=last.source)


def pools_of_run(rates: Sequence[Rate], sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the pool sizes to rate: the engine's, and those that were measured and are not larger."""
    return tuple(sorted({*sizes, *(r.pool for r in rates if r.pool is not None and r.pool <= max(sizes))}))


def measured_train(rates: Sequence[Rate], sizes: Sequence[int], engine: TrainRate | None) -> TrainRate:
    """Return the rates of pools where some were measured.

    A rate without a pool holds for every size. With pools, the engine's curve passes through the measured ones: its
    speed is multiplied by measured over predicted, straight in the logarithm of the size between them and flat beyond;
    without an engine's rate, speed a chip is so joined instead.
    """
    anywhere = [r for r in rates if r.pool is None]
    if anywhere:
        last = anywhere[-1]
        low, high = _ends(last)
        n = np.array(sizes, dtype=float)
        return _made(sizes, last.rate * n, low * n, high * n, ("measured",) * len(sizes), last.source, sizes)
    at = {r.pool: r for r in rates if r.pool is not None}
    pools = np.array(sorted(at), dtype=float)
    each = np.array([float(at[int(p)].rate) for p in pools])
    if engine is None:
        speed = np.interp(np.log(sizes), np.log(pools), each) * sizes
        told = tuple("measured" if n in at else "between or beyond measured pools" for n in sizes)
        return _made(sizes, speed, *_bands(at, sizes, speed, None), told, rates[-1].source, list(at))
    base = np.exp(np.interp(np.log(pools), np.log(engine.chips), np.log(np.array(engine.rate) / engine.chips)))
    factor = np.exp(np.interp(np.log(engine.chips), np.log(pools), np.log(each / base)))
    speed = np.array(engine.rate) * factor
    told = tuple(
        "measured" if n in at else f"{how}, x {f:.2f} of measured pools"
        for n, how, f in zip(engine.chips, engine.strategy, factor, strict=True)
    )
    bands = _bands(at, engine.chips, speed, engine)
    mfu = tuple(None if m is None else m * f for m, f in zip(engine.mfu, factor.tolist(), strict=True))
    return _made(engine.chips, speed, *bands, told, rates[-1].source, list(at), mfu=mfu)


def _bands(at: Mapping[int, Rate], sizes: Sequence[int], speed: Array, engine: TrainRate | None) -> tuple[Array, Array]:
    """Return (p10, p90): as stated at measured pools, elsewhere the engine's relative interval."""
    low, high = speed.copy(), speed.copy()
    for i, n in enumerate(sizes):
        if n in at:
            low[i], high[i] = (end * n for end in _ends(at[n]))
        elif engine is not None:
            low[i] *= engine.p10[i] / engine.rate[i]
            high[i] *= engine.p90[i] / engine.rate[i]
    return low, high


def _made(
    sizes: Sequence[int],
    speed: Array,
    low: Array,
    high: Array,
    told: tuple[str, ...],
    source: str,
    measured: Sequence[int],
    *,
    mfu: tuple[float | None, ...] | None = None,
) -> TrainRate:
    return TrainRate(
        chips=tuple(int(n) for n in sizes), rate=tuple(speed.tolist()), p10=tuple(low.tolist()),
        p90=tuple(high.tolist()), mfu=mfu or (None,) * len(sizes), strategy=told, source=source,
        measured=frozenset(int(n) for n in measured),
    )  # fmt: skip


def corrected_serve(found: ServeRate, correction: Correction | None) -> ServeRate:
    """Return an engine's rate at the level of own rows."""
    if correction is None:
        return found
    f = correction.factor
    low, high = f.ends() if f.low is not None or f.high is not None else (None, None)
    return ServeRate(
        rate=found.rate * f.si, p10=found.p10 * f.si if low is None else found.rate * low,
        p90=found.p90 * f.si if high is None else found.rate * high, layout=found.layout, source=f.source,
        power_w=found.power_w, factor=f.si,
    )  # fmt: skip


def corrected_train(found: TrainRate, correction: Correction | None) -> TrainRate:
    """Return an engine's rates of pools at the level of own rows."""
    if correction is None:
        return found
    f = correction.factor
    ranged = f.low is not None or f.high is not None
    low, high = f.ends()
    return TrainRate(
        chips=found.chips, rate=tuple(r * f.si for r in found.rate),
        p10=tuple(r * low for r in found.rate) if ranged else tuple(r * f.si for r in found.p10),
        p90=tuple(r * high for r in found.rate) if ranged else tuple(r * f.si for r in found.p90),
        mfu=tuple(None if m is None else m * f.si for m in found.mfu), strategy=found.strategy, source=f.source,
        factor=f.si,
    )  # fmt: skip
