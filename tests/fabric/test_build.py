"""Fabrics from switches: Clos arithmetic, published counts and prices, bad input."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.catalog import chip, cost, switch
from suanli.errors import InfeasibleError, InputError, UnknownNameError
from suanli.fabric import build, clos, collective_time, fabric_chart, radix_of


def test_a_tomahawk_5_has_64_ports_of_800g() -> None:
    assert radix_of(switch("tomahawk5"), 100e9) == 64
    assert radix_of(switch("tomahawk5"), 50e9) == 128
    assert radix_of(switch("tomahawk5"), 12.5e9) == 256  # SerDes in pairs: never more than the chip's largest radix


@pytest.mark.parametrize(
    ("nodes", "radix", "switches"),
    [
        (16, 128, (1,)),
        (128, 64, (32, 16)),  # 1,024 cards: k²/2 = 2,048
        (1024, 128, (128, 64)),  # 8,192 cards: exactly k²/2
        (2048, 128, (256, 256, 128)),  # 5 n / k = 640 switches
        (4096, 64, (1024, 1024, 512)),
        (8192, 64, (2048, 2048, 1024)),  # 65,536 cards: exactly k³/4
    ],
)
def test_counts_of_full_trees(nodes: int, radix: int, switches: tuple[int, ...]) -> None:
    assert clos(nodes, 8, radix).switches == switches


def test_beyond_three_tiers_is_refused() -> None:
    with pytest.raises(InfeasibleError, match="more than three tiers of 64-port switches; three reach 65,536"):
        clos(8193, 8, 64)


@settings(max_examples=80, deadline=None)
@given(
    nodes=st.integers(1, 4000),
    cards=st.sampled_from([1, 4, 8]),
    radix=st.sampled_from([64, 128, 256]),
    over=st.sampled_from([1.0, 2.0, 3.0]),
    rail=st.booleans(),
)
def test_every_tree_has_ports_enough(nodes: int, cards: int, radix: int, over: float, rail: bool) -> None:
    tree = clos(nodes, cards, radix, oversubscription=over, rail=rail)
    assert tree.cables[0] == nodes * cards
    below = nodes * cards
    for level, count in enumerate(tree.switches):
        up = tree.cables[level + 1] if level + 1 < len(tree.switches) else 0
        assert below + up <= count * radix
        assert up == 0 or level > 0 or below <= count * tree.down
        below = up


# 64-port 400G InfiniBand at USD 36,000 a switch: published totals for 1,024 and 32,768 H100 with 3.2 Tb/s a node.
@pytest.mark.parametrize(
    ("chips", "row", "switches", "switch_usd", "cable_usd"),
    [(1024, "CS-ib-1k", 48, 1.73e6, 2.62e6), (32768, "CS-ib-32k", 2560, 92.2e6, 124.5e6)],
)
def test_counts_and_prices_of_published_clusters(
    chips: int, row: str, switches: int, switch_usd: float, cable_usd: float
) -> None:
    assert cost(row).source.ref.startswith("https://docs.google.com/spreadsheets")
    bill = build(chips, "quantum2")
    assert bill.n_switches == switches
    assert bill.n_switches * 36000 == pytest.approx(switch_usd, rel=0.01)
    assert bill.price_usd is not None
    assert bill.price_usd - 36000 * switches == pytest.approx(cable_usd, rel=0.05)


def test_the_fabric_of_the_founding_case() -> None:
    bill = build(16384, "tomahawk-5", "bailly")
    assert bill.levels == (("leaf", 256), ("aggregation", 256), ("core", 128))
    assert bill.network.n_chips == 16384
    assert bill.bisection == 16384 * 50e9 / 2
    plug = build(16384, "tomahawk-5", "800g-dr8")
    assert bill.power_w is not None
    assert plug.power_w is not None
    assert bill.power_w < plug.power_w  # co-packaged optics draw 5.5 W per 800G, modules 15.5 W
    assert any("no price published" in remark for remark in bill.unknown)
    assert bill.price_low_usd is not None
    assert bill.price_usd is not None
    assert bill.price_high_usd is not None
    assert bill.price_low_usd < bill.price_usd < bill.price_high_usd


def test_the_box_with_engines_is_the_box_with_bailly() -> None:
    ours, sold = build(4096, "tomahawk5", "bailly"), build(4096, "bailly-th5-cpo")
    assert ours.levels == sold.levels
    assert sold.optics == "opt-cpo-bailly"
    assert ours.power_w == pytest.approx(sold.power_w, rel=0.05)


def test_unknown_stays_unknown() -> None:
    bill = build(4096, "tomahawk6")
    assert bill.power_w is None
    assert bill.price_usd is None
    assert any("tomahawk6" in remark and "unknown" in remark for remark in bill.unknown)


def test_oversubscription_saves_switches_and_halves_bisection() -> None:
    full, thin = build(8192), build(8192, oversubscription=3.0)
    assert thin.n_switches < full.n_switches
    assert thin.bisection == pytest.approx(full.bisection / 3)


def test_a_built_fabric_carries_collectives() -> None:
    h100 = chip("h100-sxm")
    full = build(4096, chip=h100)
    thin = build(4096, chip=h100, oversubscription=3.0)
    assert full.network.tiers[0].family == "nvlink4"
    assert [t.kind for t in full.network.tiers[1:]] == ["ethernet", "ethernet"]
    fast, slow = (float(collective_time(b.network, "all_to_all", 1e9, 4096)) for b in (full, thin))
    assert slow > 2.0 * fast


@pytest.mark.parametrize("chips", [64, 1000, 16384])
def test_the_picture_shows_every_tier(chips: int) -> None:
    bill = build(chips)
    chart = fabric_chart(bill, colours=("#111111", "#222222", "#333333", "#444444"), ink="#000000", muted="#888888")
    text = json.dumps(chart.to_dict())
    for name, count in bill.levels:
        assert f"{count:,} {name} switch" in text
    assert f"{chips:,} chips on" in text


def test_bad_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is an optical module, not a switch"):
        build(64, "opt-800g-dr8")
    with pytest.raises(UnknownNameError, match="unknown optics 'bayly'"):
        build(64, "tomahawk5", "bayly")
    with pytest.raises(UnknownNameError):
        build(64, "tomahawk9")
    with pytest.raises(InputError, match=r"oversubscription 0\.5 is outside"):
        build(64, oversubscription=0.5)
    with pytest.raises(InputError, match="0 chips in nodes of 8"):
        build(0)
    assert not list(tmp_path.iterdir())
