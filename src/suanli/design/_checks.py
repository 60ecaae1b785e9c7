"""What breaks a design: each limit with the number that exceeds it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from suanli.design._area import hbm_sites_that_fit, perimeter, shoreline, total
from suanli.design._process import Constants
from suanli.design._spec import DesignSpec
from suanli.errors import InfeasibleError
from suanli.estimates import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A limit that ``n`` candidates break: the worst ``value`` against ``limit`` in ``unit``, and a sentence."""

    name: str
    value: float
    limit: float
    unit: str
    n: int
    text: str


def margins(spec: DesignSpec, die: Array, power: Array, c: Constants) -> dict[str, tuple[Array, Array]]:
    """Return (value, limit) of every physical limit by name, in SI units, for arrays of candidates."""
    edge = total(shoreline(spec, c))
    out = {
        "reticle": (die, np.broadcast_to(np.asarray(c["reticle"]), die.shape)),
        "shoreline": (edge, perimeter(die, c)),
        "cooling": (
            power / (die * spec.array("dies")),
            np.broadcast_to(np.asarray(c[f"cooling.{spec.cooling}"]), die.shape),
        ),
    }
    if spec.memory.startswith("hbm"):
        out["HBM sites"] = (spec.array("memory_sites"), hbm_sites_that_fit(die, c))
    if spec.power_cap is not None:
        out["power cap"] = (power, np.full(die.shape, spec.power_cap * (1.0 + 1e-6)))
    return out


_TEXT = {
    "reticle": ("mm²", 1e6, "the die is {v:.0f} mm², the exposure field holds {l:.0f} mm²"),
    "shoreline": ("mm", 1e3, "interfaces need {v:.1f} mm of die edge, {l:.1f} mm are usable"),
    "cooling": ("W/mm²", 1e-6, "{v:.2f} W/mm² against {l:.2f} W/mm² that the cooling removes"),
    "HBM sites": ("sites", 1.0, "{v:.0f} HBM sites, two edges of the die hold {l:.0f}"),
    "power cap": ("W", 1.0, "{v:.0f} W at the lowest clock against a cap of {l:.0f} W"),
}


def check(spec: DesignSpec, die: Array, power: Array, c: Constants) -> tuple[Flag, ...]:
    """Return a flag for each limit that some candidate breaks."""
    flags = []
    for name, (value, limit) in margins(spec, die, power, c).items():
        value, limit = np.broadcast_arrays(value, limit)
        broken = value > limit
        if np.any(broken):
            unit, factor, text = _TEXT[name]
            worst = int(np.argmax(np.where(broken, value / np.maximum(limit, 1e-30), -np.inf)))
            v, most = float(value.flat[worst] * factor), float(limit.flat[worst] * factor)
            flags.append(
                Flag(name=name, value=v, limit=most, unit=unit, n=int(broken.sum()), text=text.format(v=v, l=most))
            )
    return tuple(flags)


def require(name: str, flags: tuple[Flag, ...]) -> None:
    """Raise InfeasibleError that names every flag with its number, where there are any."""
    if flags:
        raise InfeasibleError(f"{name} cannot be built: " + "; ".join(f.text for f in flags))
