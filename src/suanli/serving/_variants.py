"""What a service asks for beside its model: speculation, cache format, expert skew and copies, adapters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InputError, nearest
from suanli.kinds import Chip, Service
from suanli.serving._adapters import Bank, bank_of, with_adapters
from suanli.serving._balance import fullest
from suanli.serving._deploy import Deployment, Tables
from suanli.serving._formats import Formats, formats_of
from suanli.serving._layout import Layout
from suanli.serving._profile import SKEW
from suanli.serving._schedulers import Scheduler
from suanli.serving._steady import GRID, Lanes

Array = NDArray[np.float64]

KV_FORMATS: tuple[str, ...] = ("bf16", "fp16", "fp8", "int8", "fp4", "int4")
"""Number formats of a KV cache."""

_MEASURED = 15  # points of GRID at which skew is looked at; it does not change beyond


def formats_for(service: Service, chip: Chip) -> Formats:
    """Return the formats of a service on a chip. Raises InputError for a cache format that is none."""
    kv = service.kv_precision
    if kv is not None and kv not in KV_FORMATS:
        close = nearest(kv, KV_FORMATS)
        hint = f"did you mean '{close}'?" if close else f"allowed: {', '.join(KV_FORMATS)}"
        raise InputError(f"unknown KV format '{kv}'; {hint}")
    return formats_of(service.model, chip, service.precision, kv=kv)


def tokens_a_step(drafts: int, acceptance: float) -> float:
    """Return the mean tokens of a decode step with ``drafts`` guesses, each kept with the chance ``acceptance``.

    Guesses after the first refused one are lost: (1 - a**(n + 1)) / (1 - a). Raises InputError for a chance outside
    0 to 1 or fewer than no drafts.
    """
    if drafts < 0 or not 0.0 <= acceptance <= 1.0:
        raise InputError(f"drafts is {drafts} and acceptance {acceptance:g}; at least 0, and between 0 and 1")
    return float(sum(acceptance**k for k in range(drafts + 1)))


def deploy(service: Service, chip: Chip, layout: Layout, formats: Formats, scheduler: Scheduler) -> Deployment:
    """Return one copy of a service on ``layout``."""
    return Deployment(
        model=service.model,
        chip=chip,
        layout=replace(layout, replicas=1),
        formats=formats,
        scheduler=scheduler,
        accepted=tokens_a_step(service.drafts, service.acceptance),
        verify=1.0 + service.drafts,
    )


def varied(tables: Tables, services: Sequence[Service]) -> Tables:
    """Return ``tables`` under what each service asks for: drafting layers, expert skew, room for adapters.

    A drafted token takes one layer more (multi-token prediction and EAGLE draft with one).
    """
    parts, cache = tables.parts.copy(), tables.cache_bytes.copy()
    for i, (deployment, service) in enumerate(zip(tables.deployments, services, strict=True)):
        if service.drafts:
            parts[i] *= 1.0 + service.drafts / deployment.model.n_layers
        if service.model.experts is not None and (service.skew is not None or service.redundant):
            parts[i, 1] *= _skewed(deployment, SKEW if service.skew is None else service.skew, service.redundant)
            cache[i] -= _copies_bytes(deployment, service.redundant)
        bank = bank_for(service, deployment)
        if bank is not None:
            cache[i] -= bank.slots * bank.bytes_each
    return replace(tables, parts=parts, cache_bytes=cache)


def adapted(lanes: Lanes, tables: Tables, services: Sequence[Service]) -> Lanes:
    """Return ``lanes`` of ``tables`` with what adapters add to their steps and take of their seats."""
    banks = [bank_for(s, d) for s, d in zip(services, tables.deployments, strict=True)]
    prompt = np.array([s.input_tokens for s in services], dtype=np.float64)
    return with_adapters(lanes, banks, [s.adapters for s in services], prompt)


def bank_for(service: Service, deployment: Deployment) -> Bank | None:
    """Return what the adapters of a service cost a deployment, None where it has none."""
    if service.adapters is None:
        return None
    wanted = service.adapters
    return bank_of(service.model, deployment.chip, deployment.layout, wanted.rank, min(wanted.slots, wanted.count))


def _skewed(deployment: Deployment, skew: float, redundant: int) -> Array:
    """Return the factor on the experts' time at each grid point: the busiest rank's rows against ordinary traffic's.

    All ranks wait for the busiest, so it does what a balanced rank would with as many more tokens.
    """
    from suanli.silicon import moe_time

    model, layout = deployment.model, deployment.layout
    assert model.experts is not None
    e = model.experts
    ranks = layout.ep
    tokens = GRID[:_MEASURED] * layout.dp
    over = np.array([fullest(e.n_experts, e.top_k, ranks, skew, redundant, int(t)) for t in tokens])
    shape: dict[str, Any] = {
        "hidden": model.hidden,
        "inter": e.ffn_hidden,
        "top_k": e.top_k,
        "n_experts": e.n_experts,
        "tp": layout.moe_tp,
        "ep": ranks,
        "dtype": deployment.formats.experts,
        "cache": "cold",
    }
    # Balanced kernels at the busiest rank's rows; skewed tables at the mean stand for ordinary traffic.
    found = moe_time(deployment.chip, tokens=tokens * over, skew=0.0, **shape)
    usual = moe_time(deployment.chip, tokens=tokens, skew=SKEW, **shape)
    ratio = found / usual
    return np.concatenate([ratio, np.full(GRID.size - _MEASURED, ratio[-1])])


def _copies_bytes(deployment: Deployment, redundant: int) -> float:
    """Return the bytes a chip that redundant experts take of every layer with experts."""
    e = deployment.model.experts
    if e is None or redundant == 0:
        return 0.0
    matrices = 3.0 if deployment.model.gated_mlp else 2.0
    each = matrices * deployment.model.hidden * e.ffn_hidden * deployment.formats.expert_bytes
    layers = max(0, deployment.model.n_layers - e.first_layer) / e.every
    layout = deployment.layout
    return redundant * each * layers / (layout.ep * layout.moe_tp * layout.pp)
