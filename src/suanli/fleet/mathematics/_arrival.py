"""Arrival: when an order's chips come, and when they leave again."""

from __future__ import annotations

import numpy as np

from suanli.fleet._grid import Grid
from suanli.fleet._scenarios import Futures
from suanli.fleet.mathematics._base import Array, Classes

TITLE = "Arrival"
SENTENCE = (
    "Of an order placed in month t' the share a(t - t' - slip) arrives in month t, unless a rule or an event stops "
    "deliveries in t; what has not arrived is neither used nor paid for; a chip leaves after its term or life."
)
EQUATION = (
    r"N_{j,k}(t,t') = a_j(t-t'-\sigma_k)\,o_{k}(t)\,o_k(t')\,\ell_j(t)"
    r" - (1-\lambda_j)^{m_j}\,A_{j,k}(t-m_j,t')"
)


def classes(grid: Grid, futures: Futures) -> Classes:
    """Return the delivery classes of every line with their arrival matrices."""
    of = np.zeros((futures.n, grid.J), dtype=np.int64)
    net: dict[tuple[int, int], Array] = {}
    arrived: dict[tuple[int, int], Array] = {}
    given: dict[tuple[int, int], Array] = {}
    for j in range(grid.J):
        if grid.lines[j].stock is not None:
            continue
        seen: dict[tuple[int, bytes], int] = {}
        for s in range(futures.n):
            key = (int(futures.slip[s, j]), futures.open[s, j].tobytes())
            if key not in seen:
                k = seen[key] = len(seen)
                matrix = arrivals(grid, j, slip=key[0], is_open=futures.open[s, j])
                arrived[j, k] = matrix
                net[j, k] = matrix - departures(grid, j, matrix)
                given[j, k] = committed(grid, j, slip=key[0], is_open=futures.open[s, j])
            of[s, j] = seen[key]
    return Classes(of=of, net=net, arrived=arrived, given=given)


def arrivals(grid: Grid, j: int, *, slip: int, is_open: Array) -> Array:
    """Return [T, T]: the share of an order of month t' (axis 1) that arrives in month t (axis 0)."""
    t = np.arange(grid.T)
    lag = t[:, None] - t[None, :] - slip
    curve = grid.curve[j]
    inside = (lag >= 0) & (lag < len(curve))
    out = np.where(inside, curve[np.clip(lag, 0, len(curve) - 1)], 0.0)
    may = grid.order[j] & is_open & grid.arrive[j]
    return np.asarray(out * (is_open & grid.arrive[j])[:, None] * may[None, :], dtype=np.float64)


def departures(grid: Grid, j: int, matrix: Array) -> Array:
    """Return [T, T]: what of those arrivals leaves in month t at the end of its stay, failures already gone."""
    m = int(grid.stay[j])
    out = np.zeros_like(matrix)
    if m < grid.T:
        out[m:] = matrix[:-m] * (1.0 - grid.failures[j]) ** m
    return out


def committed(grid: Grid, j: int, *, slip: int, is_open: Array) -> Array:
    """Return [T]: the change of stock, in thousand chips, that earlier orders still bring once the plan decides."""
    out = np.zeros(grid.T)
    m = int(grid.stay[j])
    for line, month, quantity in grid.due:
        t = max(grid.start, month + slip)
        if line == j and t < grid.T and is_open[t] and grid.arrive[j, t]:
            out[t] += quantity
            if t + m < grid.T:
                out[t + m] -= quantity * (1.0 - grid.failures[j]) ** m
    return out
