"""The space of strategies: every layout of a model over chips times every setting of the switches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain
from math import gcd
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InfeasibleError
from suanli.training._facts import Facts
from suanli.training._offers import EVERYTHING, Offers
from suanli.training._strategy import CONTEXT, SCHEDULES, SHARDING, Strategies

Array = NDArray[np.float64]

_RECOMPUTE = ((0.0, 1.0), (1.0, 1.0), *((2.0, eighth / 8.0) for eighth in range(1, 9)))
_LARGEST_MICRO_BATCH = 16
_SHORTEST_CHUNK = 256  # tokens of a sequence that context parallelism leaves a chip at least


class Layout(NamedTuple):
    """Degrees, micro-batch (sequences), schedule and context exchange (indices into SCHEDULES and CONTEXT),
    replicas of hybrid sharding and global batch of one layout."""

    tp: int
    pp: int
    vpp: int
    dp: int
    cp: int
    ep: int
    micro_batch: int
    schedule: int
    context: int
    replicas: int
    batch: int

    @property
    def chips(self) -> int:
        """Chips that the layout occupies."""
        return self.tp * self.pp * self.dp * self.cp


@dataclass(frozen=True, slots=True)
class Space:
    """Layouts along the last axis (fields of shape (n,)), each switch along an axis of its own before it.

    A formula then touches only the switches that it depends on; ``shape`` is that of all switches together.
    ``batch`` is each layout's global batch in sequences.
    """

    grid: Strategies
    batch: Array
    n_layouts: int
    shape: tuple[int, ...]

    @property
    def n_switches(self) -> int:
        """Settings of the switches a layout."""
        return int(np.prod(self.shape))

    @property
    def size(self) -> int:
        """Strategies enumerated: those that ``valid`` counts."""
        return int(np.broadcast_to(valid(self.grid), (*self.shape, self.n_layouts)).sum())


def divisors(n: int) -> list[int]:
    """Return the divisors of ``n`` in rising order."""
    small = [d for d in range(1, int(n**0.5) + 1) if n % d == 0]
    return small + [n // d for d in reversed(small) if d * d != n]


def layouts(
    f: Facts,
    *,
    n_chips: int,
    batch: int,
    seq: int,
    domain: int,
    pins: Mapping[str, int] | None = None,
    exact: bool = True,
    schedules: Sequence[str] = SCHEDULES,
    offers: Offers = EVERYTHING,
) -> list[Layout]:
    """Return every layout of ``batch`` sequences over ``n_chips``; ``pins`` fixes degrees by name, ``schedules`` names
    the pipelines to consider and ``offers`` the exchanges of context.

    tp divides the heads and stays within four domains; pp takes at most one stage a layer; cp halves sequences;
    ep divides the experts and the ranks that hold them. Not ``exact``: as many of the chips are used as degrees in
    whole numbers can (nine tenths at least, where possible), and the batch is rounded to what data parallelism divides.
    """
    held = dict(pins or {})
    offered = frozenset({held["schedule"]} if "schedule" in held else {SCHEDULES.index(name) for name in schedules})
    pipelines = partial(_pipelines, int(f.layers[0]), offered, held.get("micro_batch"), held.get("vpp"))
    experts = _divisors_of_experts(int(f.experts[0]))
    found: list[list[Layout]] = []
    for tp, pp, cp in _model_degrees(f, n_chips=n_chips, seq=seq, domain=domain, pins=held, exact=exact, offers=offers):
        contexts = [c for c in _contexts(f, tp, cp, offers) if c == held.get("context", c) or cp == 1]
        for ep in _pinned(experts, held.get("ep"), experts):
            dp = _data_degree(n_chips // (tp * pp * cp), tp * cp, ep, batch)
            if dp < 1 or (exact and (dp * tp * pp * cp != n_chips or batch % dp)) or dp != held.get("dp", dp):
                continue
            share = batch // dp if exact else max(1, round(batch / dp))
            copies = _replicas(tp, dp * cp, ep, domain, offers)
            some = [
                Layout(tp, pp, vpp, dp, cp, ep, micro, schedule, context, replicas, share * dp)
                for micro, vpp, schedule in pipelines(pp, share)
                for context in contexts
                for replicas in copies
            ]
            found += [some] if some else []
    most = max((some[0].chips for some in found), default=0)
    enough = min(most, 0.9 * n_chips)
    return [x for some in found if some[0].chips >= enough for x in some]


def _model_degrees(
    f: Facts, *, n_chips: int, seq: int, domain: int, pins: Mapping[str, int], exact: bool, offers: Offers
) -> Iterator[tuple[int, int, int]]:
    """Yield (tp, pp, cp) that the model and the chips admit."""
    heads, layers = int(f.heads[0]), int(f.layers[0])
    for tp in _pinned([d for d in divisors(heads) if d <= min(n_chips, 4 * domain)], pins.get("tp"), divisors(heads)):
        stages = divisors(n_chips) if exact else sorted({*divisors(layers), *(2**i for i in range(9))})
        for pp in _pinned([d for d in stages if d <= min(layers, n_chips // tp)], pins.get("pp"), range(1, layers + 1)):
            for cp in _pinned([2**i for i in range(11)], pins.get("cp")):
                if not _chunks(seq, cp) or (cp > 1 and not offers.contexts):
                    continue
                if tp * pp * cp <= n_chips:
                    yield tp, pp, cp


def _pinned(options: list[int], pin: int | None, possible: Sequence[int] | None = None) -> list[int]:
    """Return ``options``, or the one that is fixed if it is ``possible`` at all."""
    if pin is None:
        return options
    return [pin] if possible is None or pin in possible else []


def _data_degree(ranks: int, inner: int, ep: int, batch: int) -> int:
    """Return the data-parallel degree: all ``ranks``, no more than sequences, rounded so that ep divides dp x inner."""
    unit = ep // gcd(ep, inner)
    return min(ranks, batch) // unit * unit


def _chunks(seq: int, cp: int) -> bool:
    return cp == 1 or (seq % (2 * cp) == 0 and seq // cp >= _SHORTEST_CHUNK)


def _contexts(f: Facts, tp: int, cp: int, offers: Offers) -> list[int]:
    """Return the exchanges that a layout may use: heads are exchanged where every rank keeps whole ones."""
    if cp == 1:
        return [0]
    whole = int(f.heads[0]) % (tp * cp) == 0 and int(f.kv_heads[0]) % (tp * cp) == 0
    return [CONTEXT.index(name) for name in offers.contexts if name != "ulysses" or whole]


def _replicas(tp: int, ranks: int, ep: int, domain: int, offers: Offers) -> list[int]:
    """Return 1 and, where it can be, the replicas of hybrid sharding that keep each shard group in a domain."""
    group = max(1, domain // tp)
    hybrid = offers.hybrid and 1 < group < ranks and ranks % group == 0 and group * tp >= ep
    return [1, ranks // group] if hybrid else [1]


def _divisors_of_experts(experts: int) -> list[int]:
    return divisors(experts) if experts > 1 else [1]


@lru_cache(maxsize=65536)
def _pipelines(
    layers: int, offered: frozenset[int], micro_batch: int | None, chunks: int | None, pp: int, share: int
) -> tuple[tuple[int, int, int], ...]:
    """Return (micro-batch, chunks a stage, schedule) of ``share`` sequences of a rank in ``pp`` stages.

    ``micro_batch`` and ``chunks`` fix those where given; a single stage has no schedule that could be ruled out.
    """
    sizes = _pinned([d for d in divisors(share) if d <= _LARGEST_MICRO_BATCH], micro_batch)
    return tuple(
        (micro, vpp, schedule)
        for micro in sizes
        if share % micro == 0
        for vpp, schedule in _schedules(layers, pp, share // micro)
        if vpp == (chunks or vpp) and (schedule in offered or pp == 1)
    )


def _schedules(layers: int, pp: int, n_micro: int) -> Iterator[tuple[int, int]]:
    """Yield (chunks a stage, schedule) that Megatron would accept.

    Interleaving wants whole rounds of micro-batches, and layers that divide, by themselves or with the embedding and
    the head counted as one each (Llama 3's 126 layers on 16 stages).
    """
    yield 1, 0
    if pp == 1:
        return
    yield 1, 2
    if pp % 2 == 0 and n_micro >= 2 * pp:
        yield 1, 3
    slots = next((n for n in (layers, layers + 2) if n % pp == 0), 0)
    if slots and n_micro % pp == 0:
        for chunks in divisors(slots // pp)[1:]:
            yield chunks, 1


def space(
    f: Facts,
    *,
    n_chips: int,
    batch: int,
    seq: int,
    domain: int,
    pins: Mapping[str, int] | None = None,
    exact: bool = True,
    schedules: Sequence[str] = SCHEDULES,
    offers: Offers = EVERYTHING,
) -> Space:
    """Return every strategy of a model on ``n_chips`` that ``offers`` allows.

    Raises InfeasibleError where no degrees multiply to the chips.
    """
    found = layouts(
        f,
        n_chips=n_chips,
        batch=batch,
        seq=seq,
        domain=domain,
        pins=pins,
        exact=exact,
        schedules=schedules,
        offers=offers,
    )
    if not found:
        raise InfeasibleError(why_none(f, n_chips=n_chips, batch=batch, seq=seq, pins=pins or {}, offers=offers))
    return space_of(found, offers, pins)


def why_none(f: Facts, *, n_chips: int, batch: int, seq: int, pins: Mapping[str, int], offers: Offers) -> str:
    """Return in one line which degree rules every layout out, or the rules that degrees must keep together."""
    degrees = {name: pins.get(name, 1) for name in ("tp", "pp", "dp", "cp", "ep")}
    tp, pp, dp, cp, ep = degrees.values()
    product, experts = tp * pp * dp * cp, int(f.experts[0])
    fixed = ", ".join(f"{k} {v}" for k, v in pins.items() if k in {*degrees, "vpp", "micro_batch"})
    said = " x ".join(f"{k} {v}" for k, v in degrees.items() if k in pins and k != "ep")
    reasons = (
        (int(f.heads[0]) % tp > 0, f"tp {tp} does not divide the {int(f.heads[0])} heads"),
        (pp > int(f.layers[0]), f"pp {pp} is more than the {int(f.layers[0])} layers"),
        (cp > 1 and not offers.contexts, f"cp {cp}: this era has no context parallelism; name another with --era"),
        (seq % (2 * cp) > 0 and cp > 1, f"a sequence of {seq:,} tokens does not divide by 2 x cp {cp}"),
        (ep > 1 and (experts < 2 or experts % ep > 0), f"ep {ep} does not divide the {experts} experts"),
        (n_chips % product > 0, f"{said} = {product:,} does not divide {n_chips:,} chips"),
        (batch % dp > 0, f"dp {dp} does not divide the batch of {batch:,} sequences"),
    )
    begun = f"no tp x pp x cp x dp makes {n_chips:,} chips for a batch of {batch:,} sequences of {seq:,} tokens"
    found = next((text for broken, text in reasons if broken), None)
    rules = f"dp must divide the batch, tp the {int(f.heads[0])} heads, and pp is at most {int(f.layers[0])} layers"
    return begun + (f" with {fixed}" if fixed else "") + ": " + (found or rules)


def space_of(found: Sequence[Layout], offers: Offers = EVERYTHING, pins: Mapping[str, int] | None = None) -> Space:
    """Return the strategies of layouts under every setting of the switches that ``offers`` allows and ``pins`` leave.

    ``pins`` fixes "sharding" and "recompute" by their indices.
    """
    width = len(Layout._fields)
    table = np.fromiter(chain.from_iterable(found), dtype=np.float64, count=width * len(found))
    columns = np.ascontiguousarray(table.reshape(-1, width).T)
    tp, pp, vpp, dp, cp, ep, micro, schedule, context, replicas, batch = columns
    switches = _switches(offers, pins or {})
    grid = Strategies(
        tp=tp,
        pp=pp,
        vpp=vpp,
        dp=dp,
        cp=cp,
        ep=ep,
        etp=np.where(ep > 1, 1.0, tp),
        micro_batch=micro,
        schedule=schedule,
        context=context,
        replicas=replicas,
        **switches,
    )
    shape = np.broadcast_shapes(*(a.shape[:-1] for a in switches.values()))
    return Space(grid=grid, batch=batch, n_layouts=len(found), shape=shape)


def _switches(offers: Offers, pins: Mapping[str, int]) -> dict[str, Array]:
    """Return each switch along its own axis, a last axis of one for layouts; a pair that depends shares an axis."""

    def both(has: bool) -> list[float]:
        return [0.0, 1.0] if has else [0.0]

    sharding = [float(i) for i, name in enumerate(SHARDING) if name in offers.sharding or name == "none"]
    sharding = [float(pins["sharding"])] if "sharding" in pins else sharding
    again = [(r, share) for r, share in _RECOMPUTE if r == pins.get("recompute", r)]
    overlap = 3 if offers.tp_overlap else 2
    axes: list[dict[str, list[float]]] = [
        {"offload_activations": both(offers.activation_offload)},
        {"short_moments": both(offers.short_moments)},
        {"offload": both(offers.optimizer_offload)},
        {"sharding": sharding},
        {"dp_overlap": [0.0, 1.0]},
        {"recompute": [r for r, _ in again], "recompute_share": [share for _, share in again]},
        {"sequence_parallel": [0.0, 1.0, 1.0][:overlap], "tp_overlap": [0.0, 0.0, 1.0][:overlap]},
    ]
    out = {}
    for axis, names in enumerate(axes):
        for name, values in names.items():
            shape = [1] * (len(axes) + 1)
            shape[axis] = len(values)
            out[name] = np.array(values).reshape(shape)
    return out


def valid(s: Strategies) -> NDArray[np.bool_]:
    """Return which strategies are ones of their own, over the axes that matter.

    Without tensor parallelism its two switches stay off; without data parallelism there is nothing to shard and no
    collective to overlap; hybrid sharding shares something.
    """
    tensor = (s.tp > 1) | (s.sequence_parallel == 0)
    data = (s.dp * s.cp > 1) | ((s.sharding == s.sharding.min()) & (s.dp_overlap == 0))
    out: NDArray[np.bool_] = tensor & data & ((s.replicas == 1) | (s.sharding > 0))
    return out
