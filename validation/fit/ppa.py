"""Fit the multipliers of the area and power constants on published dies, each within its sourced range.

Run ``python -m validation.fit.ppa [FILE...]``; without files it takes ``validation/data/ppa``. A multiplier's prior is
log-normal around 1 with the width of its constant's own range, so that few dies can only nudge what physics says.
Each chip is also left out once: those parameters judge it, and its error there makes the intervals.
"""

from __future__ import annotations

import datetime
import hashlib
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from suanli.design import DesignSpec, table
from suanli.estimates import Z80
from suanli.files import read_table, write_json
from suanli.scoring._ppa_model import naive_area, naive_power, predicted, readable
from suanli.scoring._ppa_rows import number

ROOT = Path(__file__).resolve().parents[2]
FILES = (ROOT / "validation/data/ppa/ppa_truth.csv", ROOT / "validation/data/ppa/graphics_dies.csv")
OUT = ROOT / "src/suanli/catalog/data/fitted/ppa.json"

AREA = ("mac.int8", "vector.lane", "control.gpu", "control.edge", "sram.local", "sram.shared", "sram.cache",
        "sram.register", "phy", "uncore", "noc")  # fmt: skip
Rows = Sequence[tuple[Mapping[str, Any], DesignSpec]]
POWER = ("energy.mac", "energy.deliver", "energy.vector", "static", "tdp.activity", "tdp.density")
AREA_NOISE = {"published": 0.08, "die shot": 0.08}
LISTED_NOISE, POWER_NOISE, GRAPHICS_NOISE = 0.35, 0.25, 0.5


def prior_sigma(name: str) -> float:
    """Return the log-standard deviation of the constant ``name``, or of the first that starts with it."""
    known = table()
    datum = known.get(name) or next(d for k, d in known.items() if k.startswith(f"{name}."))
    assert datum.low is not None
    assert datum.high is not None
    return math.log(datum.high / datum.low) / (2.0 * Z80)


def residuals(x: np.ndarray, names: Sequence[str], rows: Rows) -> np.ndarray:
    """Return the residuals (in standard deviations) of areas, powers and priors, a row for each row of ``x``."""
    multipliers = dict(zip(names, np.exp(x.T), strict=True))
    out = [v / prior_sigma(n) for n, v in zip(names, x.T, strict=True)]
    for row, spec in rows:
        area, power = predicted(spec, multipliers)
        measured, kind = number(row, "die_area_mm2"), str(row.get("area_kind") or "")
        if measured and kind == "upper bound":
            out.append(np.maximum(0.0, np.log(area / measured)) / 0.08)
        elif measured:
            out.append(np.log(area / measured) / AREA_NOISE.get(kind, LISTED_NOISE))
        watts = number(row, "tdp_w")
        if watts:
            out.append(np.log(power / watts) / (GRAPHICS_NOISE if "graphics" in str(row["notes"]) else POWER_NOISE))
    return np.stack(np.broadcast_arrays(*out), axis=1)


def fit(rows: Rows) -> dict[str, float]:
    """Return the multipliers that fit ``rows`` best within their priors; robust to single odd dies."""
    names = (*AREA, *POWER)
    step = 1e-4

    def both(x: np.ndarray) -> np.ndarray:
        return residuals(np.vstack([x, x + step * np.eye(x.size)]), names, rows)

    def jacobian(x: np.ndarray) -> np.ndarray:
        values = both(x)
        return ((values[1:] - values[0]) / step).T

    found = least_squares(lambda x: residuals(x[None], names, rows)[0], np.zeros(len(names)), jac=jacobian,
                          loss="soft_l1", f_scale=1.5)  # fmt: skip
    return {name: round(float(math.exp(v)), 4) for name, v in zip(names, found.x, strict=True)}


def _naive(rows: Rows) -> dict[str, float]:
    shares = [naive_area(r, s, 1.0) / number(r, "die_area_mm2") for r, s in rows  # type: ignore[operator]
              if number(r, "transistors_1e9") and number(r, "die_area_mm2")]  # fmt: skip
    watts = [number(r, "tdp_w") / naive_power(r, 1.0) for r, _ in rows if number(r, "tdp_w") and naive_power(r, 1.0)]  # type: ignore[operator]
    return {"density_share": float(np.median(shares)), "watts_per_tflop": float(np.median(watts))}


def left_out_errors(rows: Rows, left: Mapping[str, Any]) -> dict[str, float]:
    """Return the log-sigmas of area and power that left-out errors imply (their 80 % quantile over a normal's)."""
    area, power = [], []
    for row, spec in rows:
        a, w = (float(v[0]) for v in predicted(spec, left[str(row["id"])]["multipliers"]))
        if number(row, "die_area_mm2") and row.get("area_kind") in AREA_NOISE:
            area.append(abs(math.log(a / number(row, "die_area_mm2"))))  # type: ignore[operator]
        if number(row, "tdp_w"):
            power.append(abs(math.log(w / number(row, "tdp_w"))))  # type: ignore[operator]
    return {"area": float(np.quantile(area, 0.8)) / Z80, "tdp": float(np.quantile(power, 0.8)) / Z80}


def _label(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def main(arguments: Sequence[str]) -> None:
    """Fit on the files named, and write the parameters."""
    files = [Path(a) for a in arguments] or list(FILES)
    rows = [(r, s) for f in files for r in read_table(f).to_dicts() if isinstance(s := readable(r), DesignSpec)]
    left = {}
    for i, (row, _) in enumerate(rows):
        others = rows[:i] + rows[i + 1 :]
        left[str(row["id"])] = {"multipliers": fit(others), "naive": _naive(others)}
    final = {"multipliers": fit(rows), "naive": _naive(rows), "sigma": left_out_errors(rows, left)}
    for row, spec in rows:
        key = str(row["id"])
        others = {k: v for k, v in left.items() if k != key}
        kept = [(r, s) for r, s in rows if str(r["id"]) != key]
        left[key]["sigma"] = left_out_errors(kept, others)
        a, w = (float(v[0]) for v in predicted(spec, left[key]["multipliers"]))
        print(f"{key:12} area {a:6.0f} of {row['die_area_mm2']} ({row['area_kind']}), power {w:6.0f} of {row['tdp_w']}")
    write_json(OUT, {
        "final": final,
        "left_out": left,
        "groups_of": "chip: the row's id, or its name, in lower case",
        "groups": {str(r["id"]): [str(r["id"]).casefold(), str(r["name"]).casefold()] for r, _ in rows},
        "fitted_on": {_label(f): hashlib.sha256(f.read_bytes()).hexdigest() for f in files},
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    })  # fmt: skip
    print("final", final)


if __name__ == "__main__":
    main(sys.argv[1:])
