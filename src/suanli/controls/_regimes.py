"""Rules as a process in time: calm and active months in two jurisdictions, fitted from the dated history.

Rules begun a month are Poisson with one rate while calm and a higher one while active; the state is a Markov chain.
Both are fitted by expectation-maximisation (Baum and Welch) to the dates of the rule book itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import lgamma
from pathlib import Path

import numpy as np
import numpy.typing as npt

from suanli.controls._book import Rule, Rulebook
from suanli.controls._screen import as_rulebook
from suanli.errors import InputError

Array = npt.NDArray[np.float64]
ROUNDS = 500
TOLERANCE = 1e-9
PRIOR_MONTHS = 1.0
"""Weight, in months, of the belief that a state is as likely to last as to end: it keeps chances off 0 and 1."""


@dataclass(frozen=True, slots=True)
class Change:
    """A day on which rules of a jurisdiction began, with their ids and citations."""

    day: str
    rules: tuple[str, ...]
    citations: tuple[str, ...]
    direction: str


@dataclass(frozen=True, slots=True)
class Regime:
    """The fitted process of one jurisdiction.

    ``rate`` holds rules begun a month while calm and while active; ``move[i, j]`` is the chance of going from state
    i to j in a month (0 calm, 1 active); ``active`` the chance that a past month was active, one a month of ``months``;
    ``tighter`` the share of dated changes that tightened.
    """

    jurisdiction: str
    months: tuple[str, ...]
    counts: npt.NDArray[np.int64]
    rate: Array
    move: Array
    active: Array
    tighter: float
    history: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Futures:
    """Sampled futures: arrays of shape (scenario, jurisdiction, month); ``tighter`` counts the changes that tighten."""

    jurisdictions: tuple[str, ...]
    months: tuple[str, ...]
    active: npt.NDArray[np.bool_]
    changes: npt.NDArray[np.int64]
    tighter: npt.NDArray[np.int64]


def regimes(
    jurisdictions: Sequence[str] = ("US", "CN"), *, until: str = "", rulebook: Rulebook | Path | str | None = None
) -> tuple[Regime, ...]:
    """Return the fitted process of each jurisdiction from its rules dated before ``until`` (default: the book's date).

    Raises InputError for a jurisdiction without two changes by then.
    """
    book = as_rulebook(rulebook)
    end = until or str(book.data.get("as_of") or book.changes[-1])
    return tuple(_fit(j, history(j, rulebook=book), book.first_day, end) for j in jurisdictions)


def history(jurisdiction: str, *, rulebook: Rulebook | Path | str | None = None) -> tuple[Change, ...]:
    """Return the days on which rules of ``jurisdiction`` began, in order, with what they cite."""
    book = as_rulebook(rulebook)
    days: dict[str, list[Rule]] = {}
    for rule in book.rules.values():
        if rule.data["jurisdiction"] == jurisdiction and rule.data.get("in_force", True) and rule.data["effective"]:
            days.setdefault(rule.data["effective"], []).append(rule)
    return tuple(_change(day, rules) for day, rules in sorted(days.items()))


def _change(day: str, rules: Sequence[Rule]) -> Change:
    stated = [str(r.data.get("direction", "")) for r in rules]
    direction = next((d for d in ("tighter", "looser") if d in stated), "neither")
    return Change(day, tuple(r.id for r in rules), tuple(r.citation for r in rules), direction)


def _months(first: str, last: str) -> tuple[str, ...]:
    year, month = int(first[:4]), int(first[5:7])
    out = []
    while f"{year}-{month:02d}" <= last[:7]:
        out.append(f"{year}-{month:02d}")
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return tuple(out)


def _fit(jurisdiction: str, changes: Sequence[Change], first: str, end: str) -> Regime:
    past = [c for c in changes if first <= c.day < end]
    if len(past) < 2:
        raise InputError(f"jurisdiction '{jurisdiction}' has {len(past)} dated changes before {end}; two are needed")
    months = _months(first, end)
    counts = np.array([sum(len(c.rules) for c in past if c.day[:7] == m) for m in months])
    rate, move, active = _baum_welch(counts)
    turned = [c.direction for c in past if c.direction != "neither"]
    tighter = (turned.count("tighter") + 0.5) / (len(turned) + 1.0)  # Jeffreys' prior: never certain
    return Regime(jurisdiction, months, counts, rate, move, active, tighter, tuple(past))


def _baum_welch(counts: npt.NDArray[np.int64]) -> tuple[Array, Array, Array]:
    """Return rates, moves and the chance of each month being active, by expectation-maximisation."""
    mean = counts.mean()
    rate, move = np.array([0.2, 3.0]) * mean, np.array([[0.9, 0.1], [0.3, 0.7]])
    factorial = np.array([lgamma(c + 1.0) for c in counts])
    before = -np.inf
    state = np.empty((counts.size, 2))
    for _ in range(ROUNDS):
        likelihood = np.exp(counts[:, None] * np.log(rate) - rate - factorial[:, None])
        state, pairs, total = _forward_backward(likelihood, move)
        rate = (state * counts[:, None]).sum(axis=0) + PRIOR_MONTHS * mean
        rate = rate / (state.sum(axis=0) + PRIOR_MONTHS)
        move = (pairs + 0.5 * PRIOR_MONTHS) / (pairs.sum(axis=1, keepdims=True) + PRIOR_MONTHS)
        if abs(total - before) < TOLERANCE:
            break
        before = total
    order = np.argsort(rate)
    return rate[order], move[np.ix_(order, order)], state[:, order[1]]


def _forward_backward(likelihood: Array, move: Array) -> tuple[Array, Array, float]:
    """Return the chance of each state in each month, expected moves, and the log likelihood."""
    n = likelihood.shape[0]
    forward, scale, backward = np.empty((n, 2)), np.empty(n), np.ones((n, 2))
    current = np.array([0.5, 0.5])
    for t in range(n):
        current = (current if t == 0 else current @ move) * likelihood[t]
        scale[t] = current.sum()
        forward[t] = current = current / scale[t]
    for t in range(n - 2, -1, -1):
        backward[t] = move @ (likelihood[t + 1] * backward[t + 1]) / scale[t + 1]
    state = forward * backward
    following = (likelihood * backward)[1:] / scale[1:, None]
    pairs = (forward[:-1].T @ following) * move
    return state / state.sum(axis=1, keepdims=True), pairs, float(np.log(scale).sum())


def sample_regimes(fitted: Sequence[Regime], *, first: str, n_months: int, n_scenarios: int, seed: int) -> Futures:
    """Return ``n_scenarios`` futures of ``n_months`` months from ``first`` ("2025-02"); the same seed gives the same.

    The chains start from the chance that the last fitted month was active.
    """
    rng = np.random.default_rng(seed)
    shape = (n_scenarios, len(fitted), n_months)
    active = np.empty(shape, dtype=bool)
    changes, tighter = np.empty(shape, dtype=np.int64), np.empty(shape, dtype=np.int64)
    for j, regime in enumerate(fitted):
        now = rng.random(n_scenarios) < regime.active[-1]
        for t in range(n_months):
            now = rng.random(n_scenarios) < regime.move[now.astype(int), 1]
            active[:, j, t] = now
        changes[:, j] = rng.poisson(regime.rate[active[:, j].astype(int)])
        tighter[:, j] = rng.binomial(changes[:, j], regime.tighter)
    last = f"{int(first[:4]) + n_months // 12 + 1}-12"
    return Futures(tuple(r.jurisdiction for r in fitted), _months(first, last)[:n_months], active, changes, tighter)
