"""Die areas and powers against published chips."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from suanli.errors import InputError
from suanli.scoring import report, score
from suanli.scoring._ppa_rows import host_of, logic_die, memories, memory_of, node_of, spec_of

FILE = Path(__file__).parents[2] / "validation" / "data" / "ppa" / "ppa_truth.csv"
GRAPHICS = FILE.with_name("graphics_dies.csv")


def test_published_dies_are_met_when_left_out() -> None:
    scored = score("ppa", [FILE])
    found = report(scored)
    assert scored.fitted == {"left_out": 10, "final": 0}
    area, power = found["metrics"]["die_area"], found["metrics"]["tdp"]
    assert area["n"] == 5  # published or die-shot, N7 to N4
    assert area["mean_abs_pct"] < 15.0
    assert power["median_abs_pct"] < 25.0
    assert area["mean_abs_pct"] < found["baseline"]["die_area"]["mean_abs_pct"]
    assert power["mean_abs_pct"] < found["baseline"]["tdp"]["mean_abs_pct"]
    assert area["coverage_80_pct"] >= 60.0
    assert 60.0 <= power["coverage_80_pct"] <= 100.0
    assert set(found["metrics"]) == {"die_area", "die_area_bound", "die_area_other", "tdp"}


def test_area_count_and_notes_are_never_read(tmp_path: Path) -> None:
    frame = pl.read_csv(FILE)
    changed = frame.with_columns(
        pl.col("die_area_mm2") * 3.0,
        pl.col("tdp_w") * 0.2,
        pl.col("transistors_1e9") * 5.0,
        notes=pl.lit("full die: 999 SM"),
    )
    path = tmp_path / "changed.csv"
    changed.write_csv(path)
    before, after = (score("ppa", [f]).rows.sort("id", "metric")["predicted"].to_list() for f in (FILE, path))
    assert before == after


def test_a_chip_never_met_takes_the_final_parameters_and_known_ones_their_own(tmp_path: Path) -> None:
    frame = pl.read_csv(FILE)
    renamed = frame.with_columns(pl.col("id") + "-x", pl.col("name") + " (variant)")
    path = tmp_path / "new.csv"
    renamed.write_csv(path)
    assert score("ppa", [path]).fitted == {"left_out": 0, "final": 10}
    both = score("ppa", [FILE, GRAPHICS])
    assert both.fitted == {"left_out": 16, "final": 0}
    assert both.n_rows == 16


def test_sparse_and_odd_rows_are_scored_or_skipped_with_a_reason(tmp_path: Path) -> None:
    rows = [
        {"id": "bare", "name": "X1", "foundry_node": "TSMC N5", "peak_fp16_tflops": 400.0, "tdp_w": 300.0},
        {"id": "old", "name": "X2", "foundry_node": "TSMC 28 nm", "peak_fp16_tflops": 40.0, "die_area_mm2": 300.0},
        {"id": "none", "name": "X3", "foundry_node": "TSMC 3 nm", "die_area_mm2": 300.0},
        {"id": "mute", "name": "X4", "foundry_node": "TSMC N7", "peak_fp16_tflops": 40.0},
    ]
    path = tmp_path / "odd.csv"
    pl.DataFrame(rows).write_csv(path)
    scored = score("ppa", [path])
    assert scored.rows["id"].to_list() == ["bare"]
    assert dict(scored.skipped) == {
        "old": "process node 'TSMC 28 nm' is not one that the model knows (16 to 3 nm)",
        "none": "neither MACs nor peak rates are stated: nothing to size",
        "mute": "neither die area nor power is published",
    }
    wide = scored.rows.row(0, named=True)
    assert wide["p10"] < wide["predicted"] < wide["p90"]
    (tmp_path / "bad.csv").write_text("id,name\na,b\n", encoding="utf-8")
    with pytest.raises(InputError, match="no column 'foundry_node'"):
        score("ppa", [tmp_path / "bad.csv"])


@pytest.mark.parametrize(
    ("text", "total", "style", "local", "shared", "cache", "registers", "cores"),
    [
        ("40 L2 active (48 on die) + 108x192 KB L1 + 108x256 KB RF", 87.0, "gpu", 20.736, 0, 48, 27.648, 108),
        ("128 CMEM + 16 VMEM", 144.0, "array", 16, 128, 0, 0, 0),
        ("192 L2 + 25 cores x ~1.1", 220.0, "array", 27.5, 192, 0, 0, 25),
        ("354 x 1.25 MB", 440.0, "array", 442.5, 0, 0, 0, 354),
        ("4 cores x 48 MB", 192.0, "array", 192, 0, 0, 0, 4),
        ("128 shared + 64x128 KB", 136.0, "array", 8.192, 128, 0, 0, 64),
        ("128 Infinity Cache + 4 L2 + 80x128 KB L1", None, "gpu", 10.24, 128, 4, 0, 80),
        ("", None, "array", 0, 0, 0, 0, 0),
    ],
)
def test_memory_is_read_from_its_text(
    text: str, total: float | None, style: str, local: float, shared: float, cache: float, registers: float, cores: int
) -> None:
    found = memories(text, total, style)
    mb = tuple(v / 1e6 for v in (found.local, found.shared, found.cache, found.registers))
    assert mb == pytest.approx((local, shared, cache, registers))
    assert found.cores == cores


def test_memory_of_unknown_kind_is_kept() -> None:
    assert memories("L1+L2 scratchpads", 500.0, "array").unknown == pytest.approx(500e6)
    assert memories("128 shared", 136.0, "array").unknown == 0.0  # within rounding of what is said
    assert memories("100 shared", 200.0, "array").unknown == pytest.approx(100e6)


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("TSMC N7", "N7"), ("TSMC N7+", "N7P"), ("SMIC N+1/N+2", "SN2"), ("TSMC 4N", "N4"),
        ("TSMC N5 (XCD) + N6 (IOD)", "N5"),
        ("TSMC 16 nm", "N16"), ("GF 14LPP", "N16"), ("TSMC 12FFN", "N12"), ("TSMC N6", "N6"), ("TSMC N3P", "N3"),
        ("Samsung 7 nm-class", "N7"), ("TSMC 5 nm", "N5"), ("Samsung 8 nm", "S8"), ("TSMC N4P", "N4"),
    ],
)  # fmt: skip
def test_nodes_are_read_from_their_text(text: str, node: str) -> None:
    assert node_of(text) == node


def test_interfaces_are_read_from_their_text() -> None:
    assert host_of("PCIe5 x8") == ("pcie5", 8)
    assert host_of("PCIe4/5") == ("pcie4", 16)
    assert host_of("edge SerDes 576 x 112G") == ("none", 0)
    kind, sites, rate = memory_of({"hbm_type": "HBM2e", "n_hbm_stacks": 5, "mem_bw_gbs": 2039})
    assert (kind, sites) == ("hbm2e", 6.0)  # sites lie on two edges
    assert rate == pytest.approx(407.8e9)
    kind, sites, rate = memory_of({"hbm_type": "GDDR6 384 bit", "mem_bw_gbs": 672})
    assert (kind, sites) == ("gddr6", 12.0)
    assert rate == pytest.approx(56e9)
    assert memory_of({"hbm_type": "none", "mem_bw_gbs": 0}) == ("none", 0.0, None)


def test_the_full_die_is_inferred_from_structure() -> None:
    rows = {str(r["id"]): r for r in pl.read_csv(FILE).to_dicts()}
    a100 = spec_of(rows["a100"])
    assert a100.style == "gpu"
    assert 112 <= a100.cores <= 131  # 128 SM on the die, 108 sold
    assert a100.memory_sites == 6
    assert spec_of(rows["tesla-d1"]).short_reach
    assert spec_of(rows["ascend910b"]).cores == 25


def test_chiplets_leave_memory_and_links_to_the_other_die() -> None:
    row = {
        "name": "X", "foundry_node": "TSMC N5 (XCD) + N6 (IOD)", "n_logic_dies": 8, "clock_mhz": 2000,
        "peak_fp16_tflops": 1000, "sram_detail": "256 Infinity Cache + 304x32 KB L1", "hbm_type": "HBM3",
        "n_hbm_stacks": 8, "mem_bw_gbs": 5300, "link_gbs_bidir": 896, "host_link": "PCIe5 x16",
    }  # fmt: skip
    whole = spec_of(row)
    assert whole.memory_sites == 1
    die = logic_die(whole, str(row["foundry_node"]))
    assert (die.memory, die.lanes, die.host, die.shared_sram) == ("none", 0, "none", 0.0)
    assert die.d2d > 0.0
    assert logic_die(whole, "SMIC N+1/N+2") is whole
