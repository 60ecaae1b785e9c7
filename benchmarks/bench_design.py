"""How fast designs are screened, evaluated and mapped; ratios of one run.

Run: ``python benchmarks/bench_design.py [CANDIDATES]``. Beside: ZigZag takes 0.6-85 s for one matrix product and
SCALE-Sim minutes for a layer (measured on two cores with their defaults, November 2026).
"""

from __future__ import annotations

import sys
import time

import numpy as np

from suanli.design import DATAFLOWS, DesignSpec, Limits, Place, evaluate, gemm_cycles, parse_jobs, search

ZIGZAG = (0.6, 85.0)  # seconds a matrix product


def main(candidates: int) -> None:
    """Print the rates."""
    rng = np.random.default_rng(0)
    m, n, k = (rng.integers(1, 16384, 300_000) for _ in range(3))
    gemm_cycles(m[:10], n[:10], k[:10], rows=128, cols=128)
    start = time.perf_counter()
    for dataflow in DATAFLOWS:
        gemm_cycles(m, n, k, rows=128, cols=128, dataflow=dataflow)
    one = (time.perf_counter() - start) / m.size / len(DATAFLOWS)
    ratios = f"{ZIGZAG[0] / one:.1e} to {ZIGZAG[1] / one:.1e}"
    print(f"mapping: {1e9 * one:.0f} ns a product and dataflow; ZigZag / ours: {ratios}")

    spec = DesignSpec(cores=rng.integers(4, 64, 200_000), rows=64, cols=64)
    evaluate(DesignSpec())
    start = time.perf_counter()
    evaluate(spec, intervals=False)
    each = (time.perf_counter() - start) / 200_000
    start = time.perf_counter()
    evaluate(DesignSpec())
    alone = time.perf_counter() - start
    print(f"evaluate: {1e6 * each:.2f} us a design in an array, {1e3 * alone:.0f} ms alone with its intervals")

    jobs = parse_jobs("llama-3.1-70b:decode,dlrm-dcnv2:recommend")
    limits = Limits(area=800e-6, power=500.0, place=Place())
    search(jobs, limits=limits, candidates=1000, full=2, refine=False)
    found = search(jobs, limits=limits, candidates=candidates, full=600)
    whole = sum(found.seconds.values())
    print(f"search: {candidates:,} candidates, {found.kept:,} within limits, {len(found.judged)} judged in full")
    print("  " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in found.seconds.items()))
    rest = whole - found.seconds["screen"]
    ten = found.seconds["screen"] * 1e7 / candidates + rest
    print(f"  {candidates / found.seconds['screen']:,.0f} candidates/s; 10 million: {ten:.0f} s (bar: 600 s)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500_000)
