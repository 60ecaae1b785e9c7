"""DeepSeek-V4 configurations in both of their spellings."""

from __future__ import annotations

from typing import Any

import pytest

from suanli.catalog import model
from suanli.catalog._hf import from_config
from suanli.errors import InputError

FLASH: dict[str, Any] = {
    "model_type": "deepseek_v4",
    "num_hidden_layers": 43,
    "hidden_size": 4096,
    "num_attention_heads": 64,
    "num_key_value_heads": 1,
    "head_dim": 512,
    "q_lora_rank": 1024,
    "o_lora_rank": 1024,
    "o_groups": 8,
    "sliding_window": 128,
    "hc_mult": 4,
    "vocab_size": 129280,
    "max_position_embeddings": 1048576,
    "moe_intermediate_size": 2048,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_experts_per_tok": 6,
    "index_n_heads": 64,
    "index_head_dim": 128,
    "index_topk": 512,
    "num_nextn_predict_layers": 1,
    "expert_dtype": "fp4",
    "quantization_config": {"quant_method": "fp8", "fmt": "e4m3"},
}
"""As published with DeepSeek-V4-Flash, April 2026."""
RATIOS = [0, 0] + [4, 128] * 20 + [4]


def test_a_list_of_ratios_reads_as_the_preset() -> None:
    read = from_config({**FLASH, "compress_ratios": [*RATIOS, 0]}, where="config.json", name="deepseek-v4-flash")
    preset = model("deepseek-v4-flash")
    assert read.compressed == preset.compressed
    assert read.experts == preset.experts
    assert read.indexer == preset.indexer
    assert (read.weight_format, read.window, read.latent) == ("fp8", 0, None)


def test_types_of_layers_read_alike() -> None:
    names = {0: "sliding_attention", 4: "compressed_sparse_attention", 128: "heavily_compressed_attention"}
    spelled = {
        **FLASH,
        "layer_types": [names[r] for r in RATIOS],
        "compress_rates": {"compressed_sparse_attention": 4, "heavily_compressed_attention": 128},
    }
    assert from_config(spelled, where="config.json").compressed == model("deepseek-v4-flash").compressed


def test_too_few_ratios_are_refused() -> None:
    with pytest.raises(InputError, match="compress_ratios: 2 figures for 43 layers"):
        from_config({**FLASH, "compress_ratios": [0, 4]}, where="config.json")
