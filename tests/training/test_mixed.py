from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli import catalog
from suanli.errors import InfeasibleError, InputError
from suanli.kinds import Model
from suanli.training import Mixed, Setting, mixed, prior_parameters, setting_of, step
from suanli.training._mixed import _divide
from suanli.training._ranking import memory_table

PRIOR = prior_parameters()
# a small vocabulary keeps the head below a layer, so that equal stages are the best of all
SMALL: Model = replace(catalog.model("llama-3.1-8b"), vocab=4096)


def setting(chip: str, n: int, *, model: Model = SMALL, **more: object) -> Setting:
    given = {"seq_len": 4096, "global_batch": 64, "era_id": "megatron-core", **more}
    return setting_of(model, catalog.chip(chip), n, **given)  # type: ignore[arg-type]


def pipe(a: tuple[str, int], b: tuple[str, int], **more: object) -> Mixed:
    return mixed(setting(*a, **more), setting(*b, **more), parameters=PRIOR)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def unlike() -> Mixed:
    return pipe(("h100-sxm", 16), ("h20", 16))


def test_two_equal_kinds_are_one() -> None:
    both = pipe(("h100-sxm", 16), ("h100-sxm", 16))
    alone = step(setting("h100-sxm", 32), both.strategies, parameters=PRIOR)
    assert len(set(both.layers)) == 1
    assert float(both.time.value[0]) == pytest.approx(float(alone.time.value[0]), rel=0.005)
    held = memory_table(alone)
    assert both.memory_bytes[0] == pytest.approx(held["first"]["total"], rel=0.01)
    assert both.memory_bytes[-1] == pytest.approx(held["last"]["total"], rel=0.01)


def test_layers_are_conserved_and_stages_balance(unlike: Mixed) -> None:
    assert sum(unlike.layers) == SMALL.n_layers
    assert len(unlike.layers) == int(unlike.strategies.pp[0]) == len(unlike.memory_bytes)
    assert set(unlike.chips) == {"h100-sxm", "h20-96"}
    by_chip = dict(zip(unlike.chips, unlike.layers, strict=True))
    assert by_chip["h100-sxm"] > 3 * by_chip["h20-96"]  # 989 over 148 TFLOP/s, but the H20 reaches more of its peak
    # one layer more on any stage would make it slower than the slowest is
    pace = [s / n for s, n in zip(unlike.stage_s, unlike.layers, strict=True)]
    worst = max(unlike.stage_s)
    assert all(s + p >= worst * (1 - 1e-9) for s, p in zip(unlike.stage_s, pace, strict=True))
    parts = sum(float(v[0]) for v in unlike.time.breakdown.values())
    assert parts == pytest.approx(float(unlike.time.value[0]), rel=1e-12)
    assert unlike.time.p10[0] < unlike.time.value[0] < unlike.time.p90[0]
    assert "h20-96" in unlike.text


def test_a_slower_kind_helps_less_than_more_of_the_faster(unlike: Mixed) -> None:
    faster = pipe(("h100-sxm", 16), ("h100-sxm", 16))
    slower = pipe(("h20", 16), ("h20", 16))
    assert slower.tokens_per_s < unlike.tokens_per_s < faster.tokens_per_s
    # an unseen mixture is less sure than either kind
    width = [float(x.time.p90[0] / x.time.p10[0]) for x in (unlike, faster)]
    assert width[0] > width[1]


def test_a_slow_link_between_kinds_costs() -> None:
    a, b = setting("h100-sxm", 16), setting("h20", 16)
    times = [float(mixed(a, b, link=link, parameters=PRIOR).time.value[0]) for link in (None, 1e9, 1e8)]
    assert times == sorted(times)
    assert times[2] > times[0]


def test_every_stage_fits_its_own_chip() -> None:
    big = catalog.model("llama-3.1-70b")
    got = mixed(setting("h100-sxm", 32, model=big), setting("ascend910b", 32, model=big), parameters=PRIOR)
    for chip, held in zip(got.chips, got.memory_bytes, strict=True):
        assert held <= (catalog.chip(chip).memory_bytes or 0.0)
    with pytest.raises(InfeasibleError, match=r"fits no pipeline of 2 x h100-sxm and 2 x h20-96: .* GiB over memory"):
        mixed(setting("h100-sxm", 2, model=big), setting("h20", 2, model=big), parameters=PRIOR)


def test_kinds_must_train_the_same() -> None:
    with pytest.raises(InputError, match="same model, batch and sequence"):
        mixed(setting("h100-sxm", 16), setting("h20", 16, seq_len=2048), parameters=PRIOR)


@settings(max_examples=40)
@given(
    pace=st.lists(st.floats(0.1, 10.0), min_size=2, max_size=6),
    head=st.floats(0.0, 5.0),
    layers=st.integers(8, 40),
)
def test_division_is_the_best_of_whole_layers(pace: list[float], head: float, layers: int) -> None:
    n = len(pace)
    extra = np.zeros((1, n))
    extra[0, -1] = head
    most = np.full((1, n), 100.0)
    got = _divide(np.array([pace]), extra, most, float(layers))[0]
    assert got.sum() == layers
    assert got.min() >= 1
    worst = float((got * pace + extra[0]).max())
    # no single layer moved makes the slowest stage faster
    slow = int(np.argmax(got * pace + extra[0]))
    for other in range(n):
        if other != slow and got[slow] > 1:
            moved = got.copy()
            moved[slow] -= 1
            moved[other] += 1
            assert float((moved * pace + extra[0]).max()) >= worst * (1 - 1e-6)


def test_memory_caps_layers() -> None:
    got = _divide(np.ones((1, 2)), np.zeros((1, 2)), np.array([[3.0, 20.0]]), 10.0)[0]
    assert got.tolist() == [3.0, 7.0]
