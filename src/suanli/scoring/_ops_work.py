"""Measured operator rows as work on a chip: what both the fit and the score are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from suanli.kinds import Chip
from suanli.scoring._ops_rows import Operator, stream_cost
from suanli.silicon._attention_work import attention_work
from suanli.silicon._cache import missing
from suanli.silicon._formats import format_of
from suanli.silicon._gemm_work import gemm_work
from suanli.silicon._laws import Work
from suanli.silicon._memory import streamed
from suanli.silicon._mla import DEEPSEEK
from suanli.silicon._mla_work import mla_module_work, mla_work
from suanli.silicon._moe_work import moe_work
from suanli.silicon._timing import timing_of
from suanli.silicon._unit import unit_of

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Group:
    """What all rows of one piece of work share: how the table names operator, formats and software."""

    op: str
    dtype: str
    kv_dtype: str | None
    gemm_dtype: str | None
    direction: str | None
    kernel: str
    piled: bool = False
    gated: bool = True


def law_name(operator: Operator) -> str:
    """Return the operator whose law predicts rows: a batched product of latent attention is a product."""
    return "gemm" if operator.kind == "mla_bmm" else operator.law


def format_name(operator: Operator, group: Group) -> str:
    """Return the format whose efficiencies predict the ``group``: in a whole block of MLA, that of its products."""
    if operator.kind == "stream":
        return "bf16"
    if operator.law.endswith("_module"):
        return group.gemm_dtype or group.dtype
    return group.dtype


def shifts_of(operator: Operator, group: Group) -> list[str]:
    """Return what sets the ``group`` apart from others of its law, beside chip, format and software."""
    out = [f"direction:{group.direction}"] if group.direction else []
    if operator.kind == "mla_bmm":
        out.append("op:batched")
    if group.op in ("rmsnorm", "rmsnorm_post", "rope", "silu_mul"):
        out.append(f"op:{group.op.partition('_')[0]}")
    return out


def work_of(chip: Chip, operator: Operator, group: Group, rows: pl.DataFrame) -> Work:
    """Return the ideal work of ``rows``, which all belong to ``group``. Raises InputError for a format or rate."""

    def column(name: str) -> Array:
        return rows[name].to_numpy().astype(np.float64)

    if operator.kind == "stream":
        moved, spent = stream_cost(group.op)
        numbers = column("num_tokens") * column("n")
        size = 2.0 * moved * numbers
        unit = unit_of(chip)
        missed = size if operator.law == "embedding" else missing(size, size, unit.cache)
        return streamed(chip, unit, size, missed, spent * numbers)
    form = format_of(group.dtype)
    if operator.kind == "gemm":
        m, n, k = column("m"), column("n"), column("k")
        timing = timing_of(group.kernel, form.name)
        return gemm_work(chip, form, m=m, n=n, k=k, batch=np.ones_like(m), kernel=group.kernel, timing=timing)
    if operator.kind == "mla_bmm":
        inner, outer = (
            (DEEPSEEK.kv_rank, DEEPSEEK.v_dim)
            if group.direction == "mla_gen_post"
            else (DEEPSEEK.nope_dim, DEEPSEEK.kv_rank)
        )
        one = np.ones(rows.height)
        return gemm_work(chip, form, m=column("num_tokens"), n=one * outer, k=one * inner, batch=column("n_heads"))
    if operator.kind == "moe":
        return moe_work(
            chip,
            form,
            tokens=column("num_tokens"),
            hidden=column("hidden_size"),
            inter=column("inter_size"),
            top_k=column("topk"),
            n_experts=column("num_experts"),
            tp=column("moe_tp_size"),
            ep=column("moe_ep_size"),
            skew=column("skew"),
            gated=group.gated,
            kernel=group.kernel,
            piled=group.piled,
            timing=timing_of(group.kernel, form.name, "moe"),
        )
    return _attention(chip, operator, group, rows)


def _attention(chip: Chip, operator: Operator, group: Group, rows: pl.DataFrame) -> Work:
    def column(name: str) -> Array:
        return rows[name].to_numpy().astype(np.float64)

    form = format_of(group.dtype)
    kv = format_of(group.kv_dtype) if group.kv_dtype else form
    phase = next(p for p in ("prefill", "decode", "encoder") if p in operator.law)
    batch, q_len, kv_len, heads = (column(name) for name in ("batch", "q_len", "kv_len", "n_heads"))
    if operator.kind == "attention":
        return attention_work(
            chip,
            form,
            kv,
            phase=phase,
            batch=batch,
            q_len=q_len,
            kv_len=kv_len,
            n_heads=heads,
            n_kv_heads=column("n_kv_heads"),
            head_dim=column("head_dim"),
            window=column("window"),
            kernel=group.kernel,
            timing=timing_of(group.kernel, form.name, "attention"),
        )
    if not operator.law.endswith("_module"):
        return mla_work(
            chip,
            form,
            kv,
            DEEPSEEK,
            phase=phase,
            batch=batch,
            q_len=q_len,
            kv_len=kv_len,
            n_heads=heads,
            kernel=group.kernel,
            absorbed=timing_of(group.kernel, form.name, "mla").absorbed,
        )
    return mla_module_work(
        chip,
        form,
        kv,
        format_of(group.gemm_dtype or group.dtype),
        DEEPSEEK,
        7168.0,
        phase=phase,
        batch=batch,
        q_len=q_len,
        kv_len=kv_len,
        n_heads=heads,
        kernel=group.kernel,
    )
