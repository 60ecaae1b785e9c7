"""What a chip is designed for: jobs, each a model put to one use, as operator tables at several sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np

from suanli.errors import InputError, unknown_name
from suanli.kinds import Chip, Model
from suanli.workloads import (
    KINDS,
    Ops,
    format_bytes,
    forward_ops,
    kv_bytes_per_sequence,
    parameters,
    passes,
    picture_tokens,
)

Phase = Literal["decode", "prefill", "train", "recommend", "diffuse"]
UNIT: Mapping[str, str] = {
    "decode": "token", "prefill": "token", "train": "token", "recommend": "query", "diffuse": "sample",
}  # fmt: skip
"""What a job produces."""

SCALES: Mapping[str, tuple[str, str, float, str, float]] = {
    "token": ("tokens", "million tokens", 1e6, "token", 1.0),
    "query": ("queries", "billion queries", 1e9, "thousand queries", 1e3),
    "sample": ("samples", "sample", 1.0, "sample", 1.0),
}
"""Unit -> its plural, what money is counted for and its size, what energy is counted for and its size."""

LIMIT: Mapping[str, float] = {"decode": 0.05, "prefill": 2.0, "train": np.inf, "recommend": 0.03, "diffuse": np.inf}
"""Longest time (s) of one pass: a token, a prompt, a ranked batch."""

GROUPS = (1, 2, 4, 8, 16)
"""Chips that share one copy of a model."""

TABLE_GROUPS = (1, 2, 4, 8, 16, 32, 64)
"""Chips that share one copy of a recommender: its tables may spread over several nodes."""

_BATCHES: Mapping[str, tuple[int, ...]] = {
    "decode": (1, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256),
    "prefill": (1, 4),
    "train": (1,),
    "recommend": (256, 1024, 4096, 16384),
    "diffuse": (1, 4),
}
SEQUENCE: Mapping[str, int] = {"decode": 4096, "prefill": 2048, "train": 4096}
"""Tokens: cached at a decode step, in a prompt, in a training sequence."""

LOOKUP_SKEW = 0.9
"""Exponent of the power law by which embedding rows are read: a store of share s of the rows serves s^(1 - skew)."""


@dataclass(frozen=True, slots=True)
class Job:
    """A model put to one use, with its ``weight`` in the mix."""

    model: Model
    phase: Phase
    weight: float = 1.0

    @property
    def name(self) -> str:
        """The job in the words in which it is asked for."""
        return f"{self.model.id}:{self.phase}"


@dataclass(frozen=True, slots=True)
class Variant:
    """A job at one size: ``group`` chips, ``units`` made by the group in a pass, and what one chip does for it.

    ``resident`` bytes must fit a chip's memory, ``weights`` of them are read each pass, ``tables`` are embedding
    rows; the chips run ``collective`` on ``exchanged`` bytes a chip ``exchanges`` times.
    """

    group: int
    batch: int
    units: float
    ops: Ops
    resident: float
    weights: float
    tables: float
    exchanges: float
    exchanged: float
    collective: str = "all_reduce"


def parse_jobs(text: str) -> tuple[Job, ...]:
    """Return the jobs in "llama-3.1-70b:decode=2,dlrm-dcnv2": model, use and weight, the last two optional.

    Without a use a language model decodes, a diffusion model draws, a recommender ranks. Raises InputError and
    UnknownNameError.
    """
    from suanli.catalog import model

    jobs = []
    for part in (p.strip() for p in text.split(",") if p.strip()):
        name, _, share = part.partition("=")
        name, _, use = name.partition(":")
        found = model(name.strip())
        usual = {"dit": "diffuse", "dlrm": "recommend", "hstu": "recommend"}.get(found.architecture, "decode")
        use = use.strip() or usual
        allowed = (usual,) if usual != "decode" else ("decode", "prefill", "train")
        if use not in allowed:
            raise unknown_name(f"use of {found.id}", use, allowed)
        try:
            weight = float(share) if share else 1.0
        except ValueError:
            raise InputError(f"'{part}': weight '{share}' is not a number") from None
        if not weight > 0.0:
            raise InputError(f"'{part}': weight must be above 0")
        jobs.append(Job(found, use, weight))  # type: ignore[arg-type]
    if not jobs:
        raise InputError("no workload; write for example 'llama-3.1-70b:decode,dlrm-dcnv2:recommend'")
    return tuple(jobs)


def format_for(job: Job, formats: Sequence[str]) -> str:
    """Return the format a job runs in: 8 bits for language models that serve, 16 for training, pictures and ranking.

    Raises InputError where the MAC arrays have none that would do.
    """
    wanted = ("fp8", "int8", "bf16", "fp16") if job.phase in {"decode", "prefill"} else ("bf16", "fp16")
    for name in wanted:
        if name in formats:
            return name
    raise InputError(f"{job.name} needs a MAC for {' or '.join(wanted)}; the chip has {', '.join(formats)}")


@lru_cache(maxsize=512)
def variants(job: Job, dtype: str) -> tuple[Variant, ...]:
    """Return the sizes at which ``job`` may run in ``dtype``, each with its operators."""
    most = {"train": 8, "diffuse": 4}.get(job.phase, max(GROUPS))
    groups = TABLE_GROUPS if job.phase == "recommend" else tuple(g for g in GROUPS if g <= most)
    return tuple(_variant(job, dtype, g, b) for g in groups for b in _BATCHES[job.phase])


def _variant(job: Job, dtype: str, group: int, batch: int) -> Variant:
    model, phase = job.model, job.phase
    length = SEQUENCE.get(phase, 1)
    total = parameters(model)
    width = format_bytes(dtype)
    tables = 0.0
    count, units, pooled = 1.0, float(batch), 0.0
    if phase == "decode":
        whole = batch * group
        ops = forward_ops(model, phase="decode", batch=whole, q_len=1, kv_len=length, tp=group, dtype=dtype)
        cache = float(kv_bytes_per_sequence(model, "bf16", length)) * whole / group
        units, tokens = float(whole), float(whole)
    elif phase == "recommend":
        history = model.recommender.history if model.recommender and model.recommender.history else 1
        batch = max(group, batch // history if model.architecture == "hstu" else batch)
        ops = forward_ops(model, phase="decode", batch=batch, q_len=history, kv_len=history, tp=group, dtype=dtype)
        tables = total.embedding * format_bytes(model.weight_format) / group
        cache, units, tokens = 0.0, float(batch), 0.0
        pooled = _pooled_bytes(model, history) * batch / group
    elif phase == "diffuse":
        picture = model.diffusion
        frames = 49 if picture is not None and picture.temporal_stride > 1 else 1
        length = picture_tokens(model, height=720, width=1280, frames=frames)
        ops = _in_blocks(forward_ops(model, phase="encoder", batch=batch, q_len=length, tp=group, dtype=dtype))
        count, cache, tokens = float(passes(model)), 0.0, float(batch * length)
    else:
        ops = forward_ops(model, phase=phase, batch=batch, q_len=length, tp=group, dtype=dtype)
        # In training, optimiser state is sharded over the whole run and activations are recomputed.
        cache = float(kv_bytes_per_sequence(model, "bf16", length)) * batch / group if phase == "prefill" else 0.0
        units, tokens = float(batch * length), float(batch * length)
        count = 3.0 if phase == "train" else 1.0  # backward does twice the forward work
    weights = (total.total - total.embedding * (tables > 0.0)) * width / group
    return Variant(
        group=group, batch=batch, units=units, ops=replace(ops, count=ops.count * count),
        resident=weights + tables + cache, weights=weights, tables=tables,
        exchanges=0.0 if group == 1 else 1.0 if pooled else 2.0 * model.n_layers * count,
        exchanged=pooled or tokens * model.hidden * 2.0, collective="all_to_all" if pooled else "all_reduce",
    )  # fmt: skip


def _in_blocks(ops: Ops) -> Ops:
    """Return ``ops`` with cross attention over fewer keys than queries cut into blocks of as many queries as keys.

    The work is the same; each block reads the keys again, which caches hold.
    """
    short = (ops.kind == KINDS.index("attention_encoder")) & (ops.kv_len < ops.q_len)
    blocks = np.where(short, -(-ops.q_len // np.maximum(ops.kv_len, 1)), 1)
    return replace(ops, batch=ops.batch * blocks, q_len=np.where(short, ops.kv_len, ops.q_len))


def _pooled_bytes(model: Model, history: int) -> float:
    """Return the bytes of one item's looked-up vectors, pooled table by table, in 16 bits: what chips exchange."""
    tables = model.recommender
    if tables is None:
        return 0.0
    vectors = history * tables.lookups if model.architecture == "hstu" else tables.n_tables
    return 2.0 * vectors * tables.dim


def with_stored_rows(variant: Variant, chip: Chip) -> Ops:
    """Return the operators of ``variant`` with the embedding rows that ``chip``'s SRAM holds not read from memory."""
    hit = float(stored_share(np.asarray(0.8 * (chip.sram_bytes or chip.l2_bytes or 0.0)), variant.tables))
    if not hit:
        return variant.ops
    lookup = variant.ops.kind == KINDS.index("embedding")
    kept = np.where(lookup, 1.0 - hit, 1.0)
    return replace(variant.ops, bytes=variant.ops.bytes * kept)


def stored_share(sram: np.ndarray, tables: float) -> np.ndarray:
    """Return the share of embedding reads that ``sram`` bytes serve: (sram / tables)^(1 - skew), at most 1."""
    if tables <= 0.0:
        return np.zeros_like(sram, dtype=float)
    out: np.ndarray = np.minimum(sram / tables, 1.0) ** (1.0 - LOOKUP_SKEW)
    return out
