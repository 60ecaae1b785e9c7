"""Fabric: networks of chips, the time of collectives on them, and fabrics built from switches."""

from suanli.fabric._collective import collective_time, used_tiers
from suanli.fabric._law import KINDS
from suanli.fabric._network import network_of
from suanli.fabric._parameters import Law, law_of

__all__ = ["KINDS", "Law", "collective_time", "law_of", "network_of", "used_tiers"]
