"""Measured operator rows as work on a chip: what both the fit and the score are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from suanli.kinds import Chip
from suanli.scoring._ops_rows import Operator, stream_cost
from suanli.silicon._attention import PHASES
from suanli.silicon._attention_work import attention_work
from suanli.silicon._cache import missing
from suanli.silicon._formats import Format, format_of
from suanli.silicon._gemm_work import gemm_work
from suanli.silicon._laws import Law, Work
from suanli.silicon._memory import streamed
from suanli.silicon._mla import DEEPSEEK, DEEPSEEK_HIDDEN
from suanli.silicon._mla_work import mla_module_work, mla_work
from suanli.silicon._moe_work import moe_work
from suanli.silicon._parameters import Parameters, law_for
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


def law_of(chip: Chip, operator: Operator, group: Group, parameters: Parameters, *, stranger: bool = False) -> Law:
    """Return the law that predicts the ``group`` on ``chip``; a ``stranger`` resembles no measured family.

    Raises InputError for an operator that the ``parameters`` do not know.
    """
    return law_for(
        chip,
        law_name(operator),
        format_name(operator, group),
        kv_dtype=group.kv_dtype,
        kernel=group.kernel,
        shifts=shifts_of(operator, group),
        parameters=parameters,
        stranger=stranger,
    )


def work_of(chip: Chip, operator: Operator, group: Group, rows: pl.DataFrame) -> Work:
    """Return the ideal work of ``rows``, which all belong to ``group``. Raises InputError for a format or rate."""
    match operator.kind:
        case "stream":
            return _stream(chip, operator, group, rows)
        case "gemm":
            return _product(chip, group, rows)
        case "mla_bmm":
            return _latent_product(chip, group, rows)
        case "moe":
            return _experts(chip, group, rows)
        case "attention":
            return _attention(chip, operator, group, rows)
        case _:
            return _latent(chip, operator, group, rows)


def _sizes(rows: pl.DataFrame, *same: str, **named: str) -> dict[str, Any]:
    """Return columns of ``rows`` by the arguments that they become, which are called the ``same`` or ``named`` anew."""
    columns = {name: name for name in same} | named
    return {argument: rows[column].to_numpy().astype(np.float64) for argument, column in columns.items()}


def _stream(chip: Chip, operator: Operator, group: Group, rows: pl.DataFrame) -> Work:
    moved, spent = stream_cost(group.op)
    sizes = _sizes(rows, "num_tokens", "n")
    numbers = sizes["num_tokens"] * sizes["n"]
    size = 2.0 * moved * numbers
    unit = unit_of(chip)
    missed = size if operator.law == "embedding" else missing(size, size, unit.cache)
    return streamed(chip, unit, size, missed, spent * numbers)


def _product(chip: Chip, group: Group, rows: pl.DataFrame) -> Work:
    form, sizes = format_of(group.dtype), _sizes(rows, "m", "n", "k")
    timing = timing_of(group.kernel, form.name)
    return gemm_work(chip, form, **sizes, batch=np.ones(rows.height), kernel=group.kernel, timing=timing)


def _latent_product(chip: Chip, group: Group, rows: pl.DataFrame) -> Work:
    """Return the products by head that take queries into the latent, or ("post") attention's output out of it."""
    out = group.direction == "mla_gen_post"
    inner, outer = (DEEPSEEK.kv_rank, DEEPSEEK.v_dim) if out else (DEEPSEEK.nope_dim, DEEPSEEK.kv_rank)
    one = np.ones(rows.height)
    sizes = _sizes(rows, m="num_tokens", batch="n_heads")
    return gemm_work(chip, format_of(group.dtype), **sizes, n=one * outer, k=one * inner)


def _experts(chip: Chip, group: Group, rows: pl.DataFrame) -> Work:
    form = format_of(group.dtype)
    sizes = _sizes(
        rows,
        "skew",
        tokens="num_tokens",
        hidden="hidden_size",
        inter="inter_size",
        top_k="topk",
        n_experts="num_experts",
        tp="moe_tp_size",
        ep="moe_ep_size",
    )
    timing = timing_of(group.kernel, form.name, "moe")
    return moe_work(chip, form, **sizes, gated=group.gated, kernel=group.kernel, piled=group.piled, timing=timing)


def _attention(chip: Chip, operator: Operator, group: Group, rows: pl.DataFrame) -> Work:
    form, kv = _formats(group)
    return attention_work(
        chip,
        form,
        kv,
        phase=_phase(operator),
        **_sizes(rows, "batch", "q_len", "kv_len", "n_heads", "n_kv_heads", "head_dim", "window"),
        kernel=group.kernel,
        timing=timing_of(group.kernel, form.name, "attention"),
    )


def _latent(chip: Chip, operator: Operator, group: Group, rows: pl.DataFrame) -> Work:
    form, kv = _formats(group)
    sizes = _sizes(rows, "batch", "q_len", "kv_len", "n_heads")
    phase = _phase(operator)
    if operator.law.endswith("_module"):
        products = format_of(group.gemm_dtype or group.dtype)
        return mla_module_work(
            chip, form, kv, products, DEEPSEEK, DEEPSEEK_HIDDEN, phase=phase, **sizes, kernel=group.kernel
        )
    absorbed = timing_of(group.kernel, form.name, "mla").absorbed
    return mla_work(chip, form, kv, DEEPSEEK, phase=phase, **sizes, kernel=group.kernel, absorbed=absorbed)


def _formats(group: Group) -> tuple[Format, Format]:
    """Return the formats of the operator and of its cache."""
    form = format_of(group.dtype)
    return form, format_of(group.kv_dtype) if group.kv_dtype else form


def _phase(operator: Operator) -> str:
    return next(phase for phase in PHASES if phase in operator.law)
