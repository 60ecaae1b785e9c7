"""Collectives: published points, physical limits, monotonicity, bad input."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli.catalog import chip, chips
from suanli.errors import InputError
from suanli.fabric import KINDS, collective_time, law_of, network_of, used_tiers
from suanli.kinds import Chip, Network, Tier

SIZES = np.geomspace(256, 4e9, 40)
CHIPS = [
    "h100-sxm",
    "a100-80-sxm",
    "h200-sxm",
    "b200-sxm",
    "gb200",
    "l40s",
    "ascend910b3",
    "mi300x",
    "tpuv5p",
    "h20-96",
]


def _bytes_sent(kind: str, n: int) -> float:
    return {"all_reduce": 2 * (n - 1) / n, "p2p": 1.0, "broadcast": 1.0}.get(kind, (n - 1) / n)


@pytest.mark.parametrize("name", CHIPS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [2, 4, 8, 64, 1024])
def test_no_link_carries_more_than_it_can(name: str, kind: str, n: int) -> None:
    network = network_of(chip(name), n)
    time = collective_time(network, kind, SIZES, n)
    assert np.isfinite(time).all()
    assert (np.diff(time) > 0).all()
    for tier, groups, below in used_tiers(network, n):
        if kind == "p2p" and below > 1:
            continue
        sent = _bytes_sent(kind, groups) / (1 if kind == "all_to_all" or kind == "p2p" else below)
        if kind == "all_reduce" and tier.in_network_reduction:
            sent = min(sent, (1 + 1 / groups) / below)  # switches add: each chip sends its buffer once
        assert (sent * SIZES / time <= tier.bandwidth * (1 + 1e-9)).all()


@pytest.mark.parametrize("name", CHIPS)
@pytest.mark.parametrize("kind", ["all_reduce", "all_gather", "all_to_all"])
def test_more_chips_are_not_faster_across_nodes(name: str, kind: str) -> None:
    if (name, kind) == ("l40s", "all_to_all"):
        return  # fewer of its bytes stay inside the node, where the host's bridges are slower than the cards
    times = [collective_time(network_of(chip(name), n), kind, SIZES, n) for n in (128, 256, 512, 1024)]
    for fewer, more in pairwise(times):
        assert (more >= 0.999 * fewer).all()


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    n=st.sampled_from([2, 4, 8, 16, 64]),
    bandwidth=st.floats(1e10, 1e12),
    faster=st.floats(1.0, 8.0),
    family=st.sampled_from(["nvlink3", "nvlink4", "pcie5", "hccs", "infiniband"]),
    size=st.floats(64.0, 1e10),
)
def test_more_bandwidth_is_never_slower(
    kind: str, n: int, bandwidth: float, faster: float, family: str, size: float
) -> None:
    tier = Tier(kind="nvlink", size=n, bandwidth=bandwidth, latency_s=0.0, family=family)
    here = collective_time(Network(tiers=(tier,)), kind, size, n)
    there = collective_time(Network(tiers=(replace(tier, bandwidth=bandwidth * faster),)), kind, size, n)
    assert there <= here * (1 + 1e-12)


# NVIDIA's published bus bandwidths and the points of HCCL; (chip, kind, chips, bytes, seconds, tolerance).
PUBLISHED = [
    # all-reduce of 2^28 numbers of 16 bits on 8 H100, NCCL 2.27: bus bandwidth 445 GB/s (aiconfigurator-core 0.12.0)
    ("h100-sxm", "all_reduce", 8, 2**29, 2.112e-3, 0.15),
    # the same on 8 A100: 222 GB/s
    ("a100-80-sxm", "all_reduce", 8, 2**29, 4.226e-3, 0.10),
    # HCCL, CANN 8.5, 8 dies of 910B, message as bytes (hudingyi688/aiconfigurator-npu c6a138db)
    ("ascend910b3", "all_reduce", 8, 2**29, 4.812e-3, 0.15),
    ("ascend910b3", "all_reduce", 8, 2**28, 2.449e-3, 0.15),
    ("ascend910b3", "all_reduce", 8, 2**20, 23.0e-6, 0.50),
]


@pytest.mark.parametrize(("name", "kind", "n", "size", "seconds", "tolerance"), PUBLISHED)
def test_published_points(name: str, kind: str, n: int, size: float, seconds: float, tolerance: float) -> None:
    found = float(collective_time(network_of(chip(name), n), kind, size, n))
    assert found == pytest.approx(seconds, rel=tolerance)


def test_infinity_fabric_keeps_what_amd_says_is_usable() -> None:
    size = 2.0**32  # 48 of 64 GB/s a link: https://rocm.blogs.amd.com/software-tools-optimization/mi300x-rccl-xgmi
    time = float(collective_time(network_of(chip("mi300x"), 8), "all_reduce", size, 8))
    assert 0.85 * 336e9 < 1.75 * size / time < 336e9


def test_expectations_between_generations() -> None:
    big = 2.0**30
    h100, b200, gb200 = (
        float(collective_time(network_of(chip(c), 8), "all_reduce", big, 8)) for c in ("h100-sxm", "b200-sxm", "gb200")
    )
    assert h100 / b200 == pytest.approx(2.0, rel=0.1)  # NVLink 5 doubles NVLink 4
    assert gb200 == pytest.approx(b200, rel=1e-3)  # the same links at another clock
    across = float(collective_time(network_of(chip("b200-sxm"), 72), "all_reduce", big, 72))
    rack = float(collective_time(network_of(chip("gb200"), 72), "all_reduce", big, 72))
    assert rack < across / 1.2  # the rack's links beat cards


@pytest.mark.parametrize("item", chips(), ids=lambda c: c.id)
def test_every_chip_has_a_network(item: Chip) -> None:
    network = network_of(item, 64)
    assert network.n_chips >= 64
    assert all(t.bandwidth > 0 for t in network.tiers)
    assert float(collective_time(network, "all_reduce", 1e6, 64)) > 0


def test_a_module_without_links_to_others_stands_alone() -> None:
    assert [t.kind for t in network_of(chip("gh200"), 8).tiers] == ["ethernet"]
    assert [t.kind for t in network_of(chip("l40s"), 16).tiers] == ["pcie", "ethernet"]


def test_cards_are_shared_by_the_chips_of_a_node() -> None:
    full = network_of(chip("h100-sxm"), 64, 8, 50e9)
    half = network_of(chip("h100-sxm"), 64, 8, 25e9)  # four cards for eight chips
    big = 4e9
    ratio = collective_time(half, "all_reduce", big, 64) / collective_time(full, "all_reduce", big, 64)
    assert float(ratio) == pytest.approx(2.0, rel=0.1)


def test_oversubscription_slows_what_crosses_it() -> None:
    h100 = chip("h100-sxm")
    fair = network_of(h100, 512)
    thin = network_of(h100, 512, oversubscription=4.0)
    big = 8e9
    assert float(collective_time(thin, "all_to_all", big, 512)) > 3.5 * float(
        collective_time(fair, "all_to_all", big, 512)
    )
    inside = [float(collective_time(n, "all_reduce", big, 8)) for n in (fair, thin)]
    assert inside[0] == inside[1]


def test_a_mesh_gives_small_groups_few_links() -> None:
    network = network_of(chip("ascend910b3"), 8)
    big = 1e9
    pair, whole = (float(collective_time(network, "all_gather", big, n)) for n in (2, 8))
    assert pair > 3.0 * whole  # one link of seven carries half the bytes; seven carry seven eighths


def test_a_torus_pays_for_distance_in_all_to_all_only() -> None:
    network = network_of(chip("tpuv5p"), 4096)
    big = 1e9
    exchange = float(collective_time(network, "all_to_all", big, 4096))
    gather = float(collective_time(network, "all_gather", big, 4096))
    assert exchange / gather == pytest.approx(3 * 16 / 4, rel=0.25)  # d k / 4 hops of a 16 x 16 x 16 torus


def test_kernels_of_frameworks_are_faster_when_small() -> None:
    network = network_of(chip("h100-sxm"), 8)
    small, large = 65536.0, 2.0**28
    kernel = [float(collective_time(network, "all_reduce", s, 8, library="kernel")) for s in (small, large)]
    library = [float(collective_time(network, "all_reduce", s, 8)) for s in (small, large)]
    assert kernel[0] < 0.6 * library[0]
    assert kernel[1] == library[1]
    eager = float(collective_time(network, "all_reduce", small, 8, library="eager", memory_bandwidth=3.35e12))
    assert eager > library[0]


def test_families_without_measurements_take_those_of_their_kin() -> None:
    # what no host was seen to launch takes the mean of the hosts that were
    mean = law_of("nvlink5").eager_floor
    assert law_of("nvlink5") == replace(law_of("nvlink4"), eager_floor=mean)
    assert law_of("nvlink2") == replace(law_of("nvlink3"), eager_floor=mean)
    assert law_of("pcie3") == law_of("pcie5")
    assert law_of("pcie5@another-host") == law_of("pcie5")
    assert law_of("pcie4@l40s@a version of its own") == law_of("pcie4@l40s")
    assert law_of("nvlink5#trtllm") == replace(law_of("nvlink4#trtllm"), eager_floor=mean)
    assert law_of("nvlink4#another") == law_of("nvlink4")
    assert law_of("hccs").rate > law_of("nvlink3").rate
    with pytest.raises(InputError, match="no parameters for links of family 'smoke'"):
        law_of("smoke")


def test_one_chip_needs_no_time() -> None:
    assert (collective_time(network_of(chip("h100-sxm"), 8), "all_reduce", SIZES, 1) == 0).all()


def test_bad_input_is_refused() -> None:
    network = network_of(chip("h100-sxm"), 8)
    with pytest.raises(InputError, match="unknown collective 'gather'"):
        collective_time(network, "gather", 1e6, 8)
    with pytest.raises(InputError, match="16 chips on a network that joins 8"):
        collective_time(network, "all_reduce", 1e6, 16)
    with pytest.raises(InputError, match="not negative"):
        collective_time(network, "all_reduce", -1.0, 8)
    with pytest.raises(InputError, match="n_chips is 0"):
        network_of(chip("h100-sxm"), 0)
    with pytest.raises(InputError, match="chips_per_node is 0"):
        network_of(chip("h100-sxm"), 8, 0)
