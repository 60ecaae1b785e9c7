"""A floorplan sketch to scale: PHYs on the edges, HBM beside them, cores and shared SRAM between."""

from __future__ import annotations

from typing import Any

import numpy as np

from suanli.design._evaluate import Design, standard
from suanli.errors import InputError

HBM_DEPTH, HBM_EDGE, GAP = 11.0, 10.0, 0.8  # mm: a stack away from the die and along it, and the gap
Box = dict[str, Any]


def floorplan(design: Design) -> tuple[list[Box], float, float]:
    """Return (boxes, width, height) in mm of one die of ``design``: x, x2, y, y2, block, area; the boxes fill the die.

    White space and network are shared out to the cores and memories that they serve. Raises InputError for several
    designs at once.
    """
    spec = design.spec
    if int(np.prod(spec.shape)) != 1:
        raise InputError(f"{spec.name}: a floorplan is of one design, not of {int(np.prod(spec.shape))}")
    mm2 = {name: float(np.ravel(a)[0]) * 1e6 for name, a in design.area.breakdown.items()}
    whole = sum(mm2.values())
    width = min(float(np.sqrt(whole)), float(standard()["reticle.width"]) * 1e3)
    height = whole / width
    sites = round(float(np.ravel(spec.memory_sites)[0]))
    side = mm2["memory PHY"] / 2.0 / height if sites > 1 else 0.0
    boxes = _memory_edges(spec.memory, sites, side, width, height, mm2["memory PHY"])
    inner = width - 2.0 * side if sites > 1 else width
    left = side
    if sites == 1:
        left = mm2["memory PHY"] / height
        inner = width - left
    top = (mm2["links"] + mm2["die-to-die"]) / inner
    bottom = (mm2["host link"] + mm2["uncore"]) / inner
    boxes += _row({"links": mm2["links"], "die-to-die": mm2["die-to-die"]}, left, inner, height - top, height)
    boxes += _row({"host link": mm2["host link"], "uncore": mm2["uncore"]}, left, inner, 0.0, bottom)
    boxes += _middle(design, mm2, left, inner, bottom, height - top)
    return boxes, width, height


def _box(block: str, x: float, x2: float, y: float, y2: float, **more: Any) -> Box:
    return {"block": block, "x": x, "x2": x2, "y": y, "y2": y2, "area": (x2 - x) * (y2 - y), **more}


def _memory_edges(memory: str, sites: int, depth: float, width: float, height: float, area: float) -> list[Box]:
    """Return PHYs along the left and right edges and, for HBM, the stacks beside the die.

    Both edges keep one depth, so that with an odd number of sites the PHYs of the fuller edge are the shorter ones.
    """
    if not sites:
        return []
    if sites == 1:
        depth = area / height
    left, right = (sites + 1) // 2, sites // 2
    out = []
    for count, inside, outside in ((left, (0.0, depth), -1.0), (right, (width - depth, width), 1.0)):
        for i in range(count):
            low, high = height * i / count, height * (i + 1) / count
            out.append(_box("memory PHY", *inside, low, high))
            if memory.startswith("hbm"):
                middle, half = 0.5 * (low + high), min(HBM_EDGE, high - low - 0.2) / 2.0
                x = -GAP - HBM_DEPTH if outside < 0 else width + GAP
                out.append(_box("HBM stack", x, x + HBM_DEPTH, middle - half, middle + half))
    return out


def _row(parts: dict[str, float], left: float, inner: float, low: float, high: float) -> list[Box]:
    """Return boxes side by side over the height from ``low`` to ``high``, by area."""
    total = sum(parts.values())
    out, x = [], left
    for name, area in parts.items():
        if area > 0.0:
            step = inner * area / total
            out.append(_box(name, x, x + step, low, high))
            x += step
    return out


def _middle(design: Design, mm2: dict[str, float], left: float, inner: float, low: float, high: float) -> list[Box]:
    """Return the cores in two fields with the shared SRAM between them."""
    spec = design.spec
    own = sum(mm2[b] for b in ("mac", "vector", "control", "local SRAM", "registers"))
    share = mm2["shared SRAM"] / max(own + mm2["shared SRAM"], 1e-12)
    cores, spare = round(float(np.ravel(spec.cores)[0])), round(float(np.ravel(spec.spare_cores)[0]))
    band = (high - low) * share
    field = (high - low - band) / 2.0
    below = cores // 2
    out = []
    if band > 0.0:
        out.append(_box("shared SRAM", left, left + inner, low + field, low + field + band))
    first = 0
    for count, start in ((below, low), (cores - below, high - field)):
        tall = field if below else 2.0 * field
        out += _grid(count, left, inner, start if below else low, tall, first, cores - spare, mm2, own)
        first += count
    return out


def _grid(
    count: int, left: float, inner: float, low: float, tall: float, first: int, sold: int,
    mm2: dict[str, float], own: float,
) -> list[Box]:  # fmt: skip
    """Return ``count`` cores in rows over a field, each split into its matrix unit and the rest; spares are marked."""
    if not count or tall <= 0.0:
        return []
    rows = max(1, round(np.sqrt(count * tall / inner)))
    matrix = mm2["mac"] / max(own, 1e-12)
    out: list[Box] = []
    for r in range(rows):
        here = count // rows + (r < count % rows)
        # A row with fewer cores is lower, so that every core keeps its area.
        y = low + tall * sum(count // rows + (q < count % rows) for q in range(r)) / count
        y2 = y + tall * here / count
        for i in range(here):
            x, x2 = left + inner * i / here, left + inner * (i + 1) / here
            spare = first >= sold
            first += 1
            side = np.sqrt(matrix)
            name = "spare core" if spare else "core"
            out.append(_box(name, x, x2, y, y2))
            if not spare:
                out.append(_box("MAC array", x, x + (x2 - x) * side, y, y + (y2 - y) * side, inside=True))
    return out
