"""Operators a second, one core: ``python -m benchmarks.bench_operators``.

Beside it what others publish or take: LLMCompass 4.5 to 35 s a GEMM (it walks its tiles in Python),
aiconfigurator a look-up in measured tables (here: the same look-up as a dictionary, the least it can cost).
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
from collections.abc import Callable

import numpy as np

from suanli.catalog import chip
from suanli.silicon import attention_time, gemm_time, moe_time

N = 1_000_000
LLMCOMPASS = (4.5, 35.0)  # s per GEMM, its own A100 template, two-core machine


def main() -> None:
    """Print seconds of CPU per operator in a batch of a million, and how many times LLMCompass's that is."""
    rng = np.random.default_rng(0)

    def size(low: float, high: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.floor(2.0 ** rng.uniform(low, high, N))

    h100 = chip("h100-sxm")
    m, n, k = size(0, 15), size(5, 16), size(5, 16)
    batch, kv, heads = size(0, 8), size(4, 16), size(1, 6)
    tokens = size(0, 15)
    cases: dict[str, Callable[[], object]] = {
        "GEMM bf16": lambda: gemm_time(h100, m=m, n=n, k=k, dtype="bf16"),
        "attention decode bf16": lambda: attention_time(
            h100,
            phase="decode",
            batch=batch,
            q_len=1,
            kv_len=kv,
            n_heads=8 * heads,
            n_kv_heads=heads,
            head_dim=128,
            dtype="bf16",
        ),
        "MoE FFN fp8_block": lambda: moe_time(
            h100, tokens=tokens, hidden=7168, inter=2048, top_k=8, n_experts=256, ep=8, skew=1.2, dtype="fp8_block"
        ),
    }
    for name, run in cases.items():
        began = time.process_time()
        run()
        each = (time.process_time() - began) / N
        low, high = (t / each for t in LLMCOMPASS)
        print(
            f"{name:24} {1e6 * each:6.3f} us an operator in a batch of {N:,}; LLMCompass {low:.0e} to {high:.0e} times"
        )
    shapes = list(zip(*(v[:100_000].tolist() for v in (m, n, k)), strict=True))
    known = dict.fromkeys(shapes, 1.0)
    began = time.process_time()
    for shape in shapes:
        known[shape]
    each = (time.process_time() - began) / len(shapes)
    print(f"{'table look-up':24} {1e6 * each:6.3f} us a shape that is in the table; no answer for others")


if __name__ == "__main__":
    main()
