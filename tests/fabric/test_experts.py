"""Expert exchanges: copies by simulation, links never exceeded, styles, bad input."""

from typing import Any

import numpy as np
import pytest

from suanli.catalog import chip
from suanli.errors import InputError
from suanli.fabric import expert_exchange_time, network_of
from suanli.fabric._experts import copies_beyond

H100 = chip("h100-sxm")


@pytest.mark.parametrize(("ep", "groups", "below"), [(8, 8, 1), (32, 4, 8), (64, 8, 8)])
def test_copies_agree_with_a_simulation(ep: int, groups: int, below: int) -> None:
    rng = np.random.default_rng(1)
    chips = rng.integers(0, ep, size=(20000, 8))
    here = chips // below
    distinct = np.array([len(set(row) - {0}) for row in here])  # token on a chip of group 0
    found = copies_beyond(np.array(8.0), ep, groups, below, direct=False)
    assert float(found) == pytest.approx(distinct.mean(), rel=0.02)
    direct = copies_beyond(np.array(8.0), ep, groups, below, direct=True)
    assert float(direct) == pytest.approx((here != 0).sum(axis=1).mean(), rel=0.02)


def test_a_measured_point() -> None:
    # DeepEP on 4 nodes of 8 H100, 131,072 tokens of 7,168 numbers to 8 of 256 experts, 24 cores: 55 ms
    # (aiconfigurator-core 0.12.0)
    network = network_of(H100, 32, 8, scale_out_kind="infiniband")
    found = expert_exchange_time(
        network, "dispatch", tokens=131072, hidden=7168, top_k=8, ep=32, style="deepep_normal", channels=24
    )
    assert float(found) == pytest.approx(0.0551, rel=0.3)


@pytest.mark.parametrize("direction", ["dispatch", "combine"])
@pytest.mark.parametrize("ep", [8, 32, 64])
@pytest.mark.parametrize("style", ["normal", "low_latency"])
def test_links_are_never_exceeded(direction: str, ep: int, style: str) -> None:
    network = network_of(H100, ep, 8)
    tokens = np.geomspace(1, 1e6, 20)
    time = expert_exchange_time(network, direction, tokens=tokens, hidden=7168, top_k=8, ep=ep, style=style)
    assert (np.diff(time) > 0).all()
    number = 1.0 if direction == "dispatch" else 2.0
    least = tokens * 7168 * number * float(copies_beyond(np.array(8.0), ep, min(ep, 8), 1, direct=False)) / 450e9
    assert (time >= least).all()


def test_more_cores_are_not_slower_and_one_chip_needs_no_time() -> None:
    network = network_of(H100, 8)
    arguments: dict[str, Any] = {"tokens": 8192, "hidden": 4096, "top_k": 8}
    few = expert_exchange_time(network, "combine", ep=8, style="deepep_normal", channels=4, **arguments)
    many = expert_exchange_time(network, "combine", ep=8, style="deepep_normal", channels=24, **arguments)
    assert many < few
    assert expert_exchange_time(network, "combine", ep=1, **arguments) == 0


def test_the_fullest_chip_is_waited_for() -> None:
    arguments: dict[str, Any] = {"tokens": 1e6, "hidden": 7168, "top_k": 8, "ep": 8}
    even, skewed = (
        float(expert_exchange_time(network_of(H100, 8), "dispatch", imbalance=i, **arguments)) for i in (1.0, 2.0)
    )
    assert skewed == pytest.approx(2 * even, rel=0.01)
    with pytest.raises(InputError, match="imbalance must be at least 1"):
        expert_exchange_time(network_of(H100, 8), "dispatch", imbalance=0.5, **arguments)


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="direction 'send'"):
        expert_exchange_time(network_of(H100, 8), "send", tokens=1, hidden=1, top_k=1, ep=8)
    with pytest.raises(InputError, match="must be at least 1"):
        expert_exchange_time(network_of(H100, 8), "dispatch", tokens=0, hidden=1, top_k=1, ep=8)
