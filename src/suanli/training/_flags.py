"""A strategy as flags: Megatron-LM, torchtitan and MindSpeed, to paste; and Megatron's flags read back as a run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from suanli.errors import InputError, nearest
from suanli.files import read_text
from suanli.kinds import Experts, Model
from suanli.sources import Source
from suanli.training._ranking import Step

_RECOMPUTE = {
    1: ["--recompute-granularity selective"],
    2: ["--recompute-granularity full", "--recompute-method block"],
}


def megatron_flags(one: Step) -> list[str]:
    """Return the Megatron-LM flags of a step's strategy and model (names as in Megatron-Core 0.9-0.14)."""
    s = one.strategies
    at = {name: int(getattr(s, name)[0]) for name in ("tp", "pp", "vpp", "cp", "ep", "etp", "micro_batch")}
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
    if at["cp"] > 1:
        flags.append(f"--context-parallel-size {at['cp']}")
    if m.experts is not None:
        flags += [f"--expert-model-parallel-size {at['ep']}", f"--expert-tensor-parallel-size {at['etp']}"]
    sharding = int(s.sharding[0])
    if sharding:
        flags.append("--use-distributed-optimizer" if sharding == 1 else "--use-megatron-fsdp")
    if sharding > 1:
        flags.append(f"--data-parallel-sharding-strategy {'optim_grads' if sharding == 2 else 'optim_grads_params'}")
    recompute = int(s.recompute[0])
    flags += _RECOMPUTE.get(recompute, [])
    if recompute == 2:
        flags.append(f"--recompute-num-layers {max(1, round(float(s.recompute_share[0]) * stage))}")
    switches = (
        ("--sequence-parallel", s.sequence_parallel[0] > 0 and at["tp"] > 1),
        ("--tp-comm-overlap", s.tp_overlap[0] > 0 and at["tp"] > 1),
        ("--overlap-grad-reduce --overlap-param-gather", s.dp_overlap[0] > 0 and sharding > 0),
        ("--overlap-grad-reduce", s.dp_overlap[0] > 0 and sharding == 0),
        ("--optimizer-cpu-offload", s.offload[0] > 0),
        ("--cpu-offloading-num-layers " + str(stage), s.offload_activations[0] > 0),
        ("--use-precision-aware-optimizer --exp-avg-dtype bf16 --exp-avg-sq-dtype bf16", s.short_moments[0] > 0),
        ("--bf16", one.setting.precision == "bf16"),
        ("--fp16", one.setting.precision == "fp16"),
        ("--bf16 --fp8-format hybrid", "fp8" in one.setting.precision),
    )
    return flags + [flag for flag, wanted in switches if wanted]


def mindspeed_flags(one: Step) -> list[str]:
    """Return the MindSpeed-LLM flags: Megatron's, with Ascend's own names where they differ."""
    own = {
        "--tp-comm-overlap": "--use-ascend-coc",
        "--use-megatron-fsdp": "--use-distributed-optimizer",
    }
    flags = [own.get(flag, flag) for flag in megatron_flags(one)]
    if float(one.strategies.cp[0]) > 1:
        flags.append("--context-parallel-algo megatron_cp_algo")
    return [
        *(f for f in flags if not f.startswith("--data-parallel-sharding")),
        "--use-flash-attn",
        "--use-fused-swiglu",
    ]


def torchtitan_options(one: Step) -> list[str]:
    """Return the torchtitan job options of a step's strategy (section.name=value, as in its TOML files)."""
    s = one.strategies
    at = {name: int(getattr(s, name)[0]) for name in ("tp", "pp", "dp", "cp", "ep", "micro_batch")}
    whole = int(s.sharding[0]) > 0
    mode = ("none", "selective", "full")[int(s.recompute[0])]
    schedule = {0: "1F1B", 1: "Interleaved1F1B", 2: "InterleavedZeroBubble", 3: "DualPipeV"}[int(s.schedule[0])]
    out = [
        f"parallelism.tensor_parallel_degree={at['tp']}",
        f"parallelism.pipeline_parallel_degree={at['pp']}",
        f"parallelism.context_parallel_degree={at['cp']}",
        f"parallelism.expert_parallel_degree={at['ep']}",
        f"parallelism.data_parallel_shard_degree={at['dp'] if whole else 1}",
        f"parallelism.data_parallel_replicate_degree={1 if whole else at['dp']}",
        f"training.local_batch_size={one.batch // at['dp']}",
        f"training.global_batch_size={one.batch}",
        f"training.seq_len={one.setting.seq}",
        f"activation_checkpoint.mode={mode}",
    ]
    if at["pp"] > 1:
        out += [
            f"parallelism.pipeline_parallel_schedule={schedule}",
            f"parallelism.pipeline_parallel_microbatch_size={at['micro_batch']}",
        ]
    if s.tp_overlap[0] > 0 and at["tp"] > 1:
        out.append("parallelism.enable_async_tensor_parallel=true")
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagFile:
    """A run read from Megatron flags: its model and what the flags fix of batch, sequence and degrees."""

    model: Model
    seq: int | None
    batch: int | None
    precision: str | None
    pins: Mapping[str, int]


_MODEL = {
    "--num-layers": "n_layers",
    "--hidden-size": "hidden",
    "--num-attention-heads": "n_heads",
    "--num-query-groups": "n_kv_heads",
    "--kv-channels": "head_dim",
    "--ffn-hidden-size": "ffn_hidden",
    "--padded-vocab-size": "vocab",
    "--vocab-size": "vocab",
    "--num-experts": "n_experts",
    "--moe-router-topk": "top_k",
    "--moe-ffn-hidden-size": "moe_ffn",
    "--moe-shared-expert-intermediate-size": "shared_ffn",
    "--seq-length": "seq",
    "--global-batch-size": "batch",
    "--micro-batch-size": "micro_batch",
    "--tensor-model-parallel-size": "tp",
    "--pipeline-model-parallel-size": "pp",
    "--context-parallel-size": "cp",
    "--expert-model-parallel-size": "ep",
}
_PINS = ("micro_batch", "tp", "pp", "cp", "ep")


def read_flags(path: Path) -> FlagFile:
    """Return the run that a file of Megatron flags (a shell script, or flags alone) describes.

    Flags that do not bear on size or time are passed over. Raises InputError with the line for a value that is no
    number, and where layers, hidden size or heads are missing.
    """
    values: dict[str, int] = {}
    switches: set[str] = set()
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        words = _words(line)
        for i, word in enumerate(words):
            flag, _, inline = word.partition("=")
            if not flag.startswith("--"):
                continue
            switches.add(flag)
            if flag in _MODEL:
                text = inline or (words[i + 1] if i + 1 < len(words) else "")
                if not text.isdigit():
                    raise InputError(f"{path}:{number}: {flag}: '{text}' is not a whole number")
                values[_MODEL[flag]] = int(text)
    lacking = [
        flag for flag in ("--num-layers", "--hidden-size", "--num-attention-heads") if _MODEL[flag] not in values
    ]
    if lacking:
        close = nearest(lacking[0], switches)
        raise InputError(f"{path}: {lacking[0]} is missing" + (f"; found '{close}'" if close else ""))
    precision = "fp8" if "--fp8-format" in switches else "bf16" if "--bf16" in switches else None
    return FlagFile(
        model=_model(path, values, switches),
        seq=values.get("seq"),
        batch=values.get("batch"),
        precision=precision or ("fp16" if "--fp16" in switches else None),
        pins={name: values[name] for name in _PINS if name in values},
    )


def _words(line: str) -> list[str]:
    text = line.split("#", 1)[0].rstrip().rstrip("\\")
    try:
        return shlex.split(text)
    except ValueError:
        return text.replace('"', " ").replace("'", " ").split()


def _model(path: Path, values: Mapping[str, int], switches: set[str]) -> Model:
    hidden, heads = values["hidden"], values["n_heads"]
    if hidden % heads and "head_dim" not in values:
        raise InputError(f"{path}: --hidden-size {hidden} does not divide by --num-attention-heads {heads}")
    experts = None
    if values.get("n_experts", 0) > 1:
        width = values.get("moe_ffn", values.get("ffn_hidden", 4 * hidden))
        experts = Experts(
            n_experts=values["n_experts"],
            top_k=values.get("top_k", 2),
            ffn_hidden=width,
            n_shared=1 if values.get("shared_ffn") else 0,
            shared_ffn_hidden=values.get("shared_ffn", 0),
        )
    return Model(
        id=path.stem,
        name=path.stem,
        n_layers=values["n_layers"],
        hidden=hidden,
        n_heads=heads,
        n_kv_heads=values.get("n_kv_heads", heads),
        head_dim=values.get("head_dim", hidden // heads),
        ffn_hidden=values.get("ffn_hidden", 4 * hidden),
        vocab=values.get("vocab", 50304),
        gated_mlp="--swiglu" in switches,
        tied_embeddings="--untie-embeddings-and-output-weights" not in switches,
        experts=experts,
        source=Source(str(path), kind="reported"),
    )
