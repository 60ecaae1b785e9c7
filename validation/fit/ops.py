"""Fit the efficiencies of operators on measured tables: ``python -m validation.fit.ops [FILE ...]``.

Writes src/suanli/catalog/data/fitted/ops.json: for each operator and format the coefficients fitted on all rows, those
without each fifth of the shapes and those without each chip, and the spreads of the errors of both kinds of
left-out rows. The Ascend rows come from a repository without a licence and are not shipped: give their file to
reproduce its part.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from suanli.catalog import chip as get_chip
from suanli.errors import SuanliError
from suanli.estimates import Z80
from suanli.files import write_text
from suanli.scoring._ops_rows import FOLDS, GROUP, SIZES, normal, operator_of, with_fold
from suanli.scoring._ops_work import Group, law_name, weights_of, work_of
from suanli.silicon._unit import unit_of
from validation.fit._ops_engine import Column, Design, Piece, bound_of, columns_of, design, errors_of, solve
from validation.fit._ops_form import PARTS, Spec
from validation.fit._ops_spec import SPECS

Array = NDArray[np.float64]

DATA = Path(__file__).parents[1] / "data" / "ops"
OUT = Path(__file__).parents[2] / "src" / "suanli" / "catalog" / "data" / "fitted" / "ops.json"

_MOST = 700  # rows of one piece of work that take part
_LEAST_SPREAD, _WIDEST = 0.04, 0.6
_UNKNOWN = 0.35  # spread on a new chip of a law measured on one chip alone


_COMPANIONS: Mapping[str, str] = {
    "gemm/nvfp4": "gemm/fp8",
    "moe_ffn/nvfp4": "moe_ffn/fp8",
    "mla_prefill_module/nvfp4": "mla_prefill_module/bf16",
    "mla_decode_module/nvfp4": "mla_decode_module/bf16",
    "moe_ffn/w4a8_mxfp4_mxfp8": "moe_ffn/fp8",
}
"""Laws measured on one chip are fitted with another format's rows, which tell how chips differ."""


@dataclass(frozen=True)
class Bundle:
    """The rows of one law: pieces with their chip and fold, in the order of the design's rows.

    ``own`` marks those of the law itself, the others are its companion's.
    """

    pieces: list[Piece]
    chips: NDArray[np.str_]
    folds: NDArray[np.int8]
    own: NDArray[np.bool_]

    def joined(self, companion: Bundle) -> Bundle:
        """Return these rows with those of ``companion``, which is pooled with them."""
        return Bundle(
            self.pieces + companion.pieces,
            np.concatenate([self.chips, companion.chips]),
            np.concatenate([self.folds, companion.folds]),
            np.concatenate([self.own, np.zeros(len(companion.own), dtype=bool)]),
        )


def main(arguments: Sequence[str]) -> None:
    """Fit every law on the tables named by ``arguments``, or on the shipped ones, and store the result.

    ``--only=NAME`` fits again the laws whose names begin so and keeps the others; ``--out=PATH`` writes elsewhere.
    """
    only = [a.removeprefix("--only=") for a in arguments if a.startswith("--only=")]
    files = [Path(a) for a in arguments if not a.startswith("--")] or sorted(DATA.glob("*.parquet"))
    bundles = read(files)
    target = next((Path(a.removeprefix("--out=")) for a in arguments if a.startswith("--out=")), OUT)
    out: dict[str, Any] = _header(files)
    if only:
        kept = json.loads(target.read_text(encoding="utf-8"))
        kept["fitted_on"]["files"].update(out["fitted_on"]["files"])
        out = kept
    for name in sorted(bundles):
        if only and not any(name.startswith(o) for o in only):
            continue
        began = time.perf_counter()
        rows = bundles[name]
        if name in _COMPANIONS and _COMPANIONS[name] in bundles:
            rows = rows.joined(bundles[_COMPANIONS[name]])
        law, values = fit_law(SPECS[name.partition("/")[0]], rows, f"format:{name.partition('/')[2]}")
        out["laws"][name] = law
        for which, numbers in values.items():
            held = out["final"] if which == "final" else out["left_out"].setdefault(which, {})
            held[name] = numbers
        print(
            f"{name}: {len(law['columns'])} columns, {time.perf_counter() - began:.1f} s; {law['residuals']}",
            flush=True,
        )
    write_text(target, compact(out))


def _header(files: Sequence[Path]) -> dict[str, Any]:
    shas = {f.name: hashlib.sha256(f.read_bytes()).hexdigest()[:16] for f in files}
    return {
        "fitted_on": {
            "files": shas,
            "date": date.today().isoformat(),
            "source": "measured tables in validation/data/ops",
        },
        "groups_of": "shape-N: sha256 of op, dtype and shape, first four bytes modulo 5; chip-ID: all rows of a chip",
        "laws": {},
        "final": {},
        "left_out": {},
    }


def read(files: Sequence[Path]) -> dict[str, Bundle]:
    """Return the rows of ``files`` by law; rows that cannot be predicted are left out."""
    found: dict[str, list[tuple[Piece, str, NDArray[np.int8]]]] = {}
    for path in files:
        rows = with_fold(normal(pl.read_parquet(path)))
        for key, part in rows.group_by(GROUP, maintain_order=True):
            named = dict(zip(GROUP, key, strict=True))
            operator = operator_of(named["op"])
            if operator is None:
                continue
            part = part.filter(pl.all_horizontal(pl.col(*SIZES[operator.kind], "measured") > 0.0))
            part = part.sample(min(_MOST, part.height), seed=1)
            group = Group(**{k: v for k, v in named.items() if k != "chip"})
            try:
                chip = get_chip(named["chip"])
                work = work_of(chip, operator, group, part)
            except SuanliError as error:
                print(f"left out {part.height} rows of {path.name}: {error}")
                continue
            weights = weights_of(chip, operator, group)
            piece = Piece(work, weights, np.log(part["measured"].to_numpy()), np.ones(part.height))
            name = "/".join(law_name(operator, group))
            found.setdefault(name, []).append((piece, chip.id, part["fold"].to_numpy()))
    return {name: _bundle(items) for name, items in found.items()}


def _bundle(items: list[tuple[Piece, str, NDArray[np.int8]]]) -> Bundle:
    pieces = [piece for piece, _, _ in items]
    chips = np.concatenate([np.full(len(folds), chip) for _, chip, folds in items])
    folds = np.concatenate([folds for _, _, folds in items])
    return Bundle(pieces, chips, folds, np.ones(len(folds), dtype=bool))


def fit_law(spec: Spec, rows: Bundle, own_format: str) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Return a law's form with its spreads, and its coefficients fitted on all rows and without each group."""
    keys = sorted({key for piece in rows.pieces for key in piece.weights if not key.startswith("format:")})
    if not rows.own.all():
        keys.append(own_format)
    columns = columns_of(spec, keys)
    whole = design(columns, rows.pieces)
    final = solve(spec, columns, whole)
    sets = {"final": final}
    seen, new = np.full(len(rows.folds), np.nan), np.full(len(rows.folds), np.nan)
    for fold in range(FOLDS):
        sets[f"shape-{fold}"] = _left_out(spec, columns, whole, rows.folds == fold, final, seen)
    chips = sorted(set(rows.chips[rows.own].tolist()))
    for chip in chips if len(set(rows.chips.tolist())) > 1 else []:
        sets[f"chip-{chip}"] = _left_out(spec, columns, whole, rows.chips == chip, final, new)
    seen[~rows.own] = new[~rows.own] = np.nan
    bound = bound_of(final, whole)
    law = {
        "columns": [f"{c.part}|{c.group}|{c.feature}" for c in columns],
        "sharpness": spec.sharpness,
        "sigma": _spreads(seen, bound, _UNKNOWN),
        "sigma_new": _spreads(new, bound, _UNKNOWN),
        "chips": {c: unit_of(get_chip(c)).family for c in chips},
        "residuals": {
            "n": int(rows.own.sum()),
            "shape": _residuals(seen),
            "chip": {c: _residuals(new[rows.chips == c]) for c in chips},
        },
    }
    return law, {name: [round(float(v), 3) for v in values] for name, values in sets.items()}


def _left_out(
    spec: Spec, columns: Sequence[Column], whole: Design, out: NDArray[np.bool_], begin: Array, errors: Array
) -> Array:
    """Return the coefficients without the rows ``out``, and note those rows' log errors in ``errors``."""
    found = solve(spec, columns, whole.only(~out), begin=begin, turns=12)
    errors[out] = errors_of(found, whole.only(out), spec.sharpness)[out]
    return found


def _spreads(errors: Array, bound: NDArray[np.int64], fallback: float) -> dict[str, float]:
    """Return, by the part that binds, the standard deviation whose central 80 % holds 80 % of ``errors``."""
    known = np.isfinite(errors)
    if not known.any():
        return dict.fromkeys(PARTS, fallback)
    overall = _spread(errors[known])
    out = {}
    for i, part in enumerate(PARTS):
        mine = errors[known & (bound == i)]
        share = len(mine) / (len(mine) + 50.0)
        out[part] = round(share * _spread(mine) + (1.0 - share) * overall, 3) if len(mine) else round(overall, 3)
    return out


def _spread(errors: Array) -> float:
    return float(np.clip(np.quantile(np.abs(errors), 0.8) / Z80, _LEAST_SPREAD, _WIDEST))


def _residuals(errors: Array) -> str:
    """Return median absolute error and bias of log errors of measured over predicted, in per cent."""
    known = errors[np.isfinite(errors)]
    if not known.size:
        return "not left out"
    relative = 100.0 * (np.exp(-known) - 1.0)
    return f"median {np.median(np.abs(relative)):.1f} %, bias {relative.mean():+.1f} %"


def compact(data: Mapping[str, Any]) -> str:
    """Return JSON with a line a law in each set, so that changes can be read."""

    def lines(mapping: Mapping[str, Any], depth: int) -> str:
        pad = " " * depth
        return (
            "{\n"
            + ",\n".join(f"{pad}{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in mapping.items())
            + "\n"
            + " " * (depth - 1)
            + "}"
        )

    left = ",\n".join(f"  {json.dumps(k)}: {lines(v, 3)}" for k, v in data["left_out"].items())
    return (
        "{\n"
        f' "fitted_on": {json.dumps(data["fitted_on"])},\n "groups_of": {json.dumps(data["groups_of"])},\n'
        f' "laws": {lines(data["laws"], 2)},\n "final": {lines(data["final"], 2)},\n "left_out": {{\n{left}\n }}\n}}\n'
    )


if __name__ == "__main__":
    main(sys.argv[1:])
