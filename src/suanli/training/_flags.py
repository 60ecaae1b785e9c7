"""A strategy as flags to paste: Megatron-LM, MindSpeed and torchtitan.

Names as of Megatron-Core 0.14-0.16 (megatron/training/arguments.py), MindSpeed 2.x (docs/features) and torchtitan's
job configuration (torchtitan/config/job_config.py).
"""

from __future__ import annotations

from suanli.training._ranking import Step
from suanli.training._strategy import CONTEXT

_RECOMPUTE = {
    1: ["--recompute-granularity selective"],
    2: ["--recompute-granularity full", "--recompute-method block"],
}
_CP_TYPE = {"all_gather": "all_gather", "ring": "p2p", "ulysses": "a2a"}
_CP_ALGO = {"all_gather": "kvallgather_cp_algo", "ring": "megatron_cp_algo", "ulysses": "ulysses_cp_algo"}
_SHARDING = {2: "optim_grads", 3: "optim_grads_params"}


def megatron_flags(one: Step) -> list[str]:
    """Return the Megatron-LM flags of a step's strategy and model."""
    s = one.strategies
    at = {name: int(getattr(s, name)[0]) for name in ("tp", "pp", "vpp", "cp", "ep", "etp", "micro_batch", "context")}
    m = one.setting.model
    stage = max(1, -(-m.n_layers // at["pp"]))
    flags = [
        f"--tensor-model-parallel-size {at['tp']}",
        f"--pipeline-model-parallel-size {at['pp']}",
        f"--micro-batch-size {at['micro_batch']}",
        f"--global-batch-size {one.batch}",
        f"--seq-length {one.setting.seq}",
    ]
    if at["vpp"] > 1:
        flags.append(f"--num-layers-per-virtual-pipeline-stage {max(1, stage // at['vpp'])}")
        if m.n_layers % at["pp"]:
            flags += ["--account-for-embedding-in-pipeline-split", "--account-for-loss-in-pipeline-split"]
    elif at["pp"] > 1 and m.n_layers % at["pp"]:
        flags += _uneven(m.n_layers, at["pp"])
    if at["cp"] > 1:
        flags += [f"--context-parallel-size {at['cp']}", f"--cp-comm-type {_CP_TYPE[CONTEXT[at['context']]]}"]
    flags += _expert_flags(one, at)
    if m.mtp_layers:
        flags.append(f"--mtp-num-layers {m.mtp_layers}")
    flags += _sharding_flags(one)
    recompute = int(s.recompute[0])
    flags += _RECOMPUTE.get(recompute, [])
    if recompute == 2:
        flags.append(f"--recompute-num-layers {max(1, round(float(s.recompute_share[0]) * stage / at['vpp']))}")
    return flags + _switch_flags(one) + _precision_flags(one.setting.precision)


def _uneven(layers: int, pp: int) -> list[str]:
    """Return the flags of the ends' layers where stages cannot be equal; what is left divides over the others."""
    for first, last in ((0, 1), (1, 1), (1, 2), (2, 1), (2, 2)):
        middle = -(-layers // pp)
        if (middle - first) + (middle - last) + middle * (pp - 2) == layers:
            ends = (("first", middle - first, first), ("last", middle - last, last))
            return [f"--decoder-{name}-pipeline-num-layers {n}" for name, n, less in ends if less]
    return []


def _expert_flags(one: Step, at: dict[str, int]) -> list[str]:
    if one.setting.model.experts is None:
        return []
    flags = [f"--expert-model-parallel-size {at['ep']}", f"--expert-tensor-parallel-size {at['etp']}"]
    capacity = float(one.setting.facts.capacity[0])
    if capacity > 0:
        flags += [f"--moe-expert-capacity-factor {capacity:g}", "--moe-pad-expert-input-to-capacity"]
    return [*flags, "--moe-token-dispatcher-type alltoall", "--moe-grouped-gemm"]


def _sharding_flags(one: Step) -> list[str]:
    s = one.strategies
    sharding, replicas = int(s.sharding[0]), int(s.replicas[0])
    if sharding == 0:
        return []
    flags = ["--use-distributed-optimizer"]
    if sharding > 1:
        flags += ["--use-megatron-fsdp", f"--data-parallel-sharding-strategy {_SHARDING[sharding]}"]
    return flags + ([f"--num-distributed-optimizer-instances {replicas}"] if replicas > 1 else [])


def _switch_flags(one: Step) -> list[str]:
    s = one.strategies
    tensor = float(s.tp[0]) > 1
    overlap = "--overlap-grad-reduce" + (" --overlap-param-gather" if s.sharding[0] > 0 else "")
    offload = "--fine-grained-activation-offloading --offload-modules attn_norm core_attn attn_proj mlp_norm"
    switches = (
        ("--sequence-parallel", s.sequence_parallel[0] > 0 and tensor),
        ("--tp-comm-overlap", s.tp_overlap[0] > 0 and tensor),
        (overlap, s.dp_overlap[0] > 0),
        ("--optimizer-cpu-offload", s.offload[0] > 0),
        (offload, s.offload_activations[0] > 0),
        ("--use-precision-aware-optimizer --exp-avg-dtype bf16 --exp-avg-sq-dtype bf16", s.short_moments[0] > 0),
    )
    return [flag for flag, wanted in switches if wanted]


def _precision_flags(precision: str) -> list[str]:
    low = precision.casefold()
    if "fp4" in low:
        return ["--bf16", "--fp4-format e2m1", "--fp4-recipe nvfp4"]
    if "fp8" in low:
        recipe = "mxfp8" if "mx" in low else "blockwise" if "block" in low else "tensorwise"
        return ["--bf16", "--fp8-format hybrid", f"--fp8-recipe {recipe}"]
    return [f"--{low}"] if low in {"bf16", "fp16"} else []


def mindspeed_flags(one: Step) -> list[str]:
    """Return the MindSpeed-LLM flags: Megatron's, with Ascend's own names where they differ."""
    s = one.strategies
    own = {
        "--tp-comm-overlap": "--use-ascend-coc",
        "--use-megatron-fsdp": "--use-torch-fsdp2",
        "--optimizer-cpu-offload": "--swap-optimizer",
    }
    dropped = ("--data-parallel-sharding", "--cp-comm-type", "--fine-grained-activation")
    flags = [own.get(flag, flag) for flag in megatron_flags(one) if not flag.startswith(dropped)]
    if float(s.cp[0]) > 1:
        flags.append(f"--context-parallel-algo {_CP_ALGO[CONTEXT[int(s.context[0])]]}")
    if s.offload_activations[0] > 0:
        flags.append("--swap-attention")
    if int(s.schedule[0]) == 3:
        flags += ["--schedules-method dualpipev", "--moe-fb-overlap"]
    return [*flags, "--use-flash-attn", "--use-fused-swiglu"]


def torchtitan_options(one: Step) -> list[str]:
    """Return the torchtitan options of a step's strategy, as its command line takes them."""
    s = one.strategies
    at = {name: int(getattr(s, name)[0]) for name in ("tp", "pp", "dp", "cp", "ep", "micro_batch", "replicas")}
    sharding = int(s.sharding[0])
    replicas = at["replicas"] if sharding else at["dp"]
    mode = ("none", "selective", "full")[int(s.recompute[0])]
    schedule = {0: "1F1B", 1: "Interleaved1F1B", 2: "InterleavedZeroBubble", 3: "DualPipeV"}[int(s.schedule[0])]
    local = one.batch // at["dp"] if at["pp"] > 1 else at["micro_batch"]
    out = [
        f"--parallelism.tensor_parallel_degree={at['tp']}",
        f"--parallelism.pipeline_parallel_degree={at['pp']}",
        f"--parallelism.context_parallel_degree={at['cp']}",
        f"--parallelism.expert_parallel_degree={at['ep']}",
        f"--parallelism.data_parallel_shard_degree={max(1, at['dp'] // replicas)}",
        f"--parallelism.data_parallel_replicate_degree={replicas}",
        f"--training.local_batch_size={local}",
        f"--training.global_batch_size={one.batch}",
        f"--training.seq_len={one.setting.seq}",
        f"--activation_checkpoint.mode={mode}",
    ]
    if sharding:
        out.append(f"--parallelism.fsdp_reshard_after_forward={'always' if sharding == 3 else 'never'}")
    if at["cp"] > 1:
        rotate = "alltoall" if CONTEXT[int(s.context[0])] == "ring" else "allgather"
        out.append(f"--parallelism.context_parallel_rotate_method={rotate}")
    if at["pp"] > 1:
        out += [
            f"--parallelism.pipeline_parallel_schedule={schedule}",
            f"--parallelism.pipeline_parallel_microbatch_size={at['micro_batch']}",
        ]
    if s.tp_overlap[0] > 0 and at["tp"] > 1:
        out += ["--parallelism.enable_async_tensor_parallel", "--compile.enable"]
    if s.offload[0] > 0:
        out.append("--training.enable_cpu_offload")
    low = one.setting.precision.casefold()
    if "fp8" in low:
        out.append(f"--model.converters=quantize.linear.{'mx' if 'mx' in low else 'float8'}")
    return out
