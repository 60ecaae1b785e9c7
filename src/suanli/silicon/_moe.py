"""Mixture-of-experts FFN on one chip: grouped products over the experts that its tokens reach."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InputError
from suanli.kinds import Chip
from suanli.silicon._blocks import timed
from suanli.silicon._checks import is_warm, shapes
from suanli.silicon._formats import format_of
from suanli.silicon._laws import Measured, measure
from suanli.silicon._moe_work import moe_work
from suanli.silicon._parameters import Parameters, law_for
from suanli.silicon._timing import USUAL

Array = NDArray[np.float64]


def moe_parts(
    chip: Chip,
    *,
    tokens: ArrayLike,
    hidden: ArrayLike,
    inter: ArrayLike,
    top_k: ArrayLike,
    n_experts: ArrayLike,
    tp: ArrayLike = 1,
    ep: ArrayLike = 1,
    dtype: str,
    skew: ArrayLike = 0.0,
    gated: bool = True,
    cache: str = "warm",
    kernel: str | None = None,
    parameters: Parameters | None = None,
) -> Measured:
    """Time the routed experts' FFN on the most loaded of ``ep`` x ``tp`` chips, in seconds.

    ``tokens`` are those of all ``ep`` chips together; ``inter`` and ``n_experts`` are unsharded. ``skew`` is the
    exponent of the routing's power law (0: balanced; measured tables hold 1.01 and 1.2).
    ``cache`` "cold": weights come from memory. Raises InputError for shapes that are no MoE layer.
    """
    sizes = shapes(
        zero_allowed=("skew",),
        tokens=tokens,
        hidden=hidden,
        inter=inter,
        top_k=top_k,
        n_experts=n_experts,
        tp=tp,
        ep=ep,
        skew=skew,
    )
    if (sizes["top_k"] > sizes["n_experts"]).any():
        raise InputError("top_k is above n_experts; a token cannot reach more experts than there are")
    if (sizes["ep"] > sizes["n_experts"]).any():
        raise InputError("ep is above n_experts; a chip needs at least one expert")
    law = law_for(chip, "moe_ffn", dtype, kernel=kernel, parameters=parameters)
    form, warm = format_of(dtype), is_warm(cache)
    work = moe_work(chip, form, gated=gated, warm=warm, kernel=kernel, piled=False, timing=USUAL, **sizes)
    return measure(law, work)


moe_time = timed(moe_parts, "tokens", "hidden", "inter", "top_k", "n_experts", "tp", "ep", "skew")
