import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.errors import InputError
from suanli.quantities import _in_its_unit, _registry, _spell, currency, parse, show, show_billions, show_money


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("3.35 TB/s", "B/s", 3.35e12),
        ("80 GiB", "B", 80 * 2**30),
        ("700 W", "W", 700.0),
        ("989 TFLOPS", "FLOP/s", 989e12),
        ("1979 TOPS", "FLOP/s", 1979e12),
        ("CNY 24 bn", "CNY", 24e9),
        ("USD 15,000", "USD", 15000.0),
        ("USD 0.083/kWh", "USD/kWh", 0.083),
        ("60 %", "", 0.6),
        ("814 mm2", "m2", 814e-6),
        ("814 mm²", "m2", 814e-6),
        ("800mm2", "m2", 800e-6),
        ("2.5TB/s", "B/s", 2.5e12),
        ("36 h", "s", 129600.0),
        ("12", "W", 12.0),
    ],
)
def test_parse_reads_what_people_write(text: str, unit: str, value: float) -> None:
    assert parse(text, unit) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "unit", "complaint"),
    [
        ("80 GiB", "W", "wrong kind of unit"),
        ("USD 5", "CNY", "wrong kind of unit"),
        ("eighty", "W", "not a quantity"),
        ("nan", "W", "not a finite number"),
        ("", "W", "not a quantity"),
        ("__import__('os')", "W", "not a quantity"),
    ],
)
def test_parse_refuses_the_rest_in_one_line(text: str, unit: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        parse(text, unit)
    assert "\n" not in str(caught.value)


UNITS = ["B", "B/s", "FLOP/s", "W", "MW", "s", "ms", "request/s", "token/s/chip", "USD/kWh", "CNY", "USD/MW/month", "%"]
OTHERS = [
    "TB",
    "GB/s",
    "TFLOPS",
    "PFLOP/s",
    "kW",
    "ns",
    "us",
    "h",
    "kWh",
    "GiB",
    "MiB",
    "byte",
    "GHz",
    "k",
    "bn",
    "mm2",
    "m2",
]


@settings(max_examples=200, deadline=None)
@given(
    st.floats(min_value=1e-6, max_value=1e15),
    st.sampled_from([*UNITS, *OTHERS]),
    st.sampled_from([*UNITS, "", "J", "m2", "h", "byte", "Hz"]),
)
def test_a_figure_in_the_unit_asked_for_reads_as_pint_reads_it(number: float, written: str, unit: str) -> None:
    text = f"{written[:3]} {number!r}{written[3:]}" if written[:3] in {"USD", "CNY"} else f"{number!r} {written}"
    found = _in_its_unit(_spell(text), _spell(unit))
    if found is not None:
        ureg = _registry()
        target = ureg.parse_units(_spell(unit)) if unit else ureg.dimensionless
        assert found == pytest.approx(ureg.Quantity(_spell(text)).to(target).magnitude, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "unit"), [("3 token/s/chip", "token/s/chip"), ("60 %", ""), ("3.35 TB/s", "B/s"), ("6 MW", "MW"),
                       ("USD 20 k/chip", "USD/chip"), ("CNY 24 bn", "CNY"), ("989 TFLOPS", "FLOP/s"), ("50 ms", "s"),
                       ("8 MiB", "byte"), ("1.4 GHz", "Hz")],
)  # fmt: skip
def test_usual_figures_do_not_wait_for_pint(text: str, unit: str) -> None:
    assert _in_its_unit(_spell(text), _spell(unit)) is not None


@pytest.mark.parametrize(("text", "unit"), [("1.2.3 W", "W"), ("5 W", "B"), ("5 m2", "m"), ("5", "W"), ("5 W/h", "W")])
def test_other_figures_do(text: str, unit: str) -> None:
    assert _in_its_unit(_spell(text), _spell(unit)) is None


def test_currency_names_the_code() -> None:
    assert currency("CNY 40 bn") == "CNY"
    assert currency("40 W") is None


@settings(max_examples=60, deadline=None)
@given(st.floats(min_value=1e-3, max_value=1e17), st.sampled_from(["B/s", "FLOP/s", "W", "B"]))
def test_show_and_parse_round_trip(value: float, unit: str) -> None:
    assert parse(show(value, unit, digits=9), unit) == pytest.approx(value, rel=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.floats(min_value=1.0, max_value=1e12))
def test_money_round_trips(value: float) -> None:
    assert parse(show_money(value, "USD", digits=9), "USD") == pytest.approx(value, rel=1e-6)


def test_billions_come_with_their_interval() -> None:
    assert show_billions(2e9, 0.96e9, 3.54e9) == "USD 2.0 bn (1.0 to 3.5)"


def test_show_says_unknown_and_scales_time_and_area() -> None:
    assert show(None, "W") == "unknown"
    assert show(814e-6, "m2") == "814 mm²"
    assert show(0.0123, "s") == "12.3 ms"
    assert show(3 * 86400.0, "s") == "3.00 d"
    assert not math.isnan(parse(show(0.6, "%"), ""))
