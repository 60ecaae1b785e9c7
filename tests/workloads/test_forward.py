"""Operator tables: FLOP by an independent count, sharding, exact attention, bad input."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.catalog import model, models
from suanli.errors import InputError
from suanli.workloads import (
    KINDS,
    PHASES,
    attended,
    backward_ops,
    flop_per_token,
    flops,
    forward_ops,
    parameters,
    passes,
    picture_tokens,
    rows_of,
    table,
)

TRANSFORMERS = [m.id for m in models() if m.architecture == "transformer"]


@given(
    q=st.integers(1, 40),
    cached=st.integers(0, 60),
    window=st.sampled_from([0, 1, 5, 33, 200]),
)
def test_pairs_are_counted_exactly(q: int, cached: int, window: int) -> None:
    seen = [min(cached + i + 1, window or math.inf) for i in range(q)]
    assert attended(q, q + cached, window) == sum(seen)
    assert attended(q, q + cached, window, causal=False) == q * (q + cached)


@pytest.mark.parametrize(
    "name", ["llama-3.1-8b", "gpt3-13b", "mixtral-8x7b", "gpt-j-6b", "deepseek-v2-lite", "glm-4.5-air"]
)
def test_flop_are_twice_the_active_parameters_and_attention(name: str) -> None:
    m = model(name)
    length = 512
    found = flops(forward_ops(m, phase="train", batch=2, q_len=length))
    width = 2 * m.head_dim if m.latent is None else m.latent.nope_dim + m.latent.rope_dim + m.latent.v_dim
    attention = 2 * m.n_layers * 2 * (length * (length + 1) // 2) * m.n_heads * width
    vectors = parameters(m).parts["norms"] + m.learned_positions * m.hidden
    linear = 2 * (parameters(m).active - vectors) * 2 * length
    assert found == pytest.approx(linear + attention, rel=2e-3)  # biases add parameters, not products


@pytest.mark.parametrize("name", ["llama-3.1-70b", "gpt-oss-120b", "qwen3-235b-a22b", "deepseek-v3", "gemma-3-27b"])
def test_the_table_and_the_closed_form_agree(name: str) -> None:
    m = model(name)
    one = flops(forward_ops(m, phase="train", batch=1, q_len=1)) / 1.0
    assert one == pytest.approx(float(flop_per_token(m, 1)), rel=5e-3)
    length = 2048
    whole = flops(forward_ops(m, phase="train", batch=1, q_len=length))
    contexts = np.arange(1, length + 1)
    assert whole == pytest.approx(float(flop_per_token(m, contexts).sum()), rel=5e-3)


@pytest.mark.parametrize("name", ["llama-3.1-405b", "qwen3-32b", "mixtral-8x22b", "qwen3.5-397b-a17b"])
@pytest.mark.parametrize("phase", ["prefill", "decode", "train"])
def test_tensor_parallel_conserves_flop(name: str, phase: str) -> None:
    m = model(name)
    sizes: dict[str, Any] = {"q_len": 1, "kv_len": 777} if phase == "decode" else {"q_len": 256, "kv_len": 256}
    whole = flops(forward_ops(m, phase=phase, batch=4, **sizes))
    parts = 2 * flops(forward_ops(m, phase=phase, batch=4, tp=2, **sizes))
    assert parts == pytest.approx(whole, rel=1e-2)  # routers are whole on every chip
    assert parts >= whole * (1 - 1e-9)


def test_expert_parallel_conserves_flop_and_gathers_tokens() -> None:
    m = model("deepseek-v3")
    alone = next(r for r in rows_of(forward_ops(m, phase="decode", batch=64, kv_len=1024)) if r.kind == "moe")
    spread = next(
        r for r in rows_of(forward_ops(m, phase="decode", batch=64, kv_len=1024, ep=16, moe_tp=1)) if r.kind == "moe"
    )
    assert spread.m == 16 * alone.m  # sixteen groups' tokens enter
    assert spread.flop == pytest.approx(alone.flop)
    assert (spread.tp, spread.ep) == (1, 16)


def test_head_counts_never_fall_below_one() -> None:
    rows = rows_of(forward_ops(model("qwen3-235b-a22b"), phase="decode", batch=8, kv_len=64, tp=8))
    attention = next(r for r in rows if r.kind == "attention_decode")
    assert (attention.n_heads, attention.n_kv_heads) == (8, 1)


def test_decode_absorbs_the_latent_projections() -> None:
    m = model("deepseek-v3")
    core = next(r for r in rows_of(forward_ops(m, phase="decode", batch=1, kv_len=4096)) if r.kind == "mla_decode")
    assert core.flop == 2 * 4096 * 128 * (512 + 64 + 512)
    assert core.bytes == pytest.approx(4096 * 576 * 2 + 2 * 128 * (576 + 512))


def test_sparse_attention_reads_no_more_than_it_chose() -> None:
    m = model("deepseek-v3.2")
    near = forward_ops(m, phase="decode", batch=1, kv_len=2048)
    far = forward_ops(m, phase="decode", batch=1, kv_len=65536)
    core = [next(r for r in rows_of(o) if r.kind == "mla_decode") for o in (near, far)]
    assert core[0].bytes == core[1].bytes
    score = [next(r for r in rows_of(o) if r.name == "indexer score") for o in (near, far)]
    assert score[1].flop == pytest.approx(32 * score[0].flop)


def test_windows_bound_the_work_of_their_layers() -> None:
    rows = rows_of(forward_ops(model("gpt-oss-120b"), phase="decode", batch=1, kv_len=8192))
    by_name = {r.name: r for r in rows}
    assert by_name["attention (window)"].flop == pytest.approx(by_name["attention (full)"].flop * 128 / 8192)
    assert by_name["attention (window)"].count == by_name["attention (full)"].count == 18


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_every_preset_becomes_a_table(name: str) -> None:
    m = model(name)
    for phase, q_len, kv_len in (("prefill", 32, None), ("decode", 1, 100), ("train", 32, None)):
        ops = forward_ops(m, phase=phase, batch=2, q_len=q_len, kv_len=kv_len)
        assert np.isfinite(ops.flop).all()
        assert (ops.bytes > 0).all()
        assert (ops.weight_bytes <= ops.bytes).all()
        assert ops.kind.max() < len(KINDS)


def test_weights_of_a_table_are_those_of_the_model() -> None:
    m = model("qwen3-32b")
    ops = forward_ops(m, phase="decode", batch=1, kv_len=10)
    held = float((ops.count * ops.weight_bytes).sum())
    count = parameters(m)
    assert held == pytest.approx(2 * (count.total - count.embedding - count.parts["norms"]), rel=1e-6)
    quantised = forward_ops(m, phase="decode", batch=1, kv_len=10, dtype="fp8")
    head = 2 * count.parts["head"]
    assert float((quantised.count * quantised.weight_bytes).sum()) == pytest.approx((held - head) / 2 + head, rel=1e-6)


def test_the_backward_pass_costs_twice_the_forward() -> None:
    ops = forward_ops(model("llama-3.1-8b"), phase="train", batch=1, q_len=4096)
    back = backward_ops(ops)
    products = [r for r in rows_of(ops) if r.kind == "gemm"]
    gradients = [r for r in rows_of(back) if r.kind == "gemm"]
    assert sum(r.count * r.flop for r in gradients) == pytest.approx(2 * sum(r.count * r.flop for r in products))
    assert all(2.0 * r.m * r.n * r.k == r.flop for r in gradients)
    core = next(r for r in rows_of(back) if r.kind == "attention_prefill")
    assert core.flop == 2.5 * next(r for r in rows_of(ops) if r.kind == "attention_prefill").flop


def test_multi_token_prediction_adds_a_layer_and_a_head() -> None:
    m = model("deepseek-v3")
    plain = flops(forward_ops(m, phase="train", batch=1, q_len=256))
    more = flops(forward_ops(m, phase="train", batch=1, q_len=256, mtp_layers=1))
    layer = (plain - 2 * 256 * m.hidden * m.vocab) / m.n_layers
    join = 2 * 256 * 2 * m.hidden * m.hidden
    assert more - plain == pytest.approx(layer + join + 2 * 256 * m.hidden * m.vocab, rel=0.02)
    with pytest.raises(InputError, match="mtp_layers is 2; deepseek-v3 has 1"):
        forward_ops(m, phase="train", batch=1, q_len=256, mtp_layers=2)


def test_a_table_survives_its_rows() -> None:
    ops = forward_ops(model("deepseek-v3"), phase="prefill", batch=1, q_len=64)
    again = table(rows_of(ops), latent=ops.latent)
    assert again.name == ops.name
    assert (again.flop == ops.flop).all()
    assert again.latent == ops.latent


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(["llama-3.1-8b", "deepseek-v2-lite", "gpt-oss-20b", "qwen3.5-35b-a3b"]),
    batch=st.integers(1, 64),
    length=st.integers(1, 512),
)
def test_more_work_never_costs_fewer_flop(name: str, batch: int, length: int) -> None:
    m = model(name)
    here = flops(forward_ops(m, phase="prefill", batch=batch, q_len=length))
    assert flops(forward_ops(m, phase="prefill", batch=batch + 1, q_len=length)) > here
    assert flops(forward_ops(m, phase="prefill", batch=batch, q_len=length + 1)) > here
    decode = flops(forward_ops(m, phase="decode", batch=batch, kv_len=length))
    assert flops(forward_ops(m, phase="decode", batch=batch, kv_len=length + 64)) >= decode


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"phase": "training"}, "phase is 'training'"),
        ({"batch": 0}, "batch is 0"),
        ({"tp": -1}, "tp is -1"),
        ({"q_len": 8, "kv_len": 4}, "kv_len 4 is below q_len 8"),
        ({"dtype": "fp7"}, "unknown number format 'fp7'"),
    ],
)
def test_bad_sizes_are_refused_by_name(changes: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {"phase": "prefill", "batch": 1, "q_len": 4, **changes}
    with pytest.raises(InputError, match=message):
        forward_ops(model("gpt2"), **arguments)  # type: ignore[arg-type]
    assert "prefill" in PHASES


def test_a_picture_has_the_tokens_its_paper_states() -> None:
    assert picture_tokens(model("dit-xl-2"), height=256, width=256) == 256  # arXiv 2212.09748: 16 x 16
    assert picture_tokens(model("sd3-medium"), height=1024, width=1024) == 4096
    assert picture_tokens(model("wan2.1-t2v-14b"), height=720, width=1280, frames=81) == 75600  # 21 x 45 x 80
    assert passes(model("flux.1-dev"), steps=28) == 28
    assert passes(model("sd3-medium"), steps=28) == 56


def test_a_denoising_step_costs_what_the_paper_states() -> None:
    m = model("dit-xl-2")
    found = flops(forward_ops(m, phase="encoder", batch=1, q_len=256))
    assert found / 2 == pytest.approx(118.6e9, rel=0.03)  # arXiv 2212.09748, table 4: 118.6 G multiply-adds


@pytest.mark.parametrize("name", ["flux.1-dev", "qwen-image", "hunyuanvideo", "wan2.1-t2v-14b", "pixart-alpha"])
def test_diffusion_flop_grow_with_the_picture_and_split_over_chips(name: str) -> None:
    m = model(name)
    small, large = (flops(forward_ops(m, phase="encoder", batch=1, q_len=n)) for n in (1024, 4096))
    assert large > 2.8 * small  # four times the picture tokens, the text stays
    split = forward_ops(m, phase="encoder", batch=1, q_len=1024, tp=2)
    assert 2 * flops(split) >= small * (1 - 1e-9)
    assert 2 * flops(split) <= small * 1.02


def test_recommenders_read_their_tables() -> None:
    m = model("dlrm-dcnv2")
    ops = forward_ops(m, phase="encoder", batch=2048)
    bags = next(r for r in rows_of(ops) if r.kind == "embedding")
    assert bags.bytes == 2 * 2048 * 214 * 128 * 4
    assert flops(ops) == pytest.approx(2 * 2048 * parameters(m).active, rel=0.01)
    hstu = forward_ops(model("dlrmv3-hstu"), phase="encoder", batch=4, q_len=2048)
    assert any(r.name == "pointwise attention" for r in rows_of(hstu))


def test_pictures_and_text_do_not_mix() -> None:
    with pytest.raises(InputError, match="not a diffusion transformer"):
        picture_tokens(model("gpt2"), height=64, width=64)
    with pytest.raises(InputError, match="height is 0"):
        picture_tokens(model("sd3-medium"), height=0, width=64)
    with pytest.raises(InputError, match="FLOP per token is a transformer's"):
        flop_per_token(model("sd3-medium"))
