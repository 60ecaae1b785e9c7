"""Parameters fitted on measurements, as the fit scripts of the project wrote them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from suanli.catalog._folder import DATA, user_file
from suanli.errors import InputError
from suanli.files import read_json


def fitted(kind: str) -> dict[str, Any]:
    """Return the parameters of ``kind`` ("training", "ops", ...): fitted/KIND.json of the user's folder, else ours.

    Raises InputError naming the fit script where there are none, or the file where it is no JSON.
    """
    own = user_file(f"fitted/{kind}.json")
    path = own or DATA / "fitted" / f"{kind}.json"
    if not path.is_file():
        raise InputError(f"no fitted parameters for '{kind}'; 'python -m validation.fit.{kind}' writes them")
    return _read(path)


@cache
def _read(path: Path) -> dict[str, Any]:
    out = read_json(path)
    if not isinstance(out, dict):
        raise InputError(f"{path}: expected an object with the key 'final'")
    return out
