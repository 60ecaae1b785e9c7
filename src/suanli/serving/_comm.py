"""Collectives of a serving step over the fabric, for every grid point of a layout."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from suanli.kinds import Chip, Model
from suanli.serving._layout import Layout
from suanli.serving._layouts import domain
from suanli.serving._steady import GRID

Array = NDArray[np.float64]

_SERVER = 8  # chips of one server


def _time(chip: Chip, kind: str, size: Array, n_chips: int) -> Array:
    from suanli.fabric import collective_time, network_of

    if n_chips < 2:
        return np.zeros_like(size)
    node = max(_SERVER, domain(chip))  # cards without links of their own share a server and its PCIe
    return collective_time(network_of(chip, n_chips, node), kind, size, n_chips, library="kernel")


def _exchange(model: Model, chip: Chip, tokens: Array, ep: int) -> Array:
    """Return the time of one layer's exchange with the experts, there and back, in the better of its two styles."""
    from suanli.fabric import expert_exchange_time, network_of

    assert model.experts is not None
    network = network_of(chip, ep, max(_SERVER, domain(chip)))
    hidden, top_k = model.hidden, model.experts.top_k

    def both(style: str) -> Array:
        ways = ("dispatch", "combine")
        times = [
            expert_exchange_time(network, way, tokens=tokens, hidden=hidden, top_k=top_k, ep=ep, style=style)
            for way in ways
        ]
        return times[0] + times[1]

    out: Array = np.minimum(both("normal"), both("low_latency"))
    return out


def collective_seconds(model: Model, chip: Chip, layout: Layout) -> Array:
    """Return the time of a step's collectives at each grid point (s), tokens counted a rank.

    Two all-reduces a layer over ``tp``; experts that span several attention ranks take the ranks' tokens and give the
    sums back; each border between stages is one message.
    """
    if layout.chips == 1:
        return np.zeros(GRID.size)
    one = GRID * model.hidden * 2.0
    layers = float(model.n_layers)
    total = np.zeros(GRID.size)
    spread = layout.dp > 1 and model.experts is not None
    if layout.tp > 1:
        total += (1.0 if spread else 2.0) * layers * _time(chip, "all_reduce", one, layout.tp)
    if spread:
        assert model.experts is not None
        moe_layers = max(0, model.n_layers - model.experts.first_layer)
        stage = layout.tp * layout.dp
        if layout.ep == stage:
            total += moe_layers * _exchange(model, chip, np.maximum(GRID / layout.tp, 1.0), stage)
        else:
            # Ranks that share experts' widths gather each other's tokens: at most top_k ranks need a token.
            copies = min(model.experts.top_k, layout.dp)
            total += 2.0 * moe_layers * _time(chip, "all_to_all", one * copies / layout.tp, stage)
    if layout.pp > 1:
        total += (layout.pp - 1) * _time(chip, "p2p", one / layout.tp, 2)
    return total
