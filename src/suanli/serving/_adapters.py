"""Low-rank adapters (LoRA) of many tenants: what they take of memory, of a step and of the host link.

An adapter adds two thin products, d_in x rank and rank x d_out, to each target matrix; a step applies all the adapters
of its sequences in one grouped kernel each (Punica's SGMV, arXiv 2310.18547), so that it costs launches, one reading of
every different adapter and work in proportion to tokens. Experts have no adapters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InputError
from suanli.kinds import Adapters, Chip, Model
from suanli.serving._layout import Layout
from suanli.serving._profile import LAUNCH_S
from suanli.serving._steady import Lanes

Array = NDArray[np.float64]

HOST_LINK = 50e9
"""B/s at which a chip reads its host's memory: a PCIe 5.0 x16 link, less its protocol."""

_SLICES = {"qkv": 3.0, "latent down": 2.0}  # matrices that one product holds, each with an adapter of its own
_LEFT_OUT = ("head", "router", "query absorb", "value absorb")
_MANY = 64  # adapters of the probe by which their reading is told from their start-up
_LONG = 4096  # tokens of the probe by which work is told from reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Bank:
    """What adapters cost one replica: ``bytes_each`` on a chip, ``load_s`` to bring one from the host.

    A step with any takes ``step_s`` + ``each_s`` a different adapter + ``token_s`` a token longer; ``slots`` fit at
    once.
    """

    slots: int
    bytes_each: float
    load_s: float
    step_s: float
    each_s: float
    token_s: float


def bank_of(model: Model, chip: Chip, layout: Layout, rank: int, slots: int) -> Bank:
    """Return what adapters of ``rank`` cost on ``layout``: products of silicon within their roofline, bytes, loading.

    As vLLM and SGLang do by default, only one of the two factors is divided over tensor-parallel chips. Raises
    InputError for a rank or slots below 1.
    """
    from suanli.workloads import KINDS, forward_ops

    if rank < 1 or slots < 1:
        raise InputError(f"adapters have a rank and slots of at least 1, got {rank} and {slots}")
    ops = forward_ops(model, phase="decode", batch=1, kv_len=1, tp=layout.tp, ep=layout.ep, moe_tp=layout.moe_tp)
    kinds = np.array([KINDS[k] for k in ops.kind])
    gated = 2.0 if model.gated_mlp else 1.0
    rows = [i for i in range(len(ops)) if kinds[i] == "gemm" and ops.name[i] not in _LEFT_OUT]
    slices = np.array([_SLICES.get(ops.name[i], gated if ops.name[i].endswith(" up") else 1.0) for i in rows])
    slices = np.where([ops.name[i] == "query up" for i in rows], 1.0, slices)
    wide, deep, count = (np.asarray(x, dtype=np.float64)[rows] for x in (ops.n, ops.k, ops.count))
    count = count / layout.pp
    numbers = float(np.sum(count * rank * (wide + slices * deep)))

    def spent(tokens: float, adapters: float) -> float:
        down = _thin(chip, tokens, adapters, slices * rank, deep)
        up = _thin(chip, tokens, adapters, wide, np.full_like(wide, float(rank)))
        return float(np.sum(count * (down + up)))

    one, many, long = spent(1.0, 1.0), spent(_MANY, _MANY), spent(_LONG, 1.0)
    token = max(long - one, 0.0) / (_LONG - 1.0)
    each = max((many - one) / (_MANY - 1.0) - token, 0.0)
    return Bank(
        slots=slots,
        bytes_each=2.0 * numbers,
        load_s=2.0 * numbers / HOST_LINK,
        step_s=max(one - each - token, 0.0) * layout.pp,
        each_s=each * layout.pp,
        token_s=token * layout.pp,
    )


def _thin(chip: Chip, tokens: float, adapters: float, n: Array, k: Array) -> Array:
    """Return the s of grouped products of ``tokens`` rows over ``adapters`` matrices k x n, held near the roofline."""
    from suanli.silicon import gemm_time

    wide = chip.peak.get("bf16") or chip.peak.get("fp16") or max(chip.peak.values())
    dtype = "bf16" if "bf16" in chip.peak or "fp16" not in chip.peak else "fp16"
    moved = 2.0 * (adapters * n * k + tokens * (n + k))
    roof = np.maximum(moved / (chip.memory_bandwidth or np.inf), 2.0 * tokens * n * k / wide)
    found = gemm_time(chip, m=max(1.0, tokens / adapters), n=n, k=k, batch=adapters, dtype=dtype, cache="cold")
    return np.clip(found, roof, 1.5 * roof + LAUNCH_S)


def shares(adapters: Adapters) -> Array:
    """Return the share of requests of each adapter, the most asked for first. Raises InputError for a bad count."""
    if adapters.count < 1 or adapters.zipf < 0:
        raise InputError(f"adapters: count is {adapters.count} and zipf {adapters.zipf}; at least 1 and 0")
    weight = np.arange(1, adapters.count + 1, dtype=np.float64) ** -adapters.zipf
    out: Array = weight / weight.sum()
    return out


def draw_adapters(adapters: Adapters, n: int, *, seed: int = 0) -> NDArray[np.int64]:
    """Return the adapter of each of ``n`` requests, drawn by popularity."""
    rng = np.random.default_rng([seed, 71])
    return rng.choice(adapters.count, size=n, p=shares(adapters)).astype(np.int64)


def different(adapters: Adapters, batch: Array) -> Array:
    """Return the expected number of different adapters among ``batch`` sequences."""
    p = shares(adapters)
    out: Array = np.sum(
        -np.expm1(np.asarray(batch, dtype=np.float64)[..., None] * np.log1p(-np.minimum(p, 1 - 1e-12))), -1
    )
    return out


def hit_rate(adapters: Adapters) -> float:
    """Return the share of requests that find their adapter in a slot, least recently used out first (Che 2002)."""
    p = shares(adapters)
    if adapters.slots >= adapters.count:
        return 1.0
    low, high = 0.0, 1.0
    while float(np.sum(-np.expm1(-p * high))) < adapters.slots:
        high *= 2.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        full = float(np.sum(-np.expm1(-p * middle))) >= adapters.slots
        low, high = (low, middle) if full else (middle, high)
    return float(np.sum(p * -np.expm1(-p * high)))


def with_adapters(lanes: Lanes, banks: Sequence[Bank | None], kinds: Sequence[Adapters | None], prompt: Array) -> Lanes:
    """Return ``lanes`` as adapters leave them: fewer seats where slots run out, longer steps, prompts that wait.

    A batch may hold no more different adapters than there are slots; what a step adds for them is spread over its
    sequences at that batch. ``prompt`` (n) are mean prompts in tokens, over which a missing adapter's load is spread.
    """
    if not any(banks):
        return lanes
    host, sequence, tokens, seats = (getattr(lanes, n).copy() for n in ("host_s", "sequence_s", "prompt_s", "seats"))
    grid = np.exp2(np.linspace(0.0, 13.0, 105))
    for i, (bank, kind) in enumerate(zip(banks, kinds, strict=True)):
        if bank is None or kind is None:
            continue
        several = different(kind, grid)
        most = float(np.interp(kind.slots, several, grid)) if several[-1] > kind.slots else np.inf
        seats[i] = min(seats[i], max(1.0, most) * lanes.ranks[i])
        typical = max(1.0, min(0.5 * seats[i] / lanes.ranks[i], 256.0))
        held = min(float(different(kind, np.array([typical]))[0]), float(kind.slots))
        host[i] += bank.step_s
        sequence[i] += bank.each_s * held / typical + bank.token_s * lanes.verify[i]
        tokens[i] += bank.token_s + (1.0 - hit_rate(kind)) * bank.load_s / max(prompt[i], 1.0)
    return replace(lanes, host_s=host, sequence_s=sequence, prompt_s=tokens, seats=seats)
