"""Validate: predictions against measured rows, with the naive baseline beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from suanli.errors import unknown_name
from suanli.scoring._result import Scored, agreement, error_metrics, report

__all__ = ["KINDS", "Scored", "agreement", "error_metrics", "report", "score"]

KINDS: tuple[str, ...] = ("training", "vtrain", "ops", "serving", "controls", "ppa")
"""Kinds of measured rows; each has a module here of that name with ``score(files) -> Scored``."""


def score(kind: str, files: Sequence[Path]) -> Scored:
    """Return predictions beside the measurements in ``files``. Raises UnknownNameError and InputError."""
    if kind not in KINDS:
        raise unknown_name("kind", kind, KINDS)
    scorer: Callable[[Sequence[Path]], Scored] = import_module(f"suanli.scoring.{kind}").score
    return scorer(files)
