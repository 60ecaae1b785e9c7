"""Which boxes of a fabric are drawn, and which of them a cable joins."""

from __future__ import annotations

from suanli.kinds import FabricBill

SHOWN = 16  # boxes drawn of a tier
_HALF = SHOWN // 2


def drawn(bill: FabricBill) -> list[list[int]]:
    """Return the indices of the boxes drawn of each tier, nodes first.

    A tier of more than 16 shows the first 8 of its first group and of its last full one; one above all groups its
    first 16.
    """
    counts = [bill.n_nodes, *(count for _, count in bill.levels)]
    group = max(1, bill.n_nodes // bill.nodes_per_leaf) - 1
    last = [group * bill.nodes_per_leaf, group * (bill.cards_per_node if bill.rail else 1)]
    if len(bill.levels) == 3:
        pod = last[1] // pod_leaves(bill)
        last.append(pod * bill.leaf_ports[1])
    out = []
    for level, count in enumerate(counts):
        if count <= SHOWN:
            out.append(list(range(count)))
        elif level < len(last) and last[level] >= _HALF:
            start = min(last[level], count - _HALF)
            out.append([*range(_HALF), *range(start, start + _HALF)])
        else:
            out.append(list(range(SHOWN)))
    return out


def joined(bill: FabricBill, level: int, index: int) -> range:
    """Return the boxes of the tier above that box ``index`` of tier ``level`` (nodes: 0) has cables to."""
    above = bill.levels[level][1]
    up = bill.leaf_ports[1]
    if level == 0:
        group, cards = index // bill.nodes_per_leaf, bill.cards_per_node if bill.rail else 1
        return _within(group * cards, cards, above)
    if level == 1 and len(bill.levels) == 3:
        return _within(index // pod_leaves(bill) * up, up, above)
    if level == 2:
        place = index % up
        start = place * above // up
        return _within(start, -(-(place + 1) * above // up) - start, above)
    return range(above)


def pod_leaves(bill: FabricBill) -> int:
    """Return how many leaves share the aggregation switches of a pod: as many as those have ports down."""
    return sum(bill.leaf_ports) // 2


def _within(start: int, size: int, count: int) -> range:
    return range(min(start, count - 1), min(start + size, count))
