"""The types that everyone shares: frozen dataclasses in SI units, None where a figure is unknown."""

from suanli.kinds._chip import BITS, FORMATS, Chip
from suanli.kinds._cluster import Cluster
from suanli.kinds._model import (
    Architecture,
    Compressed,
    Diffusion,
    Experts,
    Indexer,
    Latent,
    Linear,
    Model,
    Recommender,
)
from suanli.kinds._network import FabricBill, Network, Switch, Tier
from suanli.kinds._ruling import GROUPS, Group, Remark, Ruling, Threshold
from suanli.kinds._workload import Adapters, Service, TrainingRun

__all__ = [
    "BITS",
    "FORMATS",
    "GROUPS",
    "Adapters",
    "Architecture",
    "Chip",
    "Cluster",
    "Compressed",
    "Diffusion",
    "Experts",
    "FabricBill",
    "Group",
    "Indexer",
    "Latent",
    "Linear",
    "Model",
    "Network",
    "Recommender",
    "Remark",
    "Ruling",
    "Service",
    "Switch",
    "Threshold",
    "Tier",
    "TrainingRun",
]
