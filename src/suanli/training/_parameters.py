"""Named parameters of the step-time model: priors, fitted values, and the rates they mean for a candidate."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suanli.files import plain, read_yaml
from suanli.kinds import Chip
from suanli.training._eras import era, generations_behind
from suanli.training._step import Rates

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """What is expected of one parameter before any run was seen; ``sd`` of the logarithm (factor) or logit (share)."""

    name: str
    value: float
    sd: float
    kind: str
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Values by name, effects (logarithms) by code base, era, family, and by
    family for narrow formats, and the spread of errors by circumstance."""

    values: Mapping[str, float]
    kin: Mapping[str, float] = field(default_factory=dict)
    era: Mapping[str, float] = field(default_factory=dict)
    family: Mapping[str, float] = field(default_factory=dict)
    narrow: Mapping[str, float] = field(default_factory=dict)
    spread: Mapping[str, float] = field(default_factory=dict)
    chips: tuple[str, ...] = ()


@cache
def _file() -> dict[str, Any]:
    path = Path(str(files("suanli.training").joinpath("data/parameters.yaml")))
    raw: dict[str, Any] = plain(read_yaml(path))
    return raw


@cache
def priors() -> tuple[Prior, ...]:
    """Return the prior of each parameter."""
    return tuple(Prior(name=name, **row) for name, row in _file()["parameters"].items())


def effect_sd(kind: str) -> float:
    """Return how far one effect of "kin", "era", "family" or "narrow" may lie from zero (spread of a logarithm)."""
    return float(_file()["effects"][kind]["sd"])


def prior_parameters() -> Parameters:
    """Return the parameters before any run was seen."""
    return Parameters(values={p.name: p.value for p in priors()}, spread={"base": float(_file()["sigma"]["value"])})


def parameters_of(data: Mapping[str, Any]) -> Parameters:
    """Return parameters from their JSON form; names that are missing there keep their prior."""
    known = prior_parameters()
    return Parameters(
        values={**known.values, **{k: float(v) for k, v in data.get("values", {}).items()}},
        kin={k: float(v) for k, v in data.get("kin", {}).items()},
        era={k: float(v) for k, v in data.get("era", {}).items()},
        family={k: float(v) for k, v in data.get("family", {}).items()},
        narrow={k: float(v) for k, v in data.get("narrow", {}).items()},
        chips=tuple(data.get("chips", ())),
        spread={**known.spread, **{k: float(v) for k, v in data.get("spread", {}).items()}},
    )


def fitted_parameters() -> Parameters:
    """Return the parameters fitted on all shipped runs. Raises InputError where they were never fitted."""
    from suanli.catalog import fitted

    return parameters_of(fitted("training")["final"])


_COUSIN = 0.6  # of the spread of an unseen family, for a new chip of a known one

LIGHT: frozenset[str] = frozenset({"micro_batch", "sharding"})
"""Settings whose defaults cost little accuracy."""


def sigma_of(p: Parameters, *, era_id: str, chip: Chip, missing: Collection[str] = (), strange: bool = False) -> float:
    """Return the standard deviation of the logarithm of measured over predicted step time.

    Wider for an era or chip family that no fitted run had, less so for a new chip of a known family, for an
    architecture that none had (``strange``), and where the settings named in ``missing`` were defaulted: those in LIGHT
    matter less than recomputation or degrees.
    """
    s = p.spread
    variance = s["base"] ** 2
    if missing:
        variance += s.get("missing_light" if set(missing) <= LIGHT else "missing", 0.0) ** 2
    unseen = s.get("unseen", s["base"])
    variance += unseen**2 if strange else 0.0
    if era(era_id).kin not in p.kin or chip.family not in p.family:
        variance += unseen**2
    elif chip.id not in p.chips:
        variance += (_COUSIN * unseen) ** 2
    return float(variance**0.5)


def power_ratio(chip: Chip) -> float:
    """Return the chip's power limit over that of its family's usual package at the same peak, 1 where unknown."""
    usual = _file()["usual_power"].get(chip.family)
    if usual is None or not chip.tdp_w:
        return 1.0
    share = chip.peak.get("bf16", float(usual["peak"])) / float(usual["peak"])
    return float(min(1.5, max(0.5, chip.tdp_w / float(usual["watts"]) / share)))


def rates(p: Parameters, *, eras: Sequence[str], chip: Chip, bits: int) -> Rates:
    """Return the rates that ``p`` means for candidates of these eras on ``chip`` with products of ``bits`` bits."""
    n = len(eras)
    v = p.values

    def column(value: float) -> Array:
        return np.full(n, value)

    narrow = {8: v["eight_bit"], 4: v["four_bit"]}.get(bits, 1.0)
    if bits < 16:
        narrow *= float(np.exp(p.narrow.get(chip.family, 0.0)))
    throttle = power_ratio(chip) ** -v["power"]
    young = v["younger"] ** generations_behind(chip.vendor)
    family = float(np.exp(p.family.get(chip.family, 0.0))) * young
    effect = np.array([p.kin.get(era(one).kin, 0.0) + p.era.get(one, 0.0) for one in eras])
    return Rates(
        product=column(v["product"] * narrow * throttle * family),
        expert=column(v["expert"]),
        core=column(v["core"] * throttle * family),
        core_back=column(v["core_back"]),
        mixer=column(v["mixer"]),
        generation=column(v["generation"]),
        passes=column(v["passes"]),
        passes_back=column(v["passes_back"]),
        route=column(v["route"]),
        uneven=column(v["uneven"]),
        launch=column(v["launch"]),
        launch_back=column(v["launch_back"]),
        misaligned=column(v["misaligned"]),
        hop=column(v["hop"]),
        tp=column(v["tp"] * young),
        pp=column(v["pp"]),
        dp=column(v["dp"] * young),
        piece=column(v["piece"] * young),
        ep=column(v["ep"] * young),
        cp=column(v["cp"] * young),
        tp_hidden=column(v["tp_hidden"]),
        ep_hidden=column(v["ep_hidden"]),
        dp_hidden=column(v["dp_hidden"]),
        contention=column(v["contention"]),
        straggler=column(v["straggler"]),
        fixed=column(v["fixed"]),
        overall=np.exp(effect),
    )
