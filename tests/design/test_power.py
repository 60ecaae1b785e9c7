"""Power, voltage, the clock under a cap, and what breaks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from suanli.design import Activity, DesignSpec, capped_clock, die_areas, evaluate, mids, power_parts, require, voltage
from suanli.errors import InfeasibleError, InputError


def watts(spec: DesignSpec, activity: Activity | None = None) -> float:
    areas = die_areas(spec, mids())
    parts = power_parts(spec, areas, mids(), activity=activity or Activity())
    return float(sum(np.ravel(p)[0] for p in parts.values()))


def test_power_rises_faster_than_the_clock() -> None:
    slow, fast = (watts(DesignSpec(clock=c, cores=64, rows=64, cols=64)) for c in (1.4e9, 1.8e9))
    dynamic = fast / slow
    assert dynamic > 1.0
    v = voltage(DesignSpec(node="N7"), np.array([0.2e9, 1.35e9, 9e9]), mids())
    assert v[0] == pytest.approx(0.82)  # the floor
    assert v[1] == pytest.approx(1.0)  # nominal
    assert v[2] == pytest.approx(1.3)  # the ceiling


def test_an_idle_chip_leaks_and_a_busy_memory_costs() -> None:
    spec = DesignSpec()
    idle = Activity(matrix=0.0, vector=0.0, memory=0.0, links=0.0)
    assert 0.0 < watts(spec, idle) < 0.5 * watts(spec)
    decode = Activity(matrix=0.1, vector=0.1, memory=1.0, links=0.1)
    assert watts(spec, decode) > watts(spec, replace(decode, memory=0.0)) + 50.0
    assert watts(spec, Activity(format="fp8")) != watts(spec)


def test_hbm_takes_the_energy_that_is_published() -> None:
    # 2 TB/s at 3.9-7 pJ/bit is 62-112 W (O'Connor et al., MICRO 2017, and PHY).
    spec = DesignSpec(memory="hbm2e", memory_sites=5, site_bandwidth=408e9)
    parts = power_parts(spec, die_areas(spec, mids()), mids(), activity=Activity(memory=1.0))
    assert 62.0 < float(np.ravel(parts["memory"])[0]) < 112.0 + 15.0


def test_a_cap_lowers_the_clock_until_it_holds() -> None:
    spec = DesignSpec(cores=np.array([32.0, 64.0, 128.0]), rows=64, cols=64, clock=1.8e9)
    areas = die_areas(spec, mids())
    clock = capped_clock(spec, areas, mids(), cap=300.0)
    parts = power_parts(replace(spec, clock=clock), areas, mids())
    used = np.sum(np.broadcast_arrays(*parts.values()), axis=0)
    assert np.all(used <= 300.0 * 1.001)
    assert np.all(np.diff(clock) <= 0.0)
    assert np.all((clock == 1.8e9) | (np.abs(used / 300.0 - 1.0) < 1e-3))
    assert evaluate(replace(spec, cores=64, power_cap=300.0)).chip.tdp_w == pytest.approx(300.0, rel=1e-3)


def test_a_cap_that_cannot_hold_is_flagged() -> None:
    found = evaluate(DesignSpec(power_cap=20.0))
    assert [f.name for f in found.flags] == ["power cap"]
    assert "against a cap of 20 W" in found.flags[0].text


def test_each_limit_names_the_number_that_breaks() -> None:
    large = evaluate(DesignSpec(node="N7", cores=200, rows=128, cols=128, scratchpad=4 * 2.0**20))
    names = {f.name: f for f in large.flags}
    assert names["reticle"].value > 858.0
    assert names["reticle"].limit == pytest.approx(858.0)
    assert "the exposure field holds 858 mm²" in names["reticle"].text
    crowded = evaluate(DesignSpec(node="N5", cores=4, shared_sram=0.0, memory="hbm3", memory_sites=8, lanes=0))
    sites = {f.name: f for f in crowded.flags}["HBM sites"]
    assert sites.value == 8
    assert sites.limit < 8
    shore = evaluate(DesignSpec(node="N5", cores=4, shared_sram=0.0, memory="hbm3", memory_sites=2, lanes=300))
    assert "shoreline" in {f.name for f in shore.flags}
    hot = evaluate(
        DesignSpec(node="N5", cores=64, rows=128, cols=128, clock=1.9e9, shared_sram=0.0, scratchpad=2.0**18)
    )
    assert "W/mm² that the cooling removes" in {f.name: f for f in hot.flags}["cooling"].text
    with pytest.raises(InfeasibleError, match="design cannot be built: the die is"):
        require("design", large.flags)


def test_a_format_without_a_mac_is_refused() -> None:
    spec = DesignSpec(formats=(("bf16", 1.0),))
    with pytest.raises(InputError, match="no MAC for format fp8; the arrays have bf16"):
        power_parts(spec, die_areas(spec, mids()), mids(), activity=Activity(format="fp8"))
