import polars as pl
import pytest

from suanli.scoring import Scored, error_metrics, report


def frame() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "id": ["a-1", "a-2", "b-1"],
            "metric": ["step_time"] * 3,
            "measured": [1.0, 2.0, 4.0],
            "predicted": [1.1, 1.8, 4.0],
            "p10": [0.9, 1.9, 3.0],
            "p90": [1.3, 2.1, 5.0],
            "baseline": [2.0, 2.0, None],
            "source": ["a", "a", "b"],
        }
    )


def test_metrics_by_hand() -> None:
    m = error_metrics(frame())
    assert m["n"] == 3
    assert m["mean_abs_pct"] == pytest.approx((10 + 10 + 0) / 3)
    assert m["median_abs_pct"] == pytest.approx(10)
    assert m["bias_pct"] == pytest.approx(0.0)  # source a: mean of +10 and -10; source b: 0
    assert m["coverage_80_pct"] == pytest.approx(100.0)
    assert m["width_80_pct"] == pytest.approx(100 * 0.4 / 1.1)


def test_report_has_the_contract_s_keys() -> None:
    data = report(Scored("training", 5, frame(), [("x", "no time"), ("y", "no time")], ("source",)))
    assert data["n_scored"] == 3
    assert data["skipped"][0] == {"id": "x", "reason": "no time"}
    assert data["baseline"]["step_time"]["n"] == 2
    assert data["by_group"]["source=a"]["step_time"]["n"] == 2


def test_labels_are_counted_by_agreement() -> None:
    rows = pl.DataFrame(
        {"id": ["1", "2"], "metric": ["eccn"] * 2, "measured": ["none", "3A090.a"], "predicted": ["none", "3A090.b"]}
    ).with_columns(pl.lit("CV").alias("source"))
    assert report(Scored("controls", 2, rows))["metrics"]["eccn"] == {"n": 2, "agree_pct": 50.0}
