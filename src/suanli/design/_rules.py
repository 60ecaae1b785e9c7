"""What the rules say of a design: its own ruling, and a lookup for arrays of candidates."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from suanli.controls import Query, query_of_chip, screen
from suanli.design._process import table
from suanli.errors import InputError
from suanli.estimates import Array
from suanli.kinds import Chip, Ruling, Threshold

ACTS: tuple[str, ...] = ("export", "foundry_export")
"""Acts that a made-to-order chip goes through: its sale, and the export by the fabricator that makes it."""

CHINA = frozenset({"CN", "HK", "MO"})

ORDER: tuple[str, ...] = ("free", "conditional", "open", "restricted")
"""Groups from the freest; of two acts the later one in this order counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Who asks: destination and owner's country, the fabricator's country, the day (ISO).

    ``facts`` are pairs that the user states, attestations among them; none is ever assumed.
    """

    to: str = "CN"
    owner: str = "CN"
    maker: str = "TW"
    date: str = "2024-06-25"
    facts: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Raise InputError for a date that is none."""
        try:
            datetime.date.fromisoformat(self.date)
        except ValueError:
            raise InputError(f"date: '{self.date}' is no day of the form 2024-06-25") from None


def rulings(chip: Chip, place: Place) -> dict[str, Ruling]:
    """Return the ruling of ``chip`` for each act; nothing is attested that the chip itself does not show.

    Where the fabricator sits in China, HBM stacks have to come in first: "HBM import" asks for them.
    """
    out = {
        act: screen(
            query_of_chip(
                chip,
                to=place.to,
                owner=place.owner,
                date=place.date,
                activity=act,
                ship_from=place.maker,
                facts=dict(place.facts),
            )
        )
        for act in ACTS
    }
    stacks = stack_ruling(place, chip.memory_kind)
    return out if stacks is None else {**out, "HBM import": stacks}


def stack_ruling(place: Place, memory: str) -> Ruling | None:
    """Return the ruling of discrete HBM stacks of technology ``memory`` on their way to a fabricator in China.

    None where no stack has to cross into China. Density: the stack's bandwidth over its footprint.
    """
    kind = memory.casefold()
    if not kind.startswith("hbm") or place.maker not in CHINA:
        return None
    known = table()
    density = known[f"{kind}.bandwidth"].value / 1e9 / (known["package.hbm_area"].value * 1e6)
    return screen(
        Query(
            date=place.date, activity="export", ship_from="KR", destination=place.maker, supplier="memory maker",
            chip=memory.upper(), has_hbm=1, hbm_density_gbs_mm2=density, end_user_hq=place.maker,
            facts={"item_kind": "hbm_stack"},
        )
    )  # fmt: skip


def worst(found: Mapping[str, Ruling]) -> tuple[str, Ruling]:
    """Return (act, ruling) of the act that stands most in the way; open stays open unless another act is restricted."""
    act = max(found, key=lambda a: ORDER.index(found[a].group))
    return act, found[act]


@dataclass(frozen=True, slots=True)
class Grid:
    """Groups over cells of TPP, performance density, transistors, memory and link rates; cut at the rules' limits.

    ``cuts`` are rising limits by figure; ``codes`` has one axis a figure and holds positions in ``ORDER``.
    """

    cuts: Mapping[str, NDArray[np.float64]]
    codes: NDArray[np.int8]


def _about(limit: Threshold) -> str | None:
    """Return the figure of a design that ``limit`` bounds, None for what no design figure decides."""
    unit, name = limit.unit.split(",")[0].strip(), limit.name.casefold()
    if unit == "TPP" or unit.startswith("TOPS x bit"):
        return "tpp"
    if unit.startswith("TPP/mm"):
        return "density"
    if unit.startswith("bn transistors"):
        return "transistors"
    if unit.startswith("GB/s") and "/mm" not in unit:
        return "memory" if "dram" in name or "memory" in name else None if "sum" in name else "links"
    return None


FIGURES: tuple[str, ...] = ("tpp", "density", "transistors", "memory", "links")
"""Figures of a design whose limits rules state: TPP, TPP/mm², transistors in 1e9, GB/s of memory, GB/s of links."""


@lru_cache(maxsize=64)
def grid(place: Place, *, memory: str, node_nm: float, designer: str = "") -> Grid:
    """Return the groups of all designs of a kind at ``place``, by screening one design in each cell between the limits.

    The limits are read from the rulings themselves, so that the lookup knows no rule of its own: it is exact where
    rulings change only at the limits that they name.
    """
    has_hbm = memory.startswith("hbm")
    stacks = stack_ruling(place, memory)
    least = 0 if stacks is None else ORDER.index(stacks.group)
    cuts = _limits(place, has_hbm, node_nm, designer)
    shape = tuple(len(cuts[n]) + 1 for n in FIGURES)
    codes = np.zeros(shape, dtype=np.int8)
    for cell in np.ndindex(*shape):
        inside = {n: _inside(cuts[n], i) for n, i in zip(FIGURES, cell, strict=True)}
        query = _query(place, inside, has_hbm, node_nm, designer)
        groups = [screen(replace(query, activity=act)).group for act in ACTS]
        codes[cell] = max(least, *(ORDER.index(g) for g in groups))
    return Grid(cuts=cuts, codes=codes)


def _query(place: Place, inside: Mapping[str, float], has_hbm: bool, node_nm: float, designer: str) -> Query:
    facts: dict[str, object] = {"logic_node_nm": node_nm} | ({"designer_hq": designer} if designer else {})
    return Query(
        date=place.date, ship_from=place.maker, destination=place.to, supplier="design", chip="design",
        tpp=inside["tpp"], die_area_mm2=inside["tpp"] / inside["density"], nonplanar=1,
        transfer_rate_gbs=inside["links"], mem_bw_gbs=inside["memory"], has_hbm=int(has_hbm),
        transistors_bn=inside["transistors"], designed_for_datacenter=1, end_user_hq=place.owner,
        facts=facts | dict(place.facts),
    )  # fmt: skip


def _limits(place: Place, has_hbm: bool, node_nm: float, designer: str) -> dict[str, NDArray[np.float64]]:
    """Return the limits by figure that rulings name for a spread of designs."""
    found: dict[str, set[float]] = {name: set() for name in FIGURES}
    for tpp, density in ((1000.0, 1.0), (2000.0, 4.0), (3000.0, 3.0), (6000.0, 8.0), (30000.0, 20.0)):
        inside = {"tpp": tpp, "density": density, "transistors": 50.0, "memory": 2000.0, "links": 500.0}
        query = _query(place, inside, has_hbm, node_nm, designer)
        for act in ACTS:
            for limit in screen(replace(query, activity=act)).thresholds:
                if (name := _about(limit)) is not None and limit.limit > 0.0:
                    found[name].add(limit.limit)
    return {name: np.array(sorted(values)) for name, values in found.items()}


def _inside(cuts: NDArray[np.float64], cell: int) -> float:
    """Return a value inside cell ``cell`` of the half-open cells that ``cuts`` bound."""
    if not cuts.size:
        return 1.0
    if cell == 0:
        return float(0.5 * cuts[0])
    return float(1.5 * cuts[-1] if cell == cuts.size else 0.5 * (cuts[cell - 1] + cuts[cell]))


def groups_of(found: Grid, figures: Mapping[str, Array]) -> NDArray[np.int8]:
    """Return the position in ``ORDER`` of each candidate's group; ``figures`` in the rules' units, see ``FIGURES``."""
    cells = tuple(np.searchsorted(found.cuts[n], figures[n], side="right") for n in FIGURES)
    out: NDArray[np.int8] = found.codes[cells]
    return out
