"""How fast strategies are searched and runs predicted, beside what others publish.

Run as ``python -m benchmarks.bench_training``. The search enumerates the whole space of GPT-3 175B on 4,096 A100 for a
batch of 4,096 sequences, every schedule included. Calculon's rate is that of its own search on the same case, 187-218
configurations a CPU-second (1,100 with its logging off); its space there has 7,126,368. llm-analysis evaluates one
configuration in 0.233 ms. The naive constant is 47 % of the bf16 peak.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np

from suanli import catalog
from suanli.scoring import report, score
from suanli.training import era, facts, fitted_parameters, rate_table, search, setting_of, site_of, step, strategies
from suanli.training._offers import EVERYTHING
from suanli.training._rates import usual_offers
from suanli.training._search import search_space
from suanli.training._strategy import SCHEDULES

CALCULON = (200.0, 1100.0)  # configurations a second of one core, as shipped and with logging off
LLM_ANALYSIS = 1.0 / 0.233e-3
ROOT = Path(__file__).resolve().parents[1]
# llm-analysis at its README's flops_efficiency 0.5 on the SC'21 rows of 175B and 530B: error in per cent
LLM_ANALYSIS_ERRORS = {"175B": (-1.8, -4.4, -9.5), "530B": (9.7, 7.1, 2.0)}


def search_rate() -> dict[str, float]:
    """Return strategies, seconds and rate of the whole GPT-3 space on one core."""
    model, chip = catalog.model("gpt3-175b"), catalog.chip("a100-80-sxm")
    site, p = site_of(chip, chips_per_node=8), fitted_parameters()
    best = np.inf
    for _ in range(3):
        start = time.process_time()
        found = search_space(
            site,
            facts(model),
            n_chips=4096,
            batch=4096,
            seq=2048,
            era=era("megatron-2022"),
            precision="bf16",
            parameters=p,
            schedules=SCHEDULES,
            offers=EVERYTHING,
        )
        best = min(best, time.process_time() - start)
    return {"strategies": found.size, "fit": found.fitting, "seconds": best, "rate": found.size / best}


def one_step_rate() -> float:
    """Return single strategies a second through the public call."""
    where = setting_of(catalog.model("gpt3-175b"), catalog.chip("a100-80-sxm"), 4096, seq_len=2048, global_batch=4096)
    chosen, p = strategies(tp=8, pp=8, dp=64), fitted_parameters()
    step(where, chosen, parameters=p)
    start = time.process_time()
    for _ in range(50):
        step(where, chosen, parameters=p)
    return 50 / (time.process_time() - start)


def table_rate() -> tuple[float, float]:
    """Return rows a second of a rate table (one model, four chips, three pools), and of whole searches of the same."""
    model, sizes = catalog.model("llama-3.1-70b"), (256, 4096, 30000)
    chips = [catalog.chip(n) for n in ("h100-sxm", "h20", "ascend910b3", "ascend910c")]
    start = time.process_time()
    frame = rate_table(model, chips, sizes, year=2025)
    middle = time.process_time()
    for chip in chips:
        for size in sizes:
            where = setting_of(model, chip, size, year=2025)
            search(where, top=1, exact=False, offers=usual_offers(where))
    return frame.height / (middle - start), frame.height / (time.process_time() - middle)


def main() -> None:
    """Measure, and print one line a figure."""
    got = search_rate()
    print(
        f"search, GPT-3 175B on 4,096 A100: {got['strategies']:,} strategies ({got['fit']:,} fit) in "
        f"{got['seconds']:.2f} CPU-s: {got['rate']:,.0f} a second"
    )
    print(
        f"  Calculon: {CALCULON[0]:,.0f} a second as shipped, {CALCULON[1]:,.0f} without logging: "
        f"{got['rate'] / CALCULON[0]:,.0f} and {got['rate'] / CALCULON[1]:,.0f} times slower"
    )
    single = one_step_rate()
    print(f"one strategy by itself: {single:,.0f} a second; llm-analysis {LLM_ANALYSIS:,.0f}")
    table, whole = table_rate()
    print(f"rate table: {table:.1f} rows a second by branch and bound, {table / whole:.1f} times whole searches")
    data = report(score("training", [ROOT / "validation/data/training/runs.csv"]))
    ours, naive = data["metrics"]["step_time"], data["baseline"]["step_time"]
    print(
        f"error on {ours['n']} runs of sources left out: {ours['mean_abs_pct']:.1f} % mean, "
        f"{ours['median_abs_pct']:.1f} % median; constant {naive['mean_abs_pct']:.1f} % mean"
    )
    rows = {r["id"]: r for r in score("training", [ROOT / "validation/data/training/runs.csv"]).rows.to_dicts()}
    mine = {
        name: [100 * (rows[i]["predicted"] / rows[i]["measured"] - 1) for i in ids]
        for name, ids in {"175B": ("sc21t1-015", "sc21t1-016"), "530B": ("sc21t1-017", "sc21t1-018")}.items()
    }
    print("SC'21 table 2, PTD-P, error in %: " + json.dumps({k: [round(x, 1) for x in v] for k, v in mine.items()}))
    print("  llm-analysis at efficiency 0.5 (three scales each): " + json.dumps(LLM_ANALYSIS_ERRORS))


if __name__ == "__main__":
    main()
