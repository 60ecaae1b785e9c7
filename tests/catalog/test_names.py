"""Spellings of chips: every one that occurs in published data, and by rule those never met."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanli.catalog import chip, chips, resolve_chip
from suanli.catalog._chips import rows_of_names
from suanli.errors import UnknownNameError
from suanli.quantities import GIB

with (Path(__file__).parent / "data" / "spellings.csv").open(encoding="utf-8", newline="") as file:
    SPELLINGS = [(row["spelling"], row["chip"]) for row in csv.DictReader(file)]


@pytest.mark.parametrize(("spelling", "expected"), SPELLINGS)
def test_every_published_spelling(spelling: str, expected: str) -> None:
    if not expected:
        with pytest.raises(UnknownNameError):
            resolve_chip(spelling)
    else:
        assert resolve_chip(spelling).id == expected
        assert chip(spelling).id == expected


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("b300_sxm", "b300-sxm"),
        ("NVIDIA B300-SXM-288GB", "b300-sxm"),
        ("GB300-NVL72", "gb300"),
        ("h200_nvl", "h200-nvl"),
        ("MI355X", "mi355x"),
        ("AMD Instinct MI350X 288GB HBM3e", "mi350x"),
        ("AMD Instinct MI325X-NPS1-SPX-256GB-1000W", "mi325x"),
        ("intel_b60", "arc-pro-b60"),
        ("Intel® Gaudi® 3 AI Accelerator", "gaudi3"),
        ("8xH100", "h100-sxm"),
        ("H100x8", "h100-sxm"),
        ("H100SXM5-80GB", "h100-sxm"),
        ("A100-PCIe-40GB", "a100-40-pcie"),
        ("TPU v5 lite", "tpuv5e"),
        ("trn2", "trainium2"),
        ("Huawei Ascend 910B4 32GB", "ascend910b4"),
        ("Atlas 900 A3 SuperPoD (910C)", "ascend910c"),
        ("NVIDIA RTX 6000 Ada Generation", "rtx6000ada"),
        ("HGX H20 141GB", "h20-141"),
        ("MI250X (GCD)", "mi250x-gcd"),
        ("NVIDIA GH200 480GB", "gh200-96"),  # 480 GB is the host's memory
        ("8x H100 640GB", "h100-sxm"),
        ("a2-ultragpu-8g (A100 80GB)", "a100-80-sxm"),
        ("g2-standard-12, L4", "l4"),
        ("NVIDIA Jetson AGX Thor 128G", "jetson-agx-thor"),
        ("RTX PRO 6000 Blackwell Max-Q", "rtxpro6000-maxq"),
    ],
)
def test_spellings_never_met_are_found_by_rule(spelling: str, expected: str) -> None:
    assert resolve_chip(spelling).id == expected


def test_what_was_taken_is_said() -> None:
    assert "no board named" in resolve_chip("H100").taken
    assert "no memory size named" in resolve_chip("a100_sxm").taken
    assert "bin not named" in resolve_chip("Ascend 910B (Atlas 900 A2 PODc)").taken
    assert resolve_chip("h100-sxm").taken == "'h100-sxm' is H100 SXM5 80GB"


def test_a_variant_without_a_row_is_derived() -> None:
    found = resolve_chip("A100-64GB-SXM")  # Leonardo's custom A100
    assert (found.base, found.id) == ("a100-80-sxm", "a100-80-sxm-64gb")
    entry = chip("A100-64GB-SXM")
    assert entry.memory_bytes == 64 * GIB
    assert entry.price_usd is None
    assert entry.peak == chip("a100-80-sxm").peak
    assert chip(entry.id) == chip("a100-80-sxm-64gb")
    capped = chip("H100-80GB-SXM-500W")
    assert capped.tdp_w == 500.0
    assert capped.memory_bytes == 80 * GIB


def test_the_user_is_never_given_a_board_of_another_chip() -> None:
    assert resolve_chip("A100/H800 mix").base == "a100-80-sxm"
    first = "AMD Instinct MI325X 256GB HBM3E (x16), AMD Instinct MI300X 192GB HBM3 (x8)"
    assert resolve_chip(first).base == "mi325x"
    assert resolve_chip("GB200").base == "gb200"
    assert resolve_chip("B200").base == "b200-sxm"
    assert resolve_chip("L40").base == "l40"
    assert resolve_chip("L4").base == "l4"


@pytest.mark.parametrize("text", ["N/A", "", " ", "-", "GPU", "Xeon 6980P", "H10", "Tomahawk 5"])
def test_what_is_no_chip_is_refused(text: str) -> None:
    with pytest.raises(UnknownNameError):
        resolve_chip(text)


def test_every_name_leads_to_a_chip_and_every_chip_has_a_name() -> None:
    known = {c.id for c in chips()}
    named = {n.chip for n in rows_of_names()}
    assert named <= known
    assert known - named == set()


@given(
    entry=st.sampled_from(chips()),
    before=st.sampled_from(["", "NVIDIA ", "AMD Instinct ", "Virtualized ", "8x ", "dgx "]),
    after=st.sampled_from(["", " (x32)", " node", "™"]),
    upper=st.booleans(),
    mark=st.sampled_from(["-", "_", " "]),
)
def test_dressed_ids_still_resolve(entry: object, before: str, after: str, upper: bool, mark: str) -> None:
    name = entry.id.replace("-", mark)  # type: ignore[attr-defined]
    found = resolve_chip(before + (name.upper() if upper else name) + after)
    core = {n.core for n in rows_of_names() if n.chip == entry.id}  # type: ignore[attr-defined]
    assert found.base in {n.chip for n in rows_of_names() if n.core in core}
