"""The law of one tier: protocols, clocks, bridges, trees, reduction in the network; and a table that no fit read."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from validation.fit._fabric_fit import hosts_apart

from suanli.catalog import chip
from suanli.fabric import collective_time, law_of, network_of
from suanli.fabric._law import steps, tier_time
from suanli.fabric._parameters import STARTS
from suanli.kinds import Network

A100, H100, L40S = chip("a100-80-sxm"), chip("h100-sxm"), chip("l40s")
VTRAIN = Path(__file__).parents[2] / "validation" / "data" / "vtrain" / "all_reduce.csv"


@pytest.mark.parametrize("n", [2, 4, 8])
def test_an_independent_table_of_all_reduces_is_met(n: int) -> None:
    # vTrain's A100 (KAIST, MIT): another server, another version of NCCL
    table = pl.read_csv(VTRAIN).filter(pl.col("gpus") == n)
    found = collective_time(network_of(A100, 8), "all_reduce", table["bytes"].to_numpy(), n)
    errors = np.abs(found / table["seconds"].to_numpy() - 1)
    assert np.median(errors) < 0.09
    assert (errors[1:] < 0.15).all()  # from 4 MiB; at 2 MiB that version already runs in bulk
    assert errors[0] < 0.40


# all-gather of 2^28 numbers of 16 bits on A100, NCCL 2.27 (aiconfigurator-core 0.12.0): a pair is not twice as fast as
# eight, although each sends 4/7 of their bytes, since every chip also copies its own part
@pytest.mark.parametrize(("n", "seconds"), [(2, 1.790e-3), (4, 2.102e-3), (8, 2.288e-3)])
def test_each_chip_copies_its_own_part(n: int, seconds: float) -> None:
    found = float(collective_time(network_of(A100, 8), "all_gather", 2.0**29, n))
    assert found == pytest.approx(seconds, rel=0.12)


def test_starts_take_cycles_and_rates_take_links() -> None:
    slow = law_of("nvlink4", clock_hz=H100.clock_hz or 0.0)
    fast = law_of("nvlink4", clock_hz=2.0 * (H100.clock_hz or 0.0))
    assert all(getattr(fast, name) == pytest.approx(getattr(slow, name) / 2.0) for name in STARTS)
    assert (fast.rate, fast.fill, fast.own) == (slow.rate, slow.fill, slow.own)
    assert law_of("hccs", clock_hz=1e9) == law_of("hccs", clock_hz=2e9)  # published as times
    assert law_of("nvlink4") == slow


def test_lines_of_128_bytes_carry_the_middle() -> None:
    tier = network_of(H100, 8).tiers[0]
    law = law_of("nvlink4")
    sizes = np.array([256.0, 2.0**18, 2.0**30])
    full, bare = (np.add(*tier_time(tier, one, "all_gather", sizes, 8.0)) for one in (law, replace(law, line_rate=0.0)))
    assert full[0] == bare[0]
    assert full[1] < 0.8 * bare[1]
    assert full[2] == bare[2]


def test_switches_that_add_save_bytes() -> None:
    network = network_of(H100, 8)
    plain = Network(tiers=(replace(network.tiers[0], in_network_reduction=False),))
    small, large = (
        [float(collective_time(net, "all_reduce", size, 8)) for net in (network, plain)] for size in (65536.0, 2.0**30)
    )
    assert small[0] == small[1]
    assert 0.75 * large[1] < large[0] < 0.95 * large[1]
    gathered = [float(collective_time(net, "all_gather", 2.0**30, 8)) for net in (network, plain)]
    assert gathered[0] == gathered[1]


def test_a_tree_overtakes_the_ring() -> None:
    assert steps("all_reduce", 8) == 14.0
    assert steps("all_reduce", 64) == 30.0  # 126 in a ring
    assert steps("all_gather", 1024) == 25.0
    far, near = (float(collective_time(network_of(H100, n), "all_reduce", 1024.0, n)) for n in (1024, 128))
    assert far < 2.0 * near  # the ring over eight times the nodes would take eight times as long


def test_kernels_of_frameworks_leave_bridges_to_the_library() -> None:
    network = network_of(L40S, 8)
    sizes = np.geomspace(1024, 1e8, 8)
    for n in (4, 8):
        kernel = collective_time(network, "all_reduce", sizes, n, library="kernel")
        assert (kernel == collective_time(network, "all_reduce", sizes, n)).all()


def _campaign(name: str, times: float, library: str = "kernel") -> pl.DataFrame:
    size = [2**20, 2**22, 2**24, 2**26]
    columns = {"chip": ["l40s"] * 4, "op": ["all_reduce"] * 4, "num_gpus": [4] * 4, "bytes": size}
    return pl.DataFrame(columns).with_columns(
        library=pl.lit(library), campaign=pl.lit(name), measured=times * pl.col("bytes") / 1e10
    )


def test_campaigns_on_other_bridges_are_told_apart() -> None:
    rows = pl.concat(
        [
            _campaign("nccl 2", 1.0, "library"),
            _campaign("one 1", 1.1),
            _campaign("one 2", 0.3),
            _campaign("two 1", 0.32),
            _campaign("two 2", 3.0),
        ]
    )
    found = hosts_apart(rows)
    assert found == {
        ("l40s", "one 1"): "",
        ("l40s", "one 2"): "one 2",
        ("l40s", "two 1"): "one 2",
        ("l40s", "two 2"): "two 2",
    }
    assert hosts_apart(rows.with_columns(chip=pl.lit("h100_sxm"))) == {}  # NVLink is the same on every host
    assert hosts_apart(rows.filter(pl.col("library") == "kernel")) == {}  # nothing to compare with
