import json
import re
from pathlib import Path

import polars as pl
import pytest

from suanli import fleet
from suanli.errors import InputError
from suanli.reports import write_charts, write_report
from suanli.reports._plan_charts import DESK, PHONE
from suanli.reports._risk_charts import legal_life

SMALL = Path(__file__).parents[1] / "fleet" / "data" / "small"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("plan") / "small"
    fleet.write_plan(fleet.solve(fleet.load_case(SMALL), options=fleet.Options(fresh=4)), out)
    return out


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return write_report(folder).read_text(encoding="utf-8")


def test_the_page_needs_nothing_else(page: str) -> None:
    assert not re.search(r'(?:src|href)="(?!#)', page)
    assert "<script" not in page
    assert "@import" not in page


def test_the_page_answers_the_questions_of_a_plan(page: str, folder: Path) -> None:
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    assert plan["title"] in page
    for title in (
        "What to do",
        "Views and budgets",
        "Capacity and demand",
        "Money",
        "What binds",
        "Uncertainty",
        "Sources",
    ):
        assert f">{title}</h2>" in page
    main = plan["plans"][f"{plan['main']['view']}/{plan['main']['variant']}"]
    ways = {"buy": "order", "lease": "lease"}
    for order in main["orders"]:
        assert f"<td>{ways[order['way']]} {order['offer']}</td>" in page
        assert f"<td>{order['site']}</td>" in page
    for source in plan["provenance"]["sources"].values():
        assert source["date"] in page


def test_every_chart_is_there_for_a_desk_and_a_phone_in_the_page_s_colours(page: str) -> None:
    assert page.count('class="desk"') == page.count('class="phone"') == page.count("<figure") > 5
    assert "var(--muted)" in page


def test_every_chart_is_valid_by_vega_lite_s_schema(folder: Path) -> None:
    """Charts are built unchecked for speed; here each is checked whole."""
    import altair as alt

    jsonschema = pytest.importorskip("jsonschema")

    from suanli.reports._charts import CHARTS, main_tables, plan_chart
    from suanli.reports._plan_report import read_plan

    mine = main_tables(*read_plan(folder))
    found = [plan_chart(kind, mine, width) for kind in CHARTS for width in (880, 300)]
    drawn = [c if isinstance(c, dict) else c.to_dict() for c in found if c is not None]
    assert len(drawn) > 10
    for spec in drawn:
        alt.Chart.from_dict(spec, validate=True)
    broken = {**next(s for s in drawn if "concat" in s), "columns": "three"}
    with pytest.raises(jsonschema.ValidationError):
        alt.Chart.from_dict(broken, validate=True)


def test_text_of_a_case_cannot_become_html(folder: Path, tmp_path: Path) -> None:
    for name in ("plan.json", "tables"):
        (tmp_path / name).symlink_to(folder / name)
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    (tmp_path / "plan.json").unlink()
    (tmp_path / "plan.json").write_text(json.dumps(plan | {"title": "<img src=x onerror=alert(1)>"}))
    assert "<img" not in write_report(tmp_path).read_text(encoding="utf-8")


def test_deliveries_never_exceed_orders_and_earlier_ones_count(folder: Path) -> None:
    import polars as pl

    rows = pl.read_parquet(folder / "tables" / "deliveries.parquet")
    assert (rows["p10"] <= rows["delivered"] + 1e-9).all()
    assert (rows["delivered"] <= rows["p90"] + 1e-9).all()
    last = rows.filter((pl.col("chip") == "h100-sxm") & (pl.col("variant") == rows["variant"][0])).row(-1, named=True)
    assert 0 < last["delivered"] <= last["ordered"] + 1e-6
    assert last["ordered"] >= 200  # the order of January 2024, of which nothing had come before the plan decides


def test_what_chips_serve_adds_up_to_what_is_served(folder: Path) -> None:
    import polars as pl

    keys = ["view", "variant", "service", "month"]
    made = pl.read_parquet(folder / "tables" / "capacity.parquet").group_by(keys).agg(pl.col("rate_per_s").sum())
    asked = pl.read_parquet(folder / "tables" / "service.parquet").join(made, on=keys, how="left")
    sure = asked.filter(pl.col("demand_p10") == pl.col("demand_p90"))  # else the mean of products is none of means
    assert sure.height > 2
    gap = sure.select(pl.col("rate_per_s") - pl.col("demand_per_s") * pl.col("served")).to_series()
    assert gap.min() > -1e-6 * float(sure["demand_per_s"].max())  # type: ignore[operator,arg-type]


def test_the_fan_is_in_order(folder: Path) -> None:
    import polars as pl

    fan = pl.read_parquet(folder / "tables" / "fan.parquet")
    for low, high in (("p10", "p25"), ("p25", "p50"), ("p50", "p75"), ("p75", "p90")):
        assert (fan[low] <= fan[high] + 1e-12).all()
    served = fan.filter(pl.col("what") == "demand served, by worth")
    assert served["p90"].max() <= 1.0 + 1e-9  # type: ignore[operator]


def test_charts_are_written_one_by_one(folder: Path) -> None:
    paths = write_charts(folder, (".svg",))
    wanted = (
        "orders deliveries stock capacity training money power legal-life bindings fan scenarios regret alternatives"
    )
    assert {f"{name}.svg" for name in wanted.split()} <= {p.name for p in paths}
    assert all(p.read_text(encoding="utf-8").startswith("<svg") for p in paths)


@pytest.mark.parametrize(
    ("text", "complaint"), [("{", "not valid JSON"), ("{}", "is not a plan"), (None, "no such file")]
)
def test_a_folder_that_is_no_plan_is_refused(text: str | None, complaint: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "plan.json").write_text(text)
    with pytest.raises(InputError, match=complaint):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_a_truncated_table_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    (tmp_path / "plan.json").write_text((folder / "plan.json").read_text(encoding="utf-8"))
    for table in (folder / "tables").iterdir():
        (tmp_path / "tables" / table.name).write_bytes(table.read_bytes()[:40])
    with pytest.raises(InputError, match="not a readable parquet file"):
        write_report(tmp_path)


def test_small_sums_are_told_in_small_units() -> None:
    import polars as pl

    from suanli.reports._plan_charts import in_chips, in_money, percent

    assert [in_money(x) for x in (5e9, 4e7, 900.0)] == [(1e9, "USD bn"), (1e6, "USD m"), (1e3, "USD k")]
    assert [in_chips(x) for x in (2e5, 300.0)] == [(1e3, "thousand chips"), (1.0, "chips")]
    assert [percent(pl.Series(v)) for v in ([0.5, 1.0], [0.98, 1.0], [0.999, 1.0])] == [".0%", ".1%", ".2%"]


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_labels_are_cut_only_where_a_word_is_longer_than_a_line(width: int) -> None:
    def limit(row: str) -> int:
        life = {"view": "now", "row": row, "may": "may run", "since": "2025-01", "until": "2025-06"}
        y = legal_life(pl.DataFrame([life]), width)["concat"][0]["encoding"]["y"]
        return int(y["axis"]["labelLimit"])

    assert limit("h20, cn-north") == 0
    assert limit("h" * 41) == (320 if width == DESK else 170)
