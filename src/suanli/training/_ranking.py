"""What a run costs in time under its best strategies, and why each other one loses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InfeasibleError, InputError
from suanli.estimates import Estimate, lognormal
from suanli.kinds import Chip, Model
from suanli.quantities import GIB
from suanli.training._comm import Site, site_of
from suanli.training._eras import Era, era, era_for, habits
from suanli.training._evaluate import (
    Prepared,
    bits_of,
    memory_of_stage,
    memory_under,
    parts_of,
    prepare,
    step_time,
    total_memory,
)
from suanli.training._facts import Facts, facts, model_flop
from suanli.training._memory import RESERVE, Memory
from suanli.training._offers import Offers
from suanli.training._parameters import Parameters, fitted_parameters, sigma_of
from suanli.training._profile import Profile, as_measured
from suanli.training._routing import dropped_share
from suanli.training._search import Found, chosen, ranked, search_space
from suanli.training._strategy import Strategies, describe
from suanli.training._units import half_format

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A run and where it stands: what to train, in which batches, on how many chips, in which software era.

    ``profile`` holds measured times of its layers, where there are any.
    """

    model: Model
    facts: Facts
    site: Site
    n_chips: int
    seq: int
    batch: int
    precision: str
    era: Era
    profile: Profile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One strategy's step: time in s with its interval and parts, memory of its ends and of its fullest chip
    (bytes), tokens/s of all chips.

    ``mfu`` counts 6 x active weights and causal attention against the chip's dense 16-bit peak; ``dropped`` is the
    share of token-to-expert assignments beyond the experts' capacity, which it leaves out.
    """

    setting: Setting
    strategies: Strategies
    batch: int
    time: Estimate
    first: Memory
    last: Memory
    memory_bytes: float
    tokens_per_s: float
    mfu: float
    dropped: float

    @property
    def text(self) -> str:
        """The strategy in one line."""
        return describe(self.strategies)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A ranked strategy: its step, and in one line why it wins or loses."""

    rank: int
    step: Step
    fits: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The outcome of a search: ranked choices, near misses that memory rules out, what was looked at, under how many
    bytes a chip."""

    setting: Setting
    choices: tuple[Choice, ...]
    misses: tuple[Choice, ...]
    found: Found
    parameters: Parameters
    memory_limit: float

    @property
    def best(self) -> Step:
        """The step of the best strategy."""
        return self.choices[0].step


def setting_of(
    model: Model,
    chip: Chip,
    n_chips: int,
    *,
    seq_len: int | None = None,
    global_batch: int | None = None,
    precision: str | None = None,
    year: int = 2025,
    era_id: str | None = None,
    chips_per_node: int | None = None,
    scale_up: float | None = None,
    scale_out: float | None = None,
    capacity: float | None = None,
    skew: float | None = None,
) -> Setting:
    """Return a run's setting with the era's defaults: 8,192 tokens a sequence (4,096 before 2024), its usual batch.

    Bandwidths in B/s a chip, one way. ``capacity`` is the expert capacity factor (default: no token is dropped) and
    ``skew`` the coefficient of variation of the experts' loads (default: as calibrated). Raises InputError for numbers
    below 1, for formats the chip lacks and for a capacity without experts.
    """
    if n_chips < 1:
        raise InputError(f"chips: {n_chips} is below 1")
    when = era(era_id) if era_id else era_for(vendor=chip.vendor, year=year)
    usual = 8192 if year >= 2024 else 4096
    seq = seq_len if seq_len is not None else min(model.max_seq or usual, usual)
    batch = global_batch if global_batch is not None else _usual_batch(when.batch_tokens / max(seq, 1), n_chips)
    for name, value in (("seq", seq), ("batch", batch)):
        if value < 1:
            raise InputError(f"{name}: {value} is below 1")
    return Setting(
        model=model,
        facts=_routed(model, capacity, skew),
        site=site_of(chip, chips_per_node=chips_per_node, scale_up=scale_up, scale_out=scale_out),
        n_chips=n_chips,
        seq=seq,
        batch=batch,
        precision=precision or half_format(chip),
        era=when,
    )


def _routed(model: Model, capacity: float | None, skew: float | None) -> Facts:
    """Return the model's facts with its experts' capacity and skew."""
    known = facts(model)
    if capacity is None and skew is None:
        return known
    if model.experts is None:
        raise InputError(f"capacity and skew: model '{model.id}' has no experts")
    if (capacity is not None and not 0.0 < capacity < 100.0) or (skew is not None and not 0.0 <= skew < 100.0):
        raise InputError(f"capacity {capacity or 0:g} must be above 0 and skew {skew or 0:g} not below 0")
    return replace(known, capacity=np.array([capacity or 0.0]), skew=np.array([skew or 0.0]))


def _usual_batch(sequences: float, n_chips: int) -> int:
    """Return the batch nearest to ``sequences`` that many degrees divide: the odd part of ``n_chips`` times 2^k."""
    odd = n_chips // (n_chips & -n_chips)
    if odd > sequences:
        return max(1, round(sequences))
    return int(odd * 2 ** max(0, round(np.log2(sequences / odd))))


def step(setting: Setting, strategies: Strategies, *, parameters: Parameters | None = None) -> Step:
    """Return the step of one strategy. Raises InputError where degrees do not fit chips, batch, heads or layers."""
    _check(setting, strategies)
    prepared = prepare(
        setting.site,
        setting.facts,
        strategies,
        seq=np.array([float(setting.seq)]),
        batch=np.array([float(setting.batch)]),
        eras=[setting.era],
        precision=setting.precision,
    )
    p = parameters or fitted_parameters()
    return steps_of(setting, as_measured(prepared, setting.profile, p, precision=setting.precision), p)[0]


def _check(setting: Setting, s: Strategies) -> None:
    f = setting.facts
    tp, pp, dp, cp, ep = (int(a[0]) for a in (s.tp, s.pp, s.dp, s.cp, s.ep))
    if tp * pp * dp * cp != setting.n_chips:
        raise InputError(f"tp {tp} x pp {pp} x dp {dp} x cp {cp} = {tp * pp * dp * cp}, not {setting.n_chips} chips")
    micro = int(s.micro_batch[0])
    if setting.batch % (dp * micro):
        raise InputError(f"a batch of {setting.batch} sequences does not divide by dp {dp} x micro-batch {micro}")
    if int(f.heads[0]) % tp:
        raise InputError(f"tp {tp} does not divide the {int(f.heads[0])} heads of {setting.model.id}")
    if pp > int(f.layers[0]):
        raise InputError(f"pp {pp} is more than the {int(f.layers[0])} layers of {setting.model.id}")
    if cp > 1 and setting.seq % (2 * cp):
        raise InputError(f"a sequence of {setting.seq} tokens does not divide by 2 x cp {cp}")
    if ep > 1 and (f.experts[0] < 2 or int(f.experts[0]) % ep):
        raise InputError(f"ep {ep} does not divide the {int(f.experts[0])} experts of {setting.model.id}")


def steps_of(setting: Setting, prepared: Prepared, parameters: Parameters) -> list[Step]:
    """Return the step of each prepared candidate."""
    parts = parts_of(prepared, parameters)
    seconds = step_time(prepared, parameters)
    first, last = (memory_of_stage(prepared, stage) for stage in ("first", "last"))
    fullest = total_memory(prepared)
    strange = setting.model.compressed is not None
    spread = sigma_of(parameters, era_id=setting.era.id, chip=setting.site.chip, strange=strange)
    f = setting.facts
    dropped = float(dropped_share(f.capacity, float(f.skew[0]))[0])
    routed = 6.0 * f.moe_layers * (2.0 + f.gated) * f.hidden * f.moe_ffn * f.top_k
    flop = float((model_flop(f, np.array([float(setting.seq)])) - dropped * routed)[0])
    peak = setting.site.chip.peak[half_format(setting.site.chip)]
    n = seconds.shape[0]
    sources: tuple[str, ...] = (f"training parameters fitted on measured runs; era {setting.era.source}",)
    if setting.profile is not None:
        sources += (f"layers as measured: {setting.profile.source}",)
    out = []
    for i in range(n):
        estimate = lognormal(seconds[i], spread)
        batch = float(np.broadcast_to(prepared.batch, (n,))[i])
        rate = batch * setting.seq / float(seconds[i])
        chips = float(np.broadcast_to(prepared.strategies.chips, (n,))[i])
        out.append(
            Step(
                setting=setting,
                strategies=_one(prepared.strategies, i, n),
                batch=int(batch),
                time=Estimate(
                    value=estimate.value,
                    p10=estimate.p10,
                    p90=estimate.p90,
                    breakdown={k: np.broadcast_to(v, (n,))[i : i + 1] for k, v in parts.items()},
                    sources=sources,
                ),
                first=_memory_at(first, i, n),
                last=_memory_at(last, i, n),
                memory_bytes=float(np.broadcast_to(fullest, (n,))[i]),
                tokens_per_s=rate,
                mfu=rate * flop / (chips * peak),
                dropped=dropped,
            )
        )
    return out


def _one(s: Strategies, i: int, n: int) -> Strategies:
    return Strategies(**{x.name: np.broadcast_to(getattr(s, x.name), (n,))[i : i + 1] for x in fields(Strategies)})


def _memory_at(m: Memory, i: int, n: int) -> Memory:
    return Memory(**{x.name: np.broadcast_to(getattr(m, x.name), (n,))[i : i + 1] for x in fields(Memory)})


def search(
    setting: Setting,
    *,
    top: int = 5,
    pins: Mapping[str, int] | None = None,
    exact: bool = True,
    memory_limit: float | None = None,
    offers: Offers | None = None,
    parameters: Parameters | None = None,
    progress: Callable[[float], None] | None = None,
) -> Ranking:
    """Return the best strategies of the whole space, the fastest of each (tp, pp, dp, cp, ep), and near misses.

    ``offers`` bounds the switches (default: what the era offers). Raises InfeasibleError where no degrees fill the
    chips, and where the model fits nowhere: by how many GiB, at which strategy it comes nearest.
    """
    p = parameters or fitted_parameters()
    found = search_space(
        setting.site,
        setting.facts,
        n_chips=setting.n_chips,
        batch=setting.batch,
        seq=setting.seq,
        era=setting.era,
        precision=setting.precision,
        parameters=p,
        profile=setting.profile,
        memory_limit=memory_limit,
        pins=pins,
        exact=exact,
        offers=offers,
        progress=progress,
    )
    room = memory_limit if memory_limit is not None else (setting.site.chip.memory_bytes or np.inf)
    places = ranked(found, top=top)
    if not places:
        raise fits_nowhere(setting, found, room)
    index = np.array(places, dtype=np.intp)
    steps = steps_of(setting, chosen(found, index, found.switch[index]), p)
    choices = tuple(
        Choice(rank=i + 1, step=one, fits=True, reason="fastest that fits" if i == 0 else why(one, steps[0]))
        for i, one in enumerate(steps)
    )
    return Ranking(
        setting=setting,
        choices=choices,
        misses=_misses(setting, found, p, steps[0], room),
        found=found,
        parameters=p,
        memory_limit=room,
    )


def why(loser: Step, winner: Step, *, parts: int = 2) -> str:
    """Return in one line where ``loser`` spends more time than ``winner``: "bubble +11 %, dp +4 %"."""
    scale = float(winner.time.value[0]) / winner.batch
    more = {
        name: (float(value[0]) / loser.batch - float(winner.time.breakdown[name][0]) / winner.batch) / scale
        for name, value in loser.time.breakdown.items()
    }
    largest = sorted(more.items(), key=lambda item: -item[1])[:parts]
    said = [f"{name} +{100 * share:.1f} %" for name, share in largest if share > 0.0005]
    slower = (float(loser.time.value[0]) / loser.batch) / scale - 1.0
    return f"{100 * slower:.1f} % slower: " + (", ".join(said) if said else "in many small parts")


def _misses(setting: Setting, found: Found, p: Parameters, best: Step, room: float) -> tuple[Choice, ...]:
    """Return up to three layouts that would be faster than the best but fit under no setting of the switches."""
    over = np.flatnonzero(found.least > room)
    if not over.size:
        return ()
    prepared = chosen(found, over, found.least_switch[over])
    pace = step_time(prepared, p) / prepared.batch
    order = over[np.argsort(pace, kind="stable")]
    faster = order[np.sort(pace) < float(best.time.value[0]) / best.batch][:3]
    if not faster.size:
        return ()
    steps = steps_of(setting, chosen(found, faster, found.least_switch[faster]), p)
    return tuple(
        Choice(rank=0, step=one, fits=False, reason=f"{(one.memory_bytes - room) / GIB:.1f} GiB over memory at least")
        for one in steps
    )


def fits_nowhere(setting: Setting, found: Found, room: float) -> InfeasibleError:
    """Return the error that says which strategy comes nearest to fitting, and by how much it misses."""
    nearest = int(np.argmin(found.least))
    prepared = chosen(found, np.array([nearest]), found.least_switch[nearest : nearest + 1])
    need = float(total_memory(prepared)[0])
    return InfeasibleError(
        f"{setting.model.id} fits nowhere on {setting.n_chips:,} x {setting.site.chip.id}: the nearest, "
        f"{describe(prepared.strategies)}, needs {need / GIB:.1f} GiB, {(need - room) / GIB:.1f} GiB over the "
        f"{room / GIB:.1f} GiB of a chip ({RESERVE / GIB:.1f} GiB of it reserved); use more chips or a smaller batch"
    )


def memory_by_stage(one: Step) -> Array:
    """Return the bytes on a chip of every stage of a step's pipeline, in order."""
    pp = int(one.strategies.pp[0])
    ends = np.array([float(one.first.total[0]), float(one.last.total[0])])
    if pp < 3:
        return ends[:pp]
    where = one.setting
    between = memory_under(
        where.facts,
        one.strategies,
        habits([where.era], family=where.site.chip.family),
        stage="middle",
        place=np.arange(1.0, pp - 1.0),
        seq=np.array([float(where.seq)]),
        batch=np.array([float(one.batch)]),
        bits8=1.0 if bits_of(where.site, where.precision) < 16 else 0.0,
    ).total
    return np.concatenate([ends[:1], np.broadcast_to(between, (pp - 2,)), ends[1:]])


def memory_table(one: Step) -> dict[str, dict[str, float]]:
    """Return bytes by part of the first and the last stage of a step."""
    return {
        stage: {x.name: float(getattr(m, x.name)[0]) for x in fields(Memory)} | {"total": float(m.total[0])}
        for stage, m in (("first", one.first), ("last", one.last))
    }
