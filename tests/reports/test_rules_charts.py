import polars as pl
import pytest

from suanli import catalog
from suanli.errors import InputError
from suanli.reports import life_chart, plane_chart, svg, timeline_chart
from suanli.reports._rules_charts import _regions


def test_the_plane_of_october_2023_has_the_published_corners() -> None:
    """88 FR 73458: 3A090.a from TPP 4800, or 1600 at 5.92; 3A090.b from 2400 at 1.6, or 1600 at 3.2."""
    cells = _regions("2023-12-01", 0)

    def group(tpp: float, pd: float) -> str:
        here = (pl.col("tpp") <= tpp) & (tpp < pl.col("tpp2")) & (pl.col("pd") <= pd) & (pd < pl.col("pd2"))
        return str(cells.filter(here)["group"].item())

    assert group(2368, 2.9) == "free"  # H20: below 2400 and below 3.2
    assert group(2832, 6.7) == "restricted"  # MTIA v2
    assert group(4900, 1.0) == "restricted"
    assert group(1700, 3.3) != "free"
    assert group(1599, 20.0) == "free"


def test_pictures_hold_what_they_show() -> None:
    picture = svg(life_chart([catalog.chip("h20-96"), catalog.chip("a800-80-sxm")], last="2026-12-31"))
    assert "h20-96" in picture
    assert "a800-80-sxm" in picture
    assert "US rules" in svg(timeline_chart())
    assert "mtia-v1" in svg(plane_chart(["2023-12-01"]))


def test_several_dates_make_a_slider() -> None:
    spec = plane_chart(["2023-01-01", "2023-12-01"]).to_dict()
    assert any(p.get("bind", {}).get("input") == "range" for p in spec["params"])


def test_a_date_before_the_first_rule_is_refused() -> None:
    with pytest.raises(InputError):
        plane_chart(["2020-01-01"])
