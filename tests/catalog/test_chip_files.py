"""Chip files: what is written is read back, what is wrong is one line that says where."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.catalog import chip, chips, price, resolve_chip, write_chip
from suanli.errors import InputError
from suanli.kinds import FORMATS, Chip
from suanli.sources import KINDS, Source

GOOD = """\
id: my-chip
name: My chip
family: hopper
peak: {bf16: 400 TFLOP/s, fp8: 0.8 PFLOP/s, int8: 800 TOPS}
memory_bytes: 80 GiB
memory_bandwidth: 3.35 TB/s
die_area_m2: 600 mm2
tdp_w: 0.7 kW
price_usd: USD 12 k
source: {ref: my datasheet, date: 2026-01-01, kind: datasheet}
"""


def test_units_are_read_as_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD, encoding="utf-8")
    entry = chip(str(path))
    assert entry.peak == {"bf16": 4e14, "fp8": 8e14, "int8": 8e14}
    assert entry.memory_bytes == 80 * 1024**3
    assert entry.memory_bandwidth == pytest.approx(3.35e12)
    assert entry.die_area_m2 == pytest.approx(600e-6)
    assert entry.tdp_w == pytest.approx(700.0)
    assert entry.price_usd == 12_000.0
    assert entry.n_cores is None
    assert entry.source == Source("my datasheet", "2026-01-01", "datasheet")


@pytest.mark.parametrize("name", ["h100-sxm", "wse3", "ascend910b", "bytedance-broadcom-5nm"])
def test_a_chip_of_the_catalogue_survives_its_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / "copy.yaml"
    write_chip(path, chip(name))
    assert chip(str(path)) == chip(name)


quantities = st.none() | st.floats(min_value=0.0, max_value=1e18)
texts = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]) | st.just(" "), max_size=20)
sources = st.builds(Source, texts, texts, st.sampled_from(KINDS), texts)


@settings(max_examples=40, deadline=None)
@given(
    entry=st.builds(
        Chip,
        id=st.from_regex(r"[a-z0-9][a-z0-9.+-]{0,15}", fullmatch=True),
        name=texts,
        vendor=texts,
        family=texts,
        peak=st.dictionaries(st.sampled_from(FORMATS), st.floats(min_value=1.0, max_value=1e18)),
        memory_bytes=quantities,
        memory_bandwidth=quantities,
        die_area_m2=quantities,
        tdp_w=quantities,
        transistors=quantities,
        price_usd=quantities,
        n_cores=st.none() | st.integers(1, 10**6),
        year=st.none() | st.integers(1990, 2100),
        notes=texts,
        process=texts,
        source=sources,
        field_sources=st.dictionaries(st.sampled_from(["tdp_w", "peak.bf16"]), sources),
    )
)
def test_any_chip_survives_its_file(entry: Chip, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    write_chip(path, entry)
    assert chip(str(path)) == entry


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("memory_bandwidth", "memory_bandwith", 6, "unknown field; did you mean 'memory_bandwidth'?"),
        ("3.35 TB/s", "3.35 TB", 6, "memory_bandwidth: '3.35 TB' has the wrong kind of unit"),
        ("3.35 TB/s", "-3.35 TB/s", 6, "memory_bandwidth: is negative"),
        ("3.35 TB/s", "fast", 6, "memory_bandwidth: 'fast' is not a quantity"),
        ("fp8:", "fp9:", 4, "unknown number format 'fp9'; did you mean 'fp8'?"),
        ("kind: datasheet", "kind: datashet", 10, "source.kind"),
        ("id: my-chip", "id: My Chip", 1, "id:"),
        ("name: My chip\n", "", 1, "name: is missing"),
        ("tdp_w: 0.7 kW", "tdp_w: true", 8, "write a quantity such as '1 W'"),
        ("tdp_w: 0.7 kW", "tdp_w: .inf", 8, "not a finite number"),
    ],
)
def test_a_bad_file_says_where_and_what(old: str, new: str, line: int, words: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        chip(str(path))
    message = str(caught.value)
    assert message.startswith(f"{path}:{line}: ")
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize("text", ["{{: not", "- a\n- b\n", "", "just text\n"])
def test_what_is_no_chip_file_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"bad\.yaml"):
        chip(str(path))


def test_a_missing_file_is_named() -> None:
    with pytest.raises(InputError, match="no such file"):
        chip("nowhere/none.yaml")


def test_the_users_folder_takes_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "chips").mkdir()
    write_chip(tmp_path / "chips" / "h100.yaml", replace(chip("h100-sxm"), tdp_w=600.0))
    (tmp_path / "chips" / "mine.yaml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "prices.csv").write_text(
        "id,section,chip,scope,year,mid,unit,source,source_date,kind\n"
        "quote-1,accelerator_price,H100,chip,2025,21000,USD,my quote,2025-06-01,reported\n",
        encoding="utf-8",
    )
    usual = price("h100", 2025)
    monkeypatch.setenv("SUANLI_CATALOG", str(tmp_path))
    assert chip("NVIDIA H100-SXM-80GB").tdp_w == 600.0
    assert resolve_chip("My chip").id == "my-chip"
    assert resolve_chip("8x my_chip 80GB").id == "my-chip"
    assert chips()[0].id == "h100-sxm"
    quoted = price("h100", 2025)
    assert quoted is not None
    assert (quoted.value, quoted.source.ref) == (21_000.0, "my quote")
    monkeypatch.delenv("SUANLI_CATALOG")
    assert chip("h100-sxm").tdp_w == 700.0
    assert price("h100", 2025) == usual


def test_a_folder_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUANLI_CATALOG", "no-such-folder")
    with pytest.raises(InputError, match="SUANLI_CATALOG: 'no-such-folder' is no folder"):
        chip("h100-sxm")


@pytest.mark.parametrize(
    ("header", "row", "words"),
    [
        ("id,section,chipp", "a,rental,H100", "did you mean 'chip'?"),
        ("id,section,mid,kind", "a,rental,cheap,reported", "2: mid: 'cheap' is not a number"),
        ("id,section,mid,kind", "a,rental,-1,reported", "2: mid: '-1' is not a number of at least 0"),
        ("id,section,low,mid,kind", "a,rental,3,2,reported", "low, mid and high are not in order"),
        ("id,section,mid,kind", "a,rental,1,guess", "'guess' is none of"),
    ],
)
def test_a_bad_price_file_says_where(
    header: str, row: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "prices.csv").write_text(f"{header}\n{row}\n", encoding="utf-8")
    monkeypatch.setenv("SUANLI_CATALOG", str(tmp_path))
    with pytest.raises(InputError) as caught:
        price("h100", 2025)
    assert words in str(caught.value)
