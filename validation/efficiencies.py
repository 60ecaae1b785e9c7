"""Write docs/efficiencies.md: every general coefficient of the operators' laws, with its meaning.

Run ``python -m validation.efficiencies`` after ``validation.fit.ops``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from suanli.catalog import fitted
from suanli.files import write_text
from suanli.silicon._laws import PARTS

_ROOT = Path(__file__).parents[1]
_FEATURES = _ROOT / "src" / "suanli" / "silicon" / "data" / "features.json"
_SHIFTS = ("format", "family", "framework", "method", "op", "direction", "kv")
_HEAD = """# Coefficients of the operators' laws

Written by `python -m validation.efficiencies` from `catalog/data/fitted/ops.json`; [Silicon](silicon.md) says what they
are in. Each part of an operator's time is slowed by 1 + exp(sum of coefficient x feature), the overhead is multiplied
by exp(sum). A feature is a number of order one. *Pooled* holds for every chip, format and software; the shifts of a
format, a family or software are added where it runs. How single kernels bend is counted, not listed: most of it tells
of the measured chips alone.
"""


def main() -> None:
    """Write the page."""
    write_text(_ROOT / "docs" / "efficiencies.md", page(fitted("ops"), _meanings()))


def _meanings() -> Mapping[str, str]:
    meanings: Mapping[str, str] = json.loads(_FEATURES.read_text(encoding="utf-8"))["features"]
    return meanings


def page(data: Mapping[str, Any], meanings: Mapping[str, str]) -> str:
    """Return the page over the fitted ``data``; ``meanings`` names each feature. Raises KeyError for one unnamed."""
    return _HEAD + "".join(
        _section(name, law["columns"], data["final"][name], meanings) for name, law in data["laws"].items()
    )


def _section(name: str, columns: Sequence[str], values: Sequence[float], meanings: Mapping[str, str]) -> str:
    rows: dict[tuple[int, str], dict[str, float]] = {}
    for column, value in zip(columns, values, strict=True):
        part, group, feature = column.split("|")
        if value:
            rows.setdefault((PARTS.index(part), feature), {})[group] = value
    found = [group for shifts in rows.values() for group in shifts]
    own = sum(1 for group in found if group.startswith("kernel:") or "@" in group)
    lines = [
        f"\n## {name}\n",
        f"{len(found) - own} general coefficients, {own} of single kernels.\n",
        "| part | feature | pooled | shifts | kernels |",
        "| --- | --- | --- | --- | --- |",
    ]
    for (place, feature), shifts in sorted(rows.items()):
        cells = [PARTS[place], _meaning(feature, meanings), f"{shifts['']:+.2f}" if "" in shifts else ""]
        cells += [_general(shifts), str(sum(1 for g in shifts if g.startswith("kernel:") or "@" in g) or "")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _meaning(feature: str, meanings: Mapping[str, str]) -> str:
    return f"`{feature}` " + " x ".join(meanings[name] for name in feature.split("*"))


def _general(shifts: Mapping[str, float]) -> str:
    named = [(*group.split(":", 1), value) for group, value in shifts.items() if group and "@" not in group]
    return ", ".join(f"{name} {value:+.2f}" for sort, name, value in named if sort in _SHIFTS)


if __name__ == "__main__":
    main()
