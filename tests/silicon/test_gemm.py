"""Matrix products: physics that must hold on any chip, and measured anchors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.catalog import chip
from suanli.errors import InputError
from suanli.kinds import Chip
from suanli.silicon import convolution_time, gemm_time, sigma

CHIPS = ("h100-sxm", "a100-80-sxm", "l40s", "h20-96", "b200-sxm", "ascend910b3", "mi300x", "tpuv5p", "mlu590")
SIZE = st.integers(1, 40_000)


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(CHIPS), m=SIZE, n=SIZE, k=SIZE, batch=st.integers(1, 64))
def test_never_above_peak_nor_above_memory_for_bytes_no_cache_holds(
    name: str, m: int, n: int, k: int, batch: int
) -> None:
    c = chip(name)
    warm = gemm_time(c, m=m, n=n, k=k, batch=batch, dtype="bf16")[0]
    cold = gemm_time(c, m=m, n=n, k=k, batch=batch, dtype="bf16", cache="cold")[0]
    moved = 2.0 * batch * (m * k + k * n + m * n)
    cache = c.l2_bytes if c.l2_bytes is not None else 0.5 * (c.sram_bytes or 0.0)
    assert c.memory_bandwidth is not None
    assert warm >= 2.0 * batch * m * n * k / c.peak["bf16"]
    assert warm >= (moved - cache) / c.memory_bandwidth
    assert cold >= moved / c.memory_bandwidth
    assert cold >= warm * (1.0 - 1e-12)


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(CHIPS), m=SIZE, n=SIZE, k=SIZE, more=st.floats(1.0, 8.0))
def test_more_bandwidth_or_peak_is_never_slower(name: str, m: int, n: int, k: int, more: float) -> None:
    c = chip(name)
    assert c.memory_bandwidth is not None
    wide = replace(c, memory_bandwidth=more * c.memory_bandwidth)
    fast = replace(c, peak={f: more * p for f, p in c.peak.items()})
    time = gemm_time(c, m=m, n=n, k=k, dtype="bf16")[0]
    assert gemm_time(wide, m=m, n=n, k=k, dtype="bf16")[0] <= time * (1.0 + 1e-12)
    if c.n_cores:  # where cores follow from the peak, a faster chip has more of them
        assert gemm_time(fast, m=m, n=n, k=k, dtype="bf16")[0] <= time * (1.0 + 1e-12)


@pytest.mark.parametrize(
    ("name", "m", "n", "k", "measured"),
    [
        # medians over frameworks of aiconfigurator-core 0.12.0 tables (Apache-2.0), bf16
        ("h100-sxm", 4096, 4096, 4096, 176.4e-6),
        ("h100-sxm", 16, 4096, 4096, 16.2e-6),
        ("h100-sxm", 32768, 4096, 4096, 1529e-6),
        ("a100-80-sxm", 4096, 4096, 4096, 539.5e-6),
        ("a100-80-sxm", 2048, 8192, 1024, 149.4e-6),
        ("l40s", 768, 4096, 4096, 123.1e-6),
        ("rtxpro6000-server", 4096, 4096, 4096, 349.5e-6),
    ],
)
def test_measured_anchors(name: str, m: int, n: int, k: int, measured: float) -> None:
    predicted = gemm_time(chip(name), m=m, n=n, k=k, dtype="bf16")[0]
    assert abs(np.log(predicted / measured)) < 0.25


def test_waves_cost_whole_turns_of_the_cores() -> None:
    # A100, n 1024, k 4096: m 3328 takes 105.7 us and m 3584 204.8 us, since 112 tiles need a second turn of 108 cores.
    times = gemm_time(chip("a100"), m=[3072, 3328, 3584], n=1024, k=4096, dtype="bf16")
    assert times[2] / times[1] > 1.1 > times[1] / times[0]


def test_scalar_is_an_array_of_one_and_shapes_broadcast() -> None:
    h100 = chip("h100")
    one = gemm_time(h100, m=128, n=4096, k=4096, dtype="bf16")
    many = gemm_time(h100, m=[[1], [128]], n=[1024, 4096], k=4096, dtype="bf16")
    assert one.shape == (1,)
    assert many.shape == (2, 2)
    assert many[1, 1] == one[0]


def test_formats_order_a_large_product_as_their_rates_do() -> None:
    times = [gemm_time(chip("rtx pro 6000"), m=8192, n=8192, k=8192, dtype=d)[0] for d in ("bf16", "fp8", "nvfp4")]
    assert times[0] > times[1] > times[2]
    h100 = chip("h100")
    reading = [gemm_time(h100, m=8, n=16384, k=16384, dtype=d, cache="cold")[0] for d in ("bf16", "fp8")]
    assert 1.5 < reading[0] / reading[1] < 2.3


def test_weight_only_formats_read_fewer_bytes() -> None:
    a100 = chip("a100")
    times = [gemm_time(a100, m=4, n=16384, k=16384, dtype=d)[0] for d in ("bf16", "int8_wo", "int4_wo")]
    assert times[0] > times[1] > times[2]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"m": 0}, "m is 0"),
        ({"k": -4}, "k is -4"),
        ({"n": float("nan")}, "n is nan"),
        ({"n": 1e30}, "n is 1e+30"),
        ({"dtype": "bf17"}, "did you mean 'bf16'"),
        ({"dtype": "nvfp4"}, "no rate for fp4; the nearest format it has is fp8"),
        ({"cache": "tepid"}, "warm or cold"),
        ({"m": [1, 2, 3], "n": [1, 2]}, "lengths do not fit"),
    ],
)
def test_bad_shapes_and_formats_are_refused_by_name(changes: dict[str, object], words: str) -> None:
    good: dict[str, object] = {"m": 16, "n": 16, "k": 16, "dtype": "bf16"}
    with pytest.raises(InputError, match=words.replace("+", r"\+")):
        gemm_time(chip("h100"), **{**good, **changes})  # type: ignore[arg-type]


def test_unknown_memory_bandwidth_is_an_error_and_no_memory_is_not() -> None:
    with pytest.raises(InputError, match="memory bandwidth is unknown"):
        gemm_time(replace(chip("h100"), memory_bandwidth=None), m=1, n=1, k=1, dtype="bf16")
    assert gemm_time(chip("groq-lpu1"), m=64, n=4096, k=4096, dtype="fp16")[0] > 0.0


def test_a_patch_embedding_is_a_product() -> None:
    h100 = chip("h100")
    patched = convolution_time(
        h100, images=2, height=64, width=64, channels_in=16, channels_out=1152, window=2, stride=2, dtype="bf16"
    )
    assert patched[0] == gemm_time(h100, m=2 * 32 * 32, n=1152, k=64, dtype="bf16")[0]


def test_intervals_widen_from_measured_chip_to_sibling_to_stranger() -> None:
    names = ("h100-sxm", "h200-sxm", "mi300x")
    spreads = [sigma(chip(n), "gemm", "bf16") for n in names]
    assert spreads[0] < spreads[1] < spreads[2]


def test_a_custom_chip_is_a_chip_like_any_other() -> None:
    own = Chip(
        id="own", name="Own", vendor="", family="asic", peak={"bf16": 2e14}, memory_bandwidth=2e12, memory_bytes=6.4e10
    )
    assert 0.5 < gemm_time(own, m=8192, n=8192, k=8192, dtype="bf16")[0] / (2.0 * 8192**3 / 2e14 / 0.7) < 2.0


@pytest.mark.parametrize("name", ["h100-sxm", "l40s", "rtxpro6000-server", "b200-sxm", "mi300x", "ascend910b3"])
def test_a_cold_weight_that_a_cache_could_hold_streams_as_a_large_one_does(name: str) -> None:
    # What a warm cache holds back makes the rest slow (few bytes, badly spread); nothing is held back from a cold run.
    c = chip(name)
    assert c.memory_bandwidth is not None
    streamed = 2.0 * 4096.0 * 4096.0 / c.memory_bandwidth
    cold = gemm_time(c, m=8, n=4096, k=4096, dtype="bf16", cache="cold")[0]
    large = gemm_time(c, m=8, n=32768, k=32768, dtype="bf16", cache="cold")[0]
    assert streamed < cold < 3.0 * streamed
    assert 64.0 * streamed < large < 1.5 * 64.0 * streamed
