"""Constants: each with its source and range."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from suanli.design import MEMORIES, NODES, calibrated, memory_named, mids, node_named, table
from suanli.design._process import sampled
from suanli.errors import InputError, UnknownNameError


def test_every_constant_has_source_date_and_kind() -> None:
    for datum in table().values():
        assert datum.source.ref, datum.name
        assert datum.source.date[:2] == "20", datum.name
        assert datum.low is not None
        assert datum.high is not None
        assert 0.0 < datum.low <= datum.value <= datum.high


def test_every_node_and_memory_is_complete() -> None:
    for node in NODES:
        for what in ("logic", "sram", "phy", "energy", "wafer", "defects", "design", "masks", "fab"):
            assert f"{node}.{what}" in table()
    for memory in MEMORIES:
        if memory != "none":
            for name in (
                f"phy.{memory}",
                f"energy.{memory}",
                f"{memory}.bandwidth",
                f"{memory}.price",
                f"{memory}.year",
            ):
                assert name in table()


def test_units_become_si() -> None:
    assert table()["reticle"].value == pytest.approx(858e-6)
    assert table()["sram.local"].value == pytest.approx(12 * 2**20 / 8 / 1e-6)
    assert table()["N7.defects"].value == pytest.approx(900.0)
    assert table()["energy.hbm2"].value == pytest.approx(5.5e-12 * 8)


def test_samples_keep_the_range() -> None:
    drawn = sampled(4000, seed=3)["N5.wafer"]
    low, middle, high = np.quantile(drawn, [0.1, 0.5, 0.9])
    assert low == pytest.approx(13495, rel=0.03)
    assert middle == pytest.approx(16000, rel=0.03)
    assert high == pytest.approx(18000, rel=0.03)


def test_names_are_found_in_many_spellings() -> None:
    assert node_named("smic n+2") == "SN2"
    assert node_named("4n") == "N4"
    assert memory_named("HBM3e") == "hbm3e"
    with pytest.raises(UnknownNameError, match="did you mean 'N5'"):
        node_named("N55")
    with pytest.raises(UnknownNameError, match="hbm"):
        memory_named("hbm9")


def test_a_multiplier_must_name_a_constant() -> None:
    assert calibrated(mids(), {"phy": 2.0})["phy.hbm3"] == pytest.approx(2.0 * mids()["phy.hbm3"])
    with pytest.raises(InputError, match="'fee' names no constant"):
        calibrated(mids(), {"fee": 2.0})


def test_a_malformed_constant_is_refused(tmp_path: Path) -> None:
    from suanli.design._process import _sourced
    from suanli.design._schema import Datum

    good = {
        "id": "x",
        "low": 1.0,
        "mid": 2.0,
        "high": 3.0,
        "unit": "mm2",
        "kind": "measured",
        "date": "2020",
        "source": "s",
    }
    with pytest.raises(InputError, match="low, mid, high must be positive and rise"):
        _sourced(Datum.model_validate({**good, "mid": 5.0}), "f.yaml")
    with pytest.raises(InputError, match="unknown unit 'acre'"):
        _sourced(Datum.model_validate({**good, "unit": "acre"}), "f.yaml")
