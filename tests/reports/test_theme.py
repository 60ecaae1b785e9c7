from pathlib import Path

import altair as alt
import polars as pl
import pytest

from suanli.errors import InputError
from suanli.reports import inline_svg, save_chart, themed


@pytest.fixture
def chart() -> alt.Chart:
    data = pl.DataFrame({"month": [1, 2, 3], "chips": [1.0, 4.0, 9.0], "of": ["a", "a", "b"]})
    return themed(alt.Chart(data, title="Chips").mark_line(point=True).encode(x="month:Q", y="chips:Q", color="of:N"))


def test_each_format_is_written_whole(chart: alt.Chart, tmp_path: Path) -> None:
    for suffix, start in ((".svg", b"<svg"), (".png", b"\x89PNG"), (".json", b"{")):
        path = tmp_path / f"c{suffix}"
        save_chart(chart, path)
        assert path.read_bytes().startswith(start)


def test_another_suffix_is_refused(chart: alt.Chart, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.svg, \.png"):
        save_chart(chart, tmp_path / "c.bmp")
    assert not list(tmp_path.iterdir())


def test_an_inline_picture_takes_the_page_s_colours(chart: alt.Chart) -> None:
    text = inline_svg(chart)
    assert "var(--muted)" in text
    assert "#6a737d" not in text
