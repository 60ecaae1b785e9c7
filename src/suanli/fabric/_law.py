"""The time of one collective on one tier: start-up plus bytes over bandwidth, in the fastest algorithm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from suanli.fabric._parameters import Law
from suanli.kinds import Tier

Array = NDArray[np.float64]

KINDS: tuple[str, ...] = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast", "p2p")

_TREE = 5.0  # steps of a double binary tree a level, up and down (Sanders, Speck, Träff 2009, as NCCL runs it)


def wire_share(kind: str, n: float) -> float:
    """Return the bytes that each chip sends, as a share of the buffer: the bandwidth-optimal algorithms' figures.

    The buffer is what NCCL counts: all-gather and reduce-scatter the whole of n parts, all-to-all all that one chip
    holds (Chan et al. 2007, Collective communication: theory, practice and experience).
    """
    part = (n - 1.0) / n
    return {"all_reduce": 2.0 * part, "broadcast": 1.0, "p2p": 1.0}.get(kind, part)


def steps(kind: str, n: float) -> float:
    """Return how many hops follow each other: a ring, or a tree where that is shorter."""
    if kind == "p2p":
        return 1.0
    ring = 2.0 * (n - 1.0) if kind == "all_reduce" else n - 1.0
    tree = _TREE * np.log2(n) * (1.0 if kind == "all_reduce" else 0.5)
    return float(min(ring, tree)) if n > 8 else ring


def usable(tier: Tier, n: float, law: Law) -> float:
    """Return the B/s that each of ``n`` chips can send into ``tier``, before efficiency.

    A full mesh gives n - 1 of its links, a shared host bridge less the more chips press on it; an oversubscribed tier
    its share.
    """
    rate = tier.bandwidth / tier.oversubscription
    if tier.links:
        rate *= min(1.0, (n - 1.0) / tier.links)
    elif hosted(tier):
        rate *= (n / 2.0) ** -law.crowding
    return rate


def hosted(tier: Tier) -> bool:
    """Return whether the chips of ``tier`` meet over the bridges of their host."""
    return not tier.switched and not tier.links and not tier.dimensions


def detour(tier: Tier, kind: str, n: float) -> float:
    """Return how many links a byte crosses: in a torus of side k and d dimensions an all-to-all's go d k / 4 hops."""
    if tier.dimensions and kind == "all_to_all":
        return float(max(1.0, tier.dimensions * n ** (1.0 / tier.dimensions) / 4.0))
    return 1.0


def tier_time(
    tier: Tier, law: Law, kind: str, message: Array, n: float, *, share: float = 1.0, peers: float | None = None
) -> tuple[Array | float, Array]:
    """Return (start-up, transfer) in the fastest algorithm, whose sum is the time, for ``message`` bytes.

    ``share`` multiplies the bandwidth a chip has: groups below that send one copy for all their members. ``peers`` is
    how many destinations an all-to-all serves one by one, None for the n - 1 others.
    """
    rate = usable(tier, n, law) * share
    wire = wire_share(kind, n) * detour(tier, kind, n) * message
    if kind == "p2p":
        sent = wire / (law.pair_rate * rate)
        return np.hypot(law.pair_base, sent) - sent, sent  # the start overlaps with the first chunks on the wire
    copied = wire + law.own / n * message
    if kind == "all_to_all":
        first = law.exchange_base + law.exchange_step * (n - 1.0 if peers is None else peers)
        later = first + law.exchange_fill / tier.bandwidth
        return _faster((first, wire / (law.exchange_low * rate)), (later, copied / (law.exchange_rate * rate)))
    hop = max(law.step, tier.latency_s)
    first = law.base + hop * steps(kind, n)
    best = _faster(
        (first, wire / (law.low_rate * rate)), (first + law.fill / tier.bandwidth, copied / (law.rate * rate))
    )
    if law.line_rate > 0.0:
        line = law.base + law.line_base + max(law.line_step, tier.latency_s) * steps(kind, n)
        best = _faster(best, (line, copied / (law.line_rate * rate)))
    if kind == "all_reduce" and tier.in_network_reduction and n > 2:
        through = (1.0 + 1.0 / n) / (law.reduce_rate * rate) * message
        best = _faster(best, (law.base + 2.0 * hop + law.reduce_fill / tier.bandwidth, through))
    return best


def _faster(one: tuple[Array | float, Array], other: tuple[Array | float, Array]) -> tuple[Array, Array]:
    better = one[0] + one[1] <= other[0] + other[1]
    return np.where(better, one[0], other[0]), np.where(better, one[1], other[1])


def kernel_time(tier: Tier, law: Law, message: Array, n: float) -> Array:
    """Return seconds of an all-reduce in a serving framework's own kernel: one shot or two, the faster.

    Messages beyond the kernels' limit fall back to the library, and so do more than two cards on a host's bridges:
    the kernels read each other's memory, which bridges do not carry well (vLLM, custom_all_reduce.py: "not supported on
    more than two PCIe-only GPUs").
    """
    if n > 2 and hosted(tier):
        return np.add(*tier_time(tier, law, "all_reduce", message, n))
    rate = usable(tier, n, law)
    once = law.once_base + (n - 1.0) * message / (law.once_rate * rate)
    twice = law.twice_base + 2.0 * (n - 1.0) / n * message / (law.twice_rate * rate)
    library = np.add(*tier_time(tier, law, "all_reduce", message, n))
    out: Array = np.where(message <= law.kernel_limit, np.minimum(np.minimum(once, twice), library), library)
    return out
