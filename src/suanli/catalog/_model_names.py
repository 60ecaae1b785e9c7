"""How a model's spelling is read: publisher, format and tuning words off, then the name itself."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from suanli.catalog._folder import DATA
from suanli.errors import unknown_name


@dataclass(frozen=True, slots=True)
class ModelResolution:
    """What a model's spelling was read as: ``id``, ``taken`` in words, ``weight_format`` where the spelling names one.

    ``exact`` is False where words were left unread.
    """

    id: str
    taken: str
    weight_format: str = ""
    exact: bool = True


@cache
def reading() -> dict[str, Any]:
    """Return how names and configurations of models are read: words and habits by model type."""
    out: dict[str, Any] = json.loads((DATA / "model_reading.json").read_text(encoding="utf-8"))
    return out


def squeeze(text: str) -> str:
    """Return ``text`` in lower case with letters and digits only.

    Between digits a point becomes "p" and any other separator "x": 1.3B is not 13B, nor Qwen2-57B Qwen2.5-7B.
    """
    return _join(_words(text))


def with_pointless(names: Mapping[str, str]) -> dict[str, str]:
    """Return ``names`` with spellings without points beside them ("llama31x8b", "llama3x1x8b"), where they are free."""
    out = dict(names)
    for other in ("", "x"):
        without: dict[str, set[str]] = {}
        for key, model in names.items():
            without.setdefault(re.sub(r"(?<=\d)p(?=\d)", other, key), set()).add(model)
        for key, models in without.items():
            if len(models) == 1:
                out.setdefault(key, *models)
    return out


def _join(words: Sequence[str]) -> str:
    return re.sub(r"(?<=\d) (?=\d)", "x", " ".join(words)).replace(" ", "")


def read_name(text: str, names: Mapping[str, str], known: Mapping[str, str]) -> ModelResolution:
    """Return the model that ``text`` means.

    ``names`` maps squeezed spellings to ids, ``known`` ids to titles. Raises UnknownNameError with the nearest name.
    """
    plain = re.sub(r"\bw/o\b", "wo", text.strip().rstrip("/"))
    tail = plain.rsplit("/", 1)[-1]
    for whole in (plain, tail):
        if squeeze(whole) in names:
            return _answer(text, names[squeeze(whole)], "", (), known)
    words, formats = _words(tail), reading()["formats"]
    fmt = next((formats[w] for w in words if w in formats), "")
    kept = [w for w in words if w not in formats]
    found = _longest(kept, names) or _longest([w for w in kept if w not in reading()["tuning"]], names)
    if found is None and "(" in plain and (bare := re.sub(r"\(.*?\)", " ", plain).strip()):
        found = _longest([w for w in _words(bare) if w not in formats], names)  # a remark beside the name
    if found is None:
        raise unknown_name("model", text, [*known, *known.values()])
    model, unread = found
    return _answer(text, model, fmt, unread, known)


def _words(text: str) -> list[str]:
    """Return the words of ``text``; a version's point between digits, or underscore ("llama3_1-8b"), becomes "p"."""
    plain = text.casefold().replace("(", " ").replace(")", " ")
    plain = re.sub(r"(?<=\d)(\.|_(?=\d(?![\db])))(?=\d)", "p", plain)
    return [w for w in re.split(r"[^a-z0-9]+", plain) if w]


def _longest(words: list[str], names: Mapping[str, str]) -> tuple[str, tuple[str, ...]] | None:
    """Return the model that the longest run of ``words`` spells, where the words left out are only tuning words.

    After the word "distill" the name of the model that was taught follows: that one is taken.
    """
    if "distill" in words and words.index("distill") + 1 < len(words):
        start = words.index("distill") + 1
        taught = _longest(words[start:], names)
        if taught is not None:
            return taught[0], (*words[:start], *taught[1])
    size = len(words)
    for length in range(size, 0, -1):
        for start in range(size - length + 1):
            key = _join(words[start : start + length])
            if key in names:
                rest = (*words[:start], *words[start + length :])
                if all(_harmless(w) for w in rest):
                    return names[key], rest
    return None


def _harmless(word: str) -> bool:
    """Return whether ``word`` says nothing of the architecture: a tuning word, a date or a version."""
    return word in reading()["tuning"] or bool(re.fullmatch(r"v?\d+(p\d+)*|v\d+(p\d+)*|rc\d+|\d{4,8}", word))


def _answer(text: str, model: str, fmt: str, unread: tuple[str, ...], known: Mapping[str, str]) -> ModelResolution:
    taken = f"'{text}' read as {known[model]}"
    if fmt:
        taken += f" with {fmt} weights"
    if changed := [w for w in unread if w in reading()["other_weights"]]:
        taken += f" (the {' and '.join(changed)} variant has the architecture of the original, as far as is known)"
    return ModelResolution(model, taken, fmt, not unread)
