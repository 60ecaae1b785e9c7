"""How sure a predicted time is."""

from __future__ import annotations

import numpy as np

from suanli.kinds import Chip
from suanli.silicon._parameters import Parameters, law_for


def sigma(chip: Chip, op: str, dtype: str, *, parameters: Parameters | None = None) -> float:
    """Return the standard deviation of the logarithm of measured over predicted time.

    ``op`` is gemm, attention_prefill, attention_decode, attention_encoder, mla_prefill_core, mla_decode_core,
    moe_ffn, elementwise or embedding. The median over what may
    bind; wider where the chip's family, or the format, was not measured.
    """
    by_part = law_for(chip, op, dtype, parameters=parameters).sigma
    return float(np.median(list(by_part.values())))
