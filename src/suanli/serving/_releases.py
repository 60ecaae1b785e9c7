"""Releases at which a framework's own work per step changed by design, and the release that a version text means."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from suanli.errors import InputError
from suanli.serving._frameworks import framework_of

_DATA = Path(__file__).parent / "data" / "releases.yaml"

_NUMBER = r"v?(\d{1,2}(?:\.\d+)+)"
_WHOLE = re.compile(_NUMBER + r"(?:[.+_-]?[a-z0-9]+)*\+?")
_ROUND = re.compile(r"v[3-9]\.\d")  # MLPerf's rounds stand where versions do; no framework has come so far


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """From version ``first`` of a framework on the host works otherwise in a step: ``change``, as ``source`` says."""

    framework: str
    first: str
    change: str
    source: str

    @property
    def key(self) -> str:
        """Name under which fitted shifts are kept: ``vllm 0.8``."""
        return f"{self.framework} {self.first}"


@cache
def _tree() -> dict[str, Any]:
    from suanli.files import plain, read_yaml

    tree: dict[str, Any] = plain(read_yaml(_DATA))
    return tree


def releases(framework: str) -> tuple[Release, ...]:
    """Return the releases of a framework, oldest first; none for a framework that the table lacks."""
    rows = _tree()["releases"].get(framework, [])
    return tuple(Release(framework=framework, **row) for row in rows)


def release_of(framework: str, version: str = "") -> str:
    """Return the key of the release that a version text means (``vllm 0.8``), "" where it tells no version.

    ``framework`` is a name or a text that carries the version (``vLLM v0.9.2``). Of a text that names several
    frameworks the part of this one counts; nightly builds, the rounds of MLPerf and the versions of what wraps a
    framework are no versions.
    """
    name = framework_of(framework)
    low = version.casefold().strip()
    found = _beside_name(name, low) or _alone(low) or _beside_name(name, framework.casefold())
    other = _tree()["others"].get(name)
    if not found or (other and re.fullmatch(other, low)):
        return ""
    number = _ordered(found)
    reached = [r.key for r in releases(name) if _ordered(r.first) <= number]
    return reached[-1] if reached else ""


def release_asked(text: str) -> Release | None:
    """Return the release that a framework choice asks for: ``vllm@0.12.0``, or its newest where it names no version.

    None for a framework without releases in the table. Raises InputError for what stands behind @ and is no version.
    """
    framework, at, version = text.partition("@")
    known = releases(framework_of(framework))
    key = release_of(framework, version)
    if at and not _alone(version.casefold().strip()):
        newest = known[-1].first if known else "1.0"
        raise InputError(f"framework '{text}': '{version}' is no version; write it as {framework}@{newest}")
    if not key and not at:
        return known[-1] if known else None
    return next((r for r in known if r.key == key), None)


def _alone(text: str) -> str:
    """Return the number of a text that is a version and nothing else."""
    found = _WHOLE.fullmatch(text.removesuffix(" unverified"))
    return found[1] if found and not _ROUND.fullmatch(text.removesuffix(" unverified")) else ""


def _beside_name(name: str, text: str) -> str:
    """Return the number that follows a framework's own name in a text."""
    words = "|".join(re.escape(w) for w in _tree()["words"].get(name, [name]))
    found = re.search(rf"(?<![a-z])(?:{words})[\s:@=-]*{_NUMBER}", text)
    return found[1] if found else ""


def _ordered(number: str) -> tuple[int, ...]:
    return tuple(int(part) for part in number.split("."))
