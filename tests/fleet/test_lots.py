"""Whole lots: within its bound, whole, and left at the rounded plan where the search is cut off."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from suanli import fleet
from suanli.fleet._lots import _write, near
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
    ended = []
    kill = subprocess.Popen.kill

    def noted(child: subprocess.Popen[bytes]) -> None:
        kill(child)
        ended.append(child)

    monkeypatch.setattr("suanli.fleet._lots.GRACE", 0.0)
    monkeypatch.setattr(subprocess.Popen, "kill", noted)
    found = fleet.whole_lots(solved, seconds=0.01)  # the child has not even begun
    assert found.status == "rounded"
    assert [child.poll() is not None for child in ended] == [True]


def test_what_was_found_before_the_end_counts(solved: Solved, tmp_path: Path) -> None:
    columns = np.arange(3.0)
    _write(tmp_path / "result.npy", columns)
    _write(tmp_path / "result.npy", columns + 1)
    assert np.load(tmp_path / "result.npy") == pytest.approx(columns + 1)
    assert [p.name for p in tmp_path.iterdir()] == ["result.npy"]


def test_the_search_looks_near_the_plan_first() -> None:
    task = {
        "plain": np.array([0.0, 2.4, 0.7, 5.0]), "whole": np.array([True, True, True, False]),
        "lower": np.zeros(4), "upper": np.array([9.0, 9.0, 1.0, 9.0]),
    }  # fmt: skip
    low, high = near(task)
    assert low.tolist() == [0.0, 1.0, 0.0, 0.0]
    assert high.tolist() == [0.0, 4.0, 1.0, 9.0]
