"""The run around a step: dates and deliveries, goodput, energy, money, other pools, and how good the model gets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from suanli.errors import InfeasibleError, InputError
from suanli.quantities import HOUR, parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from suanli.training import Comparison, Goodput, Ranking, Setting, Step

DAY = 24.0 * HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Dates:
    """First and last day as asked for, and deliveries such as "2026-03-01=1024"."""

    start: str | None
    deadline: str | None
    deliveries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """How checkpoints are written (B/s a chip, halting or not), and the year that sets rents and rivals' software."""

    rate: float | None
    synchronous: bool
    year: int


def weights_of(setting: Setting) -> float:
    """Return the weights that work on a token: all of a dense model's, the active ones where there are experts."""
    from suanli.training import active_weights, total_weights

    count = active_weights if setting.model.experts else total_weights
    return float(count(setting.facts)[0])


def kept(best: Step, keeping: Keeping) -> Goodput:
    """Return the goodput of a run at ``best`` whose checkpoints are written as ``keeping`` says."""
    from suanli.training import checkpoint_bytes, goodput

    return goodput(
        int(best.strategies.chips[0]),
        checkpoint_bytes=checkpoint_bytes(best),
        checkpoint_rate=keeping.rate,
        synchronous=keeping.synchronous,
    )


def whole_run(best: Step, tokens: float, dates: Dates, keeping: Keeping) -> dict[str, Any]:
    """Return the whole run: goodput, length with its interval, end, energy, cost, and whether the deadline holds."""
    from suanli import catalog
    from suanli.training import power_of, seconds_for, tokens_by

    if tokens <= 0:
        raise InputError(f"tokens: {tokens:g} is not above zero")
    first = _day("start", dates.start) if dates.start else date.today()
    goes = kept(best, keeping)
    starts, rates, sizes = _deliveries(best, first, dates.deliveries, keeping)
    seconds = seconds_for(starts, rates, tokens)
    ratio = [float(best.time.p10[0] / best.time.value[0]), float(best.time.p90[0] / best.time.value[0])]
    span = [seconds_for(starts, [r / x for r in rates], tokens) for x in ratio]
    chip = best.setting.site.chip
    hours = tokens_by(starts, [float(n) for n in sizes], seconds) / HOUR
    power = power_of(chip, sizes[-1])
    watt = power_of(chip, 1.0)
    rent = catalog.rent(chip.id, keeping.year)
    last = _last_day(dates.deadline, first) if dates.deadline else None
    room = (last - first).days * DAY if last else None
    return {
        "tokens": tokens,
        "goodput": float(goes.share[0]),
        "checkpoint_interval_s": float(goes.interval_s[0]),
        "checkpoint_write_s": float(goes.write_s[0]),
        "checkpoint_stall_s": float(goes.stall_s[0]),
        "mtbf_s": float(goes.mtbf_s[0]),
        "seconds": seconds,
        "seconds_p10": span[0],
        "seconds_p90": span[1],
        "start": first.isoformat(),
        "end": (first + timedelta(seconds=seconds)).isoformat(),
        "end_p90": (first + timedelta(seconds=span[1])).isoformat(),
        "deliveries": [
            {"start": (first + timedelta(seconds=s)).isoformat(), "chips": n, "tokens_per_s": r}
            for s, n, r in zip(starts, sizes, rates, strict=True)
        ],
        "deadline": last.isoformat() if last else None,
        "meets_deadline": None if room is None else seconds <= room,
        "sure_of_deadline": None if room is None else _chance(best, tokens_by(starts, rates, room) / tokens),
        "tokens_by_deadline": None if room is None else tokens_by(starts, rates, room),
        "power_w": power,
        "energy_j": None if watt is None else watt * hours * HOUR,
        "cost_usd": None if rent is None else rent.value * hours,
        "cost_low_usd": None if rent is None or rent.low is None else rent.low * hours,
        "cost_high_usd": None if rent is None or rent.high is None else rent.high * hours,
        "cost_source": None if rent is None else rent.source.ref,
    }


def _deliveries(
    best: Step, first: date, texts: Sequence[str], keeping: Keeping
) -> tuple[list[float], list[float], list[int]]:
    """Return (seconds from the start, tokens/s with goodput, chips) of each size that the run has."""
    from suanli.training import search

    pairs = sorted(_pair("deliver", text, "DATE=N") for text in texts)
    starts, sizes = [0.0], [int(best.strategies.chips[0])]
    rates = [best.tokens_per_s * float(kept(best, keeping).share[0])]
    total = best.setting.n_chips
    for text, count in pairs:
        when = (_day("deliver", text) - first).days * DAY
        if when <= starts[-1]:
            raise InputError(f"deliver '{text}={count}': deliveries must come after the start {first}, a day each")
        total += count
        larger = search(replace(best.setting, n_chips=total), top=1, exact=False).best
        starts.append(when)
        sizes.append(int(larger.strategies.chips[0]))
        rates.append(larger.tokens_per_s * float(kept(larger, keeping).share[0]))
    return starts, rates, sizes


def carbon(energy: float | None, region: str | None, year: int) -> dict[str, Any]:
    """Return the energy at the meter (J) and its CO2 (kg) in ``region``; None where unknown."""
    from suanli import economics

    if region is None or energy is None:
        return {"region": region, "metered_j": None, "co2_kg": None}
    hall = economics.pue(region, year)
    metered = energy * (hall.value if hall else 1.0)
    emitted = economics.carbon(metered, region, year)
    return {"region": region, "metered_j": metered, "co2_kg": None if emitted is None else float(emitted.max())}


def pools(
    ranking: Ranking, beside: list[str], tokens: float, share: float, *, split: str, link: float | None, year: int
) -> dict[str, Any]:
    """Return the joint pace with other pools, by data-parallel shares or by stages of one pipeline.

    Raises InfeasibleError where stages are asked for and none fit.
    """
    others = [_other(ranking.setting, text, year) for text in beside]
    out: dict[str, Any] = {}
    if split in {"data", "best"}:
        out = _by_data(ranking, others)
    if split == "pipeline" or (split == "best" and len(others) == 1):
        out = _faster(out, _by_stages(ranking.setting, others, link, strict=split == "pipeline"))
    pace = out["joint_tokens_per_s"]
    return out | {"joint_seconds": tokens / pace / share}


def _by_data(ranking: Ranking, others: Sequence[Setting]) -> dict[str, Any]:
    """Return the pace of pools that each take a share of every batch, at their own best strategies."""
    from suanli.training import joint_rate, search

    rates = {ranking.setting.site.chip.id: ranking.best.tokens_per_s}
    for other in others:
        name = other.site.chip.id
        rates[name] = rates.get(name, 0.0) + search(other, top=1, exact=False).best.tokens_per_s
    shares = {chip: rate / sum(rates.values()) for chip, rate in rates.items()}
    return {"joint_split": "data", "joint_tokens_per_s": joint_rate(list(rates.values())), "batch_shares": shares}


def _by_stages(first: Setting, others: Sequence[Setting], link: float | None, *, strict: bool) -> dict[str, Any]:
    """Return the pace of one pipeline over two kinds; nothing where none fits, unless ``strict``."""
    from suanli.training import mixed

    if len(others) != 1:
        raise InputError(f"split: a pipeline takes one other pool, not {len(others)}; use --split data")
    try:
        found = mixed(first, others[0], link=link)
    except InfeasibleError:
        if strict:
            raise
        return {}
    return {
        "joint_split": "pipeline",
        "joint_tokens_per_s": found.tokens_per_s,
        "joint_strategy": found.text,
        "joint_step_s": float(found.time.value[0]),
        "joint_p10_s": float(found.time.p10[0]),
        "joint_p90_s": float(found.time.p90[0]),
        "joint_parts_s": {name: float(value[0]) for name, value in found.time.breakdown.items()},
        "stages": [
            {"chip": chip, "layers": layers, "micro_batch_s": seconds, "memory_bytes": held}
            for chip, layers, seconds, held in zip(
                found.chips, found.layers, found.stage_s, found.memory_bytes, strict=True
            )
        ],
    }


def _faster(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return the faster of two ways to share, with the pace of the slower one beside it."""
    if not one or not other:
        return one or other
    best, rest = sorted((one, other), key=lambda x: -float(x["joint_tokens_per_s"]))
    return best | {"other_split": rest["joint_split"], "other_tokens_per_s": rest["joint_tokens_per_s"]}


def _other(first: Setting, text: str, year: int) -> Setting:
    """Return the same run on another pool "CHIP=N", with the software of its own vendor and year."""
    from suanli import catalog
    from suanli.training import era_for, site_of

    name, count = _pair("with", text, "CHIP=N")
    chip = catalog.chip(name)
    site = replace(site_of(chip), feed=first.site.feed)
    own = era_for(vendor=chip.vendor, year=year)
    return replace(first, site=site, n_chips=count, era=own, profile=None)  # layers were measured on the first chip


def quality(
    ranking: Ranking, run: Mapping[str, Any], *, rivals: Sequence[str], before: str | None, keeping: Keeping
) -> dict[str, Any]:
    """Return how good the model gets by the deadline (by its end without one), the best size for that compute, what
    other chips would make of the same time, and how it stands against an earlier model."""
    from suanli.estimates import relative_sigma
    from suanli.training import Trained, compute_optimal, loss_of

    setting = ranking.setting
    weights = weights_of(setting)
    tokens = run["tokens_by_deadline"] or run["tokens"]
    mine = Trained(weights=weights, tokens=tokens, sigma=float(relative_sigma(ranking.best.time)[0]))
    best = compute_optimal(6.0 * weights * tokens)
    value, low, high = loss_of(mine)
    days = (date.fromisoformat(run["deadline"] or run["end"][:10]) - date.fromisoformat(run["start"])).days
    return {
        "by": run["deadline"] or run["end"][:10],
        "compute_flop": best.compute,
        "weights": weights,
        "tokens": tokens,
        "loss": value,
        "loss_p10": low,
        "loss_p90": high,
        "optimal": {
            name: getattr(best, name)
            for name in (
                "weights", "weights_p10", "weights_p90", "tokens", "tokens_p10", "tokens_p90", "loss",
                "loss_p10", "loss_p90",
            )
        },
        "rivals": [_rival(setting, text, mine, days, keeping) for text in rivals],
        "before": None if before is None else _before(before, mine, run, ranking.best),
        "sources": list(best.sources),
    }  # fmt: skip


def _rival(setting: Setting, text: str, mine: Any, days: int, keeping: Keeping) -> dict[str, Any]:
    """Return what another pool makes of the same days: tokens of the same model, and the gap between the two."""
    from suanli.estimates import relative_sigma
    from suanli.training import Trained, compare, quality_gap, search

    other = _other(setting, text, keeping.year)
    best = search(other, top=1, exact=False).best
    tokens = best.tokens_per_s * float(kept(best, keeping).share[0]) * days * DAY
    theirs = Trained(weights=mine.weights, tokens=tokens, sigma=float(relative_sigma(best.time)[0]))
    stands = compare(mine, theirs)
    return {
        "chip": other.site.chip.id,
        "chips": other.n_chips,
        "tokens_per_s": best.tokens_per_s,
        "tokens": tokens,
        **_stands(stands),
        "gap_at_best_sizes": -quality_gap(6.0 * mine.weights * mine.tokens, 6.0 * mine.weights * tokens),
    }


def _before(text: str, mine: Any, run: Mapping[str, Any], best: Step) -> dict[str, Any]:
    """Return how the model stands against an earlier one, and the days that it would take to draw level."""
    from suanli import catalog
    from suanli.training import Trained, compare, setting_of

    name, _, amount = text.partition("=")
    earlier = catalog.model(name)
    tokens = parse(amount, "") if amount else earlier.training_tokens
    if not tokens:
        raise InputError(f"before '{text}': the tokens of {earlier.id} are unknown; write {earlier.id}=TOKENS")
    size = weights_of(setting_of(earlier, best.setting.site.chip, 1))
    stands = compare(mine, Trained(weights=size, tokens=float(tokens)))
    rate = run["deliveries"][-1]["tokens_per_s"]
    more = max(0.0, stands.tokens_to_match - mine.tokens) / rate / DAY
    return {
        "model": earlier.id,
        "weights": size,
        "tokens": float(tokens),
        **_stands(stands),
        "days_to_match": None if more == float("inf") else more,
    }


def _stands(found: Comparison) -> dict[str, Any]:
    match = found.tokens_to_match
    return {
        "gap": found.gap,
        "gap_p10": found.p10,
        "gap_p90": found.p90,
        "chance_behind": found.behind,
        "tokens_to_match": None if match == float("inf") else match,
    }


def _chance(best: Step, ratio: float) -> float:
    """Return the chance that ``ratio`` times the tokens asked for are made in time."""
    from math import erf, log, sqrt

    from suanli.estimates import relative_sigma

    sigma = float(relative_sigma(best.time)[0])
    return 0.5 * (1.0 + erf(log(max(ratio, 1e-9)) / (sigma * sqrt(2.0))))


def _pair(option: str, text: str, form: str) -> tuple[str, int]:
    """Return (name, count) of "NAME=N". Raises InputError for another form."""
    name, _, count = text.partition("=")
    if not name or not count.isdigit() or int(count) < 1:
        raise InputError(f"--{option} '{text}': write {form} with a whole number of chips")
    return name, int(count)


def _day(name: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{name}: '{text}' is not a date; write YYYY-MM-DD") from error


def _last_day(text: str, first: date) -> date:
    try:
        last = date.fromisoformat(text)
    except ValueError:
        last = first + timedelta(seconds=parse(text, "s"))
    if last <= first:
        raise InputError(f"deadline: {last} is not after the start {first}")
    return last
