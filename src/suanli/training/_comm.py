"""Collectives of a strategy: which chips a group spans, and what suanli.fabric says of its time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InputError
from suanli.fabric import collective_time, network_of
from suanli.kinds import Chip, Network, Tier
from suanli.training._compressed import gathered_numbers, is_compressed
from suanli.training._facts import Facts
from suanli.training._feed import Feed, feed_of
from suanli.training._memory import local_weights
from suanli.training._routing import received
from suanli.training._strategy import Strategies

Array = NDArray[np.float64]

_BUCKETS = 4.0  # a stage's gradients move in a few large buckets
_CODE = 24  # bits of a group's chips inside a domain, beside its size in one number


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a run stands: chips of one kind, ``domain`` of them joined by scale-up links, and the rest of the network.

    ``inner`` and ``outer`` are the tiers inside and between domains; their sizes are ignored. ``feed`` is how its chips
    get their data.
    """

    chip: Chip
    domain: int
    inner: Tier
    outer: Tier
    feed: Feed = field(default_factory=feed_of)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Seconds of collectives before calibration: one all-reduce of a layer's activations (``tp``; ``tp_across`` 1 where
    its group leaves the domain), a layer's context and expert exchanges forward (``cp``, ``ep``), one stage crossing of
    a whole micro-batch (``p2p``), a step's gradient reduce-scatter and weight gather (``dp_across`` 1 where their group
    leaves the domain), the second half of an unsharded all-reduce (``dp_extra``), the reduce-scatter and gather of one
    pass layer by layer (``piece_reduce``, ``piece_gather``: ZeRO-3), ``ring_steps``, the count of steps one after the
    other in one such pass, and ``replicate``, a step's all-reduce of gradients between the replicas of hybrid sharding.
    ``cp_back`` is the backward pass's context exchange."""

    tp: Array
    tp_across: Array
    cp: Array
    cp_back: Array
    ep: Array
    p2p: Array
    dp_across: Array
    dp_reduce: Array
    dp_gather: Array
    dp_extra: Array
    piece_reduce: Array
    piece_gather: Array
    ring_steps: Array
    replicate: Array


def site_of(
    chip: Chip,
    *,
    chips_per_node: int | None = None,
    scale_up: float | None = None,
    scale_out: float | None = None,
) -> Site:
    """Return the site of ``chip``; B/s a chip one way in ``scale_up`` and ``scale_out`` replace the datasheet's.

    The domain is the chip's own scale-up domain where that is larger than the node (an NVL72 rack of 4-chip trays).
    Raises InputError for chips_per_node below 1.
    """
    node = chips_per_node or min(chip.scale_up_domain or 8, 8)
    if node < 1:
        raise InputError(f"chips_per_node {node} is below 1")
    domain = max(node, chip.scale_up_domain or 1)
    network = network_of(chip, 64 * domain, chips_per_node=domain)
    inner, outer = network.tiers[0], network.tiers[-1]
    if scale_up is not None:
        inner = replace(inner, bandwidth=scale_up)
    if scale_out is not None:
        outer = replace(outer, bandwidth=scale_out)
    return Site(chip=chip, domain=domain, inner=inner, outer=outer)


def group_time(site: Site, kind: str, message: Array, size: Array, inside: Array) -> Array:
    """Return the seconds of a collective in groups of ``size`` chips, ``inside`` of them in each domain.

    ``message`` is the whole buffer in bytes, as NCCL counts it; a leading axis holds several messages of each group.
    All chips of a domain run their own group at the same time, each on its own share of links.
    """
    n = np.broadcast_shapes(np.shape(message)[-1:], np.shape(size), np.shape(inside))
    message = np.broadcast_to(message, (*np.shape(message)[:-1], *n))
    groups = np.broadcast_to(size, n).astype(np.int64) << _CODE | np.broadcast_to(inside, n).astype(np.int64)
    out = np.zeros(message.shape)
    codes, back = np.unique(groups, return_inverse=True)
    ends = np.cumsum(np.bincount(back, minlength=codes.size))
    by_group = np.split(np.argsort(back, kind="stable"), ends[:-1])
    for code, at in zip(codes.tolist(), by_group, strict=True):
        chips = code >> _CODE
        if chips > 1:
            network = _network(site, chips, code & (1 << _CODE) - 1)
            out[..., at] = collective_time(network, kind, np.maximum(message[..., at], 1.0), chips)
    return out


def _network(site: Site, size: int, inside: int) -> Network:
    """Return the network that a group of ``size`` chips, ``inside`` in a domain, sees."""
    inside = max(1, min(size, inside))
    domains = -(-size // inside)
    tiers = []
    if inside > 1:
        tiers.append(_joining(site.inner, inside))
    if domains > 1:
        tiers.append(_joining(site.outer, domains))
    return Network(tiers=tuple(tiers))


@lru_cache(maxsize=4096)
def _joining(tier: Tier, size: int) -> Tier:
    """Return ``tier`` with ``size`` members."""
    return replace(tier, size=size)


def traffic(
    site: Site,
    f: Facts,
    s: Strategies,
    *,
    seq: Array,
    gradient_bytes: Array,
    pieces: Array,
    once_per_node: Array,
    n_chips: Array,
    bits8: Array | float = 0.0,
) -> Traffic:
    """Return the times of the collectives of each candidate.

    Ranks are placed with tp innermost, then cp, then dp (experts among both), then pp (Megatron's default order).
    """
    tokens = s.micro_batch * seq / s.cp
    rows = 2.0 * tokens * f.hidden
    tp = group_time(site, "all_reduce", rows, s.tp, _inside(site, np.ones_like(s.tp), s.tp))
    cp, cp_back = _context_exchange(site, f, s, seq=seq, inside=_inside(site, s.tp, s.cp))
    held = _holders(site, f, s)
    layers = pieces * np.maximum(f.layers / s.pp, 1.0)
    dp_reduce, piece_reduce = _moved(site, "reduce_scatter", held, (gradient_bytes, _BUCKETS), (gradient_bytes, layers))
    dp_gather, dp_extra, piece_gather = _moved(
        site, "all_gather", held, (2.0, _BUCKETS), (gradient_bytes, _BUCKETS), (2.0, layers)
    )
    share = gradient_bytes * (held.dense / held.ranks + held.routed / held.expert_ranks)
    return Traffic(
        tp=tp,
        tp_across=np.where(s.tp > float(site.domain), 1.0, 0.0) + 0.0 * tp,
        cp=cp,
        cp_back=cp_back,
        ep=_expert_exchange(site, f, s, tokens=tokens, once_per_node=once_per_node, bits8=bits8),
        p2p=np.where(s.pp > 1, _crossing(site, f.streams * rows, n_chips), 0.0),
        dp_across=np.where(held.ranks > held.within, 1.0, 0.0) + 0.0 * s.tp,
        dp_reduce=dp_reduce,
        dp_gather=dp_gather,
        dp_extra=dp_extra,
        piece_reduce=piece_reduce,
        piece_gather=piece_gather,
        ring_steps=layers * (held.ranks - 1.0),
        replicate=_replicas_sum(site, s, share, held.ranks),
    )


def _inside(site: Site, stride: Array, size: Array) -> Array:
    """Return how many of a group of ``size`` chips, ``stride`` ranks apart, lie in one domain."""
    return np.clip(np.floor(float(site.domain) / stride), 1.0, size)


def _crossing(site: Site, size: Array, n_chips: Array) -> Array:
    """Return the seconds in which a chip of one stage sends ``size`` bytes to the next."""
    far = n_chips > float(site.domain)
    rate = np.where(far, np.minimum(site.outer.bandwidth, site.inner.bandwidth), site.inner.bandwidth)
    return size / rate + np.where(far, site.outer.latency_s, site.inner.latency_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Holders:
    """The weights of a chip outside and in experts, and how many ``ranks`` share each, how many of them in a domain."""

    dense: Array
    ranks: Array
    within: Array
    routed: Array
    expert_ranks: Array
    expert_within: Array


def _holders(site: Site, f: Facts, s: Strategies) -> _Holders:
    """Return which ranks share the weights of the first stage."""
    dense, routed = local_weights(f, s, stage="first")
    ranks = s.dp * s.cp / s.replicas
    expert_ranks = np.maximum(1.0, ranks * s.tp / (s.ep * s.etp))
    return _Holders(
        dense=dense,
        ranks=ranks,
        within=_inside(site, s.tp, ranks),
        routed=routed,
        expert_ranks=expert_ranks,
        expert_within=_inside(site, np.minimum(s.ep * s.etp, float(site.domain)), expert_ranks),
    )


def _moved(site: Site, kind: str, held: _Holders, *moves: tuple[Array | float, Array | float]) -> Iterator[Array]:
    """Yield the seconds of each of ``moves``, (bytes a weight, in calls), over the ranks that share the weights."""

    def messages(weights: Array) -> Array:
        return np.stack(np.broadcast_arrays(*(width * weights / calls for width, calls in moves)))

    time = group_time(site, kind, messages(held.dense), held.ranks, held.within)
    if np.any(held.routed > 0):
        own = group_time(site, kind, messages(held.routed), held.expert_ranks, held.expert_within)
        time = time + np.where(held.routed > 0, own, 0.0)
    return (calls * one for (_, calls), one in zip(moves, time, strict=True))


def _replicas_sum(site: Site, s: Strategies, share: Array, ranks: Array) -> Array:
    """Return the seconds in which chips sum their ``share`` (bytes) of the gradients over the replicas.

    A replica fills whole domains first, so that its own collectives stay on the faster links.
    """
    if not np.any(s.replicas > 1):
        return np.zeros(np.broadcast_shapes(share.shape, s.replicas.shape))
    inside = np.clip(np.floor(site.domain / (s.tp * ranks)), 1.0, s.replicas)
    return group_time(site, "all_reduce", share, s.replicas, inside)


def _context_exchange(site: Site, f: Facts, s: Strategies, *, seq: Array, inside: Array) -> tuple[Array, Array]:
    """Return the seconds a layer of context parallelism forward and backward, by what the strategy exchanges.

    Keys and values gathered before attention (Llama 3, 2407.21783, section 3.3.2): gathered again and their gradients
    scattered backward. Passed round a ring (Liu 2023, 2310.01889): the same bytes in cp - 1 steps from neighbour to
    neighbour, twice backward. Heads exchanged for tokens (Jacobs 2023, 2309.14509): queries, keys, values and output
    all-to-all, as much backward.
    """
    if not np.any(s.cp > 1):
        zero = np.zeros(np.broadcast_shapes(s.cp.shape, s.micro_batch.shape, s.tp.shape, np.shape(seq)))
        return zero, zero
    numbers = np.maximum(f.kv_heads / s.tp, 1.0) * (f.qk_dim + f.v_dim)
    keys = 2.0 * s.micro_batch * seq * np.where(is_compressed(f), gathered_numbers(f), numbers)
    gather = group_time(site, "all_gather", keys, s.cp, inside)
    ring, heads = gather, gather
    if np.any(s.context == 1):
        near = s.cp <= inside
        rate = np.where(near, site.inner.bandwidth, np.minimum(site.outer.bandwidth, site.inner.bandwidth))
        latency = np.where(near, site.inner.latency_s, site.outer.latency_s)
        ring = (s.cp - 1.0) * (keys / s.cp / rate + latency)
    if np.any(s.context == 2):
        width = (f.heads + np.maximum(f.kv_heads, s.tp)) / s.tp * (f.qk_dim + f.v_dim)
        heads = group_time(site, "all_to_all", 2.0 * s.micro_batch * seq / s.cp * width, s.cp, inside)
    forward = np.where(s.context == 2, heads, np.where(s.context == 1, ring, gather))
    return forward, forward * np.where(s.context == 2, 1.0, 2.0)


def _expert_exchange(
    site: Site, f: Facts, s: Strategies, *, tokens: Array, once_per_node: Array, bits8: Array | float
) -> Array:
    """Return the seconds a layer of dispatch and combine, averaged over expert and dense layers.

    A token goes to top-k experts; with ``once_per_node`` it crosses to each domain that holds one of them once and
    is copied inside (DeepSeek-V3, 2412.19437, section 3.2.2), else once an expert.
    """
    if not np.any(s.ep > 1):
        return np.zeros(np.broadcast_shapes(tokens.shape, s.ep.shape))
    span = np.clip(np.floor(site.domain / s.etp), 1.0, s.ep)
    domains = np.ceil(s.ep / span)
    row = (
        received(f, s.ep) * tokens / s.tp * f.hidden * (4.0 - bits8)
    )  # bytes of a token out and back; 8-bit formats on the way out
    copies = np.minimum(f.top_k, s.ep)
    met = np.where(once_per_node > 0, domains * (1.0 - (1.0 - 1.0 / domains) ** f.top_k), copies)
    across = np.where(domains > 1, group_time(site, "all_to_all", row * met, domains, np.ones_like(domains)), 0.0)
    inside = group_time(site, "all_to_all", row * copies, span, span)
    return f.moe_layers / f.layers * np.maximum(across, inside)
