"""Launch commands of vLLM, SGLang and TensorRT-LLM for a choice of layout; names as of their documentation of 2025."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from suanli.kinds import Adapters, Service
from suanli.serving._choice import Choice
from suanli.serving._layout import Layout

_ONLINE = {"fp8": "--quantization fp8"}  # weights that the server narrows itself while loading
_PACKED: Mapping[str, str] = {  # weights that must be published narrowed
    "int4_wo": "AWQ or GPTQ weights",
    "int4": "4-bit weights",
    "fp4": "NVFP4 weights",
    "int8": "W8A8 weights",
    "int8_wo": "W8A16 weights",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Start:
    """What one command starts: a copy of a layout, or a pool's (``role`` prefill or decode)."""

    model: str
    role: str
    layout: Layout
    budget: int
    seats: int
    length: int
    service: Service

    @property
    def experts(self) -> bool:
        """Whether experts are spread over chips."""
        return self.service.model.experts is not None and self.layout.ep > 1

    @property
    def narrowed(self) -> str:
        """The option that narrows published weights while loading, "" where there is none."""
        same = self.service.precision == self.service.model.weight_format
        return "" if same else _ONLINE.get(self.service.precision, "")


def launch_flags(service: Service, choice: Choice, *, model: str | None = None) -> dict[str, list[str]]:
    """Return the commands that start one copy, by framework: one, or prefill and decode where the pools are apart.

    ``model`` is the name or folder of the weights (None: the repository that the catalogue read, else its id). Where
    weights must be published in the asked format, the command says so behind a ``#``.
    """
    name = model or _repository(service)
    length = int(service.input_tokens + service.output_tokens) * 2
    pools = [("", choice.layout)]
    if choice.prefill is not None:
        pools = [("prefill", choice.prefill), ("decode", choice.layout)]
    seats = max(8, int(choice.running / max(1, choice.copies) + 0.999))
    starts = [
        _Start(
            model=name,
            role=role,
            layout=replace(layout, replicas=1),
            budget=choice.budget,
            seats=seats,
            length=length,
            service=service,
        )
        for role, layout in pools
    ]
    able = [f for f in _COMMANDS if f != "trtllm" or service.output_tokens > 1]  # it serves no embedding models
    return {framework: [_noted(_COMMANDS[framework](s), s) for s in starts] for framework in able}


def _repository(service: Service) -> str:
    """Return the Hugging Face repository that a model was read from, else the catalogue's id."""
    found = re.search(r"(?:config\.json of |huggingface\.co/)([\w.-]+/[\w.-]+)", service.model.source.ref)
    return found.group(1) if found else service.model.id


def _noted(command: str, s: _Start) -> str:
    if s.service.precision == s.service.model.weight_format or s.service.precision not in _PACKED:
        return command
    return f"{command}  # needs {_PACKED[s.service.precision]}"


def _vllm(s: _Start) -> str:
    kv, lora = s.service.kv_precision, s.service.adapters
    parts = [f"vllm serve {s.model} --tensor-parallel-size {s.layout.tp}"]
    parts += [f"--pipeline-parallel-size {s.layout.pp}"] * (s.layout.pp > 1)
    parts += [f"--data-parallel-size {s.layout.dp}"] * (s.layout.dp > 1)
    parts += ["--enable-expert-parallel"] * s.experts
    if s.service.redundant:
        parts += ["--enable-eplb", "--eplb-config " + _quoted({"num_redundant_experts": s.service.redundant})]
    parts += [f"--max-num-batched-tokens {s.budget} --max-num-seqs {s.seats} --max-model-len {s.length}"]
    parts += ["--runner pooling"] * (s.service.output_tokens <= 1)
    parts += [f"--kv-cache-dtype {kv}"] * (kv == "fp8")
    if s.service.drafts:
        guess = {"method": _method(s.service), "num_speculative_tokens": s.service.drafts}
        parts += ["--speculative-config " + _quoted(guess)]
    if lora is not None:
        parts += [f"--enable-lora --max-loras {lora.slots} --max-lora-rank {lora.rank} --max-cpu-loras {lora.count}"]
    if s.role:
        role = "kv_producer" if s.role == "prefill" else "kv_consumer"
        parts += ["--kv-transfer-config " + _quoted({"kv_connector": "NixlConnector", "kv_role": role})]
    return " ".join([*parts, s.narrowed]).strip()


def _sglang(s: _Start) -> str:
    kv, lora = s.service.kv_precision, s.service.adapters
    parts = [f"python -m sglang.launch_server --model-path {s.model} --tp-size {s.layout.tp * s.layout.dp}"]
    parts += [f"--pp-size {s.layout.pp}"] * (s.layout.pp > 1)
    parts += [f"--dp-size {s.layout.dp} --enable-dp-attention"] * (s.layout.dp > 1)
    parts += [f"--ep-size {s.layout.ep}"] * s.experts
    parts += [f"--enable-eplb --ep-num-redundant-experts {s.service.redundant}"] * bool(s.service.redundant)
    parts += [f"--chunked-prefill-size {s.budget} --max-running-requests {s.seats} --context-length {s.length}"]
    parts += ["--is-embedding"] * (s.service.output_tokens <= 1)
    parts += ["--kv-cache-dtype fp8_e4m3"] * (kv == "fp8")
    if s.service.drafts:
        parts += [f"--speculative-algorithm EAGLE --speculative-num-steps {s.service.drafts}"]
        parts += [f"--speculative-eagle-topk 1 --speculative-num-draft-tokens {s.service.drafts + 1}"]
    if lora is not None:
        parts += [f"--enable-lora --max-loras-per-batch {lora.slots} --max-lora-rank {lora.rank}"]
    parts += [f"--disaggregation-mode {s.role}"] * bool(s.role)
    return " ".join([*parts, s.narrowed]).strip()


def _trtllm(s: _Start) -> str:
    parts = [f"trtllm-serve {s.model} --tp_size {s.layout.tp * s.layout.dp}"]
    parts += [f"--pp_size {s.layout.pp}"] * (s.layout.pp > 1)
    parts += [f"--ep_size {s.layout.ep}"] * s.experts
    parts += [f"--max_num_tokens {s.budget} --max_batch_size {s.seats} --max_seq_len {s.length}"]
    more: dict[str, Any] = {}
    if s.layout.dp > 1:
        more["enable_attention_dp"] = True
    if s.service.kv_precision == "fp8":
        more["kv_cache_config"] = {"dtype": "fp8"}
    if s.service.drafts:
        more["speculative_config"] = {"decoding_type": "MTP", "max_draft_len": s.service.drafts}
    if s.service.redundant and s.service.model.experts is not None:
        slots = s.service.model.experts.n_experts + s.service.redundant
        more["moe_config"] = {"load_balancer": {"num_slots": slots}}
    if s.service.adapters is not None:
        more["lora_config"] = _lora(s.service.adapters)
    if s.role:
        more["cache_transceiver_config"] = {"backend": "DEFAULT"}
    # JSON is YAML: the shell hands it over as the file of further options
    parts += [f"--extra_llm_api_options <(echo {_quoted(more)})"] * bool(more)
    return " ".join(parts)


def _lora(kind: Adapters) -> dict[str, Any]:
    return {"max_lora_rank": kind.rank, "max_loras": kind.slots, "max_cpu_loras": kind.count}


def _method(service: Service) -> str:
    return "mtp" if service.model.mtp_layers else "eagle3"


def _quoted(options: Mapping[str, Any]) -> str:
    """Return options as JSON between the shell's quotes."""
    return "'" + json.dumps(options, separators=(",", ":")) + "'"


_COMMANDS: Mapping[str, Callable[[_Start], str]] = {"vllm": _vllm, "sglang": _sglang, "trtllm": _trtllm}
