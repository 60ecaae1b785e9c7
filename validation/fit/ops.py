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
from suanli.scoring._ops_work import Group, format_name, law_name, shifts_of, work_of
from suanli.silicon._parameters import law_format, shift_weights
from suanli.silicon._unit import unit_of
from validation.fit._ops_engine import Piece, again, bound_of, columns_of, design, errors_of, weeded
from validation.fit._ops_form import PARTS, Spec
from validation.fit._ops_spec import SPECS

Array = NDArray[np.float64]

DATA = Path(__file__).parents[1] / "data" / "ops"
OUT = Path(__file__).parents[2] / "src" / "suanli" / "catalog" / "data" / "fitted" / "ops.json"

_MOST = 400  # rows of one piece of work that take part
_LEAST_SPREAD, _WIDEST = 0.04, 0.9
_STRANGEST = 2.0  # largest ratio of spreads that one or two left-out chips are believed
_FEW = 100.0  # rows on which a ratio of spreads is believed by half


@dataclass(frozen=True)
class Bundle:
    """The rows of one law: pieces with their chip, fold and format, in the order of the design's rows.

    ``count`` is how many rows of the tables each stands for; ``kernels`` names each piece's kernel and format.
    """

    pieces: list[Piece]
    kernels: list[str]
    chips: NDArray[np.str_]
    folds: NDArray[np.int8]
    formats: NDArray[np.str_]
    count: Array

    @property
    def standing(self) -> NDArray[np.str_]:
        """How each row's piece stands to the rows of other chips: its kernel known, unknown, or its chip a stranger."""
        firsts = np.cumsum([0, *(len(p.log_measured) for p in self.pieces)])[:-1]
        owners = [str(self.chips[first]) for first in firsts]
        on: dict[str, set[str]] = {}
        for kernel, owner in zip(self.kernels, owners, strict=True):
            on.setdefault(kernel, set()).add(owner)
        names = [
            "stranger" if not unit_of(get_chip(owner)).like else "known" if on[kernel] - {owner} else "unknown"
            for kernel, owner in zip(self.kernels, owners, strict=True)
        ]
        return np.repeat(names, [len(p.log_measured) for p in self.pieces])


def main(arguments: Sequence[str]) -> None:
    """Fit every law on the tables named by ``arguments``, or on the shipped ones, and store the result.

    ``--only=NAME`` fits again the laws whose names begin so and keeps the others; ``--out=PATH`` writes elsewhere.
    """
    only = [a.removeprefix("--only=") for a in arguments if a.startswith("--only=")]
    files = [Path(a) for a in arguments if not a.startswith("--")] or sorted(DATA.glob("*.parquet"))
    bundles = read(files)
    target = next((Path(a.removeprefix("--out=")) for a in arguments if a.startswith("--out=")), OUT)
    out: dict[str, Any] = _header(files)
    if only and target.exists():
        kept = json.loads(target.read_text(encoding="utf-8"))
        kept["fitted_on"]["files"].update(out["fitted_on"]["files"])
        out = kept
    for name in sorted(bundles):
        if only and not any(name.startswith(o) for o in only):
            continue
        began = time.perf_counter()
        law, values = fit_law(SPECS[name], bundles[name])
        out["laws"][name] = law
        for which, numbers in values.items():
            held = out["final"] if which == "final" else out["left_out"].setdefault(which, {})
            held[name] = numbers
        kept = sum(1 for v in values["final"] if v)
        print(f"{name}: {kept} coefficients, {time.perf_counter() - began:.0f} s; {law['residuals']}", flush=True)
    write_text(target, compact(out))


def _header(files: Sequence[Path]) -> dict[str, Any]:
    shas = {f.name: hashlib.sha256(f.read_bytes()).hexdigest()[:16] for f in files}
    return {
        "fitted_on": {
            "files": shas,
            "date": date.today().isoformat(),
            "source": f"measured tables of validation/README.md, at most {_MOST} rows of each piece of work",
        },
        "groups_of": "shape-N: sha256 of op, dtype and shape, first four bytes modulo 5; chip-ID: all rows of a chip",
        "laws": {},
        "final": {},
        "left_out": {},
    }


def read(files: Sequence[Path]) -> dict[str, Bundle]:
    """Return the rows of ``files`` by law; rows that cannot be predicted are left out."""
    found: dict[str, list[tuple[Piece, str, str, int, NDArray[np.int8]]]] = {}
    for path in files:
        rows = with_fold(normal(pl.read_parquet(path)))
        for key, part in rows.group_by(GROUP, maintain_order=True):
            named = dict(zip(GROUP, key, strict=True))
            operator = operator_of(named["op"])
            if operator is None:
                continue
            part = part.filter(pl.all_horizontal(pl.col(*SIZES[operator.kind], "measured") > 0.0))
            count = part.height
            part = part.sample(min(_MOST, count), seed=1)
            group = Group(**{k: v for k, v in named.items() if k != "chip"})
            form = law_format(format_name(operator, group))
            try:
                chip = get_chip(named["chip"])
                work = work_of(chip, operator, group, part)
            except SuanliError as error:
                print(f"left out {part.height} rows of {path.name}: {error}")
                continue
            weights = shift_weights(chip, law_name(operator), form, kv_dtype=group.kv_dtype, kernel=group.kernel)
            weights |= dict.fromkeys(shifts_of(operator, group), 1.0)
            piece = Piece(work, weights, np.log(part["measured"].to_numpy()), np.ones(part.height))
            item = (piece, f"{group.kernel}:{form}", chip.id, count, part["fold"].to_numpy())
            found.setdefault(law_name(operator), []).append(item)
    return {name: _bundle(items) for name, items in found.items()}


def _bundle(items: list[tuple[Piece, str, str, int, NDArray[np.int8]]]) -> Bundle:
    return Bundle(
        pieces=[item[0] for item in items],
        kernels=[item[1] for item in items],
        chips=np.concatenate([np.full(len(folds), chip) for _, _, chip, _, folds in items]),
        folds=np.concatenate([folds for *_, folds in items]),
        formats=np.concatenate([np.full(len(folds), kernel.rpartition(":")[2]) for _, kernel, *_, folds in items]),
        count=np.concatenate([np.full(len(folds), count / len(folds)) for *_, count, folds in items]),
    )


def fit_law(spec: Spec, rows: Bundle) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Return a law's form with its spreads, and its coefficients fitted on all rows and without each group.

    Which coefficients are kept is chosen on all rows, and anew, without the chip's rows, for each chip left out.
    """
    columns = columns_of(spec, sorted({key for piece in rows.pieces for key in piece.weights}))
    whole = design(columns, rows.pieces)
    final = weeded(spec, columns, whole)
    sets = {"final": final}
    seen, new = np.full(len(rows.folds), np.nan), np.full(len(rows.folds), np.nan)
    for fold in range(FOLDS):
        out = rows.folds == fold
        sets[f"shape-{fold}"] = again(spec, columns, whole.only(~out), final)
        seen[out] = errors_of(sets[f"shape-{fold}"], whole.only(out), spec.sharpness)[out]
    chips = sorted(set(rows.chips.tolist()))
    for chip in chips if len(chips) > 1 else []:
        out = rows.chips == chip
        sets[f"chip-{chip}"] = weeded(spec, columns, whole.only(~out))
        new[out] = errors_of(sets[f"chip-{chip}"], whole.only(out), spec.sharpness)[out]
    rounded = {name: np.round(values, 3) for name, values in sets.items()}
    kept = np.any([values != 0.0 for values in rounded.values()], axis=0)
    law = {
        "columns": [f"{c.part}|{c.group}|{c.feature}" for c, stays in zip(columns, kept, strict=True) if stays],
        "sharpness": spec.sharpness,
        "spread": _spread(rows, seen, new, bound_of(final, whole)),
        "chips": {c: unit_of(get_chip(c)).family for c in chips},
        "formats": sorted(set(rows.formats.tolist())),
        "kernels": _kernels(rows),
        "residuals": {
            "n": len(seen),
            "shape": _residuals(seen, rows.count),
            "chip": {c: _residuals(new[rows.chips == c], rows.count[rows.chips == c]) for c in chips},
        },
    }
    return law, {name: values[kept].tolist() for name, values in rounded.items()}


def _kernels(rows: Bundle) -> dict[str, list[str]]:
    """Return the chips on which each kernel was measured in each format."""
    firsts = np.cumsum([0, *(len(p.log_measured) for p in rows.pieces)])[:-1]
    found: dict[str, set[str]] = {}
    for kernel, first in zip(rows.kernels, firsts, strict=True):
        found.setdefault(kernel, set()).add(str(rows.chips[first]))
    return {kernel: sorted(chips) for kernel, chips in sorted(found.items())}


def _spread(rows: Bundle, seen: Array, new: Array, bound: NDArray[np.int64]) -> dict[str, dict[str, float]]:
    """Return the spreads of errors on unseen shapes and new chips: by part, times ratios of format and standing."""
    part = np.array(PARTS)[bound]
    by_part, by_format = _factors(seen, rows.count, [part, rows.formats])
    if not np.isfinite(new).any():
        new = 2.5 * seen  # measured on one chip alone: taken
    new_part, new_format, new_standing = _factors(new, rows.count, [part, rows.formats, rows.standing])
    ratios = {name: new_standing.get(name, 1.0) for name in ("known", "unknown", "stranger")}
    return {
        "seen": {p: by_part.get(p, by_part[""]) for p in PARTS},
        "new": {p: new_part.get(p, new_part[""]) for p in PARTS},
        "format_seen": {k: v for k, v in by_format.items() if k},
        "format_new": {k: v for k, v in new_format.items() if k},
        "standing": {name: min(max(ratio, ratios["known"]), _STRANGEST) for name, ratio in ratios.items()},
    }


def _factors(errors: Array, count: Array, labels: Sequence[NDArray[np.str_]]) -> list[dict[str, float]]:
    """Return a spread for each first label and ratios for the others, whose product holds 80 % of ``errors``.

    A label of few rows leans to the whole; the spread under "" is that of all rows.
    """
    known = np.isfinite(errors)
    size, weight = np.abs(errors[known]), count[known]
    names = [label[known] for label in labels]
    overall = float(np.clip(_quantile(size, weight) / Z80, _LEAST_SPREAD, _WIDEST))
    factors = [dict.fromkeys(np.unique(label).tolist(), 1.0) for label in names]
    for _ in range(4):
        for label, factor in zip(names, factors, strict=True):
            expected = overall * np.prod(
                [[f[x] for x in other] for other, f in zip(names, factors, strict=True)], axis=0
            )
            for name in factor:
                mine = label == name
                share = mine.sum() / (mine.sum() + _FEW)
                factor[name] *= float(_quantile((size / expected)[mine], weight[mine]) / Z80) ** share
    spreads = {name: round(float(np.clip(overall * f, _LEAST_SPREAD, _WIDEST)), 3) for name, f in factors[0].items()}
    ratios = [{name: round(value, 3) for name, value in factor.items()} for factor in factors[1:]]
    return [{**spreads, "": round(overall, 3)}, *ratios]


def _quantile(values: Array, weight: Array, at: float = 0.8) -> float:
    order = np.argsort(values)
    total = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(total, at * total[-1])])


def _residuals(errors: Array, count: Array) -> str:
    """Return median absolute error and bias of log errors of measured over predicted, in per cent."""
    known = np.isfinite(errors)
    if not known.any():
        return "not left out"
    relative = 100.0 * (np.exp(-errors[known]) - 1.0)
    middle = _quantile(np.abs(relative), count[known], 0.5)
    return f"median {middle:.1f} %, bias {np.average(relative, weights=count[known]):+.1f} %"


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
