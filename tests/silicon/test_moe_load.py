"""Rows, experts and blocks of the most loaded chip, against draws of the routing that the tables were measured with."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from suanli.silicon._moe_load import Load, load_of


def _load(tokens: float, top_k: float, experts: float, ep: float, skew: float, *, pile: str = "") -> Load:
    return load_of(*(np.array([float(v)]) for v in (tokens, top_k, experts, ep, skew)), pile=pile)


def _drawn(tokens: int, top_k: int, experts: int, ep: int, skew: float, seed: int) -> NDArray[np.int64]:
    """Return the rows of each expert of the fullest chip: power-law loads, scaled, rounded, the rest dealt out."""
    low, top = (1.0, 0.8 * tokens) if tokens * top_k > experts else (0.01, 2.0)
    tilt = 1.0 - skew
    share = np.random.default_rng(seed).random(experts)
    loads = ((top**tilt - low**tilt) * share + low**tilt) ** (1.0 / tilt)
    rows = np.minimum(np.round(loads / loads.sum() * tokens * top_k).astype(np.int64), tokens).reshape(ep, -1)
    chip = 0
    while (missing := tokens * top_k - int(rows.sum())) != 0:
        mine = rows[chip % ep]
        if missing > 0 and mine.min() < tokens:
            mine[mine.argmin()] += 1
        elif missing < 0 and mine.max() > 0:
            mine[mine.argmax()] -= 1
        chip += 1
    fullest: NDArray[np.int64] = rows[rows.sum(axis=1).argmax()]
    return fullest


@pytest.mark.parametrize(
    ("tokens", "top_k", "experts", "ep", "skew"),
    [
        (2, 8, 256, 4, 1.2),
        (64, 8, 256, 1, 1.01),
        (128, 8, 128, 8, 1.2),
        (1024, 8, 256, 16, 1.01),
        (4096, 6, 128, 32, 1.2),
        (8192, 2, 8, 1, 1.2),
        (16384, 10, 512, 8, 1.01),
    ],
)
def test_expected_loads_follow_the_draws(tokens: int, top_k: int, experts: int, ep: int, skew: float) -> None:
    found = _load(tokens, top_k, experts, ep, skew)
    draws = [_drawn(tokens, top_k, experts, ep, skew, seed) for seed in range(60)]
    assert found.rows[0] == pytest.approx(np.mean([d.sum() for d in draws]), rel=0.12)
    assert found.awake[0] == pytest.approx(np.mean([(d > 0).sum() for d in draws]), rel=0.12)
    for high in (16.0, 64.0):
        blocks = found.blocks(np.array([high]))[0]
        assert blocks == pytest.approx(np.mean([np.ceil(d / high).sum() for d in draws]), rel=0.12)


def test_balanced_rows_are_padded_expert_by_expert() -> None:
    # 96 tokens, top 8 of 128 experts: 6 rows each, one block of 16 or of 64
    found = _load(96, 8, 128, 1, 0)
    assert found.blocks(np.array([16.0]))[0] == found.blocks(np.array([64.0]))[0] == 128.0
    # 130 rows each: nine blocks of 16, three of 64
    found = _load(1040, 8, 64, 1, 0)
    assert [found.blocks(np.array([b]))[0] for b in (16.0, 64.0)] == [64 * 9.0, 64 * 3.0]


def test_piled_rows_are_those_of_all_slots_of_the_tokens_that_reach_the_chip() -> None:
    # 256 experts, top 8, 8 chips, balanced: every token has one expert here, and its seven others are piled on one
    found = _load(4096, 8, 256, 8, 0, pile="reached")
    assert (found.tokens[0], found.rows[0], found.slots[0]) == (4096.0, 32768.0, 32768.0)
    # 32 chips: a quarter of the tokens reach this one
    found = _load(4096, 8, 256, 32, 0, pile="reached")
    assert (found.tokens[0], found.rows[0]) == (1024.0, 8192.0)
    # a kernel that computes all slots does so wherever the experts are
    assert _load(4096, 8, 256, 32, 0, pile="all").rows[0] == 4096 * 8
    # a chip that has all experts computes what there is
    assert _load(4096, 8, 256, 1, 0, pile="reached").rows[0] == _load(4096, 8, 256, 1, 0).rows[0]
    skewed, plain = (_load(4096, 8, 256, 8, 1.2, pile=p) for p in ("reached", ""))
    assert plain.rows[0] < skewed.rows[0] <= 4096 * 8
    assert skewed.blocks(np.array([64.0]))[0] > plain.blocks(np.array([64.0]))[0]


def test_loads_are_alike_in_arrays_of_any_shape() -> None:
    sizes = (np.tile([1.0, 64.0, 4096.0], 2), *(np.full(6, v) for v in (8.0, 256.0, 8.0)), np.repeat([0.0, 1.2], 3))
    flat, square = load_of(*sizes), load_of(*(a.reshape(2, 3) for a in sizes))
    for name in ("rows", "awake", "tokens", "slots"):
        np.testing.assert_array_equal(getattr(square, name).ravel(), getattr(flat, name))
    high = np.full(6, 64.0)
    np.testing.assert_array_equal(square.blocks(high.reshape(2, 3)).ravel(), flat.blocks(high))
