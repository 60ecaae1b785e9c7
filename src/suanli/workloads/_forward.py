"""One forward pass as operators: dispatch by architecture, and the transformer's layers under TP and EP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from suanli.errors import InputError
from suanli.kinds import Model
from suanli.workloads._cache import format_bytes
from suanli.workloads._compressed import compressed_rows, core, score_row, stream_rows
from suanli.workloads._layers import LayerGroup, layer_groups, linear_widths, mlp_matrices, qkv_width
from suanli.workloads._ops import Ops, Row, attended, gemm, lookup, stream, table

PHASES: tuple[str, ...] = ("prefill", "decode", "train", "encoder")
_SCAN_CHUNK = 64  # tokens that chunked linear attention multiplies at once (arXiv 2412.06464, section 3.3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One pass over ``batch`` sequences on a chip of a tensor-parallel group: lengths, degrees and formats."""

    phase: str
    batch: int
    q_len: int
    kv_len: int
    tp: int
    ep: int
    moe_tp: int
    dtype: str
    attention_dtype: str
    kv_dtype: str
    logits: int

    @property
    def tokens(self) -> int:
        """New tokens of the pass."""
        return self.batch * self.q_len

    @property
    def width(self) -> float:
        """Bytes of one weight."""
        return format_bytes(self.dtype)


def forward_ops(
    model: Model,
    *,
    phase: str,
    batch: int,
    q_len: int = 1,
    kv_len: int | None = None,
    tp: int = 1,
    ep: int = 1,
    moe_tp: int | None = None,
    dtype: str = "bf16",
    attention_dtype: str = "bf16",
    kv_dtype: str | None = None,
    mtp_layers: int = 0,
) -> Ops:
    """Return the operators that one chip runs in one forward pass of ``model``.

    ``phase``: "prefill" (logits of the last token), "decode" (``q_len`` new tokens a sequence), "train" (logits of
    all tokens) or "encoder" (no mask, no logits). ``kv_len`` counts cached and new tokens (None: ``q_len``).
    ``batch`` sequences enter a group of ``tp`` chips; experts lie on ``ep`` x ``moe_tp`` chips (default: the same
    chips as far as ``ep`` divides ``tp``), which gather the tokens of as many attention groups as they span.
    ``dtype`` is the format of weights and linear layers (the head stays in 16 bits), ``kv_dtype`` of the cache;
    ``mtp_layers`` multi-token-prediction layers run after the stack.
    Diffusion transformers take ``q_len`` picture tokens, recommenders ``batch`` items. Raises InputError.
    """
    if phase not in PHASES:
        raise InputError(f"phase is '{phase}'; it must be one of {', '.join(PHASES)}")
    kv_len = q_len if kv_len is None else kv_len
    _check(model, kv_len, {"batch": batch, "q_len": q_len, "tp": tp, "ep": ep}, mtp_layers)
    if model.architecture in ("dlrm", "hstu"):
        from suanli.workloads._recommender import recommender_rows

        return table(recommender_rows(model, batch=batch, history=q_len, dtype=dtype, tp=tp))
    run = Pass(
        phase=phase,
        batch=batch,
        q_len=q_len,
        kv_len=kv_len,
        tp=tp,
        ep=ep,
        moe_tp=moe_tp if moe_tp is not None else max(1, tp // ep),
        dtype=dtype,
        attention_dtype=attention_dtype,
        kv_dtype=kv_dtype or attention_dtype,
        logits={"prefill": batch, "encoder": 0}.get(phase, batch * q_len),
    )
    if model.architecture == "dit":
        from suanli.workloads._diffusion import diffusion_rows

        return table(diffusion_rows(model, run))
    rows = chain(_transformer_rows(model, run), _mtp_rows(model, run, mtp_layers))
    return table(rows, latent=core(model) if model.compressed is not None else model.latent)


def _check(model: Model, kv_len: int, sizes: Mapping[str, int], mtp_layers: int) -> None:
    for name, value in sizes.items():
        if value < 1:
            raise InputError(f"{name} is {value}; it must be at least 1")
    if kv_len < sizes["q_len"]:
        raise InputError(f"kv_len {kv_len} is below q_len {sizes['q_len']}; it counts the cached and the new tokens")
    if not 0 <= mtp_layers <= model.mtp_layers:
        raise InputError(f"mtp_layers is {mtp_layers}; {model.id} has {model.mtp_layers}")


def share(size: int, parts: int) -> int:
    """Return what one of ``parts`` chips holds of ``size`` (the fullest chip, where it does not divide)."""
    return -(-size // parts)


def _transformer_rows(model: Model, run: Pass) -> Iterator[Row]:
    yield lookup("embedding", run.tokens, model.hidden, number=2.0)
    for group in layer_groups(model):
        yield from _mixer_rows(model, run, group)
        yield from _mlp_rows(model, run, group)
        yield from _residual_rows(model, run, group.count)
    if run.logits:
        head = gemm("head", run.logits, share(model.vocab, run.tp), model.hidden, dtype="bf16", width=2.0)
        yield stream("final norm", 4.0 * run.logits * model.hidden)
        yield head


def _residual_rows(model: Model, run: Pass, count: float) -> Iterator[Row]:
    if model.compressed is not None:
        yield from stream_rows(model, run, count)
        return
    norms = 1 if model.parallel_block else 2
    # a norm with its residual reads two vectors and writes two
    yield stream("norm and residual", 8.0 * run.tokens * model.hidden, count=norms * count)


def _mtp_rows(model: Model, run: Pass, layers: int) -> Iterator[Row]:
    """Yield multi-token-prediction layers: joining projection, a layer like the last, the head again."""
    if not layers:
        return
    h = model.hidden
    yield gemm("mtp join", run.tokens, h, 2 * h, dtype=run.dtype, width=run.width, count=layers)
    last = LayerGroup(layers, "compressed" if model.compressed is not None else "full", model.experts is not None)
    yield from _mixer_rows(model, run, last)
    yield from _mlp_rows(model, run, last)
    yield from _residual_rows(model, run, layers)
    if run.logits:
        yield gemm("mtp head", run.logits, share(model.vocab, run.tp), h, dtype="bf16", width=2.0, count=layers)


def _mixer_rows(model: Model, run: Pass, group: LayerGroup) -> Iterator[Row]:
    if group.mixer == "linear":
        yield from _linear_rows(model, run, group.count)
    elif group.mixer == "compressed":
        yield from compressed_rows(model, run, group.ratio, group.count)
    elif model.latent is not None:
        yield from _latent_rows(model, run, group.count)
    else:
        yield from _attention_rows(model, run, group)


def _attention_rows(model: Model, run: Pass, group: LayerGroup) -> Iterator[Row]:
    heads = share(model.n_heads, run.tp)
    kv_heads = share(model.n_kv_heads, run.tp)
    width = (heads * (2 if model.attention_gate else 1) + 2 * kv_heads) * model.head_dim
    assert run.tp > 1 or width == qkv_width(model)
    count = group.count
    yield gemm("qkv", run.tokens, width, model.hidden, dtype=run.dtype, width=run.width, count=count)
    yield stream("rope", 4.0 * run.tokens * (heads + kv_heads) * model.head_dim, count=count)
    window = model.window if group.mixer == "window" else 0
    yield attention_row(
        run, heads=heads, kv_heads=kv_heads, head_dim=model.head_dim, window=window, count=count, name=group.mixer
    )
    yield gemm("out", run.tokens, model.hidden, heads * model.head_dim, dtype=run.dtype, width=run.width, count=count)


def attention_row(
    run: Pass, *, heads: int, kv_heads: int, head_dim: int, window: int = 0, count: float = 1.0, name: str = "full"
) -> Row:
    """Return the softmax-attention core of ``run``: scores and values, keys and values read once a sequence."""
    kind = {"decode": "attention_decode", "encoder": "attention_encoder"}.get(run.phase, "attention_prefill")
    pairs = attended(run.q_len, run.kv_len, window, causal=run.phase != "encoder")
    read = min(run.kv_len, window + run.q_len - 1) if window else run.kv_len
    queries = 2.0 * run.tokens * heads * head_dim * format_bytes(run.attention_dtype)
    keys = 2.0 * run.batch * read * kv_heads * head_dim * format_bytes(run.kv_dtype)
    return Row(
        kind=kind,
        name=f"attention ({name})",
        batch=run.batch,
        q_len=run.q_len,
        kv_len=run.kv_len,
        n_heads=heads,
        n_kv_heads=kv_heads,
        head_dim=head_dim,
        window=window,
        count=count,
        flop=4.0 * run.batch * pairs * heads * head_dim,
        bytes=queries + keys,
        dtype=run.attention_dtype,
        kv_dtype=run.kv_dtype,
    )


def _latent_rows(model: Model, run: Pass, count: float) -> Iterator[Row]:
    """Yield MLA: expanded keys and values over new tokens in prefill, absorbed products in decode (arXiv 2405.04434).

    The low-rank down projections are whole on every chip of a tensor-parallel group.
    """
    latent = model.latent
    assert latent is not None
    heads, tokens, h = share(model.n_heads, run.tp), run.tokens, model.hidden
    query = latent.nope_dim + latent.rope_dim
    keys = latent.kv_rank + latent.rope_dim
    absorbed = run.phase == "decode"

    def linear(name: str, n: int, k: int) -> Row:
        return gemm(name, tokens, n, k, dtype=run.dtype, width=run.width, count=count)

    if latent.q_rank:
        yield linear("latent down", latent.q_rank + keys, h)
        yield linear("query up", heads * query, latent.q_rank)
    else:
        yield linear("query", heads * query, h)
        yield linear("latent down", keys, h)
    if model.indexer is not None:
        yield from _indexer_rows(model, run, count)
    if absorbed:
        yield _absorb("query absorb", run, heads, latent.kv_rank, latent.nope_dim, count)
    else:
        yield linear("latent up", heads * (latent.nope_dim + latent.v_dim), latent.kv_rank)
    yield _latent_core(model, run, heads, count)
    if absorbed:
        yield _absorb("value absorb", run, heads, latent.v_dim, latent.kv_rank, count)
    yield linear("out", h, heads * latent.v_dim)


def _absorb(name: str, run: Pass, heads: int, n: int, k: int, count: float) -> Row:
    """Return one of decode's two products with the absorbed up projection, a GEMM a head in 16 bits."""
    return gemm(name, run.tokens, n, k, batch=heads, dtype="bf16", width=2.0, count=count)


def _latent_core(model: Model, run: Pass, heads: int, count: float) -> Row:
    latent = model.latent
    assert latent is not None
    absorbed = run.phase == "decode"
    top_k = model.indexer.top_k if model.indexer is not None else 0
    pairs = attended(run.q_len, run.kv_len, top_k)
    score, value = latent.nope_dim + latent.rope_dim, latent.v_dim
    if absorbed:
        score, value = latent.kv_rank + latent.rope_dim, latent.kv_rank
    read = min(run.kv_len, top_k) if top_k and absorbed else run.kv_len
    keys = read * (score if absorbed else heads * (score + value))
    number = format_bytes(run.kv_dtype if absorbed else run.attention_dtype)
    return Row(
        kind="mla_decode" if absorbed else "mla_prefill",
        name="latent attention",
        batch=run.batch,
        q_len=run.q_len,
        kv_len=run.kv_len,
        n_heads=heads,
        n_kv_heads=1 if absorbed else heads,
        head_dim=score,
        window=top_k,
        count=count,
        flop=2.0 * run.batch * pairs * heads * (score + value),
        bytes=run.batch * keys * number + 2.0 * run.tokens * heads * (score + value),
        dtype=run.attention_dtype,
        kv_dtype=run.kv_dtype,
    )


def _indexer_rows(model: Model, run: Pass, count: float) -> Iterator[Row]:
    """Yield the indexer of sparse attention: its projections and the 8-bit scores of all visible keys."""
    indexer = model.indexer
    assert indexer is not None
    runs = count / indexer.every
    source = model.latent.q_rank if model.latent and model.latent.q_rank else model.hidden
    wide = indexer.n_heads * indexer.head_dim
    yield gemm("indexer query", run.tokens, wide, source, dtype=run.dtype, width=run.width, count=runs)
    narrow = indexer.head_dim + indexer.n_heads
    yield gemm("indexer key", run.tokens, narrow, model.hidden, dtype=run.dtype, width=run.width, count=runs)
    yield score_row(indexer, run, runs)


def _linear_rows(model: Model, run: Pass, count: float) -> Iterator[Row]:
    """Yield linear attention: joint projection, short convolution, the recurrent scan, output."""
    linear = model.linear
    assert linear is not None
    width, values = linear_widths(model)
    heads = share(linear.n_heads, run.tp)
    yield gemm(
        "linear in", run.tokens, share(width, run.tp), model.hidden, dtype=run.dtype, width=run.width, count=count
    )
    yield stream("convolution", 4.0 * run.tokens * share(width - values, run.tp), count=count)
    state = heads * linear.k_dim * linear.v_dim
    step = 6.0 * state  # decay and correct, write, read: two operations a number of state each
    if run.q_len > 1:
        step += 2.0 * _SCAN_CHUNK * heads * (linear.k_dim + linear.v_dim)
    moved = 2.0 * 4.0 * run.batch * state + 4.0 * run.tokens * share(width, run.tp)
    yield Row(
        kind="scan",
        name="linear attention",
        batch=run.batch,
        q_len=run.q_len,
        n_heads=heads,
        k=linear.k_dim,
        head_dim=linear.v_dim,
        count=count,
        flop=run.tokens * step,
        bytes=moved,
        dtype=run.attention_dtype,
    )
    yield gemm(
        "linear out", run.tokens, model.hidden, share(values, run.tp), dtype=run.dtype, width=run.width, count=count
    )


def _mlp_rows(model: Model, run: Pass, group: LayerGroup) -> Iterator[Row]:
    if not group.moe:
        yield from mlp_rows(model, run, model.ffn_hidden, group.count, "mlp")
        return
    experts = model.experts
    assert experts is not None
    yield gemm("router", run.tokens, experts.n_experts, model.hidden, dtype="bf16", width=2.0, count=group.count)
    if experts.n_shared:
        yield from mlp_rows(model, run, experts.n_shared * experts.shared_ffn_hidden, group.count, "shared expert")
    chips = run.ep * run.moe_tp
    tokens = max(1, round(run.tokens * max(1.0, chips / run.tp)))
    matrices = mlp_matrices(model)
    routed = tokens * experts.top_k / run.ep  # token copies that one chip computes where routing is even
    inter = share(experts.ffn_hidden, run.moe_tp)
    untouched = (1.0 - experts.top_k / experts.n_experts) ** tokens  # an expert's chance that no token comes
    held = (1.0 - untouched) * experts.n_experts / run.ep
    weights = matrices * held * inter * model.hidden * run.width
    yield Row(
        kind="moe",
        name="experts",
        m=tokens,
        n=experts.ffn_hidden,
        k=model.hidden,
        n_experts=experts.n_experts,
        top_k=experts.top_k,
        tp=run.moe_tp,
        ep=run.ep,
        count=group.count,
        flop=2.0 * matrices * routed * model.hidden * inter,
        bytes=weights + 2.0 * routed * (2.0 * model.hidden + matrices * inter),
        weight_bytes=weights,
        dtype=run.dtype,
    )


def mlp_rows(model: Model, run: Pass, width: int, count: float, name: str) -> Iterator[Row]:
    """Yield an MLP of ``width`` on ``run.tokens`` tokens: up (and gate), activation, down."""
    inner = share(width, run.tp)
    ups = mlp_matrices(model) - 1
    yield gemm(f"{name} up", run.tokens, ups * inner, model.hidden, dtype=run.dtype, width=run.width, count=count)
    yield stream(f"{name} activation", 2.0 * (ups + 1) * run.tokens * inner, count=count)
    yield gemm(f"{name} down", run.tokens, model.hidden, inner, dtype=run.dtype, width=run.width, count=count)
