"""What a software era lets a user choose: the switches that a search may set."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from suanli.errors import unknown_name
from suanli.files import plain, read_yaml
from suanli.training._strategy import CONTEXT, SHARDING


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """Choices that an era's flags can say: stages of sharding, exchanges of context, and which switches exist."""

    sharding: tuple[str, ...] = SHARDING
    contexts: tuple[str, ...] = CONTEXT
    hybrid: bool = True
    optimizer_offload: bool = True
    activation_offload: bool = True
    short_moments: bool = True
    tp_overlap: bool = True
    source: str = ""


EVERYTHING = Offers()
"""Every choice that the model knows, whatever software offers it."""


@cache
def _file() -> dict[str, Any]:
    path = Path(str(files("suanli.training").joinpath("data/offers.yaml")))
    raw: dict[str, Any] = plain(read_yaml(path))
    return raw


def offers_of(era_id: str) -> Offers:
    """Return what the era called ``era_id`` offers. Raises UnknownNameError with the nearest name."""
    rows = _file()
    if era_id not in rows:
        raise unknown_name("era", era_id, list(rows))
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in rows[era_id].items()}
    return Offers(**values)
