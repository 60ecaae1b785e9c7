"""The space of strategies: every layout of a model over chips times every setting of the switches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InfeasibleError
from suanli.training._facts import Facts
from suanli.training._strategy import Strategies

Array = NDArray[np.float64]

_RECOMPUTE = ((0.0, 1.0), (1.0, 1.0), *((2.0, eighth / 8.0) for eighth in range(1, 9)))
_LARGEST_MICRO_BATCH = 16
_SHORTEST_CHUNK = 256  # tokens of a sequence that context parallelism leaves a chip at least


@dataclass(frozen=True, slots=True)
class Space:
    """Layouts along the last axis (fields of shape (n,)), each switch along an axis of its own before it.

    A formula then touches only the switches that it depends on; ``shape`` is that of all switches together.
    """

    grid: Strategies
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


def layouts(f: Facts, *, n_chips: int, batch: int, seq: int, domain: int) -> list[tuple[int, ...]]:
    """Return all (tp, pp, vpp, dp, cp, ep, micro-batch, schedule) that fill ``n_chips`` with ``batch`` sequences.

    tp divides the heads and stays within four domains; pp takes at most one stage a layer; cp halves sequences;
    ep divides the experts and the ranks that hold them.
    """
    heads, layers, experts = int(f.heads[0]), int(f.layers[0]), int(f.experts[0])
    found: list[tuple[int, ...]] = []
    for tp in (d for d in divisors(n_chips) if heads % d == 0 and d <= 4 * domain):
        for pp in (d for d in divisors(n_chips // tp) if d <= layers):
            for cp in (d for d in divisors(n_chips // tp // pp) if _chunks(seq, d)):
                dp = n_chips // (tp * pp * cp)
                if batch % dp:
                    continue
                for ep in _expert_degrees(experts, tp * dp * cp):
                    for micro in (d for d in divisors(batch // dp) if d <= _LARGEST_MICRO_BATCH):
                        for vpp, schedule in _schedules(layers, pp, batch // dp // micro):
                            found.append((tp, pp, vpp, dp, cp, ep, micro, schedule))
    return found


def _chunks(seq: int, cp: int) -> bool:
    return cp == 1 or (seq % (2 * cp) == 0 and seq // cp >= _SHORTEST_CHUNK)


def _expert_degrees(experts: int, ranks: int) -> list[int]:
    if experts < 2:
        return [1]
    return [d for d in divisors(experts) if ranks % d == 0]


def _schedules(layers: int, pp: int, n_micro: int) -> Iterator[tuple[int, int]]:
    """Yield (chunks a stage, schedule) that Megatron would accept: interleaving wants whole rounds of micro-batches."""
    yield 1, 0
    if pp == 1:
        return
    yield 1, 2
    if pp % 2 == 0 and n_micro >= 2 * pp:
        yield 1, 3
    if layers % pp == 0 and n_micro % pp == 0:
        for chunks in divisors(layers // pp)[1:]:
            yield chunks, 1


def space(f: Facts, *, n_chips: int, batch: int, seq: int, domain: int) -> Space:
    """Return every strategy of a model on ``n_chips``. Raises InfeasibleError where no degrees multiply to them."""
    found = layouts(f, n_chips=n_chips, batch=batch, seq=seq, domain=domain)
    if not found:
        raise InfeasibleError(
            f"no tp x pp x cp x dp makes {n_chips:,} chips for a batch of {batch:,} sequences: dp must divide the batch, "
            f"tp the {int(f.heads[0])} heads; try a batch that is a multiple of {n_chips // max(1, _two(n_chips))}"
        )
    tp, pp, vpp, dp, cp, ep, micro, schedule = np.ascontiguousarray(np.array(found, dtype=np.float64).T)
    switches = _switches()
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
        **switches,
    )
    shape = np.broadcast_shapes(*(a.shape[:-1] for a in switches.values()))
    return Space(grid=grid, n_layouts=len(found), shape=shape)


def _switches() -> dict[str, Array]:
    """Return each switch along its own axis, a last axis of one for layouts; a pair that depends shares an axis."""
    axes: list[dict[str, list[float]]] = [
        {"offload_activations": [0.0, 1.0]},
        {"short_moments": [0.0, 1.0]},
        {"offload": [0.0, 1.0]},
        {"sharding": [0.0, 1.0, 2.0, 3.0]},
        {"dp_overlap": [0.0, 1.0]},
        {"recompute": [r for r, _ in _RECOMPUTE], "recompute_share": [share for _, share in _RECOMPUTE]},
        {"sequence_parallel": [0.0, 1.0, 1.0], "tp_overlap": [0.0, 0.0, 1.0]},
    ]
    out = {}
    for axis, names in enumerate(axes):
        for name, values in names.items():
            shape = [1] * (len(axes) + 1)
            shape[axis] = len(values)
            out[name] = np.array(values).reshape(shape)
    return out


def _two(n: int) -> int:
    return n & -n


def valid(s: Strategies) -> NDArray[np.bool_]:
    """Return which strategies are ones of their own, over the axes that matter.

    Without tensor parallelism its two switches stay off; without data parallelism there is nothing to shard and no
    collective to overlap.
    """
    tensor = (s.tp > 1) | (s.sequence_parallel == 0)
    data = (s.dp * s.cp > 1) | ((s.sharding == 0) & (s.dp_overlap == 0))
    out: NDArray[np.bool_] = tensor & data
    return out
