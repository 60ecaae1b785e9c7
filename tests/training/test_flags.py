from __future__ import annotations

from pathlib import Path

import pytest

from suanli import catalog
from suanli.errors import InputError
from suanli.training import (
    Step,
    facts,
    megatron_flags,
    mindspeed_flags,
    prior_parameters,
    read_flags,
    setting_of,
    step,
    strategies,
    torchtitan_options,
    total_weights,
)

SCRIPT = """#!/bin/bash
# GPT-3 175B on 1,024 chips
GPT_ARGS="
    --num-layers 96 --hidden-size 12288 \\
    --num-attention-heads 96
    --seq-length 2048
    --swiglu
    --global-batch-size=1536
    --tensor-model-parallel-size 8 --pipeline-model-parallel-size 16
    --fp16
"
"""


def one() -> Step:
    where = setting_of(catalog.model("llama-3.1-8b"), catalog.chip("h100-sxm"), 64, seq_len=4096, global_batch=256)
    chosen = strategies(tp=2, pp=4, vpp=2, dp=8, recompute="full", recompute_share=0.5, tp_overlap=1.0)
    return step(where, chosen, parameters=prior_parameters())


def test_flags_say_the_strategy() -> None:
    flags = megatron_flags(one())
    for want in (
        "--tensor-model-parallel-size 2",
        "--pipeline-model-parallel-size 4",
        "--num-layers-per-virtual-pipeline-stage 4",
        "--use-distributed-optimizer",
        "--recompute-granularity full",
        "--recompute-num-layers 2",  # half of a chunk of four
        "--sequence-parallel",
        "--tp-comm-overlap",
        "--overlap-grad-reduce --overlap-param-gather",
        "--bf16",
    ):
        assert want in flags
    assert "--use-ascend-coc" in mindspeed_flags(one())
    assert "--parallelism.data_parallel_shard_degree=8" in torchtitan_options(one())
    assert "--parallelism.pipeline_parallel_schedule=Interleaved1F1B" in torchtitan_options(one())


def test_flags_say_context_sharding_routing_and_formats() -> None:
    moe = setting_of(
        catalog.model("deepseek-v3"),
        catalog.chip("b200-sxm"),
        256,
        seq_len=16384,
        global_batch=512,
        precision="mxfp8",
        capacity=1.25,
        skew=0.3,
    )
    chosen = strategies(
        pp=4, cp=4, dp=16, ep=32, sharding="zero3", replicas=8, context="ulysses", offload=1.0, short_moments=1.0
    )
    flags = megatron_flags(step(moe, chosen, parameters=prior_parameters()))
    for want in (
        "--context-parallel-size 4",
        "--cp-comm-type a2a",
        "--expert-model-parallel-size 32",
        "--moe-expert-capacity-factor 1.25",
        "--moe-pad-expert-input-to-capacity",
        "--mtp-num-layers 1",
        "--decoder-first-pipeline-num-layers 15",  # 61 layers: 15 + 16 + 16 + 14
        "--decoder-last-pipeline-num-layers 14",
        "--use-megatron-fsdp",
        "--data-parallel-sharding-strategy optim_grads_params",
        "--num-distributed-optimizer-instances 8",
        "--optimizer-cpu-offload",
        "--fp8-format hybrid",
        "--fp8-recipe mxfp8",
    ):
        assert want in flags
    options = torchtitan_options(step(moe, chosen, parameters=prior_parameters()))
    assert "--parallelism.data_parallel_shard_degree=2" in options
    assert "--parallelism.data_parallel_replicate_degree=8" in options
    assert "--model.converters=quantize.linear.mx" in options


def test_ascend_has_names_of_its_own() -> None:
    where = setting_of(catalog.model("deepseek-v3"), catalog.chip("ascend910c"), 256, seq_len=16384, global_batch=512)
    chosen = strategies(
        tp=2, pp=8, cp=2, dp=8, ep=16, context="ring", schedule="dualpipe", tp_overlap=1.0, offload_activations=1.0
    )
    flags = mindspeed_flags(step(where, chosen, parameters=prior_parameters()))
    for want in (
        "--context-parallel-algo megatron_cp_algo",
        "--schedules-method dualpipev",
        "--use-ascend-coc",
        "--swap-attention",
    ):
        assert want in flags
    assert not any(flag.startswith(("--cp-comm-type", "--tp-comm-overlap")) for flag in flags)


DEEPSEEK = """TP_SIZE=2
PP_SIZE=${PP_SIZE:-4}
export EP=8
--num-layers 61 --hidden-size 7168 --num-attention-heads 128 --ffn-hidden-size 18432 --swiglu
--multi-latent-attention --q-lora-rank 1536 --kv-lora-rank 512 --qk-head-dim 128 --v-head-dim 128
--num-experts 256 --moe-router-topk 8 --moe-ffn-hidden-size 2048 --moe-shared-expert-intermediate-size 2048
--moe-layer-freq ([0]*3+[1]*58) --vocab-size 129280 --untie-embeddings-and-output-weights --mtp-num-layers 1
--tensor-model-parallel-size ${TP_SIZE} --pipeline-model-parallel-size $PP_SIZE
--expert-model-parallel-size "$EP" --moe-expert-capacity-factor 1.5 --bf16 --fp8-format hybrid --fp8-recipe mxfp8
"""


def test_a_script_with_variables_is_the_model_it_trains(tmp_path: Path) -> None:
    path = tmp_path / "deepseek.sh"
    path.write_text(DEEPSEEK, encoding="utf-8")
    got = read_flags(path)
    known = catalog.model("deepseek-v3")
    assert total_weights(facts(got.model))[0] == pytest.approx(total_weights(facts(known))[0], rel=1e-3)
    assert got.model.latent is not None
    assert got.model.mtp_layers == 1
    assert got.pins == {"tp": 2, "pp": 4, "ep": 8}
    assert (got.precision, got.capacity) == ("mxfp8", 1.5)


def test_flags_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "gpt3.sh"
    path.write_text(SCRIPT, encoding="utf-8")
    got = read_flags(path)
    assert (got.model.n_layers, got.model.hidden, got.model.n_heads) == (96, 12288, 96)
    assert got.model.gated_mlp
    assert (got.seq, got.batch, got.precision) == (2048, 1536, "fp16")
    assert got.pins == {"tp": 8, "pp": 16}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("--num-layers many --hidden-size 8", r"run.sh:1: --num-layers: 'many' is not a whole number"),
        ("--num-layers 4 --num-attention-heads 4 --hiden-size 8", "--hidden-size is missing; found '--hiden-size'"),
        ("--num-layers 4 --num-attention-heads 3 --hidden-size 8", "8 does not divide by"),
    ],
)
def test_bad_flags_are_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.sh"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_flags(path)
