"""What a sequence keeps: published figures, windows, states."""

import numpy as np
import pytest

from suanli.catalog import model
from suanli.errors import InputError
from suanli.workloads import kv_bytes_per_sequence, kv_bytes_per_token, state_bytes_per_sequence

# Bytes a token in 16 bits.
PUBLISHED = {
    "llama-2-7b": 524_288,  # 2 x 32 layers x 4,096 x 2 bytes: 0.5 MB a token
    "llama-3.1-405b": 516_096,  # DeepSeek-V3, arXiv 2505.09343 table 1: 516 KB
    "qwen2.5-72b": 327_680,  # the same table: 327.68 KB
    "deepseek-v3": 70_272,  # the same table: 70.272 KB
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_cache_a_token_is_as_published(name: str) -> None:
    assert kv_bytes_per_token(model(name), "bf16") == PUBLISHED[name]
    assert kv_bytes_per_token(model(name), "fp8") == PUBLISHED[name] / 2


def test_a_window_bounds_the_cache() -> None:
    gemma = model("gemma-3-27b")  # 1,024 tokens on five layers of six
    short = kv_bytes_per_sequence(gemma, "bf16", 1024)
    long = kv_bytes_per_sequence(gemma, "bf16", np.array([32768.0, 65536.0]))
    assert short == pytest.approx(1024 * kv_bytes_per_token(gemma))
    assert long[1] - long[0] == pytest.approx(32768 * kv_bytes_per_token(gemma) * 10 / 62)


def test_state_does_not_grow_with_length() -> None:
    qwen = model("qwen3-next-80b-a3b")  # 36 of 48 layers, 32 heads of 128 x 128 numbers, a convolution of 4
    tail = 3 * (2 * 16 * 128 + 32 * 128)
    assert state_bytes_per_sequence(qwen, "fp32") == 36 * (32 * 128 * 128 + tail) * 4
    assert state_bytes_per_sequence(model("llama-3.1-8b")) == 0.0


@pytest.mark.parametrize("name", ["flux.1-dev", "dlrm", "dlrmv3-hstu"])
def test_models_that_generate_nothing_keep_nothing(name: str) -> None:
    assert kv_bytes_per_token(model(name)) == 0.0


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(InputError, match="unknown number format 'fp6'"):
        kv_bytes_per_token(model("gpt2"), "fp6")
