"""A fabric from switches and optics: tiers, cables, power, price, bisection."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from suanli.errors import InputError
from suanli.fabric._clos import Clos, clos
from suanli.fabric._network import scale_up_tier
from suanli.fabric._parts import Part, Range, box, default_optics, module, optics_item, switch_item
from suanli.kinds import Chip, FabricBill, Network, Switch, Tier

_CARD_RATE = 5e10  # B/s: 400 Gb/s, the usual card of 2023-2026
CARD_OPTICS = "opt-400g-dr4"


def build(
    n_chips: int,
    switch: str = "tomahawk5",
    optics: str | None = None,
    *,
    chips_per_node: int = 8,
    cards_per_node: int | None = None,
    card_rate: float | None = None,
    oversubscription: float = 1.0,
    rail: bool = True,
    chip: Chip | None = None,
    card_optics: str = CARD_OPTICS,
) -> FabricBill:
    """Return the fabric that joins ``n_chips`` chips with ``switch``es and ``optics``: counts, W, USD, bisection.

    Nodes hold ``chips_per_node`` chips and ``cards_per_node`` cards (None: one a chip) of ``card_rate`` B/s one way
    (None: the chip's share of cards, else 50 GB/s). ``oversubscription`` is that of the leaves. ``rail``: card i of
    every node hangs on the leaves of rail i. With ``chip`` the network's inner tier is that of its links. Cards are
    counted to the servers, not here. Raises InputError, UnknownNameError, or InfeasibleError beyond three tiers.
    """
    if n_chips < 1 or chips_per_node < 1:
        raise InputError(f"{n_chips} chips in nodes of {chips_per_node}; both must be at least 1")
    item = switch_item(switch)
    light = optics_item(optics or default_optics(item))
    cards = cards_per_node or chips_per_node
    rate = card_rate or _card_rate(chip, chips_per_node / cards)
    nodes = -(-n_chips // chips_per_node)
    shape = clos(nodes, cards, radix_of(item, rate), oversubscription=oversubscription, rail=rail)
    parts = (box(item), module(light), module(optics_item(card_optics)))
    modules = _modules(shape, rate, parts)
    links = _links(shape, rate, parts)
    counted = tuple(zip((sum(shape.switches), *modules), parts, strict=True))
    power = _sum((n, p.power_w) for n, p in counted)
    price = _price((n, p.price) for n, p in counted)
    total = nodes * cards * rate
    return FabricBill(
        network=_network(item, shape, chip, n_chips, chips_per_node, cards * rate / chips_per_node, oversubscription),
        n_switches=sum(shape.switches),
        n_cables=sum(cables for _, _, cables, _, _ in links),
        n_optics=sum(modules),
        power_w=power,
        price_usd=price.mid if price else None,
        price_low_usd=price.low if price else None,
        price_high_usd=price.high if price else None,
        bisection=total / 2.0 / (oversubscription if len(shape.switches) > 1 else 1.0),
        switch=item.id,
        optics=light.id,
        levels=tuple(zip(shape.names, shape.switches, strict=True)),
        sources=tuple(dict.fromkeys(s for p in parts for s in p.sources if s)),
        links=links,
        n_chips=n_chips,
        n_nodes=nodes,
        parts=tuple((p.item.id, n, p.power_w, p.price.mid if p.price else None) for n, p in counted),
        cards_per_node=cards,
        nodes_per_leaf=shape.nodes_per_leaf,
        leaf_ports=(shape.down, shape.up),
        rail=rail,
        unknown=tuple(dict.fromkeys((*(r for p in parts for r in p.remarks), "fibre and cabling: not priced"))),
    )


def radix_of(item: Switch, rate: float) -> int:
    """Return how many ports of ``rate`` B/s the switch ``item`` has, never more than its largest radix.

    Raises InputError for a switch whose bandwidth is unknown.
    """
    if item.bandwidth is None:
        raise InputError(f"{item.id}: bandwidth unknown; it can't be built with")
    ports = int(item.bandwidth / rate + 1e-9)
    return min(ports, item.radix) if item.radix else ports


def _card_rate(chip: Chip | None, chips_per_card: float) -> float:
    if chip is None or chip.scale_out_bandwidth is None:
        return _CARD_RATE
    return chip.scale_out_bandwidth * chips_per_card


def _links(shape: Clos, rate: float, parts: Sequence[Part]) -> tuple[tuple[str, str, int, int, float], ...]:
    """Return each run of cables: between switches a pluggable module's lanes share one cable."""
    _, light, card = parts
    names = ("node", *shape.names)
    out = []
    for level, ends in enumerate(shape.cables):
        shared = 1
        if level and light.item.optics != "CPO":
            shared = max(1, int((light.item.bandwidth or rate) / rate + 1e-9))
        cables = -(-ends // shared)
        lower = light.item if level else card.item
        modules = _count(ends, rate, light.item) + _count(ends, rate, lower)
        out.append((names[level], names[level + 1], cables, modules, rate * shared))
    return tuple(out)


def _modules(shape: Clos, rate: float, parts: Sequence[Part]) -> tuple[int, int]:
    """Return how many modules the switches carry, and how many the nodes' cards."""
    _, light, card = parts
    ends = shape.cables[0] + 2 * sum(shape.cables[1:])
    return _count(ends, rate, light.item), _count(shape.cables[0], rate, card.item)


def _count(ends: int, rate: float, item: Switch) -> int:
    return math.ceil(ends * rate / (item.bandwidth or rate) - 1e-9)


def _network(
    item: Switch, shape: Clos, chip: Chip | None, n_chips: int, node: int, share: float, oversubscription: float
) -> Network:
    """Return the network of tiers that collectives see: nodes, leaves, and each tier above."""
    kind = "infiniband" if "quantum" in item.id else "ethernet"
    hop = item.latency_s or 0.0  # the family's measured step holds where it is longer
    tiers = []
    inner = min(node, n_chips)
    if inner > 1:
        free = Tier(kind="node", size=inner, bandwidth=math.inf, latency_s=0.0, family="link")
        tiers.append(scale_up_tier(chip, inner) if chip else free)
    nodes = -(-n_chips // inner)
    leaf = min(nodes, shape.nodes_per_leaf)
    sizes = [leaf]
    if len(shape.switches) > 1:
        pod = min(-(-nodes // leaf), max(1, shape.radix // 2)) if len(shape.switches) == 3 else -(-nodes // leaf)
        sizes.append(pod)
    if len(shape.switches) == 3:
        sizes.append(-(-nodes // (leaf * sizes[1])))
    for level, size in enumerate(sizes):
        if size > 1:
            tier = Tier(kind=kind, size=size, bandwidth=share, latency_s=hop * (2 * level + 1))
            tiers.append(replace(tier, oversubscription=oversubscription if level else 1.0))
    return Network(tiers=tuple(tiers) or (Tier(kind="self", size=1, bandwidth=math.inf, latency_s=0.0),))


def _sum(terms: Iterable[tuple[int, float | None]]) -> float | None:
    total = 0.0
    for count, each in terms:
        if each is None:
            return None
        total += count * each
    return total


def _price(terms: Iterable[tuple[int, Range | None]]) -> Range | None:
    low = mid = high = 0.0
    for count, each in terms:
        if each is None:
            return None
        low, mid, high = low + count * each.low, mid + count * each.mid, high + count * each.high
    return Range(low=low, mid=mid, high=high)
