from __future__ import annotations

from typing import Any

import pytest

from suanli import fleet
from suanli.fleet._references import known_ids, references


@pytest.mark.parametrize("name", ["small-cloud", "bytedance-2025", "trendforce-gpt"])
def test_what_a_shipped_case_names_is_there(name: str) -> None:
    spec = fleet.load_case(name).spec
    known = known_ids(spec)
    found = list(references(spec))
    assert all(who in known[kind] for kind, _, who in found)
    assert {location[0] for _, location, _ in found} >= {"sites", "offers", "services"}


def test_a_reference_says_where_it_stands() -> None:
    spec = fleet.load_case("bytedance-2025").spec
    for kind, location, name in references(spec):
        node: Any = spec
        for step in location:
            if isinstance(node, dict):
                assert step in node
                node = step
            else:
                node = node[step] if isinstance(step, int) else getattr(node, step)
        assert node == name, (kind, location)
