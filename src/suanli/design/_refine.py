"""Local refinement: differential evolution from the best designs of a search, on the screening figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from suanli.design._evaluate import standard
from suanli.design._jobs import Job
from suanli.design._search import OBJECTIVES, Limits, figures_of, penalty
from suanli.design._space import Space, positions, spec_at
from suanli.design._spec import DesignSpec, take
from suanli.estimates import Array

MEMBERS, ROUNDS, SEEDS = 60, 40, 12
"""Members of a population, rounds, and designs of the search among the first members."""


class Ranked(Protocol):
    """A design with the objectives that it reached."""

    @property
    def spec(self) -> DesignSpec: ...

    @property
    def objectives(self) -> Mapping[str, float]: ...


def refined(
    judged: Sequence[Ranked], jobs: Sequence[Job], space: Space, limits: Limits, *, base: Mapping[str, float], seed: int
) -> list[DesignSpec]:
    """Return, for each objective, the design that differential evolution makes of the best in ``judged``."""
    from scipy.optimize import differential_evolution

    out = []
    axes = list(space.axes)
    for objective in OBJECTIVES:
        ranked = sorted(judged, key=lambda f: -f.objectives[objective])
        if not ranked:
            continue
        best = ranked[0].spec
        kind = (best.memory, int(np.ravel(best.dies)[0]), best.formats)
        like = [f.spec for f in ranked if (f.spec.memory, f.spec.formats) == (best.memory, best.formats)]
        loss: Any = _loss(kind, objective, jobs, space, limits, base, ranked[0].objectives[objective])
        ends: Any = [(0.0, 1.0 - 1e-9)] * len(axes)
        found = differential_evolution(
            loss, ends, init=_start(space, like, seed), maxiter=ROUNDS, vectorized=True, updating="deferred",
            polish=False, rng=seed, tol=1e-6,
        )  # fmt: skip
        unit = dict(zip(axes, found.x[:, None], strict=True))
        out.append(take(spec_at(space, kind, unit, name=f"refined-{objective}"), 0))
    return out


def _start(space: Space, like: Sequence[DesignSpec], seed: int) -> Array:
    near = np.array([positions(space, spec) for spec in like[:SEEDS]])
    rng = np.random.default_rng(seed)
    spread = near[0] + 0.15 * rng.standard_normal((MEMBERS - len(near), near.shape[1]))
    return np.vstack([near, np.clip(spread, 0.0, 1.0 - 1e-9)])


def _loss(
    kind: tuple[str, int, Any], objective: str, jobs: Sequence[Job], space: Space, limits: Limits,
    base: Mapping[str, float], scale: float,
) -> Callable[[Array], Array]:  # fmt: skip
    """Return the loss over positions (axes, members): below 0 for designs within limits, above 1 for others."""
    c = standard()
    axes = list(space.axes)

    def loss(x: Array) -> Array:
        spec = spec_at(space, kind, dict(zip(axes, x.reshape(len(axes), -1), strict=True)))
        figures = figures_of(spec, jobs, base=base, limits=limits, c=c)
        bad = penalty(spec, figures, limits, c)
        return np.where(bad > 0.0, 1.0 + bad, -np.log1p(figures[objective] / scale))

    return loss
