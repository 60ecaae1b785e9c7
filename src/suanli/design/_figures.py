"""Area and cost of a design as figures that explain themselves down to their sources."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from suanli.design._evaluate import Design, multipliers
from suanli.design._process import table
from suanli.errors import InputError
from suanli.sources import Figure, Source, Sourced

_BLOCKS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "mac": ("int8 cells x largest ratio x rate x MACs x node", ("mac.int8", "mac.sharing", "{node}.logic")),
    "vector": ("lanes x area of a lane x node", ("vector.lane", "{node}.logic")),
    "control": ("cores x (processor + edge x sqrt(MACs)) x node", ("control.core", "control.edge", "{node}.logic")),
    "local SRAM": ("bytes / density x node", ("sram.local", "{node}.sram")),
    "registers": ("bytes / density x node", ("sram.register", "{node}.sram")),
    "shared SRAM": ("bytes / density x node", ("sram.shared", "{node}.sram")),
    "network": ("share of cores and memories", ("noc",)),
    "memory PHY": ("sites x PHY x node", ("phy.{memory}", "{node}.phy")),
    "links": ("lanes x PHY x node", ("phy.serdes", "{node}.phy")),
    "host link": ("lanes x PHY x node", ("phy.{host}", "{node}.phy")),
    "die-to-die": ("bandwidth x PHY x node", ("phy.d2d", "{node}.phy")),
    "uncore": ("uncore x sqrt(node)", ("uncore", "{node}.logic")),
    "white space": ("(cores + memories + network) x (1 / placed share - 1)", ("whitespace",)),
}
"""Block of a die -> its formula and the constants that it rests on."""


def area_figure(design: Design) -> Figure:
    """Return the area (m²) of one die as the sum of its blocks. Raises InputError for several designs at once."""
    _one(design)
    spec = design.spec
    inputs: dict[str, Figure | Sourced] = {}
    for block, values in design.area.breakdown.items():
        value = float(np.ravel(values)[0])
        if value > 0.0:
            formula, names = _BLOCKS[block]
            ids = [n.format(node=spec.node, memory=spec.memory, host=spec.host) for n in names]
            inputs[block] = Figure(block, value, "m2", formula, inputs=_constants(ids))
    return _figure("die area", design.area.value, design.area.p10, design.area.p90, "m2", "sum of the blocks", inputs)


def cost_figure(design: Design) -> Figure:
    """Return the cost (USD) of one good package as the sum of its parts. Raises InputError for several designs."""
    _one(design)
    spec = design.spec
    dies = {**_constants([f"{spec.node}.wafer", f"{spec.node}.defects", "yield.cluster", "yield.repaired"]),
            "die area": area_figure(design)}  # fmt: skip
    package = _constants([f"package.{spec.package.replace('-', '_')}", "package.hbm_area", "package.margin_area"])
    device = {} if spec.memory == "none" else _constants([f"{spec.memory}.capacity", f"{spec.memory}.price"])
    told: dict[str, tuple[str, Mapping[str, Figure | Sourced]]] = {
        "dies": ("wafer / (gross dies x sold share), for every die", dies),
        "package": ("price for 1,600 mm2 x area of dies and stacks with their margin", package),
        "memory": ("bytes x price", device),
        "bond losses": ("(dies + package + memory) x (1 / bond yield^(dies + stacks) - 1)",
                        _constants(["package.bond_yield"])),
        "test": ("share of the good package", _constants(["test.share"])),
        "board": ("module, regulators, cooling plate", _constants(["board"])),
    }  # fmt: skip
    inputs: dict[str, Figure | Sourced] = {
        name: Figure(name, float(np.ravel(v)[0]), "USD", told[name][0], inputs=told[name][1])
        for name, v in design.cost.breakdown.items()
        if float(np.ravel(v)[0]) > 0.0
    }
    cost = design.cost
    return _figure("unit cost", cost.value, cost.p10, cost.p90, "USD", "sum of the parts of one good package", inputs)


def price_figure(design: Design) -> Figure:
    """Return the price (USD) that a partner asks, NRE paid apart. Raises InputError for several designs."""
    inputs: dict[str, Figure | Sourced] = {"unit cost": cost_figure(design), **_constants(["margin"])}
    price = design.price
    return _figure("price", price.value, price.p10, price.p90, "USD", "unit cost / (1 - margin)", inputs)


def _one(design: Design) -> None:
    if int(np.prod(design.spec.shape)) != 1:
        raise InputError(f"{design.spec.name}: a figure is of one design, not of {int(np.prod(design.spec.shape))}")


def _constants(ids: list[str]) -> dict[str, Figure | Sourced]:
    """Return the constants by id; one that published dies have scaled is shown with its multiplier."""
    scaled = multipliers()
    out: dict[str, Figure | Sourced] = {}
    for name in ids:
        datum = table()[name]
        factor = next((f for start, f in scaled.items() if name == start or name.startswith(f"{start}.")), 1.0)
        if factor == 1.0:
            out[name] = datum
            continue
        source = Source("fit on published dies, validation/fit/ppa.py", kind="estimated")
        both = {"constant": datum, "multiplier": Sourced(f"{name} multiplier", factor, "", source)}
        out[name] = Figure(name, datum.value * factor, datum.unit, "sourced constant x fitted multiplier", inputs=both)
    return out


def _figure(
    name: str, value: np.ndarray, p10: np.ndarray, p90: np.ndarray, unit: str, formula: str,
    inputs: Mapping[str, Figure | Sourced],
) -> Figure:  # fmt: skip
    one, low, high = (float(np.ravel(v)[0]) for v in (value, p10, p90))
    return Figure(name, one, unit, formula, inputs=inputs, p10=low, p90=high)
