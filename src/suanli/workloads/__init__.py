"""Workloads: a model as parameters, memory and tables of operators."""

from suanli.workloads._backward import backward_ops
from suanli.workloads._cache import (
    format_bytes,
    kv_bytes_per_sequence,
    kv_bytes_per_token,
    state_bytes_per_sequence,
)
from suanli.workloads._diffusion import passes, picture_tokens
from suanli.workloads._flops import flop_per_token
from suanli.workloads._forward import PHASES, forward_ops
from suanli.workloads._layers import LayerGroup, count_layers, layer_groups
from suanli.workloads._ops import KINDS, Ops, Row, attended, flops, rows_of, table
from suanli.workloads._parameters import ParameterCount, parameters

__all__ = [
    "KINDS",
    "PHASES",
    "LayerGroup",
    "Ops",
    "ParameterCount",
    "Row",
    "attended",
    "backward_ops",
    "count_layers",
    "flop_per_token",
    "flops",
    "format_bytes",
    "forward_ops",
    "kv_bytes_per_sequence",
    "kv_bytes_per_token",
    "layer_groups",
    "parameters",
    "passes",
    "picture_tokens",
    "rows_of",
    "state_bytes_per_sequence",
    "table",
]
