"""A model from a Hugging Face ``config.json``: the standard keys under all the names that publishers give them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suanli.catalog._model_names import reading
from suanli.errors import InputError
from suanli.kinds import Compressed, Experts, Indexer, Latent, Linear, Model
from suanli.sources import Source

Config = Mapping[str, Any]

_HIDDEN = ("hidden_size", "n_embd", "n_embed", "d_model", "model_dim")
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
_KV_HEADS = ("num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num")
_FFN = ("intermediate_size", "ffn_hidden_size", "n_inner", "ffn_dim", "d_ff")
_VOCAB = ("vocab_size", "padded_vocab_size")
_LENGTH = ("max_position_embeddings", "n_positions", "seq_length", "max_seq_len", "max_sequence_length", "n_ctx")
_EXPERTS = ("n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts")
_TOP_K = ("num_experts_per_tok", "num_experts_per_token", "experts_per_token", "top_k_experts", "moe_topk", "moe_k")
_SHARED = ("n_shared_experts", "num_shared_experts", "num_shared_expert")
_SHARED_FFN = ("shared_expert_intermediate_size", "share_expert_dim", "shared_intermediate_size")
_MAMBA_HEAD = 64  # channels a head where a configuration names none: Mamba-1 has no heads, its states are as many
_MTP = ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_modules")


def from_config(config: Config, *, where: str, name: str = "", source: Source | None = None) -> Model:
    """Return the model that a parsed Hugging Face ``config.json`` describes; ``where`` names it in errors.

    A vision or audio tower beside the language model is left out. Raises InputError naming the missing or
    inexpressible key.
    """
    text = _language_part(config)
    kind = str(text.get("model_type", config.get("model_type", "")))
    reader = _Keys(text, where)
    if text.get("hybrid_override_pattern"):
        raise InputError(f"{where}: hybrid_override_pattern: layers of separate kinds in one stack are not expressible")
    hidden, n_heads = reader.number(_HIDDEN), reader.number(_HEADS)
    latent = _latent(text, reader)
    compressed = _compressed(text, reader)
    full_every, window = (0, 0) if compressed is not None else _window(text, kind)
    experts = _experts(text, reader, kind)
    title = name or str(config.get("_name_or_path") or "") or Path(where).parent.name or kind
    return Model(
        id=title,
        name=title,
        n_layers=reader.number(_LAYERS),
        hidden=hidden,
        n_heads=n_heads,
        n_kv_heads=_kv_heads(text, reader, n_heads),
        head_dim=_head_dim(text, latent, hidden, n_heads),
        ffn_hidden=_dense_ffn(text, reader, hidden, experts, kind),
        vocab=reader.number(_VOCAB),
        gated_mlp=not _habit(kind, "plain_mlp") and not str(text.get("hidden_act", "")).startswith("relu2"),
        tied_embeddings=bool(config.get("tie_word_embeddings", text.get("tie_word_embeddings", _habit(kind, "tied")))),
        max_seq=reader.optional(_LENGTH),
        attention_bias=_biased(text, kind),
        attention_gate=bool(text.get("attn_output_gate", False)) or kind == "qwen3_next",
        learned_positions=reader.number(_LENGTH) if _habit(kind, "learned_positions") else 0,
        parallel_block=bool(text.get("parallel_attn", text.get("use_parallel_residual", _habit(kind, "parallel")))),
        window=window,
        full_every=full_every,
        mtp_layers=reader.optional(_MTP) or 0,
        weight_format=weight_format(text.get("quantization_config") or config.get("quantization_config")),
        experts=experts,
        latent=latent,
        linear=_linear(text),
        indexer=_indexer(text),
        compressed=compressed,
        source=source or Source(f"{where} (Hugging Face configuration)", kind="datasheet"),
    )


def weight_format(quantization: Config | None) -> str:
    """Return the format of the weights that a ``quantization_config`` states ("bf16" without one)."""
    if not quantization:
        return "bf16"
    method = str(quantization.get("quant_method", "")).lower()
    algorithm = str(quantization.get("quant_algo", "") or "").lower()
    for word in (algorithm, method):
        for key, fmt in reading()["quantised"].items():
            if key in word:
                return "int4" if fmt == "int8" and quantization.get("load_in_4bit") else str(fmt)
    groups = quantization.get("config_groups") or {}
    for group in groups.values():
        weights = group.get("weights") or {}
        if bits := weights.get("num_bits"):
            return f"{'fp' if weights.get('type') == 'float' else 'int'}{bits}"
    return "bf16"


@dataclass(frozen=True, slots=True)
class _Keys:
    """Looks keys up under any of their names, and says which are missing."""

    config: Config
    where: str

    def optional(self, names: tuple[str, ...]) -> int | None:
        for name in names:
            value = self.config.get(name)
            if value is None or isinstance(value, bool):
                continue
            if isinstance(value, list):
                value = max(value)
            if not isinstance(value, (int, float)) or value != int(value) or value < 0:
                raise InputError(f"{self.where}: {name}: expected a whole number, found {value!r}")
            return int(value)
        return None

    def number(self, names: tuple[str, ...]) -> int:
        found = self.optional(names)
        if found is None:
            raise InputError(f"{self.where}: {names[0]}: is missing (also looked for {', '.join(names[1:])})")
        if found == 0:
            raise InputError(f"{self.where}: {names[0]}: must be at least 1, found 0")
        return found


def _habit(kind: str, habit: str) -> bool:
    """Return whether the class of ``model_type`` ``kind`` has ``habit`` where its configuration does not say."""
    return kind in reading()["types"][habit]


def _language_part(config: Config) -> Config:
    for key in ("text_config", "llm_config", "language_config", "thinker_config"):
        inner = config.get(key)
        if isinstance(inner, Mapping):
            return _language_part(inner)
    return config


def _kv_heads(text: Config, reader: _Keys, n_heads: int) -> int:
    attention = text.get("attn_config")
    if isinstance(attention, Mapping) and attention.get("kv_n_heads"):
        return int(attention["kv_n_heads"])
    if text.get("multi_query") and not text.get("new_decoder_architecture"):
        return 1
    return reader.optional(_KV_HEADS) or n_heads


def _head_dim(text: Config, latent: Latent | None, hidden: int, n_heads: int) -> int:
    if latent is not None:
        return latent.nope_dim + latent.rope_dim
    return int(text.get("head_dim") or text.get("kv_channels") or hidden // n_heads)


def _dense_ffn(text: Config, reader: _Keys, hidden: int, experts: Experts | None, kind: str) -> int:
    if kind.startswith("llama4") and text.get("intermediate_size_mlp"):
        return int(text["intermediate_size_mlp"])
    if text.get("dense_intermediate_size"):
        return int(text["dense_intermediate_size"])
    found = reader.optional(_FFN)
    if found:
        return found // 2 if kind == "qwen" else found  # Qwen 1 counts gate and up together
    if experts is not None:
        return experts.ffn_hidden
    if _habit(kind, "plain_mlp"):
        return int(float(text.get("expansion_ratio", 4)) * hidden)
    return reader.number(_FFN)


def _biased(text: Config, kind: str) -> bool:
    if _habit(kind, "biased"):
        return bool(text.get("attention_bias", True))
    return bool(text.get("attention_bias", text.get("add_qkv_bias", False)))


def _latent(text: Config, reader: _Keys) -> Latent | None:
    if not text.get("kv_lora_rank"):
        return None
    return Latent(
        q_rank=reader.optional(("q_lora_rank",)) or 0,
        kv_rank=reader.number(("kv_lora_rank",)),
        nope_dim=reader.number(("qk_nope_head_dim",)),
        rope_dim=reader.number(("qk_rope_head_dim",)),
        v_dim=reader.number(("v_head_dim",)),
    )


def _compressed(text: Config, reader: _Keys) -> Compressed | None:
    """Return DeepSeek-V4's attention: a ratio a layer, or types of layers and a ratio a type."""
    layers = reader.number(_LAYERS)
    ratios, types = text.get("compress_ratios"), text.get("layer_types")
    if ratios is None and isinstance(rates := text.get("compress_rates"), Mapping) and isinstance(types, list):
        ratios = [int(rates.get(t, 0)) for t in types]
    if not isinstance(ratios, list):
        return None
    if len(ratios) < layers:
        raise InputError(f"{reader.where}: compress_ratios: {len(ratios)} figures for {layers} layers")
    return Compressed(
        ratios=tuple(int(r) for r in ratios[:layers]),
        window=reader.number(("sliding_window",)),
        q_rank=reader.number(("q_lora_rank",)),
        out_groups=reader.number(("o_groups",)),
        out_rank=reader.number(("o_lora_rank",)),
        streams=reader.optional(("hc_mult",)) or 1,
    )


def _experts(text: Config, reader: _Keys, kind: str) -> Experts | None:
    count = reader.optional(_EXPERTS) or 0
    if count <= 1 or text.get("enable_moe_block") is False:
        return None
    width = reader.optional(("moe_intermediate_size", "expert_ffn_hidden_size", "moe_ffn_hidden_size"))
    width = width or reader.number(_FFN)
    n_shared = reader.optional(_SHARED)
    shared_width = reader.optional(_SHARED_FFN) or 0
    if n_shared is None:
        n_shared = 1 if shared_width or kind.startswith("llama4") else 0
    every = reader.optional(("decoder_sparse_step", "interleave_moe_layer_step", "expert_layer_period")) or 1
    frequency = text.get("moe_layer_freq", 1)
    first = reader.optional(("first_k_dense_replace", "moe_layer_start_index")) or 0
    if isinstance(frequency, list):
        first = frequency.index(1)
    elif isinstance(frequency, int):
        every = max(every, frequency)
    if text.get("mlp_only_layers"):
        first = max(first, len(text["mlp_only_layers"]))
    return Experts(
        n_experts=count,
        top_k=reader.number(_TOP_K),
        ffn_hidden=width,
        n_shared=n_shared,
        shared_ffn_hidden=(shared_width or width) if n_shared else 0,
        first_layer=first,
        every=every,
        weight_format=str(text.get("expert_dtype") or ""),
    )


def _window(text: Config, kind: str) -> tuple[int, int]:
    """Return (layers between two of full attention, window); (0, 0) for full attention everywhere."""
    types = text.get("layer_types")
    if isinstance(types, list) and not any("sliding" in t or "chunked" in t for t in types):
        return 0, 0
    if text.get("attention_chunk_size") and kind.startswith("llama4"):
        return int(text.get("no_rope_layer_interval") or 4), int(text["attention_chunk_size"])
    window = int(text.get("sliding_window") or 0)
    if not window or text.get("use_sliding_window") is False:
        return 0, 0
    if isinstance(types, list):
        full = sum("full" in t for t in types)
        return (round(len(types) / full) if full else 0), window
    if isinstance(text.get("hybrid_layer_pattern"), list):
        pattern = text["hybrid_layer_pattern"]
        full = sum(v == 0 for v in pattern)
        return round(len(pattern) / full), window
    if kind == "gemma2":
        return 2, window
    if period := text.get("sliding_window_pattern"):
        return int(period), window
    return (0, window) if _habit(kind, "windowed") else (0, 0)


def _linear(text: Config) -> Linear | None:
    if text.get("linear_num_value_heads"):  # gated delta net (Qwen3-Next, Qwen3.5)
        return Linear(
            full_every=int(text.get("full_attention_interval") or 4),
            n_heads=int(text["linear_num_value_heads"]),
            k_dim=int(text["linear_key_head_dim"]),
            v_dim=int(text["linear_value_head_dim"]),
            n_k_heads=int(text["linear_num_key_heads"]),
            conv=int(text.get("linear_conv_kernel_dim") or 0),
        )
    kimi = text.get("linear_attn_config")
    if isinstance(kimi, Mapping) and kimi.get("full_attn_layers"):  # Kimi delta attention
        width = int(kimi.get("head_dim", 128))
        return Linear(
            full_every=round(int(text["num_hidden_layers"]) / len(kimi["full_attn_layers"])),
            n_heads=int(kimi.get("num_heads", text["num_attention_heads"])),
            k_dim=width,
            v_dim=width,
            conv=int(kimi.get("short_conv_kernel_size") or 0),
        )
    if text.get("mamba_d_state"):
        return _mamba(text)
    types = text.get("attn_type_list")
    if isinstance(types, list) and 0 in types:  # MiniMax-01: lightning attention (0) and softmax (1)
        width = int(text.get("head_dim") or int(text["hidden_size"]) // int(text["num_attention_heads"]))
        return Linear(
            full_every=round(len(types) / max(1, sum(types))),
            n_heads=int(text["num_attention_heads"]),
            k_dim=width,
            v_dim=width,
        )
    return None


def _mamba(text: Config) -> Linear:
    """Return the state-space layers of Jamba or Granite 4: inner channels in heads of one state each."""
    inner = int(text.get("mamba_expand", 2)) * int(text["hidden_size"])
    width = text.get("mamba_d_head")
    width = int(width) if isinstance(width, int) else _MAMBA_HEAD
    types = text.get("layer_types")
    layers = int(text["num_hidden_layers"])
    full = sum(t == "attention" for t in types) if isinstance(types, list) else 0
    period = int(text.get("attn_layer_period") or (round(layers / full) if full else layers + 1))
    return Linear(
        full_every=period,
        n_heads=int(text.get("mamba_n_heads") or inner // width),
        k_dim=int(text["mamba_d_state"]),
        v_dim=width,
        n_k_heads=int(text.get("mamba_n_groups") or 1),
        conv=int(text.get("mamba_d_conv") or 0),
    )


def _indexer(text: Config) -> Indexer | None:
    if not (text.get("index_topk") and text.get("index_n_heads")):
        return None
    return Indexer(
        n_heads=int(text["index_n_heads"]),
        head_dim=int(text["index_head_dim"]),
        top_k=int(text["index_topk"]),
        every=int(text.get("index_topk_freq") or 1),
    )
