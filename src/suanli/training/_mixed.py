"""Two kinds of chips in one pipeline: how many layers each stage takes, and the step that follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import groupby
from math import gcd

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InfeasibleError, InputError
from suanli.estimates import Estimate, lognormal
from suanli.quantities import GIB
from suanli.training._evaluate import parts_of
from suanli.training._facts import model_flop
from suanli.training._mixed_memory import Room, room_of
from suanli.training._offers import Offers, offers_of
from suanli.training._parameters import Parameters, fitted_parameters, sigma_of
from suanli.training._profile import as_measured
from suanli.training._ranking import Setting
from suanli.training._search import prepare_grid
from suanli.training._space import Space, layouts, space_of, valid
from suanli.training._strategy import Strategies, describe
from suanli.training._units import half_format

Array = NDArray[np.float64]

_LAYER = ("products", "attention", "element-wise", "recompute", "launch", "tp", "cp", "ep")
_HALVINGS = 30  # of the interval in which the slowest stage's time lies
_MOST = 64  # widths of a stage that are looked at, the widest pipelines first


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixed:
    """A step of one pipeline over two kinds of chips.

    ``chips``, ``layers``, ``stage_s`` (seconds a micro-batch) and ``memory_bytes`` (of a chip) are those of each stage
    in order; ``time`` is the step in s with its interval and parts; ``mfu`` counts both kinds' peaks.
    """

    strategies: Strategies
    chips: tuple[str, ...]
    layers: tuple[int, ...]
    stage_s: tuple[float, ...]
    memory_bytes: tuple[float, ...]
    time: Estimate
    tokens_per_s: float
    mfu: float

    @property
    def text(self) -> str:
        """The strategy and its stages in one line: "tp8 pp6 dp4 ...; h100-sxm 4 x 18 layers, h20 2 x 4 layers"."""
        runs = [(*key, len(list(same))) for key, same in groupby(zip(self.chips, self.layers, strict=True))]
        stages = ", ".join(f"{chip} {n} x {layers} layers" for chip, layers, n in runs)
        return f"{describe(self.strategies)}; {stages}"


@dataclass(frozen=True, slots=True)
class _Side:
    """One kind of chips under every candidate: seconds a layer and micro-batch, at the head, of a crossing, of
    data-parallel sums and of the optimizer for a mean stage, the factor of stragglers; and the memory of its stages."""

    layer: Array
    head: Array
    crossing: Array
    sums: Array
    optimizer: Array
    straggler: Array
    room: Room


def mixed(first: Setting, second: Setting, *, link: float | None = None, parameters: Parameters | None = None) -> Mixed:
    """Return the fastest pipeline whose stages lie on ``first``'s chips or on ``second``'s, either kind in front.

    Every stage has as many chips, laid out alike; layers go to stages so that the slowest is as fast as whole layers
    and memory allow (1F1B). Kinds meet over ``link`` B/s a chip (default: the slower network). Raises InputError for
    settings of different runs and InfeasibleError where nothing fits.
    """
    if (first.model, first.batch, first.seq) != (second.model, second.batch, second.seq):
        raise InputError("the two kinds of chips must train the same model, batch and sequence")
    p = parameters or fitted_parameters()
    best: Mixed | None = None
    short = np.inf
    for width in _widths(first, second):
        of = _candidates(first, second, width)
        if of is None:
            continue
        sides = {id(one): _side(one, of, p) for one in (first, second)}
        for kinds in ((first, second), (second, first)):
            found, over = _best_of_width(kinds, [sides[id(one)] for one in kinds], of, width, link=link, p=p)
            short = min(short, over)
            if found is not None and (best is None or found.tokens_per_s > best.tokens_per_s):
                best = found
    if best is None:
        reason = "no width of stages divides both" if np.isinf(short) else f"{short / GIB:.1f} GiB over memory at least"
        raise InfeasibleError(
            f"{first.model.id} fits no pipeline of {first.n_chips:,} x {first.site.chip.id} and {second.n_chips:,} x "
            f"{second.site.chip.id}: {reason}"
        )
    return best


def _widths(first: Setting, second: Setting) -> list[int]:
    """Return chips a stage: common divisors that leave every stage a layer."""
    common = gcd(first.n_chips, second.n_chips)
    layers = int(first.facts.layers[0])
    total = first.n_chips + second.n_chips
    return [w for w in range(1, common + 1) if common % w == 0 and total // w <= layers][:_MOST]


def _best_of_width(
    kinds: Sequence[Setting], sides: Sequence[_Side], of: Space, width: int, *, link: float | None, p: Parameters
) -> tuple[Mixed | None, float]:
    """Return the best pipeline of stages of ``width`` chips; where none fits, the bytes that the nearest lacks."""
    front, back = kinds
    before, after = front.n_chips // width, back.n_chips // width
    shape = np.broadcast_shapes(*(a.shape for side in sides for a in (side.layer, side.head, side.sums)))
    n_micro = np.broadcast_to(of.batch / (of.grid.dp * of.grid.micro_batch), shape).ravel()
    kind = np.repeat([0, 1], [before, after])

    def by_stage(name: str) -> Array:
        both = [np.broadcast_to(getattr(side, name), shape).ravel() for side in sides]
        return np.stack([both[k] for k in kind], axis=1)

    pace = by_stage("layer")
    extra = np.zeros_like(pace)
    extra[:, -1] = by_stage("head")[:, -1]
    place = np.arange(kind.size, dtype=np.float64)
    most, ends, per_layer = _capacities([side.room for side in sides], kind, place, n_micro, shape)
    fine = np.broadcast_to(valid(of.grid), shape).ravel()
    total = float(front.facts.layers[0])
    fits = fine & (most.sum(axis=1) >= total) & (most >= 1.0).all(axis=1)
    if not fits.any():
        limit = np.array([side.room.limit for side in sides])[kind]
        lack = (ends + per_layer * (total / kind.size) - limit).max(axis=1)
        return None, float(np.min(np.where(fine, lack, np.inf)))
    layers = _divide(pace, extra, most, total)
    crossing = _crossing(sides, shape, kinds, link)
    step = _step_parts(pace, extra, layers, n_micro, crossing, by_stage, sides, shape, float(kind.size) / total)
    seconds = np.where(fits, sum(step.values()), np.inf)
    at = int(np.argmin(seconds))
    one = _picked(of, shape, at)
    return _mixed_of(
        front,
        back,
        one,
        kind=kind,
        layers=layers[at],
        stage=(layers * pace + extra)[at],
        held=(ends + per_layer * layers)[at],
        parts={name: value[at : at + 1] for name, value in step.items()},
        p=p,
    ), np.inf


def _candidates(front: Setting, back: Setting, width: int) -> Space | None:
    """Return the layouts of one stage's chips that both kinds admit, as stages of one pipeline, and their switches."""
    pp = (front.n_chips + back.n_chips) // width
    both = [offers_of(s.era.id) for s in (front, back)]
    offers = Offers(
        sharding=tuple(x for x in ("none", "zero1") if all(x in o.sharding for o in both)),
        contexts=tuple(x for x in both[0].contexts if x in both[1].contexts),
        hybrid=False,
        optimizer_offload=False,
        activation_offload=False,
        short_moments=False,
        tp_overlap=all(o.tp_overlap for o in both),
    )
    found = layouts(
        front.facts,
        n_chips=pp * width,
        batch=front.batch,
        seq=front.seq,
        domain=min(front.site.domain, back.site.domain),
        pins={"pp": pp, "vpp": 1},
        schedules=("1f1b",),
        offers=offers,
    )
    found = [x for x in found if x.schedule == 0]
    return space_of(found, offers) if found else None


def _side(setting: Setting, of: Space, p: Parameters) -> _Side:
    """Return what one kind's chips make of every candidate, from the step that they would take by themselves."""
    prepared = prepare_grid(
        setting.site, setting.facts, of, seq=setting.seq, era=setting.era, precision=setting.precision
    )
    parts = parts_of(as_measured(prepared, setting.profile, p, precision=setting.precision), p)
    s = of.grid
    n_micro = of.batch / (s.dp * s.micro_batch)
    busy = sum((parts[name] for name in parts if name not in {"straggler", "optimizer", "data"}), np.zeros(1))
    return _Side(
        layer=sum((parts[name] for name in _LAYER), np.zeros(1)) / (n_micro * setting.facts.layers / s.pp),
        head=parts["head"] * s.pp / n_micro,
        crossing=parts["pp"] / n_micro,
        sums=parts["dp"],
        optimizer=parts["optimizer"],
        straggler=1.0 + parts["straggler"] / busy,
        room=room_of(prepared),
    )


def _capacities(
    rooms: Sequence[Room], kind: NDArray[np.int64], place: Array, n_micro: Array, shape: tuple[int, ...]
) -> tuple[Array, Array, Array]:
    """Return (most layers, bytes beside the layers, bytes a layer) of each candidate's stages.

    The stage at ``place`` i of p holds min(p - i, micro-batches) micro-batches' activations (1F1B).
    """
    flat = [
        {x.name: np.broadcast_to(getattr(r, x.name), shape).ravel() for x in fields(Room) if x.name != "limit"}
        for r in rooms
    ]

    def column(name: str) -> Array:
        return np.stack([flat[k][name] for k in kind], axis=1)

    limit = np.array([r.limit for r in rooms])[kind]
    held = np.minimum(place.size - place[None, :], n_micro[:, None])
    per_layer = column("state") + held * column("kept")
    ends = column("fixed").copy()
    ends[:, 0] += column("first")[:, 0]
    ends[:, -1] += column("last")[:, -1]
    return np.maximum(0.0, np.floor((limit - ends) / per_layer)), ends, per_layer


def _divide(pace: Array, extra: Array, most: Array, total: float) -> Array:
    """Return whole layers of each stage (candidate, stage) so that the slowest stage is as fast as can be.

    Within T seconds a stage takes floor((T - extra) / pace) layers, at least one and no more than memory holds; the
    least T whose stages take ``total`` is found by halving; what they take too many leaves the slowest ones.
    """

    def within(limit: Array) -> Array:
        return np.clip(np.floor((limit[:, None] - extra) / pace + 1e-9), 1.0, np.maximum(most, 1.0))

    low, high = np.zeros(pace.shape[0]), (extra + pace * total).max(axis=1)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        enough = within(middle).sum(axis=1) >= total
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    layers = within(high)
    spare = layers.sum(axis=1) - total
    rows = np.arange(pace.shape[0])
    while np.any(spare > 0):
        slowest = np.argmax(np.where(layers > 1, layers * pace + extra, -np.inf), axis=1)
        layers[rows, slowest] -= np.where(spare > 0, 1.0, 0.0)
        spare = spare - np.where(spare > 0, 1.0, 0.0)
    return layers


def _crossing(sides: Sequence[_Side], shape: tuple[int, ...], kinds: Sequence[Setting], link: float | None) -> Array:
    """Return the exposed seconds a micro-batch of the slowest crossing: within either kind, or between them."""
    own = np.stack([np.broadcast_to(side.crossing, shape).ravel() for side in sides])
    if link is None:
        return np.asarray(own.max(axis=0))
    rates = [min(x.site.outer.bandwidth, x.site.inner.bandwidth) for x in kinds]
    slow = int(np.argmin(rates))
    return np.asarray(np.maximum(own.max(axis=0), own[slow] * max(1.0, rates[slow] / link)))


def _step_parts(
    pace: Array,
    extra: Array,
    layers: Array,
    n_micro: Array,
    crossing: Array,
    by_stage: Callable[[str], Array],
    sides: Sequence[_Side],
    shape: tuple[int, ...],
    share: float,
) -> dict[str, Array]:
    """Return the parts of the step: (m - 1) times the slowest stage and once all of them, as under plain 1F1B."""
    stage = layers * pace + extra
    worst, whole = stage.max(axis=1), stage.sum(axis=1)
    p = pace.shape[1]
    parts = {
        "stages": n_micro * whole / p,
        "imbalance": n_micro * (worst - whole / p),
        "bubble": whole - worst + (p - 1.0) * crossing,
        "pp": n_micro * crossing,
        "dp": (by_stage("sums") * layers * share).max(axis=1),
    }
    slower = np.maximum(*(np.broadcast_to(side.straggler, shape) for side in sides)).ravel()
    parts["straggler"] = sum(parts.values()) * (slower - 1.0)
    parts["optimizer"] = (by_stage("optimizer") * np.maximum(1.0, layers * share)).max(axis=1)
    return parts


def _picked(of: Space, shape: tuple[int, ...], at: int) -> Strategies:
    """Return the strategy at a flat index of the candidates."""
    index = np.unravel_index(at, shape)

    def one(a: Array) -> Array:
        wide = np.broadcast_to(a, shape)
        return np.array([float(wide[index])])

    return Strategies(**{x.name: one(getattr(of.grid, x.name)) for x in fields(Strategies)})


def _mixed_of(
    front: Setting,
    back: Setting,
    one: Strategies,
    *,
    kind: NDArray[np.int64],
    layers: Array,
    stage: Array,
    held: Array,
    parts: Mapping[str, Array],
    p: Parameters,
) -> Mixed:
    """Return a chosen pipeline with its interval: wider than either kind's own, since no fitted run mixed any."""
    settings = (front, back)
    seconds = float(sum(value[0] for value in parts.values()))
    own = max(sigma_of(p, era_id=s.era.id, chip=s.site.chip) for s in settings)
    unlike = 0.0 if front.site.chip == back.site.chip else p.spread.get("unseen", p.spread["base"])
    estimate = lognormal(np.array([seconds]), float(np.hypot(own, unlike)))
    rate = front.batch * front.seq / seconds
    flop = float(model_flop(front.facts, np.array([float(front.seq)]))[0])
    peak = sum(s.n_chips * s.site.chip.peak[half_format(s.site.chip)] for s in settings)
    return Mixed(
        strategies=one,
        chips=tuple(settings[k].site.chip.id for k in kind),
        layers=tuple(int(x) for x in layers),
        stage_s=tuple(float(x) for x in stage),
        memory_bytes=tuple(float(x) for x in held),
        time=replace(estimate, breakdown=dict(parts), sources=tuple(f"era {s.era.source}" for s in settings)),
        tokens_per_s=rate,
        mfu=rate * flop / peak,
    )
