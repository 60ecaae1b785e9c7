"""Budgets asked for on the command line, and the difference of two plans."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from suanli.errors import InputError
from suanli.files import read_text, validate
from suanli.fleet._figure import unknown_part
from suanli.fleet._schema import CaseSpec, Variant


def budget_variant(spec: CaseSpec, asked: Sequence[str]) -> Variant:
    """Return the variant that budget options ask for: one id of the case, or POT:YEAR=MONEY as often as needed.

    Raises InputError for text of neither form, UnknownNameError for a pot or variant that the case has not.
    """
    names = [v.id for v in spec.variants]
    if len(asked) == 1 and not {"=", ":"} & set(asked[0]):
        for variant in spec.variants:
            if variant.id == asked[0]:
                return variant
        raise unknown_part("variant", asked[0], names)
    pots = [p.id for p in spec.pots]
    budgets: dict[str, list[Any]] = {}
    for text in asked:
        where, _, amount = text.partition("=")
        pot, _, year = where.partition(":")
        if not amount or not year.strip().isdigit():
            raise InputError(f"--budget: '{text}' is not a variant ({', '.join(names)}) nor POT:YEAR=MONEY")
        if pot.strip() not in pots:
            raise unknown_part("pot", pot.strip(), pots)
        row = {"year": int(year), "amount": {"value": amount.strip(), "source": "command line"}}
        budgets.setdefault(pot.strip(), []).append(row)
    made = {"id": "asked", "title": f"as asked: {', '.join(asked)}", "budgets": budgets}
    return validate(made, Variant, where="--budget")


def diff(a: Path, b: Path) -> dict[str, Any]:
    """Return what two plans differ in: every figure that both or one of them has, the largest relative change first.

    The main plan of each is called "plan", whatever its view and budget are called.

    Raises InputError for a folder without a plan.
    """
    left, right = _figures(a), _figures(b)
    rows = []
    for key in dict.fromkeys((*left, *right)):
        x, y = left.get(key), right.get(key)
        unit = (x or y or {}).get("unit", "")
        before = float(x["value"]) if x else None
        after = float(y["value"]) if y else None
        change = (after or 0.0) - (before or 0.0)
        if abs(change) > 1e-9 * max(1.0, abs(before or 0.0), abs(after or 0.0)):
            rows.append({"figure": key, "unit": unit, "a": before, "b": after, "change": change})
    rows.sort(key=lambda r: -abs(r["change"]) / max(abs(r["a"] or 0.0), abs(r["b"] or 0.0), 1e-12))
    return {"a": str(a), "b": str(b), "rows": rows}


def _figures(path: Path) -> dict[str, Any]:
    file = path / "plan.json" if path.is_dir() else path
    try:
        body = json.loads(read_text(file))
        figures = body["provenance"]["figures"]
        main = f"{body['main']['view']}.{body['main']['variant']}."
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{file}: is no plan.json that 'suanli plan' wrote") from error
    return {f"plan.{key.removeprefix(main)}" if key.startswith(main) else key: f for key, f in figures.items()}
