"""Fit the efficiencies of operators on measured tables: ``python -m validation.fit.ops [FILE ...]``.

Writes src/suanli/catalog/data/fitted/ops.json: for each operator the coefficients fitted on all rows, those without
each fifth of the shapes and those without each chip, and the spreads of the errors of both kinds of left-out rows. The
Ascend rows come from a repository without a licence and are not shipped: give their file to reproduce its part.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from suanli.catalog import chip as get_chip
from suanli.errors import SuanliError
from suanli.files import write_text
from suanli.kinds import Chip
from suanli.scoring._ops_rows import FOLDS, GROUP, SIZES, Operator, normal, operator_of, with_fold
from suanli.scoring._ops_work import Group, format_name, law_name, shifts_of, work_of
from suanli.silicon._parameters import kin_of, law_format, parameters_from, shift_weights
from suanli.silicon._unit import unit_of
from validation.fit._ops_engine import Piece, again, columns_of, design, weeded
from validation.fit._ops_form import ROWS, Spec
from validation.fit._ops_spec import SPECS
from validation.fit._ops_spread import Rows, errors_of, residuals_of, spread_of, spread_of_new, unjudged

DATA = Path(__file__).parents[1] / "data" / "ops"
OUT = Path(__file__).parents[2] / "src" / "suanli" / "catalog" / "data" / "fitted" / "ops.json"


def main(arguments: Sequence[str]) -> None:
    """Fit every law on the tables named by ``arguments``, or on the shipped ones, and store the result.

    ``--only=NAME`` fits again the laws whose names begin so and keeps the others; ``--spreads`` keeps all
    coefficients and finds only how far they miss; ``--out=PATH`` writes elsewhere.
    """
    spreads = "--spreads" in arguments
    only = [a.removeprefix("--only=") for a in arguments if a.startswith("--only=")]
    files = [Path(a) for a in arguments if not a.startswith("--")] or sorted(DATA.glob("*.parquet"))
    bundles = read(files)
    target = next((Path(a.removeprefix("--out=")) for a in arguments if a.startswith("--out=")), OUT)
    out: dict[str, Any] = _header(files)
    if (only or spreads) and target.exists():
        kept = json.loads(target.read_text(encoding="utf-8"))
        kept["fitted_on"]["files"].update(out["fitted_on"]["files"])
        out = kept
    for name in sorted(bundles):
        if only and not any(name.startswith(o) for o in only):
            continue
        began = time.perf_counter()
        law, values = _again(out, name) if spreads else fit_law(SPECS[name], bundles[name])
        out["laws"][name] = law = judged(law, values, bundles[name])
        for which, numbers in values.items():
            held = out["final"] if which == "final" else out["left_out"].setdefault(which, {})
            held[name] = numbers
        kept = sum(1 for v in values["final"] if v)
        print(f"{name}: {kept} coefficients, {time.perf_counter() - began:.0f} s; {law['residuals']}", flush=True)
    write_text(target, compact(out))


def _again(out: Mapping[str, Any], name: str) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Return the law ``name`` and its sets of coefficients as they are stored."""
    sets = {"final": out["final"][name]}
    return out["laws"][name], sets | {which: held[name] for which, held in out["left_out"].items() if name in held}


def _header(files: Sequence[Path]) -> dict[str, Any]:
    shas = {f.name: hashlib.sha256(f.read_bytes()).hexdigest()[:16] for f in files}
    return {
        "fitted_on": {
            "files": shas,
            "date": date.today().isoformat(),
            "source": f"measured tables of validation/README.md, at most {ROWS} rows of each piece of work, "
            f"of products and experts {SPECS['gemm'].rows}, of attention {SPECS['attention_decode'].rows}",
        },
        "groups_of": "shape-N: sha256 of op, dtype and shape, first four bytes modulo 5; chip-ID: all rows of a chip",
        "laws": {},
        "final": {},
        "left_out": {},
    }


def read(files: Sequence[Path]) -> dict[str, list[Rows]]:
    """Return the rows of ``files`` by law; rows that cannot be predicted are left out."""
    found: dict[str, list[Rows]] = {}
    for path in files:
        rows = with_fold(normal(pl.read_parquet(path)))
        for key, part in rows.group_by(GROUP, maintain_order=True):
            named = dict(zip(GROUP, key, strict=True))
            operator = operator_of(named["op"])
            if operator is None:
                continue
            part = part.filter(pl.all_horizontal(pl.col(*SIZES[operator.kind], "measured") > 0.0))
            some = part.sample(min(SPECS[law_name(operator)].rows, part.height), seed=1)
            group = Group(**{k: v for k, v in named.items() if k != "chip"})
            try:
                chip = get_chip(named["chip"])
                piece = _piece(chip, operator, group, some)
            except SuanliError as error:
                print(f"left out {some.height} rows of {path.name}: {error}")
                continue
            share = part.height / max(some.height, 1)
            found.setdefault(law_name(operator), []).append(
                Rows(piece, chip, operator, group, some["fold"].to_numpy(), share)
            )
    return found


def _piece(chip: Chip, operator: Operator, group: Group, some: pl.DataFrame) -> Piece:
    form = law_format(format_name(operator, group))
    weights = shift_weights(kin_of(chip), law_name(operator), form, kv_dtype=group.kv_dtype, kernel=group.kernel)
    weights |= dict.fromkeys(shifts_of(operator, group), 1.0)
    return Piece(
        work_of(chip, operator, group, some), weights, np.log(some["measured"].to_numpy()), np.ones(some.height)
    )


def fit_law(spec: Spec, rows: Sequence[Rows]) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Return a law's form, and its coefficients fitted on all rows and without each group.

    Which coefficients are kept is chosen on all rows, and anew, without the chip's rows, for each chip left out.
    """
    pieces = [some.piece for some in rows]
    columns = columns_of(spec, sorted({key for piece in pieces for key in piece.weights}))
    folds = np.concatenate([some.folds for some in rows])
    owners = np.repeat([some.chip.id for some in rows], [len(some.folds) for some in rows])
    chips = sorted(set(owners.tolist()))
    whole = design(columns, pieces)
    final = weeded(spec, columns, whole)
    sets = {"final": final}
    for fold in range(FOLDS):
        sets[f"shape-{fold}"] = again(spec, columns, whole.only(folds != fold), final)
    for chip in chips if len(chips) > 1 else []:
        sets[f"chip-{chip}"] = weeded(spec, columns, whole.only(owners != chip))
    rounded = {name: np.round(values, 3) for name, values in sets.items()}
    kept = np.any([values != 0.0 for values in rounded.values()], axis=0)
    law = {
        "columns": [f"{c.part}|{c.group}|{c.feature}" for c, stays in zip(columns, kept, strict=True) if stays],
        "sharpness": spec.sharpness,
        "chips": {c: unit_of(get_chip(c)).family for c in chips},
        "formats": sorted({some.form for some in rows}),
        "kernels": _kernels(rows),
    }
    return law, {name: values[kept].tolist() for name, values in rounded.items()}


def _kernels(rows: Sequence[Rows]) -> dict[str, list[str]]:
    """Return the chips on which each kernel was measured in each format."""
    found: dict[str, set[str]] = {}
    for some in rows:
        found.setdefault(some.kernel, set()).add(some.chip.id)
    return {kernel: sorted(chips) for kernel, chips in sorted(found.items())}


def judged(law: Mapping[str, Any], sets: Mapping[str, Sequence[float]], rows: Sequence[Rows]) -> dict[str, Any]:
    """Return ``law`` with the spreads of its errors under the ``sets`` of its coefficients, and their medians."""
    blank = {**law, "spread": unjudged(len(law["kernels"])), "spread_without": {}}
    stored = {
        name: parameters_from({"": values}, {"": blank}, without=name.removeprefix("chip-"))[""]
        for name, values in sets.items()
    }
    errors = errors_of(stored, rows)
    return {
        **law,
        "spread": spread_of(errors),
        "spread_without": {chip: spread_of_new(errors, without=chip) for chip in law["chips"]},
        "residuals": {
            "n": len(errors.seen),
            "shape": residuals_of(errors.seen, errors.count),
            "chip": {
                c: residuals_of(errors.new[errors.chip == c], errors.count[errors.chip == c]) for c in law["chips"]
            },
        },
    }


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
