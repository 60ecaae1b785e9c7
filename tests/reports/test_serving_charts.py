from typing import Any

import numpy as np
import pytest

from suanli.reports import cost_chart, goodput_chart, latency_chart, mix_chart, occupancy_chart, pareto_chart, svg
from suanli.serving import Link, Replay, arrivals, lengths, requests, scheduler, simulate_pools
from tests.serving.lanes import lane

FRONT = [
    {"tokens_per_s_user": 100.0, "tokens_per_s_chip": 50.0, "layout": "TP8"},
    {"tokens_per_s_user": 60.0, "tokens_per_s_chip": 400.0, "layout": "TP4"},
    {"tokens_per_s_user": 30.0, "tokens_per_s_chip": 900.0, "layout": "TP2"},
    {"tokens_per_s_user": 29.0, "tokens_per_s_chip": 910.0, "layout": "TP1"},
]


def rows_of(chart: dict[str, Any], layer: int = 0) -> list[dict[str, Any]]:
    """Return the data of a layer, which stands above it where it has no other beside it."""
    found: list[dict[str, Any]] = chart["layer"][layer].get("data", chart.get("data"))["values"]
    return found


@pytest.fixture(scope="module")
def replay() -> Replay:
    n = 200
    load = requests(
        arrivals("poisson", rate=10.0, n=n), lengths(400, n=n, seed=1, spread=0.5), lengths(50, n=n, seed=2, spread=0.5)
    )
    link = Link(token_bytes=1e5, bandwidth=1e10)
    return simulate_pools(lane(), lane(), load, scheduler=scheduler("vllm"), replicas=(1, 1), link=link)


def test_the_front_names_layouts_that_do_not_lie_on_one_another() -> None:
    found = pareto_chart(FRONT, "a model on a chip").to_dict()
    names = [row["layout"] for row in rows_of(found, 1)]
    assert names == ["TP8", "TP4", "TP2"]  # TP1 would lie on the TP2 before it
    assert len(rows_of(found)) == 4
    assert "a model on a chip" in svg(pareto_chart(FRONT, "a model on a chip"))


def test_cost_is_rent_over_tokens() -> None:
    rows = cost_chart(FRONT, 3.6).to_dict()["data"]["values"]
    # 3.6 USD an hour is 1e-3 USD a second: at 400 tokens/s, 2.5 USD a million
    assert [r["usd"] for r in rows] == pytest.approx([20.0, 2.5, 1000 / 900, 1000 / 910])


def test_goodput_is_drawn_beside_what_is_served() -> None:
    curve = [{"asked": 1.0, "served": 1.0, "good": 1.0}, {"asked": 2.0, "served": 1.5, "good": 0.2}]
    values = goodput_chart(curve).to_dict()["data"]["values"]
    assert {(v["what"], v["asked"]): v["rate"] for v in values}[("within the limits", 2.0)] == 0.2


def test_latencies_rise_to_all_requests_with_their_limits(replay: Replay) -> None:
    found = latency_chart(replay, {"ttft_s": 0.05, "tpot_s": None}).to_dict()
    assert len(found["hconcat"]) == 3
    lines = [rows_of(panel) for panel in found["hconcat"]]
    for line in lines:
        assert np.all(np.diff([p["s"] for p in line]) >= 0)
        assert line[-1]["share"] == 1.0
    assert [len(panel["layer"]) for panel in found["hconcat"]] == [2, 1, 1]
    assert svg(latency_chart(replay, {})).startswith("<svg")


def test_both_pools_are_drawn_over_time(replay: Replay) -> None:
    found = occupancy_chart(replay).to_dict()
    panels: list[dict[str, Any]] = found["vconcat"]
    assert [p["encoding"]["y"]["title"] for p in panels] == ["requests in a step", "cached tokens", "requests waiting"]
    assert {v["pool"] for v in panels[0]["data"]["values"]} == {"prefill", "decode"}


def test_a_day_is_stacked_in_the_order_of_its_services() -> None:
    rows = [{"hour": h, "service": s, "chips": 1} for s in ("b", "a") for h in (0.0, 12.0)]
    found = mix_chart(rows, "a day").to_dict()
    assert found["encoding"]["color"]["scale"]["domain"] == ["b", "a"]
    assert "hour of the day" in svg(mix_chart(rows, "a day"))
