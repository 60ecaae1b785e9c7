"""Launch commands of vLLM, SGLang and TensorRT-LLM for a choice of layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from suanli.kinds import Service
from suanli.serving._choice import Choice
from suanli.serving._layout import Layout

_QUANTISED: Mapping[str, Mapping[str, str]] = {
    "vllm": {"fp8": "--quantization fp8", "int4_wo": "--quantization awq", "fp4": "--quantization modelopt_fp4"},
    "sglang": {"fp8": "--quantization fp8", "int4_wo": "--quantization awq", "fp4": "--quantization modelopt_fp4"},
    "trtllm": {},
}


def launch_flags(service: Service, choice: Choice, *, model: str | None = None) -> dict[str, list[str]]:
    """Return the commands that start one copy, by framework: one, or prefill and decode where the pools are apart.

    ``model`` is the name or folder of the weights (None: the catalogue's id).
    """
    name = model or service.model.id
    length = int(service.input_tokens + service.output_tokens) * 2
    pools = [("", choice.layout)]
    if choice.prefill is not None:
        pools = [("prefill", choice.prefill), ("decode", choice.layout)]
    seats = max(8, int(choice.running / max(1, choice.copies) + 0.999))
    return {
        framework: [_command(framework, name, role, layout, choice, service, length, seats) for role, layout in pools]
        for framework in ("vllm", "sglang", "trtllm")
    }


def _command(
    framework: str,
    name: str,
    role: str,
    layout: Layout,
    choice: Choice,
    service: Service,
    length: int,
    seats: int,
) -> str:
    one = replace(layout, replicas=1)
    moe = service.model.experts is not None
    quantised = ""
    if service.precision != service.model.weight_format:
        quantised = _QUANTISED[framework].get(service.precision, "")
    if framework == "vllm":
        parts = [f"vllm serve {name} --tensor-parallel-size {one.tp}"]
        parts += [f"--pipeline-parallel-size {one.pp}"] * (one.pp > 1)
        parts += [f"--data-parallel-size {one.dp}"] * (one.dp > 1)
        parts += ["--enable-expert-parallel"] * (moe and one.ep > 1)
        parts += [f"--max-num-batched-tokens {choice.budget} --max-num-seqs {seats} --max-model-len {length}"]
        if role:
            kind = "kv_producer" if role == "prefill" else "kv_consumer"
            parts += [f"""--kv-transfer-config '{{"kv_connector":"NixlConnector","kv_role":"{kind}"}}'"""]
    elif framework == "sglang":
        parts = [f"python -m sglang.launch_server --model-path {name} --tp-size {one.tp * one.dp}"]
        parts += [f"--pp-size {one.pp}"] * (one.pp > 1)
        parts += [f"--dp-size {one.dp} --enable-dp-attention"] * (one.dp > 1)
        parts += [f"--ep-size {one.ep}"] * (moe and one.ep > 1)
        parts += [f"--chunked-prefill-size {choice.budget} --max-running-requests {seats} --context-length {length}"]
        parts += [f"--disaggregation-mode {role}"] * bool(role)
    else:
        parts = [f"trtllm-serve {name} --tp_size {one.tp * one.dp}"]
        parts += [f"--pp_size {one.pp}"] * (one.pp > 1)
        parts += [f"--ep_size {one.ep}"] * (moe and one.ep > 1)
        parts += [f"--max_num_tokens {choice.budget} --max_batch_size {seats} --max_seq_len {length}"]
        parts += ["--extra_llm_api_options attention_dp.yaml"] * (one.dp > 1)
    return " ".join([*parts, quantised]).strip()
