"""A model's operators over a grid of step sizes, and what a chip takes for them: the tables that serving looks up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from suanli.kinds import Chip, Model
from suanli.serving._formats import Formats
from suanli.serving._steady import GRID

if TYPE_CHECKING:
    from suanli.workloads import Ops

Array = NDArray[np.float64]
Ints = NDArray[np.intp]

PARTS: tuple[str, ...] = ("gemm", "moe", "other", "attention")
"""Parts of a step's time that the tables keep apart."""

_PREFILL_FROM = 512  # tokens from which a step is taken to be mostly prompts
_MEASURED = 15  # grid points evaluated; beyond them time grows in proportion
# Probes of attention: (phase, sequences, new tokens, context)
_PROBES = (
    ("decode", 1, 1, 1024),
    ("decode", 32, 1, 1024),
    ("decode", 32, 1, 8192),
    ("prefill", 1, 1024, 1024),
    ("prefill", 1, 8192, 8192),
)
_AT_BEST = 0.8  # of the roofline
_AT_MOST = (1.6, 2.5)  # of the roofline: where it is bound by memory, where by products
_OWN = ("elementwise", "scan")  # kinds whose laws hold as they are: kernels of scans stay far from the roofline
LAUNCH_S = 6e-6  # a kernel of a captured graph: start-up and tail
_MOE_KERNELS = 4.0  # routing, gathering, two grouped products
_RATES = {  # the chip's rate that each of the silicon's formats multiplies at, where its name is not the format's
    "nvfp4": "fp4",
    "fp8_block": "fp8",
    "int8_wo": "bf16",
    "int4_wo": "bf16",
    "w4a16_mxfp4": "bf16",
    "w4a8_mxfp4_mxfp8": "fp8",
}
SKEW = 0.5  # exponent of expert popularity in served traffic: between balanced and the 1.01 of measured skewed tables
_SLOTS = _MEASURED + len(_PROBES)


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Operators of one model and layout, all grid points and probes in one table; ``slot`` and ``part`` by row."""

    ops: Ops
    slot: Ints
    part: Ints


def joined(tables: Sequence[Ops]) -> Ops:
    """Return operator tables one after another."""
    first = tables[0]
    columns: dict[str, Any] = {}
    for name in first.__slots__:
        values = [getattr(t, name) for t in tables]
        if name == "latent":
            columns[name] = first.latent
        elif isinstance(values[0], tuple):
            columns[name] = tuple(x for v in values for x in v)
        else:
            columns[name] = np.concatenate(values)
    return type(first)(**columns)


@lru_cache(maxsize=4096)
def profile(model: Model, *, tp: int, ep: int, moe_tp: int, formats: Formats) -> Profile:
    """Return the operators of ``model`` on one chip of a stage group, over the grid (cached)."""
    from suanli.workloads import KINDS, forward_ops

    common: dict[str, Any] = {"tp": tp, "ep": ep, "moe_tp": moe_tp, "dtype": formats.table, "kv_dtype": formats.kv}
    tables = []
    for n in GRID[:_MEASURED]:
        tokens = int(n)
        if tokens < _PREFILL_FROM:
            tables.append(forward_ops(model, phase="decode", batch=tokens, kv_len=1, **common))
        else:
            tables.append(forward_ops(model, phase="prefill", batch=1, q_len=tokens, **common))
    for phase, batch, new, context in _PROBES:
        tables.append(forward_ops(model, phase=phase, batch=batch, q_len=new, kv_len=context, **common))
    slot = np.concatenate([np.full(len(t), i) for i, t in enumerate(tables)])
    ops = joined(tables)
    kinds = np.array([KINDS[k] for k in ops.kind])
    reads = np.char.startswith(kinds, "attention") | np.char.startswith(kinds, "mla")
    reads |= np.array([name == "indexer score" for name in ops.name])
    part = np.where(reads, 3, np.where(kinds == "gemm", 0, np.where(kinds == "moe", 1, 2)))
    # The grid's own attention is replaced by the probes' law; the probes' other operators by the grid's.
    kept = np.where(slot < _MEASURED, part != 3, part == 3)
    names = tuple(_silicon_format(formats, ops, i) for i in range(len(ops)))
    ops = replace(ops, dtype=names)
    return Profile(ops=_take(ops, kept), slot=slot[kept], part=part[kept])


def _silicon_format(formats: Formats, ops: Ops, i: int) -> str:
    """Return the silicon's format of row ``i``: projections, experts and attention have their own."""
    from suanli.workloads import KINDS

    kind = KINDS[int(ops.kind[i])]
    if kind == "moe":
        return formats.experts
    if kind.startswith(("attention", "mla")):
        return formats.wide
    if kind == "gemm" and ops.dtype[i] == formats.table:
        return formats.dense
    return formats.wide if ops.dtype[i] == "bf16" else ops.dtype[i]


def _take(ops: Ops, rows: NDArray[np.bool_]) -> Ops:
    columns: dict[str, Any] = {}
    for name in ops.__slots__:
        value = getattr(ops, name)
        if name == "latent":
            columns[name] = value
        elif isinstance(value, tuple):
            columns[name] = tuple(x for x, keep in zip(value, rows, strict=True) if keep)
        else:
            columns[name] = value[rows]
    return type(ops)(**columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """What a chip takes for profiles (n): ``parts`` (n, 3, len(GRID)) s a step; attention as a law of its sizes.

    Decode attention of b sequences over K cached tokens: ``attention_s`` + b ``sequence_s`` + K ``kv_s``; a prompt of
    m tokens: m ``prompt_s`` + m²/2 ``cross_s``.
    """

    parts: Array
    attention_s: Array
    sequence_s: Array
    kv_s: Array
    prompt_s: Array
    cross_s: Array


def times(chip: Chip, profiles: Sequence[Profile]) -> Times:
    """Return the times of ``profiles`` on ``chip``: one call of the silicon for all their operators."""
    from suanli import silicon

    n = len(profiles)
    found = np.zeros((n, _SLOTS, len(PARTS)))
    for latent in {p.ops.latent for p in profiles}:
        chosen = [i for i, p in enumerate(profiles) if p.ops.latent == latent]
        ops = joined([profiles[i].ops for i in chosen])
        spent = bounded(chip, ops, silicon.ops_time(chip, ops, skew=SKEW).value)
        at = np.concatenate([np.full(len(profiles[i].slot), i) for i in chosen])
        slot = np.concatenate([profiles[i].slot for i in chosen])
        part = np.concatenate([profiles[i].part for i in chosen])
        np.add.at(found, (at, slot, part), spent)
    grid = np.zeros((n, 3, GRID.size))
    grid[:, :, :_MEASURED] = found[:, :_MEASURED, :3].transpose(0, 2, 1)
    for k in range(_MEASURED, GRID.size):
        grid[:, :, k] = 2.0 * grid[:, :, k - 1]
    return _attention_law(found[:, _MEASURED:, 3], grid)


def bounded(chip: Chip, ops: Ops, seconds: Array) -> Array:
    """Return ``seconds`` of operators held between what the chip can do at best and what serving kernels need at most.

    At best: 0.8 of the roofline, since caches hold part of what workloads count as read. At most: 1.6 times the
    roofline where memory binds it, 2.5 times where products do, and a launch inside a captured graph. The silicon's
    laws are exact where they were measured; carried over to a family or format without measurements, they must not say
    more than that. Scans and element-wise kernels, which lie far from the roofline everywhere, are as the silicon says.
    """
    from suanli.workloads import KINDS

    wide = chip.peak.get("bf16") or chip.peak.get("fp16") or max(chip.peak.values())
    peak = np.array([chip.peak.get(_RATES.get(d, d)) or wide for d in ops.dtype])
    read, product = ops.count * ops.bytes / (chip.memory_bandwidth or np.inf), ops.count * ops.flop / peak
    roof = np.maximum(read, product)
    launch = ops.count * LAUNCH_S * np.where(ops.kind == KINDS.index("moe"), _MOE_KERNELS, 1.0)
    most = np.where(
        np.isin(ops.kind, [KINDS.index(k) for k in _OWN]),
        np.inf,
        np.where(product > read, _AT_MOST[1], _AT_MOST[0]) * roof + launch,
    )
    return np.clip(seconds, _AT_BEST * roof, most)


def _attention_law(probe: Array, grid: Array) -> Times:
    """Return the law of attention through its probes; no coefficient is below 0."""
    one, many, long, short_prompt, long_prompt = probe.T
    kv = np.maximum(long - many, 0.0) / (32.0 * 7168.0)
    sequence = np.maximum((many - one) / 31.0 - 1024.0 * kv, 0.0)
    constant = np.maximum(one - sequence - 1024.0 * kv, 0.0)
    # m p + m²/2 c through both prompts
    a, b = short_prompt / 1024.0, long_prompt / 8192.0
    cross = np.maximum(b - a, 0.0) / (4096.0 - 512.0)
    prompt = np.maximum(a - 512.0 * cross, 0.0)
    return Times(parts=grid, attention_s=constant, sequence_s=sequence, kv_s=kv, prompt_s=prompt, cross_s=cross)
