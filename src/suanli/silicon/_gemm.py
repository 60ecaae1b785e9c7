"""Matrix multiplication: tiles in waves over cores, cache and memory traffic."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.kinds import Chip
from suanli.silicon._blocks import timed
from suanli.silicon._checks import is_warm, shapes
from suanli.silicon._formats import format_of
from suanli.silicon._gemm_work import gemm_work
from suanli.silicon._laws import Measured, measure
from suanli.silicon._parameters import Parameters, law_for
from suanli.silicon._timing import USUAL

Array = NDArray[np.float64]


def gemm_parts(
    chip: Chip,
    *,
    m: ArrayLike,
    n: ArrayLike,
    k: ArrayLike,
    batch: ArrayLike = 1,
    dtype: str,
    cache: str = "warm",
    kernel: str | None = None,
    parameters: Parameters | None = None,
) -> Measured:
    """Time ``batch`` products C[m, n] = A[m, k] B[k, n] on ``chip``, in seconds, over the broadcast shapes.

    ``dtype`` is the operator's format (bf16, fp16, fp8, fp8_block, int8, nvfp4, int8_wo, int4_wo ...). ``cache`` is
    "warm" where operands may still lie in the last shared cache from the run before, "cold" where none do. ``kernel``
    names a measured software kernel, None its usual one. Raises InputError for shapes that are no operator and for a
    chip without a rate for the format.
    """
    warm = is_warm(cache)
    sizes = shapes(m=m, n=n, k=k, batch=batch)
    law = law_for(chip, "gemm", dtype, kernel=kernel, parameters=parameters)
    return measure(law, gemm_work(chip, format_of(dtype), **sizes, warm=warm, kernel=kernel, timing=USUAL))


gemm_time = timed(gemm_parts, "m", "n", "k", "batch")
