import json
import re
from pathlib import Path

import pytest

from suanli import fleet
from suanli.errors import InputError
from suanli.reports import write_charts, write_report

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
    for order in main["orders"]:
        assert f"<td>{order['offer']}</td>" in page
    for source in plan["provenance"]["sources"].values():
        assert source["date"] in page


def test_every_chart_is_there_for_a_desk_and_a_phone_in_the_page_s_colours(page: str) -> None:
    assert page.count('class="desk"') == page.count('class="phone"') == page.count("<figure") > 5
    assert "var(--muted)" in page


def test_text_of_a_case_cannot_become_html(folder: Path, tmp_path: Path) -> None:
    for name in ("plan.json", "tables"):
        (tmp_path / name).symlink_to(folder / name)
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    (tmp_path / "plan.json").unlink()
    (tmp_path / "plan.json").write_text(json.dumps(plan | {"title": "<img src=x onerror=alert(1)>"}))
    assert "<img" not in write_report(tmp_path).read_text(encoding="utf-8")


def test_charts_are_written_one_by_one(folder: Path) -> None:
    paths = write_charts(folder, (".svg",))
    assert {"orders.svg", "money.svg", "scenarios.svg"} <= {p.name for p in paths}
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
