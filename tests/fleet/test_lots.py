"""Whole lots: within its bound, whole, and left at the rounded plan where the search is cut off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from suanli import fleet
from suanli.fleet._solve import Solved

SMALL = fleet.load_case(Path(__file__).parent / "data" / "small")
LOT = 64


@pytest.fixture(scope="module")
def solved() -> Solved:
    offers = [o.model_copy(update={"lot": LOT}) if o.id == "good" else o for o in SMALL.spec.offers]
    spec = SMALL.spec.model_copy(update={"offers": offers})
    case = fleet.Case(name="lots", folder=SMALL.folder, spec=spec, trees=SMALL.trees)
    return fleet.solve(case, options=fleet.Options(fresh=0, explain=False)).main


def test_a_search_finds_whole_lots_near_the_bound(solved: Solved) -> None:
    found = fleet.whole_lots(solved, seconds=20.0)
    good = next(j for j, x in enumerate(solved.grid.lines) if x.offer is not None and x.offer.id == "good")
    counts = found.decision.order[good] * 1e3 / LOT
    assert counts == pytest.approx(np.rint(counts), abs=1e-4)
    assert counts.sum() > 0
    assert found.bound <= found.cost + 1e-6
    assert found.cost <= found.rounded + 1e-9
    assert found.cost == pytest.approx(found.bound, rel=0.1)


def test_without_time_the_rounded_plan_is_kept(solved: Solved, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("suanli.fleet._lots._search", lambda *_: None)
    found = fleet.whole_lots(solved, seconds=1.0)
    assert found.status == "rounded"
    assert found.cost == found.rounded >= found.bound - 1e-6


def test_a_search_past_its_limit_is_ended_and_the_rounded_plan_kept(
    solved: Solved, monkeypatch: pytest.MonkeyPatch
) -> None:
    import multiprocessing

    monkeypatch.setattr("suanli.fleet._lots.GRACE", 0.0)
    found = fleet.whole_lots(solved, seconds=0.01)  # the child has not even begun
    assert found.status == "rounded"
    assert multiprocessing.active_children() == []
