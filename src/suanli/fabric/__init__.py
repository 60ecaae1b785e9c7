"""Fabric: networks of chips, the time of collectives on them, and fabrics built from switches."""

from suanli.fabric._build import build, radix_of
from suanli.fabric._clos import Clos, clos
from suanli.fabric._collective import collective_time, used_tiers
from suanli.fabric._experts import expert_exchange_time
from suanli.fabric._law import KINDS
from suanli.fabric._network import network_of, pcie_bandwidth
from suanli.fabric._parameters import Law, law_of
from suanli.fabric._picture import fabric_chart

__all__ = [
    "KINDS",
    "Clos",
    "Law",
    "build",
    "clos",
    "collective_time",
    "expert_exchange_time",
    "fabric_chart",
    "law_of",
    "network_of",
    "pcie_bandwidth",
    "radix_of",
    "used_tiers",
]
