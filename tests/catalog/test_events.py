"""Events of the founding case: complete, sourced, contradictions that lead somewhere."""

import pytest

from suanli.catalog import event, events
from suanli.errors import UnknownNameError

CERTAINTY = {"confirmed", "reported", "planned", "denied", "speculated"}


def test_all_events_are_there_with_sources() -> None:
    assert len(events()) == 81
    assert len({e.id for e in events()}) == 81
    assert sum(e.kind == "founding article" for e in events()) == 56
    for e in events():
        assert e.source.ref, e.id
        assert e.certainty in CERTAINTY, e.id
        assert e.date[:2] == "20", e.id
        assert e.statement, e.id


def test_events_come_by_date() -> None:
    dates = [e.date for e in events()]
    assert dates == sorted(dates)


def test_contradictions_name_events_that_exist() -> None:
    known = {e.id for e in events()}
    pointed = {i for e in events() for c in e.contradicts for i in c.ids}
    assert pointed
    assert pointed <= known


def test_denials_stand_beside_claims() -> None:
    claim = event("S004-01")
    assert claim.certainty == "denied"
    assert claim.quantity["value"] == 12_000_000_000
    assert claim.quantity["bound"] == "min"
    assert any("12.3" in c.note for c in claim.contradicts)


def test_quantities_are_marked_with_unit_and_bound() -> None:
    for e in events():
        if e.quantity:
            assert e.quantity["unit"], e.id
            assert {"value", "low"} & e.quantity.keys(), e.id


def test_an_inferred_date_says_so() -> None:
    assert event("S001-02").source.note == "date inferred"


def test_an_unknown_event_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'S004-0"):
        event("S004-99")
