"""The condition language: what it reads, what it refuses, how it is unsure."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanli.controls import _domains as dom
from suanli.controls import _expr as expr
from suanli.controls._parse import Names, parse
from suanli.errors import InputError

NAMES = Names(
    numbers=frozenset({"tpp", "pd"}),
    choices={"flag": frozenset({"0", "1"}), "place": frozenset({"CN", "NO", "US"})},
    groups=frozenset({"D5"}),
    conditions={},
    rule="R",
    parameters={"limit": 4800, "day": "2025-01-01", "text": "some"},
    lists=frozenset({"items"}),
)


@dataclasses.dataclass
class Facts:
    """A world for the tests."""

    date: str = "2025-01-01"
    tpp: dom.Number = 1000.0
    pd: dom.Number | None = 3.0
    flag: frozenset[str] = frozenset({"1"})
    place: frozenset[str] = frozenset({"NO"})

    def number(self, name: str) -> dom.Number | None:
        return self.tpp if name == "tpp" else self.pd

    def narrowed(self, key: str, value: dom.Number) -> dom.Number:
        return value

    def values(self, name: str) -> frozenset[str]:
        return self.flag if name == "flag" else self.place

    def members(self, group: str) -> frozenset[str]:
        return frozenset({"CN"})

    def matches(self, test: expr.Call) -> bool | None:
        return None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tpp >= 1000", True),
        ("tpp > 1000", False),
        ("tpp < @limit and pd >= 3", True),
        ("tpp == 1000 or pd < 1", True),
        ("tpp + pd >= 1003", True),
        ("tpp * pd == 3000 and tpp / pd > 333", True),
        ("not (tpp >= 1000)", False),
        ("place in [CN, NO] and not place in D5", True),
        ("place not in D5", True),
        ("place != US", True),
        ("flag", True),
        ("flag == 0", False),
        ("date >= 2025-01-01 and date < 2025-01-02", True),
        ("date == @day", True),
        ("", True),
        ("named(place, items)", None),
        ("shown(named(place, items))", False),
        ("flag or named(place, items)", True),
        ("not flag and named(place, items)", False),
        ("known(tpp)", True),
    ],
)
def test_answers(text: str, expected: bool | None) -> None:
    assert parse(text, NAMES).test(Facts()) is expected


def test_an_undefined_number_meets_no_limit() -> None:
    for op in ("<", ">=", "==", "!="):
        assert parse(f"pd {op} 5", NAMES).test(Facts(pd=None)) is False


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ttp >= 1", "unknown name 'ttp'; did you mean 'tpp'"),
        ("place in [XX]", "'XX' is no value of place"),
        ("tpp >= @limt", "no parameter 'limt'; did you mean 'limit'"),
        ("tpp >= @text", "is not a number"),
        ("tpp >=", "expected a number or a parameter after '>=', found the end"),
        ("tpp >= 1 or", "expected a condition, found the end"),
        ("tpp >= 1 tpp", "did not expect 'tpp'"),
        ("(tpp >= 1", "expected )"),
        ("named(place, others)", "no list 'others'"),
        ("open(place)", "unknown function 'open'"),
        ("tpp # 1", "can't read '# 1'"),
        ("date > 5", "expected a date"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        parse(text, NAMES)
    assert message in str(error.value)


numbers = st.integers(0, 20).map(float)
ranges = st.tuples(numbers, numbers).map(lambda p: dom.Range(min(p), max(p)))


@given(ranges, numbers, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]))
def test_a_range_decides_only_what_each_of_its_numbers_decides(r: dom.Range, limit: float, op: str) -> None:
    inside = [r.low + (r.high - r.low) * k / 8 for k in range(9)]
    answers = {dom.compare(op, value, limit) for value in inside}
    found = dom.compare(op, r, limit)
    assert found is None or answers == {found}


@given(ranges, numbers, st.sampled_from(["<", "<=", ">", ">="]))
def test_splitting_settles_and_loses_nothing(r: dom.Range, limit: float, op: str) -> None:
    yes, no = dom.split(op, r, limit)
    for part, expected in ((yes, True), (no, False)):
        if not (isinstance(part, dom.Range) and part.empty):
            assert dom.compare(op, part, limit) is expected
    for value in (r.low, r.high, (r.low + r.high) / 2):
        part = yes if dom.compare(op, value, limit) else no
        kept = dom.both(part, value)
        assert not (isinstance(kept, dom.Range) and kept.empty)


@given(ranges, ranges, st.sampled_from([dom.add, dom.multiply]))
def test_range_arithmetic_holds_every_result(a: dom.Range, b: dom.Range, op: object) -> None:
    assert callable(op)
    out = dom.as_range(op(a, b))
    for x in (a.low, a.high):
        for y in (b.low, b.high):
            value = dom.as_range(op(x, y)).low
            assert out.low <= value <= out.high


def test_a_quotient_met_exactly_counts_as_met() -> None:
    assert dom.compare(">=", dom.divide(1600.0, 270.27027027027026), 5.92) is True
    assert dom.compare(">=", dom.divide(4.0, 0.0), 5.92) is True
    assert dom.show_range(dom.divide(dom.Range(100, 200), dom.Range(0, 10))) == "at least 10"


def test_text_of_ranges() -> None:
    assert dom.show_range(4800, "TPP") == "4,800 TPP"
    assert dom.show_range(dom.Range(1600, 4800, False, True)) == "1,600 to below 4,800"
    assert dom.show_range(dom.Range(0, 5.92, False, True)) == "below 5.92"
    assert dom.show_range(dom.Range(600, dom.INF, True)) == "above 600"
