"""Measured operator rows of any known layout, as columns of one: op, format, sizes, software kernel."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from suanli.silicon._moe_grid import ungated_shapes

SIZES: Mapping[str, tuple[str, ...]] = {
    "gemm": ("m", "n", "k"),
    "attention": ("batch", "n_heads", "n_kv_heads", "head_dim", "q_len", "kv_len"),
    "mla": ("batch", "n_heads", "q_len", "kv_len"),
    "mla_bmm": ("num_tokens", "n_heads"),
    "moe": ("num_tokens", "hidden_size", "inter_size", "topk", "num_experts"),
    "stream": ("num_tokens", "n"),
}
"""Columns that a row of each kind of operator needs."""

GROUP: tuple[str, ...] = ("chip", "op", "dtype", "kv_dtype", "gemm_dtype", "direction", "kernel", "piled", "gated")
"""Columns that rows of one piece of work share."""

SHAPE: tuple[str, ...] = (
    *dict.fromkeys(name for names in SIZES.values() for name in names),
    "window",
    "moe_tp_size",
    "moe_ep_size",
    "skew",
)
"""Columns that make a shape; with op and dtype they decide its fold."""

FOLDS = 5

_STREAMS: Mapping[str, tuple[float, float]] = {
    "rmsnorm": (2.0, 4.0),
    "rmsnorm_post": (2.0, 4.0),
    "residual_add": (3.0, 1.0),
    "embedding": (2.0, 0.0),
    "rope": (2.0, 3.0),
    "silu_mul": (3.0, 6.0),
}
"""Streams: numbers moved and vector operations per number of the row's width."""

_ATTENTION = ("attention_prefill", "attention_decode", "attention_encoder")
_MLA = ("mla_prefill_core", "mla_decode_core", "mla_prefill_module", "mla_decode_module")


@dataclass(frozen=True, slots=True)
class Operator:
    """How an ``op`` of a table is predicted: the law's name, the kind of sizes it has."""

    law: str
    kind: str


def operator_of(op: str) -> Operator | None:
    """Return how the operator that a table calls ``op`` is predicted, None for one that is not known."""
    if op == "gemm" or op.startswith("gemm_"):
        return Operator("gemm", "gemm")
    if op in _ATTENTION:
        return Operator(op, "attention")
    if op in _MLA:
        return Operator(op, "mla")
    if op == "mla_bmm":
        return Operator(op, "mla_bmm")
    if op == "moe_ffn":
        return Operator(op, "moe")
    if op == "embedding":
        return Operator("embedding", "stream")
    if op in _STREAMS:
        return Operator("elementwise", "stream")
    return None


def stream_cost(op: str) -> tuple[float, float]:
    """Return numbers moved and vector operations per number of the width of an element-wise ``op``."""
    return _STREAMS[op]


def normal(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the table with every column that any layout has; absent ones are null, sizes are floats.

    Tables of layers (Vidur's) give the tokens as a product's m; ``skew`` is read from ``distribution``
    ("balanced", "power_law_1.01"), ``kernel`` is "framework/kernel_source".
    """
    frame = _with_widths(frame)
    have = set(frame.columns)
    numbers = {name for names in SIZES.values() for name in names} | {"window", "moe_tp_size", "moe_ep_size"}
    texts = (
        "chip",
        "op",
        "dtype",
        "kv_dtype",
        "gemm_dtype",
        "direction",
        "distribution",
        "framework",
        "version",
        "kernel_source",
    )
    columns = [
        (pl.col(name).cast(pl.Float64, strict=False) if name in have else pl.lit(None, pl.Float64)).alias(name)
        for name in sorted(numbers)
    ]
    columns += [
        (pl.col(name).cast(pl.String) if name in have else pl.lit(None, pl.String)).alias(name) for name in texts
    ]
    measured = pl.col("measured_latency_s").cast(pl.Float64, strict=False).alias("measured")
    out = frame.select(*columns, measured)
    return out.with_columns(
        m=pl.coalesce("m", pl.when(pl.col("op").str.starts_with("gemm_")).then(pl.col("num_tokens"))),
        skew=pl.col("distribution").str.extract(r"power_law_([0-9.]+)").cast(pl.Float64).fill_null(0.0),
        window=pl.col("window").fill_null(0.0),
        moe_tp_size=pl.col("moe_tp_size").fill_null(1.0),
        moe_ep_size=pl.col("moe_ep_size").fill_null(1.0),
        kernel=pl.concat_str(pl.col("framework").fill_null(""), pl.lit("/"), pl.col("kernel_source").fill_null("")),
        piled=_piled(),
        gated=_gated(),
    )


def _old_sglang() -> pl.Expr:
    """Return whether a row was measured with SGLang up to 0.5.10 (aiconfigurator's collector/sglang/collect_moe.py)."""
    parts = pl.col("version").str.extract_groups(r"^0\.(\d+)\.(\d+)")
    minor, patch = (parts.struct.field(name).cast(pl.Int64, strict=False) for name in ("1", "2"))
    old = (minor < 5) | ((minor == 5) & (patch <= 10))
    return (old & (pl.col("framework") == "sglang")).fill_null(False)


def _piled() -> pl.Expr:
    """Return whether a row's experts computed the rows of other chips' experts as well, piled on one of their own.

    What generated the tables of old SGLang gave Triton's and Marlin's kernels all slots of the tokens that reach the
    fullest chip, with expert 0 in place of those elsewhere; other kernels took a count of rows for each expert.
    """
    kernel = pl.col("kernel_source").str.contains("triton|marlin")
    return (_old_sglang() & kernel & (pl.col("op") == "moe_ffn") & (pl.col("moe_ep_size") > 1.0)).fill_null(False)


def _gated() -> pl.Expr:
    """Return whether a row's experts have a gate; old SGLang's tables give one to models without."""
    shape = [pl.col(name) for name in ("hidden_size", "inter_size", "num_experts")]
    without = pl.any_horizontal(
        pl.all_horizontal(column == size for column, size in zip(shape, sizes, strict=True))
        for sizes in ungated_shapes()
    )
    named = pl.col("kernel_source").str.contains("nongated")
    return ~(named | (without & ~_old_sglang())).fill_null(False)


def _with_widths(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a table of layers with the width of its rope and SiLU rows in place of the model's.

    The products of the same model and shard tell: rope turns queries and keys, SiLU half of what the first FFN
    product gives. Without them the width is null.
    """
    if not {"model", "tp", "n", "k", "op"} <= set(frame.columns):
        return frame
    keys = ["model", "tp"]
    shard = pl.col("k") / pl.col("tp")
    qkv = frame.filter(pl.col("op") == "gemm_qkv").group_by(keys).agg(turned=((pl.col("n") + shard) / 2.0).first())
    first = frame.filter(pl.col("op") == "gemm_mlp_up").group_by(keys).agg(gated=(pl.col("n") / 2.0).first())
    wide = frame.join(qkv, on=keys, how="left", maintain_order="left")
    wide = wide.join(first, on=keys, how="left", maintain_order="left")
    op = pl.col("op")
    width = pl.when(op == "rope").then("turned").when(op == "silu_mul").then("gated").otherwise(pl.col("n"))
    return wide.with_columns(n=width).drop("turned", "gated")


def with_fold(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a ``normal`` table with the column ``fold``: sha256 of op, dtype and shape, modulo five."""
    shapes = frame.select("op", "dtype", *SHAPE).unique(maintain_order=True)
    text = shapes.select(pl.concat_str(pl.all().cast(pl.String).fill_null(""), separator="|").alias("text"))["text"]
    folds = [int.from_bytes(hashlib.sha256(t.encode()).digest()[:4], "big") % FOLDS for t in text]
    found = shapes.with_columns(pl.Series("fold", folds, dtype=pl.Int8))
    return frame.join(found, on=["op", "dtype", *SHAPE], how="left", nulls_equal=True, maintain_order="left")
