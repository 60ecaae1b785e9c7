from suanli.fleet import load_case, ruling_changes


def test_the_letters_of_april_2025_take_the_h20_out() -> None:
    changes = ruling_changes(load_case("bytedance-2025").spec, "2025-01-22", "2025-04-15")
    h20 = [c for c in changes if c.line.startswith("h20@") and c.act == "export"]
    assert h20
    for change in h20:
        assert change.groups == ("free", "restricted")
        assert "US-2025-04-LETTERS" in change.rules


def test_nothing_changes_between_a_day_and_itself() -> None:
    assert ruling_changes(load_case("bytedance-2025").spec, "2025-04-15", "2025-04-15") == ()
