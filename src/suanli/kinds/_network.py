"""Switches, and the networks that engines see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from suanli.sources import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """A switch chip or an optical module, as sold; None means unknown. ``bandwidth``: B/s, one way, all ports."""

    id: str
    name: str
    vendor: str
    kind: str
    bandwidth: float | None = None
    serdes_rate: float | None = None
    n_serdes: int | None = None
    radix: int | None = None
    ports_800g: int | None = None
    ports_400g: int | None = None
    chip_power_w: float | None = None
    system_power_w: float | None = None
    latency_s: float | None = None
    buffer_bytes: float | None = None
    transistors: float | None = None
    die_area_m2: float | None = None
    optics: str = ""
    optics_w_per_800g: float | None = None
    price_usd: float | None = None
    year: int | None = None
    process: str = ""
    verified: str = ""
    notes: str = ""
    source: Source = field(default_factory=lambda: Source(""))
    field_sources: Mapping[str, Source] = field(default_factory=dict)

    def source_of(self, name: str) -> Source:
        """Return where the field ``name`` was read."""
        return self.field_sources.get(name, self.source)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """One level of a network: ``size`` units of the level below share it.

    ``bandwidth`` (B/s, one direction) is what each *chip* can send into this level; ``latency_s`` is one hop's
    start-up time; ``kind`` is "nvlink", "hccs", "xgmi", "pcie", "torus", "ethernet", "infiniband"...;
    ``oversubscription`` 1 means full bisection; ``in_network_reduction`` says that switches add. ``family`` names the
    measured parameters ("nvlink4"; "": those of ``kind``). ``links`` counts direct links to peers in a full mesh
    without a switch: a group of n chips uses n - 1 of them. ``dimensions`` is that of a torus. ``clock_hz`` is that of
    the chips joined, on whose cores a collective starts; 0: unknown.
    """

    kind: str
    size: int
    bandwidth: float
    latency_s: float
    oversubscription: float = 1.0
    in_network_reduction: bool = False
    switched: bool = True
    family: str = ""
    links: int = 0
    dimensions: int = 0
    clock_hz: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Tiers from the innermost outwards; the product of their sizes is the number of chips joined."""

    tiers: tuple[Tier, ...]

    @property
    def n_chips(self) -> int:
        """Chips that the whole network joins."""
        n = 1
        for tier in self.tiers:
            n *= tier.size
        return n


@dataclass(frozen=True, slots=True, kw_only=True)
class FabricBill:
    """What a fabric is made of and costs: counts, W, USD, and bisection in B/s; None where a part is unknown.

    It was built for ``n_chips`` chips in ``n_nodes`` nodes (its network may have room for more).
    ``levels`` names each tier of switches with its count; ``links`` each run of cables as (from, to, cables, optical
    modules, rate of a cable in B/s); ``parts`` lists what is bought: (switch or module, how many, W each, USD each).
    A node has ``cards_per_node`` cards, and a leaf joins ``nodes_per_leaf`` nodes by ``leaf_ports`` (down, up): with
    ``rail`` the same card of each, else all of theirs. ``unknown`` says in words what power or price leaves out.
    """

    network: Network
    n_switches: int
    n_cables: int
    n_optics: int
    power_w: float | None
    price_usd: float | None
    price_low_usd: float | None
    price_high_usd: float | None
    bisection: float
    switch: str
    optics: str
    levels: tuple[tuple[str, int], ...]
    sources: tuple[str, ...]
    links: tuple[tuple[str, str, int, int, float], ...] = ()
    n_chips: int = 0
    n_nodes: int = 0
    parts: tuple[tuple[str, int, float | None, float | None], ...] = ()
    cards_per_node: int = 1
    nodes_per_leaf: int = 1
    leaf_ports: tuple[int, int] = (0, 0)
    rail: bool = True
    unknown: tuple[str, ...] = ()
