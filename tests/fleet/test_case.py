"""Reading cases: the shipped ones, and one clear line for every kind of bad input."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from suanli import fleet
from suanli.errors import InputError, UnknownNameError
from suanli.fleet._build import as_known
from suanli.fleet._case import figures, known_sources

SMALL = Path(__file__).parent / "data" / "small"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(SMALL, tmp_path / "case")
    return tmp_path / "case"


def edited(folder: Path, old: str, new: str) -> Path:
    text = (folder / "case.yaml").read_text(encoding="utf-8")
    assert old in text
    (folder / "case.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", ["bytedance-2025", "small-cloud", "trendforce-gpt"])
def test_shipped_cases_read_and_every_figure_has_a_known_source(name: str) -> None:
    case = fleet.load_case(name)
    known = known_sources(case.spec)
    stated = list(figures(case.spec))
    assert len(stated) > 30
    assert all(figure.source in known for _, figure in stated)


def test_a_shipped_case_is_found_without_its_year() -> None:
    assert fleet.load_case("bytedance").name == "bytedance-2025"


def test_bytedance_states_the_reported_figures_and_their_denials() -> None:
    spec = fleet.load_case("bytedance-2025").spec
    china, abroad = (next(p for p in spec.pots if p.id == name) for name in ("china", "abroad"))
    assert next(b for b in china.budgets if b.year == 2025).amount.si == 40e9  # S004-02: CNY 40 bn
    assert next(b for b in abroad.budgets if b.year == 2025).amount.si == 6.8e9  # S004-04: USD 6.8 bn
    assert spec.shares[0].minimum.si == 0.6  # S004-05
    ordered = next(c for c in spec.commitments if c.offer == "ascend-910b")
    curve = next(o for o in spec.offers if o.id == "ascend-910b").delivery
    assert ordered.quantity.si == 100_000  # S001-03
    assert ordered.quantity.si * curve[0].share.si < 30_000  # S001-04: fewer than 30,000 by July
    assert {"E09", "E12"} <= {d for c in spec.claims for d in c.denials}
    assert "denies" in spec.label


def test_a_view_leaves_out_what_was_not_known() -> None:
    spec = fleet.load_case("bytedance-2025").spec
    early = as_known(spec, spec.views[0])
    assert "h200-china" in {o.id for o in spec.offers}
    assert "h200-china" not in {o.id for o in early.offers}
    assert as_known(spec, spec.views[1]).pots == early.pots  # the same facts, other rules


RENT = "rent: {value: USD 1.5/chip/h, source: own}"
BAD: list[tuple[str, str, str, tuple[str, ...]]] = [
    ("misspelt field", "horizon: {first", "horizont: {first", ("case.yaml:4", "horizont", "did you mean 'horizon'")),
    ("misspelt inner field", "lead_months: 6", "lead_month: 6", ("case.yaml:", "lead_month", "lead_months")),
    ("wrong unit", "value: 4 MW", "value: 4 GB", ("case.yaml:", "sites.0.power.0.power", "wrong kind of unit", "MW")),
    ("unknown chip", "chip: h100-sxm", "chip: h1xx-foo", ("case.yaml:", "offers.0.chip", "h1xx-foo")),
    ("negative budget", "{value: USD 60 m, source: own}}, {year: 2025", "{value: USD -60 m, source: own}}, {year: 2025",
     ("case.yaml:", "budgets", "negative")),
    ("dates out of order", "first: 2024-01, last: 2025-12", "first: 2025-12, last: 2024-01",
     ("case.yaml:4", "before the first")),
    ("deadline before start", "deadline: 2025-03", "deadline: 2024-03",
     ("case.yaml:", "runs.0", "before the earliest")),
    ("price path out of order",
     "prices: [{since: 2024-01, rent: {value: USD 1.5/chip/h, source: own}}]",
     f"prices: [{{since: 2024-06, {RENT}}}, {{since: 2024-01, {RENT}}}]",
     ("case.yaml:", "offers.2.prices", "out of order")),
    ("no currency", "value: USD 30 k/chip", "value: 30000", ("case.yaml:", "names no currency")),
    ("unknown site", "sites: [hall]", "sites: [hal]", ("case.yaml:", "unknown site 'hal'", "did you mean 'hall'")),
    ("probabilities above one", "probability: {value: 0.4", "probability: {value: 1.4", ("case.yaml:", "above 1")),
    ("not YAML", "label: made up for tests", "label: [made up", ("case.yaml:", "not valid YAML")),
    ("a month that is none", "earliest: 2024-06", "earliest: 2024-13",
     ("case.yaml:", "runs.0.earliest", "not a month")),
    ("rate of the wrong kind", "rate: 2 request/s/chip", "rate: 2 GB/s", ("case.yaml:", "rates.0", "no rate")),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "told"), [b[1:] for b in BAD if b[3]], ids=[b[0] for b in BAD if b[3]])
def test_bad_input_is_one_clear_line(folder: Path, old: str, new: str, told: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as error:
        fleet.load_case(edited(folder, old, new))
    text = str(error.value)
    assert "\n" not in text
    for part in told:
        assert part in text, text


def test_unknown_source_names_the_nearest(folder: Path) -> None:
    with pytest.raises(InputError, match=r"case\.yaml:\d+: .*unknown source 'S001-44'.*did you mean"):
        fleet.load_case(
            edited(folder, "quantity: {value: 400 chip, source: own}", "quantity: {value: 400 chip, source: S001-44}")
        )


def test_unknown_case_names_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'bytedance-2025'"):
        fleet.load_case("bytedance-2026")
    with pytest.raises(InputError, match="no such case folder"):
        fleet.load_case("somewhere/else")


def test_a_case_to_start_from_is_copied(tmp_path: Path) -> None:
    made = fleet.new_case(tmp_path / "mine")
    spec = fleet.load_case(made).spec
    assert spec == fleet.load_case("small-cloud").spec
    listed = spec.offers[0].prices[0].price
    assert listed is not None
    assert listed.source == "P-H200-2025-epoch"  # from the price list
    with pytest.raises(InputError, match="is there already"):
        fleet.new_case(made)
    with pytest.raises(InputError, match="did you mean 'trendforce-gpt'"):
        fleet.new_case(tmp_path / "other", "trendforce")


def test_a_folder_without_a_case(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no case\.yaml"):
        fleet.load_case(tmp_path)


def test_demand_tables_are_read_with_their_lines(folder: Path) -> None:
    one, two = ("{month: 2024-01, rate: {value: 800", "{month: 2025-12, rate: {value: 4000")
    start = f"demand:\n      - {one} request/s, source: own}}}}\n      - {two} request/s, source: own}}}}"
    edited(folder, start, "demand: demand.csv")
    table = folder / "demand.csv"
    table.write_text("service,month,value,source\nchat,2024-01,800 request/s,own\n", encoding="utf-8")
    assert fleet.load_case(folder).spec.services[0].demand[0].rate.si == 800  # type: ignore[union-attr]
    broken: list[tuple[str, str]] = [
        ("service,month,value,source\nchat,2024-01,800 GB,own\n", r"demand\.csv:2: rate|demand\.csv:2: users"),
        ("service,month,valu,source\nchat,2024-01,8 request/s,own\n", "column 'value' is missing"),
        ("service,month,value,source\nother,2024-01,8 request/s,own\n", "no row for service 'chat'"),
        ("service,month,value,source\nchat,2024-01,8 request/s,own,5,6,7\n", r"demand\.csv: not a readable csv"),
    ]
    for text, told in broken:
        table.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=told):
            fleet.load_case(folder)


def test_a_cut_parquet_is_refused(folder: Path) -> None:
    import polars as pl

    one, two = ("{month: 2024-01, rate: {value: 800", "{month: 2025-12, rate: {value: 4000")
    start = f"demand:\n      - {one} request/s, source: own}}}}\n      - {two} request/s, source: own}}}}"
    edited(folder, start, "demand: demand.parquet")
    table = folder / "demand.parquet"
    row = {"service": ["chat"], "month": ["2024-01"], "value": ["800 request/s"], "source": ["own"]}
    pl.DataFrame(row).write_parquet(table)
    assert len(fleet.load_case(folder).spec.services[0].demand) == 1
    table.write_bytes(table.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"demand\.parquet: not a readable parquet file"):
        fleet.load_case(folder)


def test_the_same_field_in_two_files(folder: Path) -> None:
    (folder / "more.yaml").write_text("title: again\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"more\.yaml:1: title: is stated in case\.yaml too"):
        fleet.load_case(folder)


def test_budgets_from_the_command_line() -> None:
    spec = fleet.load_case(SMALL).spec
    assert fleet.budget_variant(spec, ["double"]).id == "double"
    asked = fleet.budget_variant(spec, ["main:2025=USD 7 m"])
    assert asked.budgets["main"][0].amount.si == 7e6
    for text, told in (
        ("main:2025", "POT:YEAR=MONEY"),
        ("maim:2025=USD 7 m", "did you mean 'main'"),
        ("doubl", "did you mean 'double'"),
    ):
        with pytest.raises((InputError, UnknownNameError), match=told):
            fleet.budget_variant(spec, [text])
    with pytest.raises(InputError, match="negative"):
        fleet.budget_variant(spec, ["main:2025=USD -7 m"])
