"""Suanli (算力): planning AI compute, from chip to fleet.

>>> import suanli as sl
>>> sl.screen("h20", to="CN", owner="CN", date="2025-04-15").outcome
'LICENCE_REQUIRED'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from suanli import design
    from suanli._api import chip, cluster, model, plan, screen, serve, train

__version__ = "0.1.0"
__all__ = ["__version__", "chip", "cluster", "design", "model", "plan", "screen", "serve", "train"]


def __getattr__(name: str) -> Any:
    """Return a call of the library; its rooms are loaded when it is first used."""
    if name == "design":
        return import_module("suanli.design")
    if name in __all__:
        from suanli import _api

        return getattr(_api, name)
    raise AttributeError(f"module 'suanli' has no attribute '{name}'")
