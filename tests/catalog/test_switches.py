"""Switches and optics."""

import pytest

from suanli.catalog import switch, switches
from suanli.errors import UnknownNameError
from suanli.sources import KINDS


def test_all_switches_have_sources() -> None:
    assert len(switches()) == 27
    for item in switches():
        assert item.source.ref
        assert item.source.date
        assert item.source.kind in KINDS


@pytest.mark.parametrize(
    ("name", "terabits"),
    [
        ("tomahawk5", 51.2),  # Broadcom: 51.2 Tb/s, one way
        ("tomahawk6", 102.4),
        ("nvswitch3", 12.8),  # 64 NVLink4 ports of 25 GB/s each way
        ("nvswitch4", 28.8),  # 72 NVLink5 ports of 50 GB/s each way
        ("opt-800g-dr8", 0.8),
    ],
)
def test_bandwidth_is_one_way(name: str, terabits: float) -> None:
    assert switch(name).bandwidth == pytest.approx(terabits * 1e12 / 8)


def test_lanes_carry_the_bandwidth() -> None:
    for item in switches():
        if item.bandwidth and item.n_serdes and item.serdes_rate and item.id != "jericho3-ai":
            # Jericho3-AI counts 14.4 Tb/s to the network and as much to its fabric on 304 lanes
            assert item.n_serdes * item.serdes_rate == pytest.approx(item.bandwidth, rel=0.001), item.id


def test_ports_fit_the_bandwidth() -> None:
    for item in switches():
        if item.bandwidth and item.ports_800g:
            assert item.ports_800g * 100e9 <= item.bandwidth * 1.001, item.id


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Tomahawk 5", "tomahawk5"),
        ("tomahawk-5", "tomahawk5"),
        ("bailly", "bailly-th5-cpo"),
        ("Spectrum-4", "spectrum4"),
    ],
)
def test_usual_spellings(text: str, expected: str) -> None:
    assert switch(text).id == expected


def test_an_unknown_switch_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'tomahawk5'"):
        switch("tomahwk5")
    with pytest.raises(UnknownNameError, match="did you mean 'tomahawk5'"):
        switch("tomahawk-55")
    with pytest.raises(UnknownNameError, match="suanli switches list"):
        switch("zzzzzz")


def test_price_sources_stand_by_the_field() -> None:
    assert "without optics" in switch("tomahawk5").source_of("price_usd").ref
