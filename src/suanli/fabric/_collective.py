"""Collectives over a whole network: what each tier carries, pipelined or one after the other."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InputError
from suanli.fabric._law import KINDS, kernel_time, tier_time
from suanli.fabric._parameters import Families, Law, law_of
from suanli.kinds import Network, Tier

Array = NDArray[np.float64]
Library = Literal["library", "kernel", "eager"]


def collective_time(
    network: Network,
    kind: str,
    message_bytes: ArrayLike,
    n_chips: int,
    *,
    library: Library = "library",
    memory_bandwidth: float | None = None,
    parameters: Families | None = None,
) -> Array:
    """Return seconds of a collective among ``n_chips`` chips that fill ``network`` from the innermost tier outwards.

    ``message_bytes`` is the buffer as NCCL counts it: what each chip holds of an all-reduce, all-to-all, broadcast or
    pair, and the n parts together of an all-gather or reduce-scatter. ``library``: NCCL, HCCL and the like under a
    graph; "kernel", a serving framework's own all-reduce where one tier suffices; or "eager", launched by the host,
    which copies the result at ``memory_bandwidth`` (B/s). A pair ("p2p") is as far apart as ``n_chips`` reach.
    Raises InputError for an unknown kind, a size below 1 or more chips than the network joins.
    """
    message = np.asarray(message_bytes, dtype=np.float64)
    _check(network, kind, message, n_chips)
    if n_chips == 1:
        return np.zeros_like(message)
    used = used_tiers(network, n_chips)
    laws = [law_of(tier.family or tier.kind, parameters, clock_hz=tier.clock_hz) for tier, _, _ in used]
    if kind == "p2p":
        tier, _, _ = used[-1]
        time = np.add(*tier_time(tier, laws[-1], kind, message, 2))
    elif library == "kernel" and kind == "all_reduce" and len(used) == 1:
        time = kernel_time(used[0][0], laws[0], message, n_chips)
    else:
        time = _over_tiers(used, laws, kind, message, n_chips)
    if library == "eager":
        time = _eager(time, laws[0], message, memory_bandwidth)
    return time


def used_tiers(network: Network, n_chips: int) -> list[tuple[Tier, int, int]]:
    """Return (tier, groups joined in it, chips in one such group) for the tiers that ``n_chips`` chips span."""
    out = []
    below = 1
    for tier in network.tiers:
        groups = min(tier.size, -(-n_chips // below))
        if groups > 1:
            out.append((tier, groups, below))
        below *= tier.size
    return out


def _over_tiers(used: list[tuple[Tier, int, int]], laws: list[Law], kind: str, message: Array, n_chips: int) -> Array:
    """Return start-ups one after the other plus the slowest tier's transfer: chunks pipeline through the tiers.

    Below a tier, the members of a group have reduced or will spread, so the group sends one copy over the links of all
    its members; an all-to-all sends every chip's own bytes, to one node after the other beyond its own.
    """
    node = used[0][1] if len(used) > 1 else 1
    start: Array | float = 0.0
    transfer = np.zeros_like(message)
    for (tier, groups, below), law in zip(used, laws, strict=True):
        if kind == "all_to_all":
            # of one chip's bytes, those for chips of other groups at this tier
            leaving = message * (groups - 1.0) * below / n_chips / ((groups - 1.0) / groups)
            peers = (groups - 1.0) * max(1.0, below / node)
            first, moved = tier_time(tier, law, kind, leaving, groups, peers=peers)
        else:
            first, moved = tier_time(tier, law, kind, message, groups, share=float(below))
        start = start + first
        transfer = np.maximum(transfer, moved)
    return start + transfer


def _eager(time: Array, law: Law, message: Array, memory_bandwidth: float | None) -> Array:
    """Return the time of a call launched by the host: never below its floor, with a copy of the result."""
    copy = 0.0 if memory_bandwidth is None else 2.0 * message / (law.copy_rate * memory_bandwidth)
    out: Array = np.maximum(law.eager_floor, time + copy)
    return out


def _check(network: Network, kind: str, message: Array, n_chips: int) -> None:
    if kind not in KINDS:
        raise InputError(f"unknown collective '{kind}'; known: {', '.join(KINDS)}")
    if n_chips < 1:
        raise InputError(f"a collective of {n_chips} chips; at least 1 is needed")
    if n_chips > network.n_chips:
        raise InputError(f"a collective of {n_chips} chips on a network that joins {network.n_chips}")
    if message.size and (not np.isfinite(message).all() or message.min() < 0):
        raise InputError("message_bytes must be finite and not negative")
