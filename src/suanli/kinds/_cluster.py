"""Chips joined: what training and serving run on."""

from __future__ import annotations

from dataclasses import dataclass

from suanli.kinds._chip import Chip
from suanli.kinds._network import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """``n_chips`` of one chip, ``chips_per_node`` in a scale-up domain, joined by ``network``."""

    chip: Chip
    n_chips: int
    chips_per_node: int
    network: Network
