"""Megatron's flags read back as a run: its model, batch, sequence and the degrees that they fix."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from suanli.errors import InputError, nearest
from suanli.files import read_text
from suanli.kinds import Experts, Latent, Model
from suanli.sources import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagFile:
    """A run read from Megatron flags: its model and what the flags fix of batch, sequence, degrees and routing."""

    model: Model
    seq: int | None
    batch: int | None
    precision: str | None
    pins: Mapping[str, int]
    capacity: float | None


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
    "--q-lora-rank": "q_rank",
    "--kv-lora-rank": "kv_rank",
    "--qk-head-dim": "nope_dim",
    "--qk-pos-emb-head-dim": "rope_dim",
    "--v-head-dim": "v_dim",
    "--mtp-num-layers": "mtp_layers",
    "--seq-length": "seq",
    "--global-batch-size": "batch",
    "--micro-batch-size": "micro_batch",
    "--tensor-model-parallel-size": "tp",
    "--pipeline-model-parallel-size": "pp",
    "--num-layers-per-virtual-pipeline-stage": "chunk",
    "--num-virtual-stages-per-pipeline-rank": "vpp",
    "--context-parallel-size": "cp",
    "--expert-model-parallel-size": "ep",
}
_PINS = ("micro_batch", "tp", "pp", "vpp", "cp", "ep")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::?-([^}]*))?\}|(\w+))")
_ASSIGNMENT = re.compile(r"^\s*(?:export\s+)?(\w+)=([^\s(]+)\s*$")


def read_flags(path: Path) -> FlagFile:
    """Return the run that a file of Megatron flags (a shell script, or flags alone) describes.

    Variables take the value that the file assigns or their default. Flags that do not bear on size or time are passed
    over. Raises InputError with the line for a value that is no number, and where layers, hidden size or heads are
    missing.
    """
    values: dict[str, int] = {}
    texts: dict[str, str] = {}
    switches: set[str] = set()
    variables: dict[str, str] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if assigned := _ASSIGNMENT.match(line):
            variables[assigned[1]] = _filled(assigned[2].strip("\"'"), variables)
        words = _words(_filled(line, variables))
        for i, word in enumerate(words):
            flag, _, inline = word.partition("=")
            if not flag.startswith("--"):
                continue
            switches.add(flag)
            text = inline or (words[i + 1] if i + 1 < len(words) else "")
            texts[flag] = text
            if flag in _MODEL:
                if not text.isdigit():
                    raise InputError(f"{path}:{number}: {flag}: '{text}' is not a whole number")
                values[_MODEL[flag]] = int(text)
    lacking = [
        flag for flag in ("--num-layers", "--hidden-size", "--num-attention-heads") if _MODEL[flag] not in values
    ]
    if lacking:
        close = nearest(lacking[0], switches)
        raise InputError(f"{path}: {lacking[0]} is missing" + (f"; found '{close}'" if close else ""))
    if "chunk" in values and values.get("pp", 1) > 1:
        values["vpp"] = max(1, values["n_layers"] // (values["pp"] * values["chunk"]))
    return FlagFile(
        model=_model(path, values, switches, texts),
        seq=values.get("seq"),
        batch=values.get("batch"),
        precision=_precision(switches, texts),
        pins={name: values[name] for name in _PINS if name in values},
        capacity=_capacity(path, texts.get("--moe-expert-capacity-factor")),
    )


def _filled(text: str, variables: Mapping[str, str]) -> str:
    """Return ``text`` with shell variables replaced by their values or defaults; unknown ones stay as they are."""

    def value(match: re.Match[str]) -> str:
        return variables.get(match[1] or match[3], match[2] or match[0])

    return _VARIABLE.sub(value, text)


def _words(line: str) -> list[str]:
    text = line.split("#", 1)[0].rstrip().rstrip("\\")
    try:
        return shlex.split(text)
    except ValueError:
        return text.replace('"', " ").replace("'", " ").split()


def _precision(switches: set[str], texts: Mapping[str, str]) -> str | None:
    if "--fp4-format" in switches:
        return "nvfp4"
    if "--fp8-format" in switches or "--fp8" in switches:
        return "mxfp8" if texts.get("--fp8-recipe") == "mxfp8" else "fp8"
    return next((name for name in ("bf16", "fp16") if f"--{name}" in switches), None)


def _capacity(path: Path, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{path}: --moe-expert-capacity-factor: '{text}' is not a number") from error


def _dense_before(text: str, layers: int) -> tuple[int, int]:
    """Return (first expert layer, every) of ``--moe-layer-freq``: a number, or a list such as ([0]*3+[1]*58)."""
    if text.isdigit():
        return 0, max(1, int(text))
    pieces = re.findall(r"\[([01])\](?:\*(\d+))?", text)
    pattern = [int(kind) for kind, count in pieces for _ in range(int(count or 1))]
    return (pattern.index(1), 1) if 1 in pattern and len(pattern) <= layers else (0, 1)


def _model(path: Path, values: Mapping[str, int], switches: set[str], texts: Mapping[str, str]) -> Model:
    hidden, heads = values["hidden"], values["n_heads"]
    if hidden % heads and "head_dim" not in values:
        raise InputError(f"{path}: --hidden-size {hidden} does not divide by --num-attention-heads {heads}")
    experts = None
    if values.get("n_experts", 0) > 1:
        first, every = _dense_before(texts.get("--moe-layer-freq", "1"), values["n_layers"])
        experts = Experts(
            n_experts=values["n_experts"],
            top_k=values.get("top_k", 2),
            ffn_hidden=values.get("moe_ffn", values.get("ffn_hidden", 4 * hidden)),
            n_shared=1 if values.get("shared_ffn") else 0,
            shared_ffn_hidden=values.get("shared_ffn", 0),
            first_layer=first,
            every=every,
        )
    latent = None
    if "--multi-latent-attention" in switches:  # defaults as Megatron-Core's MLATransformerConfig
        latent = Latent(
            q_rank=values.get("q_rank", 0),
            kv_rank=values.get("kv_rank", 512),
            nope_dim=values.get("nope_dim", 128),
            rope_dim=values.get("rope_dim", 64),
            v_dim=values.get("v_dim", 128),
        )
    return Model(
        id=path.stem,
        name=path.stem,
        n_layers=values["n_layers"],
        hidden=hidden,
        n_heads=heads,
        n_kv_heads=values.get("n_kv_heads", heads) if "--group-query-attention" in switches else heads,
        head_dim=values.get("head_dim", hidden // heads),
        ffn_hidden=values.get("ffn_hidden", 4 * hidden),
        vocab=values.get("vocab", 50304),
        gated_mlp="--swiglu" in switches,
        tied_embeddings="--untie-embeddings-and-output-weights" not in switches,
        experts=experts,
        latent=latent,
        mtp_layers=values.get("mtp_layers", 0),
        source=Source(str(path), kind="reported"),
    )
