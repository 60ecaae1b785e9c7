"""The picture of a fabric: which boxes are drawn, and that the cables between them are the fabric's own."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.fabric import build, fabric_chart
from suanli.fabric._wiring import SHOWN, drawn, joined, pod_leaves

COLOURS = ("#111111", "#222222", "#333333", "#444444")


@settings(max_examples=60, deadline=None)
@given(
    chips=st.integers(1, 60000),
    cards=st.sampled_from([1, 4, 8]),
    over=st.sampled_from([1.0, 2.0, 3.0]),
    rail=st.booleans(),
)
def test_what_is_drawn_is_there_and_joined(chips: int, cards: int, over: float, rail: bool) -> None:
    bill = build(chips, "quantum2", cards_per_node=cards, oversubscription=over, rail=rail)
    counts = [bill.n_nodes, *(count for _, count in bill.levels)]
    shown = drawn(bill)
    for indices, count in zip(shown, counts, strict=True):
        assert indices == sorted(set(indices))
        assert len(indices) == min(count, SHOWN)
        assert indices[-1] < count
    for level, indices in enumerate(shown[:-1]):
        for index in indices:
            above = joined(bill, level, index)
            assert 0 <= above.start < above.stop <= counts[level + 1]
    # every node drawn has a cable to a leaf that is drawn
    assert all(set(joined(bill, 0, node)) & set(shown[1]) for node in shown[0])


def test_rails_and_pods_are_those_of_the_tree() -> None:
    bill = build(16384, "tomahawk5")
    assert list(joined(bill, 0, 0)) == list(range(8))  # the first 64 nodes' cards on eight leaves, one a rail
    assert joined(bill, 0, 63) == joined(bill, 0, 0)
    assert list(joined(bill, 0, 64)) == list(range(8, 16))
    assert pod_leaves(bill) == 64
    assert joined(bill, 1, 0) == joined(bill, 1, 63) == range(64)  # every leaf of a pod reaches all of its switches
    assert joined(bill, 1, 64) == range(64, 128)
    assert joined(bill, 2, 0) == joined(bill, 2, 64) == range(2)  # the same place of every pod meets the same cores
    whole = {core for place in range(64) for core in joined(bill, 2, place)}
    assert whole == set(range(128))
    plain = build(1024, "tomahawk5", rail=False)
    assert joined(plain, 0, 7) == range(1)  # all eight cards of eight nodes fill a leaf
    assert joined(plain, 0, 8) == range(1, 2)
    assert joined(plain, 1, 3) == range(plain.levels[1][1])


@pytest.mark.parametrize("chips", [8, 96, 1024, 16384])
def test_the_picture_says_what_it_leaves_out(chips: int) -> None:
    bill = build(chips)
    chart = fabric_chart(bill, colours=COLOURS, ink="#000000", muted="#888888").to_dict()
    text = json.dumps(chart)
    left_out = any(count > SHOWN for count in (bill.n_nodes, *(n for _, n in bill.levels)))
    assert ("drawn: eight of the first" in text) == left_out
    assert "Tomahawk 5" in chart["title"]["text"]
    marks = [row for layer in chart["layer"] for row in layer["data"]["values"] if "x2" not in row and "tier" in row]
    assert all(0.0 <= row["x"] <= 1.0 for row in marks)


def test_the_bill_lists_what_is_bought() -> None:
    bill = build(16384, "tomahawk5", "bailly")
    assert [(name, count) for name, count, _, _ in bill.parts] == [
        ("tomahawk5", 640),
        ("opt-cpo-bailly", 5120),
        ("opt-400g-dr4", 16384),
    ]
    assert sum(n * (w or 0.0) for _, n, w, _ in bill.parts) == pytest.approx(bill.power_w)
    assert sum(n * (usd or 0.0) for _, n, _, usd in bill.parts) == pytest.approx(bill.price_usd)
    assert bill.n_optics == sum(n for _, n, _, _ in bill.parts[1:])
