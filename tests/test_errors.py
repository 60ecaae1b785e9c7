from suanli.errors import nearest, unknown_name


def test_nearest_forgives_case_and_slips() -> None:
    assert nearest("H10", ["H100", "B200"]) == "H100"
    assert nearest("zzzz", ["H100", "B200"]) is None


def test_unknown_name_points_to_the_list_where_nothing_is_close() -> None:
    assert "did you mean 'h100'" in str(unknown_name("chip", "h10", ["h100"]))
    assert "suanli chips list" in str(unknown_name("chip", "zzzz", ["h100"]))
