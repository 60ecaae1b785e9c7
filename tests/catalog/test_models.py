"""Models: published parameter counts, spellings, configurations and bad files."""

import csv
import json
from pathlib import Path

import pytest

from suanli.catalog import model, models, resolve_model
from suanli.errors import InputError, UnknownNameError
from suanli.sources import KINDS
from suanli.workloads import parameters

# Total and active parameters as their publishers state them: model cards, papers and safetensors headers.
PUBLISHED = {
    "llama-3.1-405b": (405.85e9, None, 1e-4),  # safetensors of meta-llama/Llama-3.1-405B
    "llama-3.1-70b": (70.554e9, None, 1e-4),
    "llama-3.1-8b": (8.030e9, None, 1e-4),
    "llama-2-70b": (68.98e9, None, 1e-4),
    "deepseek-v3": (671e9, 37e9, 0.02),  # arXiv 2412.19437
    "deepseek-v2": (236e9, 21e9, 0.01),  # arXiv 2405.04434
    "gpt-oss-120b": (116.83e9, 5.13e9, 1e-3),  # model card, table 1
    "gpt-oss-20b": (20.91e9, 3.61e9, 1e-3),
    "mixtral-8x7b": (46.7e9, 12.9e9, 0.015),  # arXiv 2401.04088
    "mixtral-8x22b": (140.6e9, 39e9, 0.01),
    "qwen3-235b-a22b": (235.1e9, 22e9, 0.025),
    "qwen3.5-397b-a17b": (397e9, 17e9, 0.05),
    "kimi-k2": (1.026e12, 32e9, 0.015),
    "glm-4.5": (355e9, 32e9, 0.03),  # arXiv 2508.06471
    "glm-4.5-air": (106e9, 12e9, 0.07),
    "minimax-m2": (230e9, 10e9, 0.05),
    "pangu-pro-moe-72b": (72e9, 16.5e9, 0.05),  # arXiv 2505.21411
    "pangu-ultra-135b": (135e9, None, 0.01),  # arXiv 2504.07866
    "seed-oss-36b": (36.15e9, None, 1e-4),
    "bloom-176b": (176.25e9, None, 1e-4),  # arXiv 2211.05100
    "palm-540b": (540.35e9, None, 1e-4),  # arXiv 2204.02311
    "gpt2": (124.44e6, None, 1e-4),
    "gpt-neox-20b": (20.55e9, None, 1e-3),  # arXiv 2204.06745
    "gpt3-175b": (175e9, None, 0.005),
    "glm-130b": (130e9, None, 0.011),
    "llama-4-maverick": (400e9, 17e9, 0.052),
    "dit-xl-2": (675e6, None, 0.01),  # arXiv 2212.09748, table 1
    "sd3.5-large": (8.1e9, None, 0.01),
    "flux.1-dev": (12e9, None, 0.012),
    "wan2.1-t2v-14b": (14e9, None, 0.03),
    "qwen-image": (20e9, None, 0.03),
}

SPELLINGS = [
    ("meta-llama/Llama-3.1-70B", "llama-3.1-70b", ""),
    ("llama2-70b-99.9", "llama-2-70b", ""),
    ("llama2-70b-fp8_quark", "llama-2-70b", "fp8"),
    ("DeepSeek-R1-0528", "deepseek-r1", ""),
    ("nvidia/DeepSeek-R1-NVFP4", "deepseek-r1", "fp4"),
    ("nvidia/DeepSeek-V3.1-NVFP4", "deepseek-v3", "fp4"),
    ("llama3_1-70b-fp8_trtllm", "llama-3.1-70b", "fp8"),
    ("llama3_1-405b_pruned", "llama-3.1-405b", ""),
    ("openai/gpt-oss-120b", "gpt-oss-120b", ""),
    ("GPT OSS 120B", "gpt-oss-120b", ""),
    ("Qwen/Qwen3-235B-A22B-FP8", "qwen3-235b-a22b", "fp8"),
    ("Qwen3_30B_a3B", "qwen3-30b-a3b", ""),
    ("DeepSeekV3 (w/o MTP)", "deepseek-v3", ""),
    ("GPT L70 h14336", "bloom-176b", ""),
    ("GPT-174.6B", "megatron-174.6b", ""),
    ("deepseek-ai/DeepSeek-R1-Distill-Llama-70B", "llama-3.3-70b", ""),
    ("RedHatAI/Meta-Llama-3.1-70B-Instruct-quantized.w8a8", "llama-3.1-70b", "int8"),
    ("Qwen3-235B-A22B-Instruct-2507-FP8", "qwen3-235b-a22b", "fp8"),
    ("Llama 3.1 405B", "llama-3.1-405b", ""),
    ("gptj-99", "gpt-j-6b", ""),
    ("GPT-13B", "gpt3-13b", ""),
    ("GPT-1.3B", "gpt3-1.3b", ""),
    ("LLAMA31_405B", "llama-3.1-405b", ""),
    ("qwen25-72b", "qwen2.5-72b", ""),
    ("Qwen2.5-Coder-32B-Instruct-AWQ", "qwen2.5-32b", "int4"),
    ("DeepSeek-R1-Distill-Qwen-7B", "qwen2.5-7b", ""),
    ("llama2-70b-interactive-99.9", "llama-2-70b", ""),
    ("nvidia/DeepSeek-R1-0528-NVFP4-v2", "deepseek-r1", "fp4"),
    ("Llama-4-Maverick-17B-128E-Instruct-FP8", "llama-4-maverick", "fp8"),
    ("moonshotai/Kimi-K2-Thinking", "kimi-k2.5", ""),
]

TINY = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
    "vocab_size": 1000,
}


def _config(folder: Path, **changes: object) -> Path:
    path = folder / "config.json"
    data = {k: v for k, v in {**TINY, **changes}.items() if v is not None}
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", PUBLISHED)
def test_counts_agree_with_published_ones(name: str) -> None:
    total, active, tolerance = PUBLISHED[name]
    count = parameters(model(name))
    assert count.total == pytest.approx(total, rel=tolerance)
    if active is not None:
        assert count.active == pytest.approx(active, rel=tolerance)
    assert sum(v for k, v in count.parts.items() if k != "mtp") == pytest.approx(count.total)


def test_every_preset_is_sourced_and_plausible() -> None:
    known = models()
    assert len(known) >= 100
    assert len({m.id for m in known}) == len(known)
    for item in known:
        assert item.source.ref
        assert item.source.kind in KINDS
        if item.parameters is not None:
            assert parameters(item).total == pytest.approx(item.parameters, rel=0.1), item.id


@pytest.mark.parametrize(("text", "wanted", "fmt"), SPELLINGS)
def test_spellings_resolve(text: str, wanted: str, fmt: str) -> None:
    found = resolve_model(text)
    assert (found.id, found.weight_format) == (wanted, fmt)
    assert text in found.taken
    if fmt:
        assert fmt in found.taken
        assert model(text).weight_format == fmt


def test_every_model_of_the_shipped_runs_resolves() -> None:
    runs = Path(__file__).parents[2] / "validation" / "data" / "training" / "runs.csv"
    with runs.open(encoding="utf-8", newline="") as file:
        names = {row["model_name"] for row in csv.DictReader(file)}
    assert len(names) > 10
    for name in names:
        assert resolve_model(name).id


@pytest.mark.parametrize("name", ["Llama-5-900B", "deepseek-r7", "", "gpt-oss-121b", "llama-3.18b", "qwen2-57b"])
def test_unknown_models_are_refused(name: str) -> None:
    with pytest.raises(UnknownNameError):
        resolve_model(name)


def test_a_misspelt_model_names_its_neighbour() -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean 'mixtral-8x7b'"):
        resolve_model("mixtral-8x7bb")


def test_a_configuration_on_disk_is_a_model(tmp_path: Path) -> None:
    path = _config(tmp_path)
    for name in (str(path), str(tmp_path)):
        read = model(name)
        assert (read.n_layers, read.hidden, read.n_kv_heads, read.head_dim) == (2, 64, 2, 16)
        assert read.gated_mlp
        assert read.weight_format == "bf16"
        assert parameters(read).total == 2 * 1000 * 64 + 2 * (64 * 64 * 2 + 64 * 64 + 3 * 64 * 128 + 128) + 64


def test_a_configuration_of_experts_windows_and_formats(tmp_path: Path) -> None:
    read = model(
        str(
            _config(
                tmp_path,
                model_type="gpt_oss",
                num_local_experts=8,
                num_experts_per_tok=2,
                sliding_window=128,
                layer_types=["sliding_attention", "full_attention"],
                quantization_config={"quant_method": "mxfp4"},
            )
        )
    )
    assert read.experts is not None
    assert (read.experts.n_experts, read.experts.top_k, read.experts.ffn_hidden) == (8, 2, 128)
    assert (read.window, read.full_every, read.weight_format) == (128, 2, "fp4")


def test_the_language_part_of_a_mixed_model_is_read(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    nested = {
        "model_type": "qwen2_5_vl",
        "vision_config": {"hidden_size": 1},
        "text_config": {**TINY, "hidden_size": 96},
    }
    path.write_text(json.dumps(nested), encoding="utf-8")
    assert model(str(path)).hidden == 96


def test_latent_linear_and_sparse_attention_are_read(tmp_path: Path) -> None:
    latent = {"kv_lora_rank": 32, "q_lora_rank": 48, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 16}
    sparse = {"index_topk": 64, "index_n_heads": 4, "index_head_dim": 16}
    read = model(str(_config(tmp_path, model_type="deepseek_v32", **latent, **sparse)))
    assert read.latent is not None
    assert read.indexer is not None
    assert (read.latent.kv_rank, read.head_dim, read.indexer.top_k) == (32, 24, 64)
    delta = {
        "linear_num_value_heads": 8,
        "linear_num_key_heads": 4,
        "linear_key_head_dim": 16,
        "linear_value_head_dim": 16,
        "full_attention_interval": 2,
    }
    read = model(str(_config(tmp_path, model_type="qwen3_next", **delta)))
    assert read.linear is not None
    assert (read.linear.full_every, read.linear.n_k_heads, read.attention_gate) == (2, 4, True)


# Configurations as published on Hugging Face (keys that matter), and the parameters of their checkpoints.
REAL = json.loads((Path(__file__).parent / "data" / "configs.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", REAL)
def test_published_configurations_give_published_counts(name: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(REAL[name]["config"]), encoding="utf-8")
    assert parameters(model(str(path))).total == pytest.approx(REAL[name]["parameters"], rel=3e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": None}, "hidden_size: is missing"),
        ({"num_hidden_layers": "two"}, "num_hidden_layers: expected a whole number, found 'two'"),
        ({"vocab_size": 0}, "vocab_size: must be at least 1"),
        ({"hybrid_override_pattern": "M-M*"}, "hybrid_override_pattern"),
        ({"num_experts": 8}, "num_experts_per_tok: is missing"),
    ],
)
def test_a_bad_configuration_is_one_line_that_names_the_key(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    path = _config(tmp_path, **changes)
    with pytest.raises(InputError) as caught:
        model(str(path))
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_broken_file_names_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"hidden_size": 64,\n "num', encoding="utf-8")
    with pytest.raises(InputError, match=r"config\.json:2:\d+: not valid JSON"):
        model(str(path))


def test_a_user_folder_takes_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "llama-3.1-8b.json").write_text(json.dumps(TINY), encoding="utf-8")
    monkeypatch.setenv("SUANLI_CATALOG", str(tmp_path))
    assert model("llama-3.1-8b").hidden == 64
    assert models()[0].hidden == 64


def test_a_preset_file_with_an_unknown_field_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('[{"id": "x", "name": "X", "n_layer": 2}]', encoding="utf-8")
    with pytest.raises(InputError, match=r"x: n_layer: unknown field; did you mean 'n_layers'"):
        model(str(path))
