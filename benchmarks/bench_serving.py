"""How fast serving is: requests simulated a second, combinations a second, a layout search; beside what peers take.

Run: ``python -m benchmarks.bench_serving``. Peers' figures (docs/serving.md) are printed for
scale; Vidur runs beside ours where it is installed.
"""

from __future__ import annotations

import importlib.util
import time

from suanli import catalog
from suanli.kinds import Service
from suanli.serving import (
    Choice,
    Layout,
    arrivals,
    capacity_table,
    lengths,
    link_of,
    requests,
    scheduler,
    search,
    simulate,
    simulate_pools,
    step_lane,
)

VIDUR, DYNAMO = 315.0, 3600.0  # requests simulated a CPU second (Vidur 7d47513, Dynamo 1.3.1)
AICONFIGURATOR = 200.0  # s for DeepSeek-R1 on 32 H200 (aiconfigurator 0.12.0)


def simulation(n: int = 100_000) -> float:
    """Return requests/s simulated: Llama-2-70B, TP4, A100, Poisson, chunked prefill of 512, no prefix cache."""
    service = Service(model=catalog.model("llama-2-70b"), rate=1.5, input_tokens=1155.0, output_tokens=211.0)
    chip = catalog.chip("a100-80-sxm")
    choice = Choice(
        layout=Layout(tp=4),
        copies=1,
        prefill=None,
        prefill_copies=0,
        budget=512,
        requests_per_s=1.5,
        output_tokens_per_s=316.0,
        ttft_s=0.0,
        tpot_s=0.0,
        running=128.0,
        sigma=0.0,
        reason="",
    )
    lane = step_lane(service, chip, choice)
    prompts = lengths(1155, n=n, seed=1, spread=0.9, law="lognormal").clip(1, 4000)
    answers = lengths(211, n=n, seed=2, spread=0.9, law="lognormal").clip(1, 2000)
    load = requests(arrivals("poisson", rate=1.5, n=n), prompts, answers)
    simulate(lane, requests(load.arrival_s[:50], prompts[:50], answers[:50]), scheduler=scheduler("vllm"))
    began = time.process_time()
    seen = simulate(lane, load, scheduler=scheduler("vllm"))
    spent = time.process_time() - began
    p50, p90, p99 = seen.quantiles("latency_s")
    print(f"simulation: {n:,} requests, {seen.steps:,} steps in {spent:.2f} s: {n / spent:,.0f} requests/s")
    print(f"  latency p50 {p50:.1f} s, p90 {p90:.1f} s, p99 {p99:.1f} s")
    print(f"  {n / spent / VIDUR:,.0f} x Vidur ({VIDUR:.0f}/s), {n / spent / DYNAMO:,.0f} x Dynamo ({DYNAMO:,.0f}/s)")
    return n / spent


def coupled(n: int = 100_000) -> float:
    """Return requests/s simulated: Llama-3.1-70B in fp8 on H100, 3 prefill and 4 decode replicas of TP2, coupled."""
    service = Service(
        model=catalog.model("llama-3.1-70b"), rate=1.0, input_tokens=1024.0, output_tokens=256.0, precision="fp8"
    )
    chip = catalog.chip("h100-sxm")
    choice = next(
        c for c in search(service, chip, n_chips=14, budgets=(8192,)) if c.prefill == c.layout == Layout(tp=2)
    )
    first, second = (step_lane(service, chip, choice, pool=p) for p in ("prefill", "decode"))
    link = link_of(service, chip, tp=(2, 2), n_chips=14)
    load = requests(
        arrivals("poisson", rate=20.0, n=n),
        lengths(1024, n=n, seed=1, spread=0.3),
        lengths(256, n=n, seed=2, spread=0.3),
    )
    plan = scheduler("vllm")
    few = requests(load.arrival_s[:50], load.input_tokens[:50], load.output_tokens[:50])
    simulate_pools(first, second, few, scheduler=plan, replicas=(3, 4), link=link)
    began = time.process_time()
    seen = simulate_pools(first, second, load, scheduler=plan, replicas=(3, 4), link=link)
    spent = time.process_time() - began
    print(f"coupled pools: {n:,} requests, {seen.steps:,} steps in {spent:.2f} s: {n / spent:,.0f} requests/s")
    return n / spent


def million() -> float:
    """Return bytes a request that a run of a million takes beyond its load, at 200 reports of progress or fewer."""
    import resource

    service = Service(model=catalog.model("llama-3.1-8b"), rate=1.0, input_tokens=1024.0, output_tokens=256.0)
    chip = catalog.chip("h100-sxm")
    choice = next(c for c in search(service, chip, n_chips=1, budgets=(8192,)) if not c.reason)
    lane = step_lane(service, chip, choice)
    n = 1_000_000
    load = requests(
        arrivals("poisson", rate=0.8 * choice.requests_per_s, n=n),
        lengths(1024, n=n, seed=1, spread=0.3),
        lengths(256, n=n, seed=2, spread=0.3),
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    simulate(lane, load, scheduler=scheduler("vllm"))
    spent = time.process_time() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024.0 / n
    print(f"a million requests: {spent:.1f} s, {grown:.0f} bytes a request")
    return grown


def layout_search() -> float:
    """Return s for a full layout search of DeepSeek-R1 on 32 chips: TP, PP, EP, DP, batch, chunk, disaggregation."""
    service = Service(
        model=catalog.model("deepseek-r1"),
        rate=100.0,
        input_tokens=4000.0,
        output_tokens=1000.0,
        ttft_s=2.0,
        tpot_s=0.05,
        precision="fp8",
    )
    began = time.process_time()
    found = search(service, catalog.chip("h200-sxm"), n_chips=32, framework="trtllm")
    spent = time.process_time() - began
    print(
        f"layout search: {len(found)} layouts in {spent:.2f} s: {AICONFIGURATOR / spent:,.0f} x aiconfigurator (200 s)"
    )
    print(f"  best {found[0]}: {found[0].per_chip:.0f} tokens/s a chip")
    return spent


def table() -> float:
    """Return combinations (service x chip x layout x load) answered a second for the fleet planner."""
    services = [
        Service(
            model=catalog.model(m),
            rate=1.0,
            input_tokens=1155.0,
            output_tokens=211.0,
            ttft_s=1.0,
            tpot_s=t,
            precision=p,
        )
        for m in ("llama-3.1-70b", "qwen3-32b", "deepseek-v3")
        for t, p in ((0.05, "fp8"), (0.1, "bf16"))
    ]
    chips = catalog.chips()
    began = time.process_time()
    found = capacity_table(services, chips)
    spent = time.process_time() - began
    from suanli.serving._layouts import layouts_for
    from suanli.serving._slo import LOADS

    combinations = sum(len(layouts_for(s.model, c)) for s in services for c in chips) * LOADS
    print(f"capacity table: {found.height} rows out of {combinations:,} combinations in {spent:.1f} s")
    return combinations / spent


def main() -> None:
    """Print all speeds."""
    simulation()
    coupled()
    million()
    layout_search()
    table()
    if importlib.util.find_spec("vidur") is None:
        print("Vidur is not installed; its figure above is a stored measurement")


if __name__ == "__main__":
    main()
