"""The chips of the catalogue: published figures, sources, sane ranges, arithmetic that must agree."""

from dataclasses import fields

import pytest

from suanli.catalog import chip, chips, schema
from suanli.errors import UnknownNameError
from suanli.kinds import BITS, Chip
from suanli.quantities import GIB, MIB
from suanli.sources import KINDS

IDS = [c.id for c in chips()]

DESCRIPTIVE = {"id", "source", "field_sources", "verified", "notes", "peak"}


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        # NVIDIA H100 SXM datasheet: 80 GB, 3.35 TB/s, 700 W, NVLink 900 GB/s both ways, 989 TFLOP/s dense bf16
        ("h100-sxm", "memory_bytes", 80 * GIB),
        ("h100-sxm", "memory_bandwidth", 3.35e12),
        ("h100-sxm", "tdp_w", 700.0),
        ("h100-sxm", "scale_up_bandwidth", 450e9),
        ("h100-sxm", "scale_out_bandwidth", 50e9),  # ConnectX-7, 400 Gb/s
        ("h100-sxm", "die_area_m2", 814e-6),
        ("h100-sxm", "l2_bytes", 50 * MIB),
        ("a100-80-sxm", "memory_bandwidth", 2.039e12),  # NVIDIA A100 datasheet
        ("gb200", "scale_up_domain", 72),  # GB200 NVL72
        ("gaudi3", "scale_up_bandwidth", 525e9),  # Intel Gaudi network guide: 21 x 200 Gb/s
        ("gaudi3", "scale_out_bandwidth", 75e9),  # the same: 3 x 200 Gb/s
        ("tpuv5p", "scale_up_bandwidth", 600e9),  # Google: 1,200 GB/s both ways
        ("h100-sxm-96", "memory_bandwidth", 2.4e12),  # torchtitan benchmark notes on Grand Teton
    ],
)
def test_published_figures_in_si(name: str, field: str, value: float) -> None:
    assert getattr(chip(name), field) == pytest.approx(value, rel=1e-9)


def test_peaks_are_dense() -> None:
    assert chip("h100-sxm").peak["bf16"] == pytest.approx(989.4e12)
    assert chip("b200-sxm").peak["fp4"] == pytest.approx(9e15)  # datasheet prints 18 PFLOP/s sparse
    assert chip("ascend910b").peak["bf16"] == pytest.approx(24 * 8192 * 1.8e9, rel=1e-3)


def test_the_catalogue_is_whole() -> None:
    assert len(IDS) == len(set(IDS)) >= 120
    assert all(c.family for c in chips())
    assert len({c.vendor for c in chips()}) >= 19


@pytest.mark.parametrize("name", IDS)
def test_every_value_has_a_source_a_date_and_a_kind(name: str) -> None:
    entry = chip(name)
    known = [f.name for f in fields(Chip) if f.name not in DESCRIPTIVE and getattr(entry, f.name) not in (None, "")]
    for field in [*known, *(f"peak.{fmt}" for fmt in entry.peak)]:
        source = entry.source_of(field)
        assert source.ref, field
        assert source.kind in KINDS, field
        assert source.date, field


RANGES = {
    "memory_bytes": (0.0, 400 * GIB),
    "memory_bandwidth": (1e11, 1.2e13),
    "tdp_w": (20.0, 25e3),
    "die_area_m2": (100e-6, 0.05),
    "transistors": (1e9, 5e12),
    "clock_hz": (0.5e9, 4e9),
    "sram_bytes": (1 * MIB, 50 * 1024 * MIB),
    "l2_bytes": (1 * MIB, 512 * MIB),
    "scale_up_bandwidth": (10e9, 5e12),
    "scale_out_bandwidth": (2e9, 1e12),
    "price_usd": (300.0, 3e6),
    "tpp": (200.0, 2.5e5),
    "year": (2017, 2026),
    "n_cores": (1, 1e6),
    "n_logic_dies": (1, 8),
    "scale_up_domain": (1, 10_000),
}


@pytest.mark.parametrize("field", RANGES)
def test_values_lie_in_sane_ranges(field: str) -> None:
    low, high = RANGES[field]
    known = {c.id: getattr(c, field) for c in chips() if getattr(c, field) is not None}
    assert known
    assert {name: v for name, v in known.items() if not low <= v <= high} == {}


def test_narrower_formats_are_not_slower() -> None:
    slower = {
        c.id
        for c in chips()
        for wide, narrow in (("tf32", "bf16"), ("bf16", "fp8"), ("fp8", "fp4"))
        if wide in c.peak and narrow in c.peak and c.peak[narrow] < c.peak[wide] * 0.999
    }
    assert slower == set()


def test_total_processing_performance_is_peak_times_bits() -> None:
    """TPP = max over formats of dense TOP/s x bits (ECCN 3A090); vector and tf32 rates never lead."""
    without = {c.id for c in chips() if c.tpp and not c.peak.keys() - {"fp64", "fp32", "tf32"}}
    # the tensor rate of the cut firmware was never published; 4750 is inferred from sparse fp4
    assert without == {"rtx5090d"}
    for c in chips():
        if c.tpp and c.id not in without:
            best = max(rate * BITS[f] for f, rate in c.peak.items() if f not in {"fp64", "fp32", "tf32"}) / 1e12
            assert best == pytest.approx(c.tpp, rel=2e-3), c.id


@pytest.mark.parametrize(
    ("family", "per_clock"),
    [
        ("volta", 1024),
        ("ampere", 2048),
        ("hopper", 4096),
        ("blackwell", 8192),
        ("cdna2", 1024),
        ("cdna3", 2048),
        ("cdna4", 4096),
    ],
)
def test_matrix_peak_is_cores_times_clock(family: str, per_clock: int) -> None:
    """Dense fp16 FLOP a clock and SM or CU, from the makers' architecture papers; cut parts lie below."""
    checked = 0
    for c in chips():
        if c.family == family and c.n_cores and c.clock_hz and "fp16" in c.peak:
            per_core = c.peak["fp16"] / (c.n_cores * c.clock_hz)
            if c.id.startswith("h20-"):
                assert per_core < 0.25 * per_clock
            else:
                assert per_core == pytest.approx(per_clock, rel=0.01), c.id
                checked += 1
    assert checked


def test_systolic_arrays_give_the_peak_of_a_tpu() -> None:
    """Four 128 x 128 arrays a core up to v5p, four of 256 x 256 in v6e, two FLOP a cell and clock."""
    for name, side in (("tpuv4i", 128), ("tpuv4", 128), ("tpuv5e", 128), ("tpuv5p", 128), ("tpuv6e", 256)):
        c = chip(name)
        assert c.n_cores is not None
        assert c.clock_hz is not None
        assert c.peak["bf16"] == pytest.approx(c.n_cores * 4 * side * side * 2 * c.clock_hz, rel=0.01), name


def test_unknown_stays_unknown() -> None:
    entry = chip("bytedance-broadcom-5nm")
    assert entry.peak == {}
    assert entry.memory_bytes is None
    assert entry.tdp_w is None
    assert chip("groq-lpu1").memory_bytes == 0.0
    assert chip("groq-lpu1").memory_bandwidth is None


def test_single_sources_overrule_the_row() -> None:
    price = chip("h100-sxm").source_of("price_usd")
    assert "street" in price.ref
    assert chip("h100-sxm").source_of("tdp_w") == chip("h100-sxm").source
    assert chip("tpuv4").source_of("die_area_m2").kind == "estimated"


def test_an_unknown_chip_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean 'h100-sxm'"):
        chip("hh100-sxm")


def test_the_schema_covers_the_table() -> None:
    columns = schema("chips")
    assert all(c.meaning.endswith(".") for c in columns)
    units = {c.column: c.si for c in columns}
    assert units["scale_up_gbs"] == 0.5e9  # both directions in the table, one inside
    assert units["scale_out_gbps"] == 0.125e9
