"""Tiles that kernels state for products."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from suanli.catalog import chip
from suanli.silicon import gemm_time
from suanli.silicon._gemm_tiles import stated_tiles

_SGL = "sglang/sglang_sgl_kernel_fp8_scaled_mm"
_VLLM = "vllm/CutlassFP8ScaledMMLinearKernel"


def _array(*values: float) -> NDArray[np.float64]:
    return np.array(values, dtype=np.float64)


@pytest.mark.parametrize(
    ("kernel", "family", "m", "n", "tile"),
    [
        # sgl-kernel/csrc/gemm/fp8_gemm_kernel.cu
        (_SGL, "ada", 1, 4096, (16, 64)),
        (_SGL, "ada", 256, 16384, (64, 128)),
        (_SGL, "hopper", 128, 8192, (64, 128)),
        (_SGL, "hopper", 129, 8192, (128, 128)),
        ("sglang/sglang", "hopper", 256, 8192, (64, 64)),
        (_SGL, "blackwell-rtx", 129, 8192, (128, 128)),
        # vLLM csrc/quantization/w8a8/cutlass
        (_VLLM, "ada", 1000, 8192, (256, 128)),
        (_VLLM, "hopper", 16, 8192, (16, 64)),
        (_VLLM, "blackwell-rtx", 64, 8192, (64, 64)),
    ],
)
def test_a_kernel_takes_the_tile_that_its_dispatch_code_states(
    kernel: str, family: str, m: float, n: float, tile: tuple[float, float]
) -> None:
    found = stated_tiles(kernel, "fp8", family, m=_array(m), n=_array(n), batch=_array(1), cores=132.0)
    assert found is not None
    assert (found.high[0], found.wide[0]) == tile


def test_a_cluster_keeps_its_tiles_in_step() -> None:
    found = stated_tiles(_VLLM, "fp8", "hopper", m=_array(1281), n=_array(8192), batch=_array(1), cores=132.0)
    assert found is not None
    assert found.count[0] == 12 * 64  # 11 rows of tiles, in pairs


def test_a_search_takes_the_fewest_waves_then_the_fullest_last_one() -> None:
    name = "sglang/sglang_deepgemm_gemm_nt_f8f8bf16"
    found = stated_tiles(name, "fp8_block", "hopper", m=_array(4096, 64), n=_array(4096), batch=_array(1), cores=132.0)
    assert found is not None
    # 128 x 160: 32 x 26 tiles in 7 waves; narrower tiles need more, none of fewer waves exists within the registers.
    assert np.ceil(found.count[0] / 132.0) <= np.ceil(32 * 32 / 132.0)
    # One row of tiles: the narrowest width that still needs one wave fills it best.
    assert (found.count[1], found.wide[1]) == (128, 32)


@pytest.mark.parametrize(("kernel", "family"), [(None, "hopper"), ("x/unheard_of", "hopper"), (_SGL, "cdna3")])
def test_what_no_code_states_is_left_to_the_best_tile(kernel: str | None, family: str) -> None:
    assert stated_tiles(kernel, "fp8", family, m=_array(1), n=_array(1), batch=_array(1), cores=132.0) is None


def test_a_row_beyond_a_tile_costs_another_wave() -> None:
    # Measured on an H100: 256 rows 38.9 us, 257 rows 76.5 us (another row of tiles: two waves).
    times = gemm_time(chip("h100"), m=[256, 257], n=8192, k=8192, dtype="fp8", kernel=_SGL)
    assert times[1] > 1.2 * times[0]
