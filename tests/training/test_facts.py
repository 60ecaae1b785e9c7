from __future__ import annotations

import numpy as np
import pytest

from suanli import catalog, workloads
from suanli.errors import InputError
from suanli.kinds import Model
from suanli.training import facts, model_flop, stack, total_weights
from suanli.training._facts import active_weights, take

SEQ = np.array([2048.0])


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("llama-3.1-8b", 8.03),  # config and safetensors index
        ("llama-3.1-70b", 70.55),
        ("llama-3.1-405b", 405.85),
        ("gpt3-175b", 174.6),  # Brown et al. 2020, table 2.1
        ("mixtral-8x7b", 46.70),  # Jiang et al. 2024
        ("deepseek-v3", 671.0),  # DeepSeek-V3 report: 671B without the MTP module
    ],
)
def test_weights_are_the_published_ones(name: str, billions: float) -> None:
    assert float(total_weights(facts(catalog.model(name)))[0]) / 1e9 == pytest.approx(billions, rel=0.01)


@pytest.mark.parametrize("name", ["llama-3.1-8b", "mixtral-8x7b", "deepseek-v3", "qwen3-235b-a22b"])
def test_weights_agree_with_workloads(name: str) -> None:
    model = catalog.model(name)
    counted = workloads.parameters(model)
    assert float(total_weights(facts(model))[0]) == pytest.approx(counted.total, rel=0.02)


def test_deepseek_v3_activates_37_billion() -> None:
    # https://arxiv.org/abs/2412.19437: 37B activated a token (without input embedding, output head counted)
    assert float(active_weights(facts(catalog.model("deepseek-v3")))[0]) / 1e9 == pytest.approx(37.0, rel=0.03)


def test_model_flop_is_megatrons_formula() -> None:
    # Narayanan et al. 2021, equation 3 without recomputation: 72 s l h^2 (1 + s/6h + V/12lh) a sequence
    layers, hidden, vocab = 96, 12288, 51200
    gpt = Model(
        id="g",
        name="g",
        n_layers=layers,
        hidden=hidden,
        n_heads=96,
        n_kv_heads=96,
        head_dim=128,
        ffn_hidden=4 * hidden,
        vocab=vocab,
        gated_mlp=False,
    )
    want = 72 * layers * hidden**2 * (1 + 2048 / (6 * hidden) + vocab / (12 * layers * hidden))
    assert float(model_flop(facts(gpt), SEQ, causal=False)[0]) == pytest.approx(want, rel=1e-12)
    assert float(model_flop(facts(gpt), SEQ)[0]) < want


def test_stacked_models_keep_their_order() -> None:
    parts = [facts(catalog.model(n)) for n in ("llama-3.1-8b", "llama-3.1-70b")]
    both = stack(parts)
    assert total_weights(both).tolist() == [float(total_weights(p)[0]) for p in parts]
    assert total_weights(take(both, np.array([1])))[0] == total_weights(parts[1])[0]


def test_recommenders_are_refused_in_one_line() -> None:
    with pytest.raises(InputError, match="training covers transformers"):
        facts(catalog.model("dlrm-v2"))
