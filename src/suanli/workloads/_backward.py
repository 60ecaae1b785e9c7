"""The backward pass of an operator table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from suanli.workloads._ops import Ops, Row, rows_of, table

_ATTENTION = 2.5  # five products where the forward pass has two: scores again, then four gradients


def backward_ops(ops: Ops) -> Ops:
    """Return the operators of the backward pass of ``ops``: a gradient of inputs and one of weights a GEMM.

    Attention recomputes its scores, 2.5 times the forward FLOP (FlashAttention-2, arXiv 2307.08691); experts and
    recurrent scans cost twice their forward pass, streams move twice their bytes.
    """
    return table((back for row in rows_of(ops) for back in _backward(row)), latent=ops.latent)


def _backward(row: Row) -> Iterator[Row]:
    if row.kind == "gemm":
        yield replace(row, name=f"{row.name}, input gradient", n=row.k, k=row.n)
        yield replace(row, name=f"{row.name}, weight gradient", m=row.k, k=row.m)
    elif row.kind in ("attention_prefill", "attention_encoder", "mla_prefill"):
        name = f"{row.name}, gradient"
        yield replace(row, name=name, flop=_ATTENTION * row.flop, bytes=2.0 * row.bytes)
    else:
        twice = replace(row, name=f"{row.name}, gradient", flop=2.0 * row.flop, bytes=2.0 * row.bytes)
        yield replace(twice, weight_bytes=2.0 * row.weight_bytes)
