"""What a case can say beyond the plainest: groups, tenants, learnt yields, allotted parts, end of life, files."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suanli import catalog, fleet
from suanli.errors import InputError
from suanli.fleet._build import wafers_of
from suanli.fleet._costs import order_cost
from suanli.fleet._engines import chips_of, die_share, ramp_of, rates_of, tables_of
from suanli.fleet._grid import Bills, Project, learning, pools_of
from suanli.fleet._lines import lines_of, month_list
from suanli.fleet._program import program
from suanli.fleet._schema_offers import Build
from suanli.fleet._screening import query
from suanli.fleet._solve import decision

from .synthetic import made

SMALL = Path(__file__).parent / "data" / "small"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(SMALL, tmp_path / "case")
    return tmp_path / "case"


def with_more(folder: Path, more: str, *changes: tuple[str, str]) -> fleet.Case:
    path = folder / "case.yaml"
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text, encoding="utf-8")
    (folder / "more.yaml").write_text(more, encoding="utf-8")
    return fleet.load_case(folder)


GROUPS = """
groups:
  - {id: shops, name: both sellers, members: [maker, other]}
  - {id: all-shops, name: all of them, members: [shops]}
shares:
  - {id: s, pot: main, years: [2024], suppliers: [all-shops], minimum: {value: 0.5, source: own}, firm: true}
"""


def test_groups_stand_for_their_members_in_shares_and_risks(folder: Path) -> None:
    spec = with_more(folder, GROUPS, ("on: [maker], what: delivered", "on: [all-shops], what: delivered")).spec
    assert spec.shares[0].suppliers == ["maker", "other"]
    assert spec.factors[0].outcomes[0].effects[0].on == ["maker", "other"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "members: [maker, other]",
            "members: [maker, othr]",
            r"more\.yaml:3: groups\.0\.members\.1: .*'othr'.*'other'",
        ),
        ("id: shops", "id: maker", r"more\.yaml:3: groups\.0\.id: 'maker' is the id of something else"),
        ("members: [shops]", "members: [later]", r"unknown member 'later'"),
    ],
)
def test_bad_groups_are_one_clear_line(folder: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        with_more(folder, GROUPS.replace(old, new))


def test_the_tenant_counts_for_a_lease(folder: Path) -> None:
    parties = "  - {id: firm, name: a firm, hq: US, parent_hq: US, source: own}\n"
    more = parties + "  - {id: lab, name: a laboratory, hq: DE, parent_hq: FR, source: own}\n"
    case = with_more(folder, "notes: []\n", (parties, more), ("notice_months: 1}", "notice_months: 1, tenant: lab}"))
    chips, names, _ = chips_of(case.spec)
    rented = next(x for x in lines_of(case.spec, names) if x.leased)
    asked = query(case.spec, rented, chips[rented.chip], "iaas_lease", "2024-06-01")
    assert (asked.end_user_hq, asked.ultimate_parent_hq) == ("DE", "FR")
    with pytest.raises(InputError, match=r"offers\.2\.lease\.tenant: unknown party 'labb'; did you mean 'lab'"):
        with_more(folder, "notes: []\n", ("tenant: lab}", "tenant: labb}"))


def test_work_that_moves_to_another_chip_loses_its_part(folder: Path) -> None:
    chips = ("chips: [h100-sxm]\n", "chips: [h100-sxm, h100-pcie]\n    restart: {value: 10 %, source: own}\n")
    rate = ("rates:\n", "rates:\n  - {workload: training, chip: h100-pcie, rate: 5000 token/s/chip, source: own}\n")
    spec = with_more(folder, "notes: []\n", chips, rate).spec
    tables = tables_of(spec)
    pools = pools_of(lines_of(spec, dict(tables.names)))
    rates = rates_of(spec, pools, tables)
    speed = {pools[q].chip: float(s[0]) for (_, q), (_, s) in rates.train.items()}
    assert speed == pytest.approx({"h100-sxm": 6e6, "h100-pcie": 5e6 * 0.9})


PARTS = """
allocations:
  - {id: hbm, name: stacks, kind: memory, amounts: [{since: 2024-01, amount: {value: 500 stack/month, source: own}}]}
"""
DEPOSIT, NEXT = "    deposit: {value: 0.2, source: own}\n", "    ship_from: US\n  - id: dear"
TAKES = DEPOSIT + NEXT, DEPOSIT + "    parts: [{allocation: hbm, per_chip: {value: 5, source: own}}]\n" + NEXT


def test_orders_wait_for_their_parts(folder: Path) -> None:
    plan = fleet.solve(with_more(folder, PARTS, TAKES), options=fleet.Options(fresh=0, scenarios=2, explain=False))
    grid = plan.main.grid
    line = next(j for j, x in enumerate(grid.lines) if x.id == "good@hall")
    ordered = np.cumsum(decision(plan.main).order[line]) * 1e3
    given = np.cumsum(np.where(np.arange(grid.T) >= grid.start, 500 / 5, 0.0))  # 100 chips a month
    assert (ordered <= given + 1e-6).all()
    assert ordered.max() > 0
    assert (ordered[grid.start :] >= given[grid.start :] - 1e-6).any()  # so it binds
    body, _ = fleet.document(plan)
    told = [b["sentence"] for b in body["plans"]["early/normal"]["binding"] if b["family"] == "parts"]
    assert told
    assert "need no more of stacks than" in told[0]


def test_a_retired_chip_brings_its_end_value() -> None:
    grid, rates, futures, shares = made(20, 1, 1, 2)
    grid = replace(grid, stay=np.full(grid.J, 6, dtype=np.int64))
    plain = program(grid, rates, futures, shares).setting
    setting = program(replace(grid, end_value=np.full(grid.J, 0.2)), rates, futures, shares).setting
    less = order_cost(plain, 0)[0] - order_cost(setting, 0)[0]
    lead = len(grid.curve[0]) - 1
    t = next(int(t) for t in np.flatnonzero(grid.order[0]) if t + lead + 6 < grid.T)
    alive = (1 - grid.failures[0]) ** 6 * futures.delivered[0, 0]
    assert less[t] == pytest.approx(0.2 * grid.price[0, t] * alive * grid.discount[t + lead + 6])
    assert less[grid.T - 6 - lead :] == pytest.approx(0.0)  # what retires after the horizon brings nothing in it


def offer_with(wafers: dict[str, Any]) -> Any:
    grid, *_ = made(12, 1, 1, 1)
    offer = grid.lines[0].offer
    assert offer is not None
    data = offer.model_dump() | {"wafers": wafers}
    data["prices"] = [{"since": "2024-01", "price": {"value": "USD 20 k/chip", "source": "made up"}}]
    return replace(grid.lines[0], offer=type(offer).model_validate(data)), grid.months


def test_wafers_fall_as_the_yield_is_learnt() -> None:
    def fig(value: float) -> dict[str, Any]:
        return {"value": value, "source": "made up"}

    points = [{"since": "2024-03", "share": fig(0.2)}, {"since": "2024-07", "share": fig(0.4)}]
    wafers = {"foundry": "f", "dies_per_wafer": fig(60.0), "dies_per_chip": 2, "yield_share": fig(0.5)}
    line, months = offer_with({**wafers, "yields": points})
    assert wafers_of(line, months)[[0, 2, 4, 6, 11]] == pytest.approx(2 / 60 / np.array([0.2, 0.2, 0.3, 0.4, 0.4]))
    flat, months = offer_with(wafers)
    assert wafers_of(flat, months) == pytest.approx(2 / 60 / 0.5)


def test_chips_of_ones_own_grow_cheaper_as_the_yield_is_learnt() -> None:
    spec = fleet.load_case("bytedance-2025").spec
    _, names, designs = chips_of(spec)
    made_of = next(iter(designs.values()))
    build = spec.builds[0]
    room = ramp_of(made_of, build)
    assert (np.diff(room) > 0).all()  # the design room's ramp
    assert room[-1] < 1.0 + 1e-9
    points = [{"months": m, "share": {"value": v, "source": "own"}} for m, v in ((0, 0.5), (4, 1.0))]
    stated = Build.model_validate({**written(build), "ramp": points})
    assert ramp_of(made_of, stated) == pytest.approx([0.5, 0.625, 0.75, 0.875, 1.0])
    assert 0.1 < die_share(made_of) < 0.9
    lines = [x for x in lines_of(spec, names) if x.offer is not None and x.offer.build == build.id]
    zero = np.zeros(len(lines))
    bills = Bills(fabric_usd=zero, fabric_w=zero, chip_w=zero, unit_usd=zero, die_usd=zero, wafers=zero,
                  ramp={build.id: ramp_of(made_of, stated)})  # fmt: skip
    project = Project(name=build.id, cost=1.0, spent_before=0.0, pot=None, start=0, volume=10, wafers=1.0)
    learnt = learning(lines, month_list(spec), bills, [project])
    assert learnt[0, [0, 10, 12, 30]] == pytest.approx([0.5, 0.5, 0.75, 1.0])


def written(build: Build) -> dict[str, Any]:
    """Return a build as a case writes it (a figure's value in its unit is read again as a plain number)."""
    data = build.model_dump()
    for name in ("nre", "masks"):
        money = data[name]
        data[name] = {"value": f"{money['code']} {money['value']}", "source": money["source"]}
    return data


def test_a_build_offer_names_the_chip_that_its_build_makes(tmp_path: Path) -> None:
    shutil.copytree(fleet.example_folders()["bytedance-2025"], tmp_path / "case")
    path = tmp_path / "case" / "offers.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("    design: bytedance-5nm", "    design: bytedance-7nm", 1), encoding="utf-8")
    with pytest.raises(InputError, match=r"offers\.yaml:\d+: offers\.\d+\.chip: .*is not what build 'asic' makes"):
        fleet.load_case(tmp_path / "case")


def test_a_chip_file_beside_the_case_is_found(folder: Path) -> None:
    own = replace(catalog.chip("h100-sxm"), id="our-card", name="our card")
    catalog.write_chip(folder / "our-card.yaml", own)
    text = (folder / "case.yaml").read_text(encoding="utf-8").replace("chip: h100-pcie", "chip: our-card.yaml")
    (folder / "case.yaml").write_text(text, encoding="utf-8")
    spec = fleet.load_case(folder).spec
    chips, names, _ = chips_of(spec)
    assert chips[names[spec.offers[1].chip]].id == "our-card"
