"""Budgets asked for on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from suanli.errors import InputError
from suanli.files import validate
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
