"""Cycles of a systolic array against a small machine that is stepped cycle by cycle."""

from __future__ import annotations

import numpy as np
import pytest

from suanli.design import DATAFLOWS, best_dataflow, gemm_cycles, tile_cycles
from suanli.errors import InputError


def step_output_stationary(
    a: np.ndarray, b: np.ndarray, rows: int, cols: int, *, double: bool
) -> tuple[np.ndarray, int]:
    """Multiply on a stepped array that holds outputs; return the product and the cycle in which the last result left.

    Tile t enters PE (i, j) at start_t + i + j with one operand pair a cycle. A finished column shifts out of the
    bottom, one result a cycle: with a second set of result registers while the next tile runs, else before it starts.
    """
    (m, k), n = a.shape, b.shape[1]
    c = np.zeros((m, n))
    tiles = [(i, j) for i in range(0, m, rows) for j in range(0, n, cols)]
    start, last, shift_free = 0, 0, 0
    for i0, j0 in tiles:
        acc = np.zeros((rows, cols))
        clock = start
        while True:  # one turn of the loop is one cycle of the array
            busy = False
            for i in range(rows):
                for j in range(cols):
                    step = clock - start - i - j
                    if 0 <= step < k:
                        busy = True
                        left = a[i0 + i, step] if i0 + i < m else 0.0
                        top = b[step, j0 + j] if j0 + j < n else 0.0
                        acc[i, j] += left * top
            if not busy:
                break
            clock += 1
        done = max(clock, shift_free)
        for cycle in range(rows):  # the bottom row leaves first
            row = rows - 1 - cycle
            for j in range(cols):
                if i0 + row < m and j0 + j < n:
                    c[i0 + row, j0 + j] = acc[row, j]
            last = done + cycle + 1
        shift_free = last
        # The next tile may enter when this one's operands are in (double) and its own results find the registers free.
        start = max(start + k, shift_free - (k + rows + cols - 2)) if double else last
    return c, last


def step_weight_stationary(a: np.ndarray, b: np.ndarray, rows: int, cols: int) -> tuple[np.ndarray, int]:
    """Multiply on a stepped array that holds weights in two banks; return the product and the last cycle.

    Bank loads shift down a row a cycle; the load of the next tile runs while this one streams.
    """
    (m, k), n = a.shape, b.shape[1]
    c = np.zeros((m, n))
    loaded = rows  # the first tile's weights
    start, last = loaded, 0
    for k0 in range(0, k, rows):
        for j0 in range(0, n, cols):
            clock, remaining = start, m * min(cols, n - j0)
            partial = np.zeros((rows + 1, cols, m))
            while remaining or clock - start < m + rows + cols - 2:
                for i in range(rows):
                    for j in range(cols):
                        v = clock - start - i - j
                        if 0 <= v < m:
                            w = b[k0 + i, j0 + j] if k0 + i < k and j0 + j < n else 0.0
                            x = a[v, k0 + i] if k0 + i < k else 0.0
                            partial[i + 1, j, v] = partial[i, j, v] + w * x
                            if i == rows - 1 and j0 + j < n:
                                c[v, j0 + j] += partial[rows, j, v]
                                remaining -= 1
                clock += 1
            last = clock
            start += max(m, rows)  # streaming and the hidden load of the other bank
    return c, last


def test_the_published_check_of_one_tile() -> None:
    # 16 x 16 output-stationary tile, K = 64: K + 2n - 2 + n = 110 cycles, as a generated array took in simulation.
    assert tile_cycles(16, 16, 64)[0] == 110
    assert gemm_cycles(16, 16, 64, rows=16, cols=16).cycles[0] == 110
    assert gemm_cycles(16, 16, 64, rows=16, cols=16, double_buffer=False).cycles[0] == 110


@pytest.mark.parametrize(("m", "n", "k"), [(4, 4, 9), (7, 5, 12), (8, 12, 3), (3, 2, 1), (9, 9, 6)])
@pytest.mark.parametrize("double", [True, False])
def test_output_stationary_takes_what_the_machine_takes(m: int, n: int, k: int, double: bool) -> None:
    rng = np.random.default_rng(m * 100 + n * 10 + k)
    a, b = rng.integers(-3, 4, (m, k)).astype(float), rng.integers(-3, 4, (k, n)).astype(float)
    product, cycles = step_output_stationary(a, b, 4, 3, double=double)
    assert np.array_equal(product, a @ b)
    assert gemm_cycles(m, n, k, rows=4, cols=3, double_buffer=double).cycles[0] == cycles


@pytest.mark.parametrize(("m", "n", "k"), [(9, 3, 4), (12, 7, 10), (2, 6, 8), (5, 5, 5)])
def test_weight_stationary_takes_what_the_machine_takes(m: int, n: int, k: int) -> None:
    rng = np.random.default_rng(m * 100 + n * 10 + k)
    a, b = rng.integers(-3, 4, (m, k)).astype(float), rng.integers(-3, 4, (k, n)).astype(float)
    product, cycles = step_weight_stationary(a, b, 4, 3)
    assert np.array_equal(product, a @ b)
    assert gemm_cycles(m, n, k, rows=4, cols=3, dataflow="weight").cycles[0] == cycles


def test_input_stationary_is_weight_stationary_of_the_transpose() -> None:
    a = gemm_cycles(30, 20, 50, rows=8, cols=4, dataflow="input").cycles
    b = gemm_cycles(20, 30, 50, rows=8, cols=4, dataflow="weight").cycles
    assert np.array_equal(a, b)


def test_no_mapping_beats_the_array() -> None:
    rng = np.random.default_rng(0)
    m, n, k = (rng.integers(1, 5000, 500) for _ in range(3))
    for dataflow in DATAFLOWS:
        found = gemm_cycles(m, n, k, rows=128, cols=64, dataflow=dataflow)
        assert np.all(found.utilisation <= 1.0)
        assert np.all(found.cycles >= m * n * k / (128 * 64))
    best, which = best_dataflow(m, n, k, rows=128, cols=64)
    assert np.all(best <= found.cycles)
    assert set(np.unique(which)) <= {0, 1, 2}


def test_a_slow_feed_stalls_and_a_fast_one_does_not() -> None:
    slow = gemm_cycles(512, 512, 512, rows=64, cols=64, bytes_per_cycle=16.0)
    fast = gemm_cycles(512, 512, 512, rows=64, cols=64, bytes_per_cycle=1e6)
    assert slow.stalls[0] > 0.0
    assert fast.stalls[0] == 0.0
    # 64 tiles of 512 x 128 operands of 2 B at 16 B a cycle.
    assert slow.cycles[0] == pytest.approx(64 * 512 * 128 * 2 / 16 + 190)


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="dataflow 'rows'"):
        gemm_cycles(1, 1, 1, rows=1, cols=1, dataflow="rows")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="at least 1"):
        gemm_cycles(0, 1, 1, rows=1, cols=1)
