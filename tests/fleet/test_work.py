"""A killed run goes on: finished parts are taken up, another run's are not, and what comes out is the same."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from suanli import fleet
from suanli.errors import InputError
from suanli.fleet import _plan
from suanli.fleet._kept import rates_key
from suanli.fleet._solve import Margin, decision

SMALL = fleet.load_case(Path(__file__).parent / "data" / "small")
ASKED = fleet.Options(fresh=8, explain=False)


class Killed(BaseException):
    """What ends a run in the middle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    day: dt.date
    values: NDArray[np.float64]
    inner: Margin | None
    pairs: tuple[tuple[str, float], ...]


def test_parts_come_back_as_they_were(tmp_path: Path) -> None:
    work = fleet.work_in(tmp_path / "work", "a run")
    part = Part(
        day=dt.date(2024, 1, 31), values=np.array([0.1, 1 / 3, 1e-300]), pairs=(("a", 0.1), ("b", 2.0)),
        inner=Margin(mean=1.0, low=0.5, high=1.5, better=0.6, n=8),
    )  # fmt: skip
    assert work.kept("part", lambda: part, Part) is part

    def again() -> Part:
        raise AssertionError("made twice")

    back = work.kept("part", again, Part)
    assert np.array_equal(back.values, part.values)
    assert (back.day, back.inner, back.pairs) == (part.day, part.inner, part.pairs)
    assert work.kept("none", lambda: replace(part, inner=None), Part).inner is None
    assert work.kept("none", again, Part).inner is None


def test_another_run_takes_up_nothing(tmp_path: Path) -> None:
    first = fleet.work_in(tmp_path / "work", "a run", 1)
    assert first.folder is not None
    first.kept("swing", lambda: Margin(mean=1.0, low=0.5, high=1.5, better=0.6, n=8), Margin)
    assert (first.folder / "swing.json").is_file()
    fleet.work_in(tmp_path / "work", "a run", 1)
    assert (first.folder / "swing.json").is_file()
    fleet.work_in(tmp_path / "work", "a run", 2)
    assert not (first.folder / "swing.json").is_file()
    first.done()
    assert not first.folder.exists()


def test_foreign_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="holds something other than kept work"):
        fleet.work_in(tmp_path, "a run")
    assert (tmp_path / "own.txt").is_file()


def body(plan: fleet.Plan) -> Any:
    found = fleet.document(plan)[0]
    found.pop("seconds")
    return json.loads(json.dumps(found, default=str))


def test_a_killed_plan_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fleet.solve(SMALL, options=ASKED)
    work = fleet.work_beside(tmp_path / "out", SMALL.spec, ASKED)
    with monkeypatch.context() as patch:

        def die(*_: Any, **__: Any) -> Any:
            raise Killed

        patch.setattr(_plan, "trial", die)
        with pytest.raises(Killed):
            fleet.solve(SMALL, options=ASKED, work=work)
    assert not (tmp_path / "out").exists()
    assert work.folder is not None
    assert {p.stem for p in work.folder.glob("*.json")} >= {"rates", "plan-0-0", "plan-0-1", "worth"}
    with monkeypatch.context() as patch:

        def solved_twice(*_: Any, **__: Any) -> Any:
            raise AssertionError("solved twice")

        patch.setattr(_plan, "solve_outlook", solved_twice)
        patch.setattr(_plan, "worth", solved_twice)
        again = fleet.solve(SMALL, options=ASKED, work=fleet.work_beside(tmp_path / "out", SMALL.spec, ASKED))
    assert np.array_equal(decision(again.main).order, decision(whole.main).order)
    assert body(again) == body(whole)
    assert fleet.tornado(again, most=2) == fleet.tornado(whole, most=2)


def test_a_killed_backtest_keeps_its_finished_days(tmp_path: Path) -> None:
    days = [dt.date(2024, 1, 31), dt.date(2024, 6, 15)]
    work = fleet.work_in(tmp_path / "work", "backtest")

    def tell(text: str) -> None:
        if text == f"plans of {days[1]}":
            raise Killed

    with pytest.raises(Killed):
        fleet.backtest(SMALL, days, fresh=8, work=work, tell=tell)
    assert work.folder is not None
    assert (work.folder / f"day-{days[0]}.json").is_file()
    told: list[str] = []
    found = fleet.backtest(SMALL, days, fresh=8, work=work, tell=told.append)
    assert f"plans of {days[0]}" not in told
    assert found == fleet.backtest(SMALL, days, fresh=8)


def test_rates_are_shared_between_runs_of_the_same_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUANLI_CACHE", str(tmp_path / "cache"))
    work = fleet.with_shared(fleet.NO_WORK)
    assert work.folder is None
    first = fleet.solve(SMALL, options=ASKED, work=work)
    assert len(list((tmp_path / "cache").glob("rates-*.json"))) == 1

    def asked_again(*_: Any) -> Any:
        raise AssertionError("the engines were asked again")

    with monkeypatch.context() as patch:
        patch.setattr("suanli.fleet._kept.tables_of", asked_again)
        richer = fleet.Case(name="small", folder=SMALL.folder, trees=SMALL.trees, spec=SMALL.spec.model_copy(
            update={"risk": SMALL.spec.risk.model_copy(update={"scenarios": 5})}))  # fmt: skip
        fleet.solve(richer, options=ASKED, work=work)
        again = fleet.solve(SMALL, options=ASKED, work=work)
        other = SMALL.spec.model_copy(update={"rates": SMALL.spec.rates[:3]})
        with pytest.raises(AssertionError, match="asked again"):
            fleet.solve(replace(SMALL, spec=other), options=ASKED, work=work)
    assert body(again) == body(first)
    monkeypatch.setenv("SUANLI_CACHE", "")
    assert fleet.with_shared(fleet.NO_WORK).shared is None


def test_a_named_file_is_part_of_the_key(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("a", encoding="utf-8")
    named = SMALL.spec.offers[0].model_copy(update={"chip": str(tmp_path / "own.yaml")})
    spec = SMALL.spec.model_copy(update={"offers": [named]})
    before = rates_key(spec)
    assert rates_key(spec) == before
    (tmp_path / "own.yaml").write_text("b", encoding="utf-8")
    assert rates_key(spec) != before
