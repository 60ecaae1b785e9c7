"""Tables beside a case: price lists, measured rates, own rows beside their predictions; one clear line for bad ones."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suanli import fleet
from suanli.errors import InputError
from suanli.fleet._engines import tables_of
from suanli.fleet._measured import ServeRate, TrainRate, corrected_serve, measured_train
from suanli.fleet._schema_work import Correction, Rate

SMALL = Path(__file__).parent / "data" / "small"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(SMALL, tmp_path / "case")
    return tmp_path / "case"


def with_table(folder: Path, field: str, name: str, text: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    (folder / "more.yaml").write_text(f"{field}: [{name}]\n", encoding="utf-8")
    return folder


# --------------------------------------------------------------------------------------------------------- price lists


def test_a_price_list_adds_prices_with_their_own_sources(folder: Path) -> None:
    text = (
        "offer,chip,supplier,since,price,rent,currency,low,high,source,date,note\n"
        "good,,,2025-01,28000,,USD,27000,29000,quotation of the maker,2024-12-01,for 500\n"
        ",H100 SXM,maker,2025-06,CNY 180 k,,,,,quotation of the maker,2024-12-01,\n"
        ",a100-80-sxm,other,2024-07,,1.2,USD,,,own,,\n"
    )
    (folder / "fx.yaml").write_text(
        "exchange: [{currency: CNY, since: 2024-01-01, per_usd: {value: 7.2, source: own}}]\n", encoding="utf-8"
    )
    spec = fleet.load_case(with_table(folder, "price_lists", "prices.csv", text)).spec
    good, _, rented = spec.offers
    assert [p.since for p in good.prices] == ["2024-01", "2025-01", "2025-06"]
    listed = good.prices[1].price
    assert listed is not None
    assert (listed.si, listed.ends(), listed.code) == (28000.0, (27000.0, 29000.0), "USD")
    assert good.prices[2].price is not None
    assert good.prices[2].price.code == "CNY"
    assert spec.sources["quotation of the maker"].date == "2024-12-01"
    assert spec.sources["quotation of the maker"].kind == "reported"
    assert rented.prices[1].rent is not None
    assert rented.prices[1].rent.source == "own"


HEAD = "offer,since,price,currency,source,date"
BAD_PRICES: list[tuple[str, str, str]] = [
    ("unknown offer", f"{HEAD}\ngod,2025-01,28000,USD,own,\n", r"p\.csv:2: offer: unknown.*did you mean 'good"),
    ("no currency", f"{HEAD}\ngood,2025-01,28000,,own,\n", r"p\.csv:2: currency: the number has no currency"),
    ("unknown currency", f"{HEAD}\ngood,2025-01,28000,GBP,own,\n", r"p\.csv:2: currency: 'GBP' is no currency"),
    ("no source", f"{HEAD}\ngood,2025-01,28000,USD,,\n", r"p\.csv:2: source: is empty"),
    ("unknown source", f"{HEAD}\ngood,2025-01,28000,USD,owm,\n", r"p\.csv:2: source: unknown source 'owm'.*'own'"),
    ("bad date", f"{HEAD}\ngood,2025-01,28000,USD,a quote,2024-13-01\n", r"p\.csv:2: date: '2024-13-01' is not a date"),
    ("bad month", f"{HEAD}\ngood,2025-13,28000,USD,own,\n", r"p\.csv:2: since: .*2025-13"),
    ("negative", f"{HEAD}\ngood,2025-01,1,USD,own,\ngood,2025-02,-5,USD,own,\n", r"p\.csv:3: price: .*negative"),
    ("unknown column", f"{HEAD},colour\ngood,2025-01,1,USD,own,,red\n", r"p\.csv:1: unknown column 'colour'"),
    ("missing column", "offer,since,price\ngood,2025-01,1\n", r"p\.csv:1: column 'source' is missing"),
    ("nothing named", "since,price,source\n2025-01,USD 5 k,own\n", r"p\.csv:2: offer: name the offer, or the chip"),
    ("unknown chip", "chip,since,price,source\nh1xx,2025-01,USD 5 k,own\n", r"p\.csv:2: chip: .*h1xx"),
    ("not sold", "chip,since,price,source\nb200,2025-01,USD 5 k,own\n", r"p\.csv:2: chip: no offer sells 'b200'"),
    ("both", "offer,since,price,rent,source\ngood,2025-01,USD 5 k,USD 1,own\n", r"p\.csv:2: price: state either"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "told"), [b[1:] for b in BAD_PRICES], ids=[b[0] for b in BAD_PRICES])
def test_a_bad_price_list_is_one_clear_line(folder: Path, text: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as error:
        fleet.load_case(with_table(folder, "price_lists", "p.csv", text))
    assert "\n" not in str(error.value)


# ------------------------------------------------------------------------------------------------------ measured rates


def test_a_table_of_rates_replaces_the_engines(folder: Path) -> None:
    head = "workload,chip,rate,unit,low,high,source,date\n"
    text = f"{head}chat,a100-80-sxm,1.7,request/s/chip,1.5,1.9,our load test,2024-01-05\n"
    case = fleet.load_case(with_table(folder, "rate_tables", "rates.csv", text))
    found = tables_of(case.spec).serve["chat", "a100-80-sxm"]
    assert (found.rate, found.p10, found.p90) == (1.7, 1.5, 1.9)
    assert case.spec.sources[found.source].kind == "measured"


def test_a_parquet_of_rates_too(folder: Path) -> None:
    import polars as pl

    row = {"workload": ["training"], "chip": ["h100-sxm"], "rate": ["3.2e6 token/s"], "pool": [512], "source": ["own"]}
    pl.DataFrame(row).write_parquet(folder / "rates.parquet")
    (folder / "more.yaml").write_text("rate_tables: [rates.parquet]\n", encoding="utf-8")
    assert fleet.load_case(folder).spec.rates[-1].rate == pytest.approx(3.2e6 / 512)


BAD_RATES = [
    ("workload,chip,rate,source\nchatt,h100-sxm,2 request/s/chip,own\n", r"r\.csv:2: workload: unknown.*'chat'"),
    ("workload,chip,rate,source\nchat,h1xx,2 request/s/chip,own\n", r"r\.csv:2: chip: .*h1xx"),
    ("workload,chip,rate,source\nchat,h100-sxm,2 GB/s,own\n", r"r\.csv:2: .*is no rate"),
    ("workload,chip,rate,source\nchat,h100-sxm,0 request/s/chip,own\n", r"r\.csv:2: .*above zero"),
    ("workload,chip,rate,source\ntraining,h100-sxm,2e6 token/s,own\n", r"r\.csv:2: .*state its chips under 'pool'"),
    ("workload,chip,rate,source\nchat,h100-sxm,2 token/s/chip,own\n", r"rates\.\d+\.rate: 'chat' takes request/s/chip"),
    ("workload,chip,rate,pol,source\nchat,h100-sxm,2,8,own\n", r"r\.csv:1: unknown column 'pol'; did you mean 'pool'"),
]


@pytest.mark.parametrize(("text", "told"), BAD_RATES)
def test_a_bad_table_of_rates_is_one_clear_line(folder: Path, text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        fleet.load_case(with_table(folder, "rate_tables", "r.csv", text))


def rate(value: float, pool: int | None, **more: Any) -> Rate:
    return Rate.model_validate(
        {"workload": "r", "chip": "c", "rate": f"{value} token/s/chip", "pool": pool, "source": "s", **more}
    )


ENGINE = TrainRate(
    chips=(1000, 4000, 16000), rate=(1e6, 3.6e6, 12e6), p10=(9e5, 3.2e6, 10e6), p90=(1.1e6, 4e6, 14e6),
    mfu=(0.5, 0.45, 0.375), strategy=("a", "b", "c"), source="training engine",
)  # fmt: skip


def test_the_engines_curve_passes_through_measured_pools() -> None:
    found = measured_train([rate(800, 4000, low="780 token/s/chip", high="820 token/s/chip")], ENGINE.chips, ENGINE)
    assert found.rate[1] == pytest.approx(800 * 4000)
    assert [found.p10[1], found.p90[1]] == pytest.approx([780 * 4000, 820 * 4000])
    assert np.array(found.rate) / ENGINE.rate == pytest.approx([800 / 900] * 3)  # the fall with size is the engine's
    assert found.p10[2] / found.rate[2] == pytest.approx(ENGINE.p10[2] / ENGINE.rate[2])
    assert found.measured == {4000}
    two = measured_train([rate(1000, 1000), rate(375, 16000)], ENGINE.chips, ENGINE)
    assert [two.rate[0], two.rate[2]] == pytest.approx([1e6, 6e6])
    assert two.rate[1] == pytest.approx(3.6e6 * np.sqrt(0.5))  # 4,000 is half-way in the logarithm


def test_without_an_engine_measured_pools_are_joined() -> None:
    found = measured_train([rate(1000, 1000), rate(500, 16000)], (1000, 4000, 16000, 32000), None)
    assert found.rate == pytest.approx((1e6, 750 * 4000, 500 * 16000, 500 * 32000))
    flat = measured_train([rate(700, None)], (10, 20), None)
    assert flat.rate == pytest.approx((7e3, 14e3))


# ---------------------------------------------------------------------------------------- own rows beside predictions


def test_own_rows_correct_the_level(folder: Path) -> None:
    rows = "id,chip,metric,measured,predicted\n" + "".join(
        f"r{i},H100-SXM,step_time,{10 * f},10\n" for i, f in enumerate((1.0, 1.25, 1.25, 2.0))
    )
    (folder / "rows.csv").write_text(rows + "x,H100-SXM,loss,1,1\n", encoding="utf-8")
    (folder / "more.yaml").write_text("measurements: [{file: rows.csv}]\n", encoding="utf-8")
    spec = fleet.load_case(folder).spec
    (made,) = spec.corrections
    assert (made.chip, made.kind, made.rows) == ("h100-sxm", "training", 4)
    assert made.factor.si == pytest.approx(0.8)  # a step takes a quarter longer
    assert list(made.factor.ends()) == pytest.approx([0.59, 0.94])
    engine = ServeRate(rate=2.0, p10=1.0, p90=3.0, layout="tp 8", source="serving engine")
    held = corrected_serve(engine, made)
    assert (held.rate, held.p10, held.p90) == pytest.approx((1.6, 1.18, 1.88))
    assert corrected_serve(engine, None) is engine


def test_a_correction_without_a_range_keeps_the_engines_interval() -> None:
    plain = Correction.model_validate({"chip": "x", "kind": "serving", "factor": {"value": 0.5, "source": "s"}})
    held = corrected_serve(ServeRate(rate=2.0, p10=1.0, p90=3.0, layout="", source=""), plain)
    assert (held.rate, held.p10, held.p90) == (1.0, 0.5, 1.5)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("chip,metric,measured,predicted\nh100-sxm,step_time,0,1\n", r"m\.csv:2: measured: 0 .* above zero"),
        ("chip,metric,measured,predicted\nh100-sxm,step_time,ten,1\n", r"m\.csv:2: measured: 'ten'.*no number"),
        ("chip,metric,measured\nh100-sxm,step_time,1\n", r"m\.csv:1: column 'predicted' is missing"),
        ("chip,metric,measured,predicted\nh100-sxm,step_time,1,1\n", r"m\.csv: no chip has 3 rows"),
        ("chip,metric,measured,predicted\nh1xx,step_time,1,1\n", r"m\.csv:2: chip: .*h1xx"),
    ],
)
def test_bad_measurements_are_one_clear_line(folder: Path, text: str, told: str) -> None:
    (folder / "m.csv").write_text(text, encoding="utf-8")
    (folder / "more.yaml").write_text("measurements: [{file: m.csv}]\n", encoding="utf-8")
    with pytest.raises(InputError, match=told):
        fleet.load_case(folder)


def test_a_rate_is_explained_down_to_its_pools(folder: Path) -> None:
    from suanli.fleet._provenance import serve_figure, train_figure

    text = "workload,chip,rate,pool,source,date\ntraining,h100-sxm,6500 token/s/chip,256,our pilot,2024-01-05\n"
    case = fleet.load_case(with_table(folder, "rate_tables", "rates.csv", text))
    only = case.spec.model_copy(update={"rates": [r for r in case.spec.rates if r.pool or r.workload == "chat"]})
    tables = tables_of(only)
    told = train_figure(only, tables, "training", "h100-sxm")
    assert [name for name in told.inputs if name.startswith("a pool of")] == ["a pool of 256", "a pool of 512"]
    small = told.inputs["a pool of 256"]
    assert small.value == pytest.approx(6500 * 256)
    assert small.formula.startswith("measured; 6,500 token/s a chip")  # type: ignore[union-attr]
    large = told.inputs["a pool of 512"].formula  # type: ignore[union-attr]
    assert "training engine" in large
    assert "of measured pools" in large
    assert told.inputs["measured"].source.ref == "our pilot"  # type: ignore[union-attr]
    served = serve_figure(only, tables, "chat", "h100-sxm")
    assert "in the place of the serving engine's" in served.formula
    assert served.inputs["measured"].value == 2.0
