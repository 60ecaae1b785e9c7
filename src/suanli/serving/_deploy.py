"""Deployments: a model on a chip in a layout under a framework, and their tables of step times, many at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from suanli.kinds import Chip, Model
from suanli.serving._comm import collective_seconds
from suanli.serving._formats import Formats
from suanli.serving._layout import Layout, weight_bytes
from suanli.serving._profile import Profile, Times, profile, times
from suanli.serving._schedulers import Scheduler
from suanli.serving._steady import GRID

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One model on one chip: layout of a copy, formats, scheduler and its limits.

    ``accepted`` is the mean number of tokens a decode step yields and ``verify`` how many it computes a sequence
    (speculative decoding; 1 and 1 without).
    """

    model: Model
    chip: Chip
    layout: Layout
    formats: Formats
    scheduler: Scheduler
    accepted: float = 1.0
    verify: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """Untuned step times and limits of deployments (n) as arrays; ``parts`` (n, 4, len(GRID)): GEMM, MoE, other, links.

    Attention is a law (see Times). ``cache_bytes`` is what one attention rank's chip keeps for the cache,
    ``kv_split`` by how many chips a sequence's cache is divided.
    """

    deployments: tuple[Deployment, ...]
    parts: Array
    attention: Times
    layers: Array
    cache_bytes: Array
    weight_bytes: Array
    budget: Array
    seats: Array
    mixes: NDArray[np.bool_]
    reserves: NDArray[np.bool_]
    latent: NDArray[np.bool_]
    ranks: Array
    stages: Array
    verify: Array
    accepted: Array

    def pick(self, rows: NDArray[np.intp]) -> Tables:
        """Return the tables of the deployments at ``rows``."""
        values = {n: getattr(self, n) for n in self.__slots__ if n not in ("deployments", "attention")}
        law = {n: getattr(self.attention, n)[rows] for n in _LAW}
        return Tables(
            deployments=tuple(self.deployments[i] for i in rows),
            attention=Times(parts=self.attention.parts, **law),
            **{n: v[rows] for n, v in values.items()},
        )


_LAW = ("attention_s", "sequence_s", "kv_s", "prompt_s", "cross_s")


def cache_tokens(tables: Tables, context: Array) -> Array:
    """Return how many cached tokens an attention rank of one lane holds, for sequences of ``context`` tokens each.

    Windows and recurrent state make a sequence's bytes depend on its length; the pipeline's stages each hold the cache
    of their layers for all lanes. Negative where the weights alone do not fit.
    """
    from suanli.serving._layout import sequence_bytes

    bytes_each = np.array(
        [sequence_bytes(d.model, d.formats, d.layout, c) for d, c in zip(tables.deployments, context, strict=True)]
    )
    out: Array = tables.cache_bytes / bytes_each * context / tables.stages
    return out


def tabulate(deployments: Sequence[Deployment]) -> Tables:
    """Return the tables of ``deployments``: the silicon is asked once a chip. Raises InputError as silicon does."""
    n = len(deployments)
    parts = np.zeros((n, 4, GRID.size))
    law = {name: np.zeros(n) for name in _LAW}
    by_chip: dict[str, list[int]] = {}
    for i, d in enumerate(deployments):
        by_chip.setdefault(d.chip.id, []).append(i)
    for members in by_chip.values():
        chip = deployments[members[0]].chip
        unique: dict[tuple[int, int, int, int, Formats], int] = {}
        profiles: list[Profile] = []
        where = []
        links: dict[tuple[int, Layout], Array] = {}
        for i in members:
            d = deployments[i]
            key = (id(d.model), d.layout.tp, d.layout.ep, d.layout.moe_tp, d.formats)
            if key not in unique:
                unique[key] = len(profiles)
                profiles.append(
                    profile(d.model, tp=d.layout.tp, ep=d.layout.ep, moe_tp=d.layout.moe_tp, formats=d.formats)
                )
            where.append(unique[key])
            pair = (id(d.model), replace(d.layout, replicas=1))
            if pair not in links:
                links[pair] = collective_seconds(d.model, chip, d.layout)
            parts[i, 3] = links[pair]
        found = times(chip, profiles)
        parts[members, :3] = found.parts[where]
        for name, column in law.items():
            column[members] = getattr(found, name)[where]
    return _limits(deployments, parts, law)


def _limits(deployments: Sequence[Deployment], parts: Array, law: dict[str, Array]) -> Tables:
    from suanli.serving._layout import working_bytes

    def column(values: Sequence[float]) -> Array:
        return np.array(values, dtype=np.float64)

    weights = column([weight_bytes(d.model, d.formats, d.layout) for d in deployments])
    whole = column([d.chip.memory_bytes or 0.0 for d in deployments])
    share = column([d.scheduler.memory_share for d in deployments])
    work = column([working_bytes(d.model, d.scheduler.budget) for d in deployments])
    of_free = np.array([d.scheduler.of_free for d in deployments])
    cache = np.where(of_free, share * (whole - weights - work), share * whole - weights - work)
    empty = np.zeros((0, 3, GRID.size))
    return Tables(
        deployments=tuple(deployments),
        parts=parts,
        attention=Times(parts=empty, **law),
        layers=column([d.model.n_layers for d in deployments]),
        cache_bytes=cache,
        weight_bytes=weights,
        budget=column([d.scheduler.budget for d in deployments]),
        seats=column([d.scheduler.seats for d in deployments]),
        reserves=np.array([d.scheduler.reserves for d in deployments]),
        mixes=np.array([d.scheduler.mixes for d in deployments]),
        latent=np.array([d.model.latent is not None for d in deployments]),
        ranks=column([d.layout.dp for d in deployments]),
        stages=column([d.layout.pp for d in deployments]),
        verify=column([d.verify for d in deployments]),
        accepted=column([d.accepted for d in deployments]),
    )
