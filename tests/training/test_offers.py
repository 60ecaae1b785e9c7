from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from suanli import catalog
from suanli.errors import UnknownNameError
from suanli.training import (
    EVERYTHING,
    Setting,
    eras,
    offers_of,
    prior_parameters,
    search,
    setting_of,
    step,
    strategies,
)

PRIOR = prior_parameters()


def setting(name: str = "llama-3.1-70b", n: int = 256, **more: object) -> Setting:
    given = {"seq_len": 131072, "global_batch": 32, "year": 2025, **more}
    return setting_of(catalog.model(name), catalog.chip("h100-sxm"), n, **given)  # type: ignore[arg-type]


def seconds(where: Setting, **strategy: object) -> float:
    return float(step(where, strategies(**strategy), parameters=PRIOR).time.value[0])  # type: ignore[arg-type]


def test_every_era_says_what_it_offers_and_where_that_stands() -> None:
    for one in eras():
        offered = offers_of(one.id)
        assert offered.source
        assert set(offered.sharding) <= set(EVERYTHING.sharding)
        assert set(offered.contexts) <= set(EVERYTHING.contexts)
        assert one.sharding in offered.sharding
    with pytest.raises(UnknownNameError, match="fsdp2"):
        offers_of("fsdp3")


def test_a_search_proposes_only_what_the_era_offers() -> None:
    old = search(setting("llama-3.1-8b", 16, seq_len=4096, year=2022), parameters=PRIOR)
    for choice in old.choices:
        s = choice.step.strategies
        assert s.sharding[0] <= 1
        assert s.cp[0] == s.replicas[0] == 1
        assert s.offload_activations[0] == s.short_moments[0] == s.tp_overlap[0] == 0


def test_long_context_by_each_exchange() -> None:
    where = setting()
    layout = {"tp": 8, "cp": 8, "dp": 4, "recompute": "full"}
    parts = {
        kind: step(where, strategies(**layout, context=kind), parameters=PRIOR).time.breakdown  # type: ignore[arg-type]
        for kind in ("all_gather", "ring")
    }
    # at 131,072 tokens attention outlasts the passing of keys: a ring hides it but for contention
    assert parts["ring"]["cp"][0] < 0.4 * parts["all_gather"]["cp"][0]
    for part in ("products", "attention", "tp"):
        assert parts["ring"][part][0] == parts["all_gather"][part][0]


def test_heads_move_less_than_keys_where_every_head_has_its_own() -> None:
    # one rank sends tokens / cp of four tensors, or receives all tokens of two: cp / 2 times as much
    where = setting("gpt3-175b", 64, seq_len=16384)
    spent = {
        kind: step(where, strategies(cp=8, dp=8, context=kind), parameters=PRIOR).time.breakdown["cp"][0]
        for kind in ("all_gather", "ulysses")
    }
    assert 0 < spent["ulysses"] < 0.6 * spent["all_gather"]


def test_hybrid_sharding_trades_memory_for_traffic() -> None:
    where = setting("llama-3.1-8b", 256, seq_len=4096, global_batch=256)
    runs = [step(where, strategies(dp=256, sharding="zero3", replicas=r), parameters=PRIOR) for r in (1, 4, 32)]
    assert [r.first.weights[0] for r in runs] == sorted(float(r.first.weights[0]) for r in runs)
    for less, more in pairwise(runs):
        assert more.first.weights[0] / less.first.weights[0] == pytest.approx(
            more.strategies.replicas[0] / less.strategies.replicas[0]
        )
    # groups within a node gather over its links: less of it shows than across all nodes
    assert runs[2].time.breakdown["dp"][0] < runs[0].time.breakdown["dp"][0]
    assert np.isfinite(runs[1].memory_bytes)


def test_gradients_that_are_reduced_once_a_step_are_held_whole() -> None:
    where = setting("llama-3.1-8b", 8, seq_len=4096, global_batch=64)
    once = setting("llama-3.1-8b", 8, seq_len=4096, global_batch=8)
    many = [step(where, strategies(dp=8, sharding=z), parameters=PRIOR).first.gradients[0] for z in ("zero1", "zero2")]
    single = [step(once, strategies(dp=8, sharding=z), parameters=PRIOR).first.gradients[0] for z in ("zero1", "zero2")]
    assert many[0] == many[1]
    assert single[1] == pytest.approx(single[0] / 8)
