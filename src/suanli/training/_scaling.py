"""How good a model can be: loss and compute-optimal size for the compute that chips deliver by a date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from suanli.errors import InputError, unknown_name
from suanli.files import plain, read_yaml

Array = NDArray[np.float64]

_REFERENCE = "besiroglu-2024"
_SAMPLES = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class LossLaw:
    """L(N, D) = E + A / N^alpha + B / D^beta in nats a token, with its source; standard errors 0 where unpublished."""

    id: str
    name: str
    E: float
    A: float
    B: float
    alpha: float
    beta: float
    source: str
    E_se: float = 0.0
    alpha_se: float = 0.0
    beta_se: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimum:
    """The best model for a budget: weights, tokens and loss with 10th and 90th percentiles, and each law's own answer.

    ``compute`` in FLOP; ``by_law`` maps a law to (weights, tokens, loss; NaN loss where the law gives none).
    """

    compute: float
    weights: float
    weights_p10: float
    weights_p90: float
    tokens: float
    tokens_p10: float
    tokens_p90: float
    loss: float
    loss_p10: float
    loss_p90: float
    by_law: Mapping[str, tuple[float, float, float]]
    sources: tuple[str, ...]


@cache
def _file() -> dict[str, Any]:
    path = Path(str(files("suanli.training").joinpath("data/scaling_laws.yaml")))
    raw: dict[str, Any] = plain(read_yaml(path))
    return raw


@cache
def loss_laws() -> tuple[LossLaw, ...]:
    """Return the published laws of loss."""
    return tuple(LossLaw(**row) for row in _file()["loss_laws"])


def loss_law(name: str = _REFERENCE) -> LossLaw:
    """Return the law called ``name``. Raises UnknownNameError."""
    for law in loss_laws():
        if law.id == name:
            return law
    raise unknown_name("loss law", name, [law.id for law in loss_laws()])


def loss(weights: ArrayLike, tokens: ArrayLike, *, law: LossLaw | None = None) -> Array:
    """Return the loss (nats a token) of models of ``weights`` on ``tokens``. Raises InputError where not above zero."""
    n, d = np.asarray(weights, dtype=np.float64), np.asarray(tokens, dtype=np.float64)
    if np.any(n <= 0) or np.any(d <= 0):
        raise InputError("weights and tokens must be above zero")
    use = law or loss_law()
    out: Array = np.atleast_1d(use.E + use.A / n**use.alpha + use.B / d**use.beta)
    return out


def split(compute: ArrayLike, law: LossLaw) -> tuple[Array, Array]:
    """Return (weights, tokens) of least loss for ``compute`` = 6 N D FLOP (Hoffmann 2022, equation 4)."""
    pairs = np.atleast_1d(np.asarray(compute, dtype=np.float64)) / 6.0
    ratio = (law.alpha * law.A / (law.beta * law.B)) ** (1.0 / (law.alpha + law.beta))
    weights = ratio * pairs ** (law.beta / (law.alpha + law.beta))
    return weights, pairs / weights


def compute_optimal(compute: float, *, overtrain: float = 1.0) -> Optimum:
    """Return the compute-optimal model for ``compute`` FLOP, with intervals from the law's errors and between laws.

    ``overtrain`` multiplies the tokens and divides the weights, as builders do who pay for serving too. Raises
    InputError for a budget or factor not above zero.
    """
    if not (compute > 0.0 and overtrain > 0.0):
        raise InputError(f"compute {compute:g} FLOP and overtrain {overtrain:g} must be above zero")
    by_law = {}
    for law in loss_laws():
        weights, tokens = (float(x[0]) for x in split(compute, law))
        weights, tokens = weights / overtrain, tokens * overtrain
        by_law[law.id] = (weights, tokens, float(loss(weights, tokens, law=law)[0]))
    for row in _file()["token_laws"]:
        d0 = float(row["A"]) * compute ** float(row["alpha"]) * overtrain
        by_law[row["id"]] = (compute / 6.0 / d0, d0, float("nan"))
    reference = loss_law()
    n_draws, loss_draws = _draws(compute, reference, overtrain)
    sizes = np.concatenate([n_draws, [n for n, _, _ in by_law.values()]])
    n, d, best = by_law[reference.id]
    low = min(float(np.quantile(sizes, 0.1)), n)
    high = max(float(np.quantile(sizes, 0.9)), n)
    return Optimum(
        compute=compute,
        weights=n,
        weights_p10=low,
        weights_p90=high,
        tokens=d,
        tokens_p10=compute / 6.0 / high,
        tokens_p90=compute / 6.0 / low,
        loss=best,
        loss_p10=min(best, float(np.quantile(loss_draws, 0.1))),
        loss_p90=max(best, float(np.quantile(loss_draws, 0.9))),
        by_law=by_law,
        sources=tuple([law.source for law in loss_laws()] + [row["source"] for row in _file()["token_laws"]]),
    )


def _draws(compute: float, law: LossLaw, overtrain: float) -> tuple[Array, Array]:
    """Return (weights, loss) over draws of the law's exponents and floor.

    A and B move with their exponents so that the law still passes through the middle of the fitted runs (1e9 weights,
    2e10 tokens): published errors of A and alpha are nearly collinear.
    """
    rng = np.random.default_rng(7)
    alpha = law.alpha + law.alpha_se * rng.standard_normal(_SAMPLES)
    beta = law.beta + law.beta_se * rng.standard_normal(_SAMPLES)
    floor = law.E + law.E_se * rng.standard_normal(_SAMPLES)
    a = law.A * 1e9 ** (alpha - law.alpha)
    b = law.B * 2e10 ** (beta - law.beta)
    pairs = compute / 6.0
    n = (alpha * a / (beta * b)) ** (1.0 / (alpha + beta)) * pairs ** (beta / (alpha + beta)) / overtrain
    d = pairs / n
    return n, floor + a / n**alpha + b / d**beta


def delivered_compute(
    months: Sequence[float], flop_per_s: Sequence[float], *, end: float, seconds_per_month: float = 2_629_800.0
) -> float:
    """Return the model FLOP trained by month ``end`` when ``flop_per_s[i]`` starts at ``months[i]``.

    Goodput is counted in the rates. Each entry adds to those before it: deliveries in parts. Raises InputError
    where the lists differ in length.
    """
    if len(months) != len(flop_per_s):
        raise InputError(f"{len(months)} months but {len(flop_per_s)} rates")
    return float(sum(max(0.0, end - m) * seconds_per_month * r for m, r in zip(months, flop_per_s, strict=True)))


def quality_gap(compute: float, other: float) -> float:
    """Return by how many nats a token the best model of ``other`` FLOP is worse than that of ``compute``."""
    return compute_optimal(other).loss - compute_optimal(compute).loss
