"""How good a model gets by a date: tokens that delivered chips make, its loss, and how it stands against another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from suanli.errors import InputError
from suanli.training._scaling import LossLaw, loss, loss_law, loss_laws

Array = NDArray[np.float64]

_SAMPLES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A model as trained: weights that work on a token, tokens, and the spread of the logarithm of its tokens."""

    weights: float
    tokens: float
    sigma: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """By how many nats a token a model's loss lies above another's (below zero: it is better), with p10 and p90.

    ``behind`` is the chance that it is worse; ``tokens_to_match`` are those on which it would draw level, infinite
    where its size alone rules that out.
    """

    gap: float
    p10: float
    p90: float
    behind: float
    tokens_to_match: float


def tokens_by(starts: Sequence[float], rates: Sequence[float], end: float) -> float:
    """Return the tokens made by second ``end`` when from ``starts[i]`` on (s) the run makes ``rates[i]`` tokens/s.

    Each rate replaces the one before it: deliveries enlarge the run. Raises InputError where the lists differ in
    length or the starts do not rise.
    """
    _same_length(starts, rates)
    until = [*starts[1:], np.inf]
    return float(sum(r * max(0.0, min(u, end) - s) for s, u, r in zip(starts, until, rates, strict=True)))


def seconds_for(starts: Sequence[float], rates: Sequence[float], tokens: float) -> float:
    """Return the second at which ``tokens`` are made, as ``tokens_by`` counts them. Raises InputError like it."""
    _same_length(starts, rates)
    left = tokens
    until = [*starts[1:], np.inf]
    for start, stop, rate in zip(starts, until, rates, strict=True):
        if rate * (stop - start) >= left:
            return float(start + left / rate)
        left -= rate * (stop - start)
    raise InputError("a run at zero tokens/s never ends")


def _same_length(starts: Sequence[float], rates: Sequence[float]) -> None:
    if len(starts) != len(rates):
        raise InputError(f"{len(starts)} starts but {len(rates)} rates")
    if any(b <= a for a, b in pairwise(starts)):
        raise InputError("starts must rise")


def loss_of(model: Trained) -> tuple[float, float, float]:
    """Return (loss, p10, p90) in nats a token by the reference law, its errors, and the other published laws."""
    draws = _losses([model])[0]
    middle = float(loss(model.weights, model.tokens)[0])
    low, high = np.quantile(draws, [0.1, 0.9])
    return middle, min(middle, float(low)), max(middle, float(high))


def compare(model: Trained, other: Trained) -> Comparison:
    """Return how ``model`` stands against ``other``, both under the same draws of the laws.

    Half of the draws take the reference law within its published errors, half the other published laws; each model's
    tokens vary by its own spread. What the laws have in common cancels, so that the gap is surer than either loss.
    """
    first, second = _losses([model, other])
    gap = first - second
    middle = float(loss(model.weights, model.tokens)[0] - loss(other.weights, other.tokens)[0])
    low, high = np.quantile(gap, [0.1, 0.9])
    return Comparison(
        gap=middle,
        p10=min(middle, float(low)),
        p90=max(middle, float(high)),
        behind=float(np.mean(gap > 0)),
        tokens_to_match=tokens_for(model.weights, float(loss(other.weights, other.tokens)[0])),
    )


def tokens_for(weights: float, target: float, *, law: LossLaw | None = None) -> float:
    """Return the tokens on which a model of ``weights`` reaches the loss ``target``, infinite where none suffice."""
    use = law or loss_law()
    room = target - use.E - use.A / weights**use.alpha
    return float((use.B / room) ** (1.0 / use.beta)) if room > 0 else float("inf")


def _losses(models: Sequence[Trained]) -> list[Array]:
    """Return draws of each model's loss, the same draws of the laws for all (see ``compare``).

    A and B move with their exponents so that the law still passes through the middle of the fitted runs (1e9 weights,
    2e10 tokens): published errors of A and alpha are nearly collinear.
    """
    for model in models:
        if not (model.weights > 0 and model.tokens > 0):
            raise InputError(f"weights {model.weights:g} and tokens {model.tokens:g} must be above zero")
    rng = np.random.default_rng(11)
    reference = loss_law()
    others = [law for law in loss_laws() if law.id != reference.id]
    pick = rng.integers(0, 2 * len(others), _SAMPLES)
    use = [others[i] if i < len(others) else reference for i in pick]

    def column(name: str) -> Array:
        return np.array([getattr(law, name) for law in use])

    alpha = column("alpha") + column("alpha_se") * rng.standard_normal(_SAMPLES)
    beta = column("beta") + column("beta_se") * rng.standard_normal(_SAMPLES)
    floor = column("E") + column("E_se") * rng.standard_normal(_SAMPLES)
    a = column("A") * 1e9 ** (alpha - column("alpha"))
    b = column("B") * 2e10 ** (beta - column("beta"))
    out = []
    for model in models:
        tokens = model.tokens * np.exp(model.sigma * rng.standard_normal(_SAMPLES))
        out.append(floor + a / model.weights**alpha + b / tokens**beta)
    return out
