"""Area, shoreline and transistors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.design import DesignSpec, die_areas, evaluate, hbm_sites_that_fit, mids, perimeter, shoreline, take
from suanli.errors import InputError

MIB = 2.0**20


def total(spec: DesignSpec) -> np.ndarray:
    return np.asarray(np.sum(np.broadcast_arrays(*die_areas(spec, mids()).values()), axis=0))


@pytest.mark.parametrize(
    ("name", "node", "sram_mb", "cores", "area_mm2"),
    [
        # SRAM that LLMCompass (ISCA 2024: 3.4 Mib/mm2 at 7 nm, 4.6 at 5 nm) cannot place on these dies.
        ("Tesla D1", "N7", 440.0, 354, 645.0),
        ("MTIA v2", "N5", 280.0, 64, 421.0),
        ("Maia 100", "N5", 500.0, 64, 820.0),
    ],
)
def test_sram_heavy_chips_are_possible(name: str, node: str, sram_mb: float, cores: int, area_mm2: float) -> None:
    llmcompass = sram_mb * 8e6 / 2**20 / (3.4 if node == "N7" else 4.6)
    assert llmcompass > area_mm2
    half = sram_mb * 1e6 / 2.0
    spec = DesignSpec(name=name, node=node, cores=cores, scratchpad=half / cores, shared_sram=half)
    blocks = evaluate(spec).area.breakdown
    assert float((blocks["local SRAM"] + blocks["shared SRAM"])[0]) * 1e6 < 0.75 * area_mm2


def test_blocks_add_up_and_hold_nothing_negative() -> None:
    found = evaluate(DesignSpec())
    parts = [float(v[0]) for v in found.area.breakdown.values()]
    assert sum(parts) == pytest.approx(float(found.area.value[0]))
    assert min(parts) >= 0.0
    assert found.area.p10[0] < found.area.value[0] < found.area.p90[0]


@settings(max_examples=30, deadline=None)
@given(
    cores=st.integers(1, 200), rows=st.sampled_from([8, 32, 128]), scratch=st.floats(0, 16 * MIB),
    shared=st.floats(0, 700 * MIB), sites=st.integers(0, 8), lanes=st.integers(0, 100),
)  # fmt: skip
def test_more_of_anything_is_never_smaller(
    cores: int, rows: int, scratch: float, shared: float, sites: int, lanes: int
) -> None:
    spec = DesignSpec(
        cores=cores, rows=rows, cols=rows, scratchpad=scratch, shared_sram=shared, memory_sites=sites, lanes=lanes
    )
    base = total(spec)
    assert np.all(total(replace(spec, cores=cores + 1)) > base)
    assert np.all(total(replace(spec, rows=rows + 8)) > base)
    assert np.all(total(replace(spec, scratchpad=scratch + MIB)) > base)
    assert np.all(total(replace(spec, shared_sram=shared + MIB)) > base)
    assert np.all(total(replace(spec, memory_sites=sites + 1)) > base)
    assert np.all(total(replace(spec, lanes=lanes + 4)) > base)


def test_logic_shrinks_with_the_node_and_phys_hardly_do() -> None:
    old, new = (die_areas(DesignSpec(node=n), mids()) for n in ("N7", "N3"))
    assert new["mac"][0] / old["mac"][0] == pytest.approx(0.38)  # 1/1.6 of N5's 0.6
    assert new["memory PHY"][0] / old["memory PHY"][0] > 0.9
    # SRAM stopped scaling: HD bit cell 0.021 um2 at N5, 0.0199-0.021 at N3 (IEDM 2022).
    five = die_areas(DesignSpec(node="N5"), mids())
    assert new["shared SRAM"][0] / five["shared SRAM"][0] > 0.95


def test_a_full_reticle_takes_six_hbm_sites() -> None:
    # GA100 (826 mm2) and GH100 (814 mm2) carry six on two edges.
    assert hbm_sites_that_fit(np.array([858e-6, 814e-6]), mids()).tolist() == [6.0, 6.0]
    assert hbm_sites_that_fit(np.array([300e-6]), mids())[0] == 2.0


def test_shoreline_counts_every_interface() -> None:
    spec = DesignSpec(memory="hbm3", memory_sites=6, lanes=32, host_lanes=16)
    need = shoreline(spec, mids())
    assert need["memory PHY"][0] == pytest.approx(6 * 9.0e-3)
    assert sum(float(v[0]) for v in need.values()) > 6 * 9.0e-3
    assert perimeter(np.array([858e-6]), mids())[0] == pytest.approx(2 * (26e-3 + 33e-3) * 0.88)


def test_transistors_are_of_the_published_order() -> None:
    # Maia 100: 105 bn on 820 mm2 of N5; A100: 54 bn on 826 mm2 of N7. A spread of 2-3x on one node is known.
    big = evaluate(DesignSpec(node="N5", cores=64, rows=64, cols=64, scratchpad=4 * MIB, shared_sram=240 * MIB))
    density = float(big.transistors[0] / big.area.value[0] / 1e12)
    assert 40.0 < density < 140.0


def test_candidates_are_independent() -> None:
    many = DesignSpec(cores=np.array([8, 16, 32]), clock=np.array([1e9, 1.2e9, 1.4e9]))
    whole = total(many)
    assert whole.shape == (3,)
    for i in range(3):
        assert total(take(many, i))[0] == pytest.approx(whole[i])


def test_bad_specs_are_refused() -> None:
    with pytest.raises(InputError, match="cores: must be above 0, found 0"):
        DesignSpec(cores=0)
    with pytest.raises(InputError, match="spare_cores 5 exceeds cores 4"):
        DesignSpec(cores=4, spare_cores=5)
    with pytest.raises(InputError, match="shared_sram: must not be negative"):
        DesignSpec(shared_sram=-1.0)
    with pytest.raises(InputError, match="arrays of different length"):
        DesignSpec(cores=np.array([1, 2]), clock=np.array([1e9, 1e9, 1e9]))
    with pytest.raises(InputError, match="format without a MAC"):
        DesignSpec(formats=(("bf16", 0.0),))
    with pytest.raises(InputError, match="did you mean 'bf16'"):
        DesignSpec(formats=(("bf15", 1.0),))
    with pytest.raises(InputError, match="did you mean 'cowos-s'"):
        DesignSpec(package="cowos-x")  # type: ignore[arg-type]
