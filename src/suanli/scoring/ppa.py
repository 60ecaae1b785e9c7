"""Score die areas and design powers of published chips against the area and power model."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from suanli.errors import InputError
from suanli.estimates import Z80
from suanli.files import read_table
from suanli.scoring._ppa_model import naive_area, naive_power, openness, predicted, readable
from suanli.scoring._ppa_rows import INPUTS, number, style_of
from suanli.scoring._result import Scored

EXACT = ("published", "die shot")
JUDGED_NODES = ("N7", "N7P", "N6", "SN2", "N5", "N4")
COLUMNS = ("id", "die_area_mm2", "area_kind", "transistors_1e9", "tdp_w", "tdp_kind", "notes", *INPUTS)


def score(files: Sequence[Path]) -> Scored:
    """Return predictions beside the published areas (mm² of one die) and powers (W) in ``files``.

    Metrics: ``die_area`` for published and die-shot areas at N7 to N4, ``die_area_other`` for the rest,
    ``die_area_bound`` where only an upper bound is known, ``tdp``. Area, transistors, power and notes are never read
    for a prediction. A chip that took part in fitting is judged by the parameters fitted without it. Raises
    InputError for a file without the columns of a chip.
    """
    import polars as pl

    fitted = _fitted()
    rows: list[dict[str, Any]] = []
    skipped: list[tuple[str, str]] = []
    judged: Counter[str] = Counter()
    n_rows = 0
    for path in files:
        table = read_table(path)
        missing = [c for c in ("name", "foundry_node") if c not in table.columns]
        if missing:
            raise InputError(f"{path}: no column '{missing[0]}'; expected {', '.join(COLUMNS)}")
        for index, row in enumerate(table.to_dicts()):
            n_rows += 1
            ident = str(row.get("id") or f"{path.name}:{index + 1}")
            made, reason, held = _score_row(ident, row, fitted)
            rows += made
            skipped += [(ident, reason)] if reason else []
            judged[held] += bool(made)
    return Scored(
        kind="ppa",
        n_rows=n_rows,
        rows=pl.DataFrame(rows, schema=_SCHEMA),
        skipped=skipped,
        groups=("source", "chip", "node", "style", "area_kind"),
        fitted={"left_out": judged["left_out"], "final": judged["final"]},
        baseline_name="area by transistor density alone, power by the 16-bit peak alone",
        notes=(
            "Areas are of one logic die; an area listed without confirmation, or at another node, is die_area_other.",
        ),
    )


_SCHEMA = {
    "id": str, "metric": str, "measured": float, "predicted": float, "p10": float, "p90": float, "baseline": float,
    "source": str, "chip": str, "node": str, "style": str, "area_kind": str,
}  # fmt: skip


def _fitted() -> Mapping[str, Any]:
    from suanli.catalog import fitted

    return fitted("ppa")


def parameters_for(row: Mapping[str, Any], fitted: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """Return the parameters that may judge ``row`` and their kind: "left_out" where its chip took part in the fit."""
    names = {str(row.get("id") or "").casefold(), str(row.get("name") or "").casefold()} - {""}
    for group, aliases in fitted["groups"].items():
        if names & set(aliases):
            return fitted["left_out"][group], "left_out"
    return fitted["final"], "final"


def _score_row(
    ident: str, row: Mapping[str, Any], fitted: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], str | None, str]:
    inputs = {name: row.get(name) for name in INPUTS} | {"id": ident}
    spec = readable(inputs)
    if isinstance(spec, str):
        return [], spec, ""
    parameters, held = parameters_for(row, fitted)
    area, power = (float(v[0]) for v in predicted(spec, parameters["multipliers"], node=str(inputs["foundry_node"])))
    gap = openness(inputs)
    kind = str(row.get("area_kind") or "").strip()
    about = {"id": ident, "source": ident.split("-")[0], "chip": str(row.get("name") or ident), "node": spec.node,
             "style": style_of(inputs), "area_kind": kind}  # fmt: skip
    out = []
    measured = number(row, "die_area_mm2")
    if measured:
        metric = "die_area_other"
        if kind == "upper bound":
            metric = "die_area_bound"
        elif kind in EXACT and spec.node in JUDGED_NODES:
            metric = "die_area"
        sigma = math.hypot(parameters["sigma"]["area"], gap, 0.0 if metric == "die_area" else 0.12)
        naive = naive_area(row, spec, parameters["naive"]["density_share"])
        out.append({**about, "metric": metric, "measured": measured, "baseline": naive, **_interval(area, sigma)})
    watts = number(row, "tdp_w")
    if watts:
        naive = naive_power(row, parameters["naive"]["watts_per_tflop"])
        sigma = math.hypot(parameters["sigma"]["tdp"], gap)
        out.append({**about, "metric": "tdp", "measured": watts, "baseline": naive, **_interval(power, sigma)})
    return out, None if out else "neither die area nor power is published", held


def _interval(value: float, sigma: float) -> dict[str, float]:
    half = Z80 * sigma
    return {"predicted": value, "p10": value * math.exp(-half), "p90": value * math.exp(half)}
