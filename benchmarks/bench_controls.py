"""How many rulings a second, one core: ``python benchmarks/bench_controls.py``."""

from __future__ import annotations

from time import process_time

from suanli import catalog
from suanli.controls import load_rulebook, mask, query_of_chip, screen

SITES = ["CN", "MY", "SG", "US", "JP", "NO", "AE", "SA", "TH", "ID", "IN", "BR", "DE", "FR", "GB", "KR", "TW", "VN"]
SITES += ["KZ", "CA"]
MONTHS = [f"{year}-{month:02d}" for year in range(2024, 2029) for month in range(1, 13)]


def main() -> None:
    """Print the rate of a grid of rulings and of single ones with their explanation."""
    load_rulebook()
    chips = catalog.chips()[:30]
    began = process_time()
    grid = mask(chips, SITES, ["CN", ("SG", "CN"), "US"], ["export"], MONTHS)
    spent = process_time() - began
    print(f"grid: {grid.size:,} rulings in {spent:.2f} s, {grid.size / spent:,.0f} a second")
    began = process_time()
    queries = [query_of_chip(c, to="CN", owner="CN", parent="CN", date="2025-06-01") for c in chips for _ in range(20)]
    for query in queries:
        screen(query)
    print(f"single, explained: {1e3 * (process_time() - began) / len(queries):.2f} ms each")


if __name__ == "__main__":
    main()
