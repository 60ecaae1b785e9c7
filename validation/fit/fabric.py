"""Fit the fabric's parameters on measured collectives: ``python -m validation.fit.fabric [FILE ...]``.

Stores them with those fitted without each fifth of the shapes and without each chip. Without files, the thinned copies
in validation/data/ops are read.
"""

from __future__ import annotations

import hashlib
import json
import sys
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from suanli import catalog
from suanli.errors import UnknownNameError
from suanli.files import write_text
from suanli.scoring._ops_comm import EXCHANGES, FOLDS, folds, handles, normal
from validation.fit._fabric_fit import fit_exchanges, fit_families, predictions, spread, unmeasured

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "src" / "suanli" / "catalog" / "data" / "fitted" / "fabric.json"
DEFAULT = ROOT / "validation" / "data" / "ops"
_FEW = 1.1  # left-out chips are few: their spread is widened by this
_ALONE = 2.0  # spread of a class that no other chip measures, over that of its own rows


def main(arguments: list[str]) -> None:
    """Fit on the files named in ``arguments`` and write the catalogue's parameters."""
    files = [Path(a) for a in arguments] or sorted(DEFAULT.glob("comm*.parquet"))
    frame = pl.concat([_rows(f) for f in files], how="vertical_relaxed")
    frame = frame.with_columns(pl.Series("fold", folds(frame)))
    parts: dict[str, Any] = {"final": _fit(frame.drop("fold"))}
    left: dict[str, Any] = {}
    errors = np.full(frame.height, np.nan)
    for fold in range(FOLDS):
        here = frame["fold"].to_numpy() == fold
        left[f"fold:{fold}"] = _fit(frame.filter(pl.col("fold") != fold).drop("fold"))
        errors[here] = _log_errors(frame.filter(pl.col("fold") == fold).drop("fold"), left[f"fold:{fold}"])
    known = frame.drop("fold")
    sigma = spread(known, errors)
    chips = known["chip"].unique().sort().to_list()
    unseen = np.full(frame.height, np.nan)
    for chip in chips:
        exchanges = known.filter((pl.col("chip") == chip) & pl.col("op").is_in(list(EXCHANGES))).height
        rest = _fit(known.filter(pl.col("chip") != chip), None if exchanges else parts["final"]["exchange"])
        left[f"chip:{chip}"] = rest
        unseen[known["chip"].to_numpy() == chip] = _log_errors(known.filter(pl.col("chip") == chip), rest)
    for parameters in (parts["final"], *left.values()):
        parameters["sigma"] = sigma
        parameters["sigma_unseen"] = _wider(known, unseen, None, sigma)
    for chip in chips:
        left[f"chip:{chip}"]["sigma_unseen"] = _wider(known, unseen, chip, sigma)
    _report(known, errors, unseen)
    took = known.select("chip", "op", "library").unique().sort("chip", "op", "library")
    stored = {
        "about": "Efficiencies and latencies of link families and expert exchanges; python -m validation.fit.fabric",
        "groups_of": "rows whose chip, op, library are in took_part: fold:K (sha256 of op|dtype|shape) or chip:NAME",
        "final": parts["final"],
        "left_out": left,
        "took_part": took.to_dicts(),
        "fitted_on": [
            {"file": f.name, "sha256": hashlib.sha256(f.read_bytes()).hexdigest(), "date": date.today().isoformat()}
            for f in files
        ],
    }
    write_text(OUT, json.dumps(stored, indent=1) + "\n")


def _rows(path: Path) -> pl.DataFrame:
    """Return the communication rows of ``path`` in normal form, those of chips that the catalogue lacks left out."""
    raw = pl.read_parquet(path)
    frame = normal(raw.filter(pl.col("op").is_in([o for o in raw["op"].unique() if handles(o)])))
    return frame.filter(pl.col("chip").is_in([c for c in frame["chip"].unique() if _known(c)]))


def _known(chip: str) -> bool:
    try:
        catalog.chip(chip)
    except UnknownNameError:
        return False
    return True


def _fit(frame: pl.DataFrame, exchange: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the parameters fitted on ``frame``; ``exchange`` where its expert exchanges are those of the final fit."""
    if exchange is None:
        exchange = fit_exchanges(frame) or _unmeasured()
    return {"families": fit_families(frame), "exchange": exchange}


def _unmeasured() -> dict[str, Any]:
    """Return the exchanges' parameters where no row of one is left."""
    return {
        style: {d: unmeasured(op, style == "low_latency") for op, d in EXCHANGES.items()}
        for style in ("normal", "low_latency")
    }


def _log_errors(frame: pl.DataFrame, parameters: dict[str, Any]) -> np.ndarray[Any, Any]:
    return np.log(frame["measured"].to_numpy() / predictions(frame, parameters))


def _wider(frame: pl.DataFrame, errors: Any, without: str | None, sigma: dict[str, float]) -> dict[str, float]:
    """Return the spread over chips left out (but ``without``), never below that of measured chips."""
    keep = np.ones(frame.height, dtype=bool) if without is None else frame["chip"].to_numpy() != without
    found = spread(frame.filter(pl.Series(keep)), errors[keep])
    return {
        name: round(max(_FEW * found[name], value) if name in found else _ALONE * value, 3)
        for name, value in sigma.items()
    }


def _report(frame: pl.DataFrame, errors: Any, unseen: Any) -> None:
    table = frame.with_columns(
        shape_pct=pl.Series(100 * np.abs(np.exp(-errors) - 1)), chip_pct=pl.Series(100 * np.abs(np.exp(-unseen) - 1))
    )
    with pl.Config(tbl_rows=80, tbl_width_chars=140):
        print(
            table.group_by("chip", "op", "library")
            .agg(pl.len(), pl.col("shape_pct").median(), pl.col("chip_pct").median())
            .sort("chip", "op", "library")
        )
        print(
            table.group_by("chip").agg(pl.len(), pl.col("shape_pct").median(), pl.col("chip_pct").median()).sort("chip")
        )


if __name__ == "__main__":
    main(sys.argv[1:])
