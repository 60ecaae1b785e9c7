"""Parameters fitted on measurements, as the fit scripts of the project wrote them."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from suanli.catalog._folder import DATA
from suanli.errors import InputError


@cache
def fitted(kind: str) -> dict[str, Any]:
    """Return the parameters of ``kind`` ("training", "ops", ...) that its fit script stored.

    Raises InputError naming the script where there are none.
    """
    path = DATA / "fitted" / f"{kind}.json"
    if not path.is_file():
        raise InputError(f"no fitted parameters for '{kind}'; 'python -m validation.fit.{kind}' writes them")
    out: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return out
