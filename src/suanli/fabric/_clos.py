"""Folded Clos networks: how many switches of which tier join so many network cards."""

from __future__ import annotations

from dataclasses import dataclass

from suanli.errors import InfeasibleError, InputError

TIERS: tuple[str, ...] = ("leaf", "aggregation", "core")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clos:
    """Counts of a Clos network: ``switches`` a tier and ``cables`` into each tier, from the cards outwards.

    ``down`` and ``up`` are the ports of a leaf, ``radix`` those of a switch, ``nodes_per_leaf`` the nodes (rail
    wiring: of one rail) that a leaf joins.
    """

    radix: int
    down: int
    up: int
    switches: tuple[int, ...]
    cables: tuple[int, ...]
    nodes_per_leaf: int

    @property
    def names(self) -> tuple[str, ...]:
        """The tiers' names, from the leaves outwards."""
        return {1: ("leaf",), 2: ("leaf", "spine"), 3: TIERS}[len(self.switches)]


def clos(n_nodes: int, cards: int, radix: int, *, oversubscription: float = 1.0, rail: bool = True) -> Clos:
    """Return the smallest folded Clos of switches with ``radix`` ports for ``n_nodes`` nodes of ``cards`` cards each.

    ``oversubscription`` is the leaves' down over up bandwidth. With ``rail`` a leaf joins the same card of many nodes,
    else all cards of few. Two tiers reach down x radix cards, three down x radix² / 2 (Al-Fares, Loukissas, Vahdat
    2008). Raises InputError for counts out of range and InfeasibleError beyond three tiers.
    """
    for name, value in (("nodes", n_nodes), ("cards a node", cards)):
        if value < 1:
            raise InputError(f"{name}: {value}; must be at least 1")
    if radix < 2:
        raise InputError(f"a switch with {radix} ports joins nothing")
    if not 1.0 <= oversubscription <= radix - 1:
        raise InputError(f"oversubscription {oversubscription:g} is outside 1 to {radix - 1}")
    total = n_nodes * cards
    if total <= radix:
        return Clos(radix=radix, down=radix, up=0, switches=(1,), cables=(total,), nodes_per_leaf=n_nodes)
    down = min(radix - 1, round(radix * oversubscription / (1.0 + oversubscription)))
    up = radix - down
    per_leaf = down if rail else max(1, down // cards)
    leaves = cards * -(-n_nodes // per_leaf) if rail else -(-n_nodes // per_leaf)
    links = leaves * up
    if leaves <= radix:
        spines = -(-links // radix)
        return Clos(
            radix=radix, down=down, up=up, switches=(leaves, spines), cables=(total, links), nodes_per_leaf=per_leaf
        )
    half = radix // 2
    aggregation = -(-links // half)
    higher = aggregation * (radix - half)
    core = -(-higher // radix)
    if -(-leaves // half) > radix:
        raise InfeasibleError(
            f"{total:,} cards need more than three tiers of {radix}-port switches; three reach {down * half * radix:,}"
        )
    return Clos(
        radix=radix,
        down=down,
        up=up,
        switches=(leaves, aggregation, core),
        cables=(total, links, higher),
        nodes_per_leaf=per_leaf,
    )
