"""Memory against the figures of Korthikanti et al. 2022 (https://arxiv.org/abs/2205.05198), figures 1 and 7.

The GiB of figure 1 and the per cent of figure 7 are those that Calculon's own validation quotes
(https://github.com/calculon-ai/calculon, calculon/llm/validation.py).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli import catalog
from suanli.kinds import Model
from suanli.quantities import GIB
from suanli.training import Strategies, facts, memory_by_stage, prior_parameters, setting_of, step, strategies
from suanli.training._memory import Recipe, fuller, kept_activations, local_weights, stage_memory
from suanli.training._schedule import in_flight

ONE = np.ones(1)
ZERO = np.zeros(1)
SEQ = np.array([2048.0])


def gpt(layers: int, hidden: int, heads: int) -> Model:
    return Model(
        id="gpt",
        name="GPT",
        n_layers=layers,
        hidden=hidden,
        n_heads=heads,
        n_kv_heads=heads,
        head_dim=hidden // heads,
        ffn_hidden=4 * hidden,
        vocab=51200,
        gated_mlp=False,
        tied_embeddings=True,
        learned_positions=2048,
    )


# layers, hidden, heads, tp, pp, vpp, micro-batch; then GiB of states and of activations, without and with
# sequence parallelism and selective recomputation; then figure 7 in per cent of plain tensor parallelism.
PAPER = {
    "22B": ((48, 6144, 64, 8, 1, 1, 4), 45.5625, 59.25, 9.5625, (66.84, 49.42, 16.18, 7.64)),
    "175B": ((96, 12288, 96, 8, 8, 3, 1), 45.5625, 66.84375, 12.3515625, (62.04, 56.53, 18.49, 8.71)),
    "530B": ((105, 20480, 128, 8, 35, 3, 1), 31.640625, 114.0234375, 23.076171875, (58.31, 62.04, 20.27, 9.42)),
    "1T": ((128, 25600, 160, 8, 64, 1, 1), 32.958984375, 131.25, 26.5625, (58.31, 62.04, 20.27, 9.42)),
}


def setup(name: str, **more: object) -> tuple[Model, Strategies]:
    layers, hidden, heads, tp, pp, vpp, micro = PAPER[name][0]
    given = {"tp": tp, "pp": pp, "vpp": vpp, "micro_batch": micro, "sharding": "none", **more}
    return gpt(layers, hidden, heads), strategies(**given)  # type: ignore[arg-type]


def activations(name: str, **more: object) -> float:
    model, s = setup(name, **more)
    f = facts(model)
    plain = Recipe(seq=SEQ, flash=ZERO, dropout=ONE, selective_gemm=ZERO, selective_elementwise=ZERO)
    kept = kept_activations(f, s, plain)
    held = in_flight(s.pp, s.vpp, np.array([1e9]), s.schedule)
    return float((kept * f.layers / s.pp * held)[0])


@pytest.mark.parametrize("name", PAPER)
def test_states_as_in_figure_1(name: str) -> None:
    model, s = setup(name)
    dense, routed = local_weights(facts(model), s, stage="middle")
    assert routed[0] == 0
    assert 18.0 * dense[0] / GIB == pytest.approx(PAPER[name][1], rel=0.02)


@pytest.mark.parametrize("name", PAPER)
def test_activations_as_in_figure_1(name: str) -> None:
    _, _, plain, small, _ = PAPER[name]
    assert activations(name, sequence_parallel=0) / GIB == pytest.approx(plain, rel=0.05)
    assert activations(name, sequence_parallel=1, recompute="selective") / GIB == pytest.approx(small, rel=0.05)


@pytest.mark.parametrize("name", PAPER)
def test_shares_as_in_figure_7(name: str) -> None:
    whole = activations(name, sequence_parallel=0)
    got = (
        activations(name, sequence_parallel=1),
        activations(name, sequence_parallel=0, recompute="selective"),
        activations(name, sequence_parallel=1, recompute="selective"),
        activations(name, sequence_parallel=0, recompute="full"),
    )
    assert [100 * g / whole for g in got] == pytest.approx(PAPER[name][4], rel=0.02)


def total(s: Strategies, *, flash: float = 1.0) -> float:
    f = facts(gpt(32, 4096, 32))
    r = Recipe(seq=SEQ, flash=np.array([flash]), dropout=ZERO, selective_gemm=ZERO, selective_elementwise=ONE)
    first, last = (
        stage_memory(f, s, r, stage=stage, batch=np.array([512.0]), gradient_bytes=np.array([4.0]))
        for stage in ("first", "last")
    )
    both = fuller(first, last)
    assert both.total[0] == pytest.approx(max(first.total[0], last.total[0]))
    return float(both.total[0])


@settings(max_examples=40, deadline=None)
@given(
    tp=st.sampled_from([1, 2, 4]),
    pp=st.sampled_from([1, 2, 4]),
    dp=st.sampled_from([2, 4, 8]),
    micro=st.sampled_from([1, 2, 4]),
)
def test_more_sharing_and_recomputing_never_takes_more(tp: int, pp: int, dp: int, micro: int) -> None:
    degrees = {"tp": tp, "pp": pp, "dp": dp, "micro_batch": micro}
    by_sharding = [total(strategies(**degrees, sharding=name)) for name in ("none", "zero1", "zero2")]
    assert by_sharding == sorted(by_sharding, reverse=True)
    by_recompute = [total(strategies(**degrees, recompute=name)) for name in ("none", "selective", "full")]
    assert by_recompute == sorted(by_recompute, reverse=True)
    base = total(strategies(**degrees))
    assert total(strategies(**{**degrees, "micro_batch": 2 * micro})) > base
    assert total(strategies(**degrees, offload=1.0)) < base
    assert total(strategies(**degrees, short_moments=1.0)) < base
    assert total(strategies(**{**degrees, "tp": 2 * tp})) < base


def held(schedule: str, vpp: int = 1) -> np.ndarray:
    where = setting_of(gpt(64, 4096, 32), catalog.chip("h100-sxm"), 64, seq_len=2048, global_batch=512)
    s = strategies(pp=8, vpp=vpp, dp=8, recompute="none", schedule=schedule)
    one = step(where, s, parameters=prior_parameters())
    stages = memory_by_stage(one)
    assert stages[0] == one.first.total[0]
    assert stages[-1] == one.last.total[0]
    assert one.memory_bytes == stages.max()
    return stages


def test_later_stages_hold_fewer_micro_batches() -> None:
    plain, chunks, zero = held("1f1b"), held("interleaved", 2), held("zero_bubble")
    for stages in (plain, chunks):
        assert np.all(np.diff(stages[1:-1]) < 0)  # the ends have the embedding and the head
        assert np.allclose(np.diff(stages[1:-1], 2), 0.0)
    assert np.allclose(np.diff(zero[1:-1]), 0.0)
    # interleaved stages hold p (1 + (p - 1) / (p v)) - 2 i / v micro-batches
    assert in_flight(ONE * 8, ONE * 2, ONE * 64, ONE, place=7.0)[0] == pytest.approx(4.5)


def test_the_second_stage_is_fullest_behind_dense_layers() -> None:
    model = replace(catalog.model("deepseek-v3"), mtp_layers=0)
    where = setting_of(model, catalog.chip("h800"), 512, seq_len=4096, global_batch=1024)
    one = step(where, strategies(pp=8, dp=64, ep=8, recompute="full"), parameters=prior_parameters())
    stages = memory_by_stage(one)
    assert int(np.argmax(stages)) == 1
    assert one.memory_bytes == pytest.approx(stages[1])


def test_flash_attention_keeps_no_scores() -> None:
    s = strategies(tp=1)
    saved = total(s, flash=0.0) - total(s, flash=1.0)
    # 2 bytes a score, 32 heads and layers, 2048 x 2048, less the row sums that flash attention keeps
    assert saved == pytest.approx(32 * 32 * 2048 * 2048 * 2.0, rel=0.01)
