"""What each chip serves of each service: the best layout within the limits, as one table for planning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from suanli.errors import SuanliError
from suanli.estimates import Z80
from suanli.kinds import Chip, Service
from suanli.quantities import GIB
from suanli.serving._deploy import Deployment, Tables, cache_tokens, tabulate
from suanli.serving._formats import Formats
from suanli.serving._layout import Layout
from suanli.serving._layouts import layouts_for
from suanli.serving._schedulers import scheduler
from suanli.serving._slo import load_curve, most_within, tail
from suanli.serving._steady import Steady
from suanli.serving._tuning import factors, fitted_set, habits_of, lanes_of, sigma
from suanli.serving._variants import adapted, deploy, formats_for, varied

if TYPE_CHECKING:
    import polars as pl

Array = NDArray[np.float64]

_NO_LIMIT = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One layout of a service on a chip at its greatest load within limits; NaN and a reason where there is none."""

    service: int
    chip: Chip
    deployment: Deployment | None
    layout: Layout
    requests_per_s: float
    ttft_s: float
    tpot_s: float
    running: float
    sigma: float
    reason: str

    @property
    def fits(self) -> bool:
        """Whether the layout serves at all within the limits."""
        return self.reason == ""

    @property
    def per_chip(self) -> float:
        """Requests/s a chip."""
        return self.requests_per_s / self.layout.n_chips


def options(
    services: Sequence[Service],
    chips: Sequence[Chip],
    *,
    framework: str = "vllm",
    max_chips: int = 16,
    layouts: Sequence[Layout] | None = None,
    budget: int | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> list[Option]:
    """Return every layout of every transformer service on every chip, each at its best load (closed form, no
    simulation).

    ``layouts`` replaces the layouts tried, ``budget`` the framework's tokens a step. What the silicon can't time or
    memory can't hold comes back with its reason.
    """
    known = fitted_set() if parameters is None else parameters
    lost: list[Option] = []
    wanted: list[tuple[int, Deployment]] = []
    for chip in chips:
        plan = scheduler(framework, chip)
        plan = plan if budget is None else replace(plan, budget=budget)
        for number, service in enumerate(services):
            tried = layouts or layouts_for(service.model, chip, max_chips=max_chips)
            try:
                formats = formats_for(service, chip)
                _probe(service, chip, formats)
            except SuanliError as error:
                lost.append(_lost(number, chip, Layout(), str(error)))
                continue
            wanted += [(number, deploy(service, chip, layout, formats, plan)) for layout in tried]
    if not wanted:
        return lost
    return lost + _solve(services, wanted, known)


def _probe(service: Service, chip: Chip, formats: Formats) -> None:
    """Raise SuanliError where this chip can't be asked: a format or figure that it lacks."""
    from suanli import silicon

    if chip.memory_bytes is None or chip.memory_bandwidth is None:
        from suanli.errors import InputError

        raise InputError(f"memory of chip '{chip.id}' is unknown")
    for dtype in {formats.dense, formats.wide}:
        silicon.gemm_time(chip, m=1, n=64, k=64, dtype=dtype)
    if service.model.experts is not None:
        silicon.moe_time(chip, tokens=1, hidden=64, inter=64, top_k=1, n_experts=1, dtype=formats.experts)


def _lost(number: int, chip: Chip, layout: Layout, reason: str) -> Option:
    nan = float("nan")
    return Option(
        service=number,
        chip=chip,
        deployment=None,
        layout=layout,
        requests_per_s=nan,
        ttft_s=nan,
        tpot_s=nan,
        running=nan,
        sigma=nan,
        reason=reason,
    )


def _solve(
    services: Sequence[Service], wanted: Sequence[tuple[int, Deployment]], known: Mapping[str, Any]
) -> list[Option]:
    """Return the options of all deployments: tables, memory, closed form, limits."""
    asked = [services[n] for n, _ in wanted]
    tables = varied(tabulate([d for _, d in wanted]), asked)
    whole = np.array([s.input_tokens for s in asked])
    cached = whole * np.array([min(s.prefix_hit, 0.99) for s in asked])
    answer = np.maximum(np.array([s.output_tokens for s in asked]), 1.0)
    capacity = cache_tokens(tables, whole + 0.5 * answer)
    fits = np.flatnonzero(capacity >= whole + answer)
    out = [_too_big(n, d, tables, i, s) for i, ((n, d), s) in enumerate(zip(wanted, asked, strict=True))]
    if fits.size == 0:
        return out
    frameworks = [d.scheduler.name for _, d in wanted]
    families = [d.chip.family for _, d in wanted]
    releases = [d.scheduler.release for _, d in wanted]
    tune = {k: v[fits] for k, v in factors(known, frameworks, families, releases).items()}
    kept = tables.pick(fits)
    lanes = adapted(lanes_of(kept, tune, capacity[fits]), kept, [asked[i] for i in fits])
    _, curve = load_curve(
        lanes, habits_of(tune), prompt=(whole - cached)[fits], answer=answer[fits], cached=cached[fits]
    )
    ttft, tpot = (np.array([_limit(asked[i], m) for i in fits]) for m in ("ttft", "tpot"))
    _, state = most_within(curve, ttft=ttft, tpot=tpot)
    copies = np.array([d.layout.pp for _, d in wanted], dtype=np.float64)[fits]
    for k, i in enumerate(fits.tolist()):
        number, deployment = wanted[i]
        out[i] = _option(number, deployment, state, curve, k, copies[k], (ttft[k], tpot[k]))
    return out


def _limit(service: Service, metric: str) -> float:
    """Return the limit on the mean that keeps a service's percentile within its limit."""
    limit = service.ttft_s if metric == "ttft" else service.tpot_s
    if metric == "tpot" and service.output_tokens <= 1:
        limit = None
    return _NO_LIMIT if limit is None else limit / tail(service.percentile, metric=metric)


def _option(
    number: int,
    deployment: Deployment,
    state: Steady,
    curve: Steady,
    k: int,
    lanes: float,
    limits: tuple[float, float],
) -> Option:
    rate = float(state.requests_per_s[k]) * lanes
    reason = ""
    if not np.isfinite(rate):
        first, each = float(curve.ttft_s[k, 0]), float(curve.tpot_s[k, 0])
        missed = []
        if first > limits[0]:
            missed.append(f"TTFT {first:.3g} s above {limits[0]:.3g} s")
        if each > limits[1]:
            missed.append(f"TPOT {1e3 * each:.3g} ms above {1e3 * limits[1]:.3g} ms")
        reason = f"too slow for a single request: {', '.join(missed) or 'limits not met'}"
    return Option(
        service=number,
        chip=deployment.chip,
        deployment=deployment,
        layout=deployment.layout,
        requests_per_s=rate,
        ttft_s=float(state.ttft_s[k]),
        tpot_s=float(state.tpot_s[k]),
        running=float(state.running[k]) * lanes,
        sigma=sigma("output_rate", deployment),
        reason=reason,
    )


def _too_big(number: int, deployment: Deployment, tables: Tables, i: int, service: Service) -> Option:
    """Return the option of a deployment that does not fit, saying by how much and what would."""
    from suanli.serving._layout import sequence_bytes

    length = service.input_tokens + service.output_tokens
    need = sequence_bytes(deployment.model, deployment.formats, deployment.layout, length)
    short = need - float(tables.cache_bytes[i])
    memory = float(deployment.chip.memory_bytes or 0.0)
    return _lost(
        number,
        deployment.chip,
        deployment.layout,
        f"does not fit: {short / GIB:.1f} GiB too much for the {memory / GIB:.0f} GiB of a chip"
        f" (weights {float(tables.weight_bytes[i]) / GIB:.1f} GiB); more chips a copy or a narrower format would",
    )


def capacity_table(
    services: Sequence[Service],
    chips: Sequence[Chip],
    *,
    framework: str = "vllm",
    max_chips: int = 16,
    parameters: Mapping[str, Any] | None = None,
) -> pl.DataFrame:
    """Return the best layout of each service on each chip within the service's limits.

    Columns: service (position), name, chip, layout, n_chips (of one copy), requests_per_s_per_chip,
    output_tokens_per_s_per_chip, ttft_s, tpot_s, p10 and p90 (of requests_per_s_per_chip), fits, reason, power_w (of
    a chip at full load, its design power; null where unknown). Diffusion models and recommenders count whole answers;
    their
    ``ttft_s`` is the latency of one.
    """
    import polars as pl

    from suanli.serving._other import other_options

    lm = [i for i, s in enumerate(services) if s.model.architecture == "transformer"]
    found = options([services[i] for i in lm], chips, framework=framework, max_chips=max_chips, parameters=parameters)
    found = [replace(o, service=lm[o.service]) for o in found]
    found += other_options(services, chips, max_chips=max_chips)
    best: dict[tuple[int, str], Option] = {}
    for o in found:
        key = (o.service, o.chip.id)
        if key not in best or _rank(o) > _rank(best[key]):
            best[key] = o
    rows = [_row(services[i], best[(i, c.id)]) for i in range(len(services)) for c in chips if (i, c.id) in best]
    return pl.DataFrame(rows, schema=_schema(), orient="row")


_COLUMNS = (
    "service",
    "name",
    "chip",
    "layout",
    "n_chips",
    "requests_per_s_per_chip",
    "output_tokens_per_s_per_chip",
    "ttft_s",
    "tpot_s",
    "p10",
    "p90",
    "fits",
    "reason",
    "power_w",
)


def _schema() -> dict[str, Any]:
    """Return the types of the table's columns."""
    import polars as pl

    kinds = {"service": pl.Int64, "n_chips": pl.Int64, "fits": pl.Boolean}
    kinds |= dict.fromkeys(("name", "chip", "layout", "reason"), pl.String)
    return {name: kinds.get(name, pl.Float64) for name in _COLUMNS}


def _rank(option: Option) -> tuple[bool, float, float]:
    """Return what orders options: serving at all, rate a chip, then fewer chips (for the reason that is shown)."""
    if option.fits:
        return True, option.per_chip, 0.0
    return False, float(option.deployment is not None), float(option.layout.n_chips)


def _row(service: Service, o: Option) -> tuple[Any, ...]:
    ok = o.fits
    rate = o.per_chip if ok else 0.0
    half = Z80 * o.sigma if ok else 0.0
    return (
        o.service,
        service.model.name,
        o.chip.id,
        str(o.layout),
        o.layout.n_chips,
        rate,
        rate * service.output_tokens if service.model.architecture == "transformer" else 0.0,
        o.ttft_s if ok else None,
        o.tpot_s if ok and np.isfinite(o.tpot_s) else None,
        rate * float(np.exp(-half)),
        rate * float(np.exp(half)),
        ok,
        o.reason,
        o.chip.tdp_w,
    )
