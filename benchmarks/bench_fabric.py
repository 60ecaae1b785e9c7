"""How many collectives and operator tables a second, one core: ``python benchmarks/bench_fabric.py``."""

from __future__ import annotations

from time import process_time

import numpy as np

from suanli import catalog
from suanli.fabric import collective_time, network_of
from suanli.workloads import forward_ops

BATCH = 1_000_000


def main() -> None:
    """Print the rate of collectives in a batch and one at a time, and of operator tables."""
    chip = catalog.chip("h100-sxm")
    sizes = np.geomspace(1e3, 1e9, BATCH)
    for n in (8, 64, 16384):
        network = network_of(chip, n)
        began = process_time()
        collective_time(network, "all_reduce", sizes, n)
        batch = (process_time() - began) / BATCH
        began = process_time()
        for _ in range(1000):
            collective_time(network, "all_reduce", 1e6, n)
        single = (process_time() - began) / 1000
        print(f"all-reduce among {n:6,} chips: {1e9 * batch:7.1f} ns in a batch, {1e6 * single:6.1f} µs alone")
    model = catalog.model("deepseek-v3")
    began = process_time()
    for length in range(1, 501):
        forward_ops(model, phase="decode", batch=64, kv_len=length, tp=8, ep=8)
    print(f"operator table of DeepSeek-V3: {1e3 * (process_time() - began) / 500:.2f} ms")


if __name__ == "__main__":
    main()
