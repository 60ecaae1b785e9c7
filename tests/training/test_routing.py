from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from suanli import catalog
from suanli.errors import InputError
from suanli.training import (
    Step,
    dropped_share,
    facts,
    prior_parameters,
    setting_of,
    step,
    strategies,
)
from suanli.training._routing import fullest, received

PRIOR = prior_parameters()


def run(**routing: float) -> Step:
    where = setting_of(
        catalog.model("mixtral-8x7b"),
        catalog.chip("h100-sxm"),
        64,
        seq_len=4096,
        global_batch=256,
        era_id="megatron-core",
        **routing,  # type: ignore[arg-type]
    )
    return step(where, strategies(dp=64, ep=8), parameters=PRIOR)


def seconds(one: Step) -> float:
    return float(one.time.value[0])


def test_dropped_share_is_what_draws_of_the_loads_give() -> None:
    rng = np.random.default_rng(5)
    width = np.sqrt(np.log(1.0 + 0.6**2))
    loads = np.exp(rng.normal(-0.5 * width**2, width, 400_000))
    for capacity in (1.0, 1.25, 2.0):
        drawn = np.maximum(loads - capacity, 0.0).mean()
        assert dropped_share(capacity, 0.6)[0] == pytest.approx(drawn, rel=0.02)


def test_dropping_needs_a_capacity_and_falls_with_it() -> None:
    assert dropped_share(0.0, 0.8)[0] == 0.0
    assert dropped_share(1.0, 0.0)[0] == 0.0
    assert dropped_share(0.75, 0.0)[0] == pytest.approx(0.25)
    shares = dropped_share([0.5, 1.0, 1.25, 2.0, 4.0], 0.5)
    assert np.all(np.diff(shares) < 0)
    assert dropped_share(1.0, 1.0)[0] > dropped_share(1.0, 0.3)[0]
    with pytest.raises(InputError, match="must not be below zero"):
        dropped_share(1.0, -0.1)


def test_capacity_sets_the_rows_and_skew_the_fullest_chip() -> None:
    f = facts(catalog.model("mixtral-8x7b"))
    full = replace(f, capacity=np.array([1.25]))
    assert received(full, np.array([8.0]))[0] == 1.25
    skewed = replace(f, skew=np.array([0.4]))
    by_degree = fullest(skewed, np.array([1.0, 2.0, 4.0, 8.0]))
    assert by_degree[0] == 1.0  # one chip has all experts
    assert np.all(np.diff(by_degree) > 0)
    rng = np.random.default_rng(3)
    drawn = (1.0 + 0.4 * rng.normal(size=(20_000, 8))).max(axis=1).mean()
    assert 1.0 < by_degree[3] / drawn < 1.2  # the leading term bounds the mean of the largest


def test_capacity_and_skew_change_time_memory_and_what_counts() -> None:
    plain, one, two = run(skew=0.1), run(capacity=1.0, skew=0.1), run(capacity=2.0, skew=0.1)
    assert seconds(one) < seconds(two)
    assert one.memory_bytes < two.memory_bytes
    assert one.time.breakdown["ep"][0] < two.time.breakdown["ep"][0]
    assert plain.dropped == 0.0
    assert one.dropped > two.dropped
    assert seconds(run(skew=0.1)) < seconds(run(skew=0.8))
    # a dropped assignment's products are no model FLOP
    assert one.mfu * seconds(one) < plain.mfu * seconds(plain)


def test_a_model_without_experts_has_no_capacity() -> None:
    with pytest.raises(InputError, match="has no experts"):
        setting_of(catalog.model("llama-3.1-8b"), catalog.chip("h100-sxm"), 8, capacity=1.0)


def test_a_prediction_depth_costs_a_layer_a_head_and_its_product() -> None:
    model = catalog.model("deepseek-v3")
    assert model.mtp_layers == 1
    times = []
    for depths in (0, 1, 2):
        where = setting_of(
            replace(model, mtp_layers=depths), catalog.chip("h800"), 256, seq_len=4096, global_batch=2048, year=2025
        )
        times.append(step(where, strategies(pp=4, dp=64, ep=32), parameters=PRIOR))
    heads = [float(t.time.breakdown["head"][0]) for t in times]
    assert heads[2] - heads[1] == pytest.approx(heads[1] - heads[0])
    assert heads[1] > 2.0 * heads[0]  # its own layer besides the shared head again
    # its weights: a layer with all its experts, the joining product, and a copy of the embedding on the last stage
    assert times[1].last.weights[0] > times[0].last.weights[0]
    assert times[1].first.weights[0] == times[0].first.weights[0]
