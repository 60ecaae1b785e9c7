"""How a chip's spelling is read: noise off, the core name found, then board, memory and power choose the variant."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from suanli.errors import unknown_name
from suanli.kinds import Chip
from suanli.quantities import GIB

WEAK = 2  # letters
LONGEST = 6  # words that together may spell one core name ("rtx pro 6000 blackwell server edition")
MEMORY_TOLERANCE = 0.08  # 192 GB and 180 GB of the same package are one chip; 96 GB and 80 GB are two
POWER_TOLERANCE = 0.10
VARIANTS = (0.4, 2.0)  # memory sizes beyond these shares of a row are the host's or a whole node's

_MARKS = re.compile(r"[®™©]|\((?:r|tm|c)\)", re.IGNORECASE)
_RATE = re.compile(r"\d[\d.,]*\s*[kmgt]b/s", re.IGNORECASE)
_COUNT = re.compile(r"\b\d+\s*x\s+(?=\D)|\bx\s?\d+\b|\b\d+x(?=[a-z])|(?<=\d)x\d+\b", re.IGNORECASE)
_FORM = re.compile(r"(sxm|pcie|nvl|oam)(\d*)")
_MEMORY = re.compile(r"\b(\d+(?:\.\d+)?) ?(?:gib|gb|g)\b")
_POWER = re.compile(r"\b(\d+) ?w\b")


@dataclass(frozen=True, slots=True)
class Name:
    """A core name ("h100") and one chip that it may mean, on the board ``form``; earlier ones are preferred."""

    core: str
    chip: str
    form: str


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a spelling was read as: ``id`` of the chip, and ``taken`` in words.

    ``base`` is the catalogue's row; where ``changes`` is not empty the chip is that row with these fields replaced.
    """

    id: str
    taken: str
    base: str = ""
    variant: str = ""
    changes: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Spelling:
    words: tuple[str, ...]
    form: str
    memory: float | None
    power: float | None


def compact(text: str) -> str:
    """Return ``text`` in lower case with letters and digits only."""
    return re.sub(r"[^a-z0-9]", "", text.casefold())


def resolve(text: str, chips: Mapping[str, Chip], names: Sequence[Name]) -> Resolution:
    """Return which of ``chips`` ``text`` means. Raises UnknownNameError where it names none.

    An exact id or name wins; else the first core name in the text, then its board, memory and power. A chip that has
    no row among ``names`` (a user's) is found by its id as core name.
    """
    exact = _exact(text, chips)
    if exact:
        return Resolution(exact, f"'{text}' is {chips[exact].name}", base=exact)
    spelling = _read(text)
    by_core: dict[str, list[Name]] = {}
    named = {n.chip for n in names}
    own = [Name(compact(c), c, "") for c in chips if c not in named]
    for name in (n for n in [*own, *names] if n.chip in chips):
        by_core.setdefault(name.core, []).append(name)
    core = _core(spelling.words, by_core)
    if core is None:
        raise unknown_name("chip", text, chips)
    return _choose(text, spelling, by_core[core], chips)


def _exact(text: str, chips: Mapping[str, Chip]) -> str | None:
    if text in chips:
        return text
    wanted = compact(text)
    for chip in chips.values():
        if wanted and wanted in (compact(chip.id), compact(chip.name)):
            return chip.id
    return None


def _read(text: str) -> _Spelling:
    plain = _RATE.sub(" ", _MARKS.sub(" ", text))
    plain = plain.casefold().replace("_", " ")
    plain = _COUNT.sub(" ", plain)
    plain = re.sub(r"[^a-z0-9.]+", " ", plain)
    forms = [kind for kind, digits in _FORM.findall(plain) if not (kind == "nvl" and digits)]  # NVL72 is a rack
    memory = _MEMORY.search(plain)
    power = _POWER.search(plain)
    bare = _POWER.sub(" ", _MEMORY.sub(" ", _FORM.sub(" ", plain)))
    return _Spelling(
        words=tuple(w.strip(".") for w in bare.split() if w.strip(".")),
        form=forms[0] if forms else "",
        memory=float(memory[1]) if memory else None,
        power=float(power[1]) if power else None,
    )


def _core(words: Sequence[str], cores: Mapping[str, object]) -> str | None:
    """Return the first core name that neighbouring ``words`` spell, the longest that starts there.

    Names of two letters ("a2", "l4") count only where no longer one is found: they also name machines of clouds.
    """
    weak = None
    for start in range(len(words)):
        for stop in range(min(start + LONGEST, len(words)), start, -1):
            joined = "".join(words[start:stop]).replace(".", "")
            if joined in cores and len(joined) > WEAK:
                return joined
            if joined in cores:
                weak = weak or joined
    return weak


def _choose(text: str, spelling: _Spelling, names: Sequence[Name], chips: Mapping[str, Chip]) -> Resolution:
    on_board = [n for n in names if n.form == spelling.form] if spelling.form else []
    pool = [chips[n.chip] for n in (on_board or names)]
    remarks = []
    if spelling.form and not on_board and any(n.form for n in names):
        remarks.append(f"no {spelling.form.upper()} board known")
    elif not spelling.form and len({n.form for n in names}) > 1:
        remarks.append("no board named")
    fitting = [c for c in pool if _near(spelling.memory, _gib(c), MEMORY_TOLERANCE)]
    powered = [c for c in fitting or pool if _near(spelling.power, c.tdp_w, POWER_TOLERANCE)]
    best = (powered or fitting or pool)[0]
    if spelling.memory is None and len({_gib(c) for c in pool}) > 1:
        remarks.append("no memory size named")
    changes, variant = _changes(spelling, best, fitting=bool(fitting), powered=bool(powered), text=text)
    taken = f"'{text}' read as {best.name}"
    if remarks:
        taken += f" ({', '.join(remarks)}: the usual one is taken)"
    if variant:
        taken += f", with {' and '.join(variant)} as named"
    suffix = "".join(f"-{v.replace(' ', '').lower()}" for v in variant)
    return Resolution(best.id + suffix, taken, base=best.id, variant=", ".join(variant), changes=changes)


def _changes(
    spelling: _Spelling, best: Chip, *, fitting: bool, powered: bool, text: str
) -> tuple[dict[str, float], list[str]]:
    """Return the fields in which the spelling differs from the ``best`` row, and the same in words."""
    changes: dict[str, float] = {}
    words = []
    wanted, have = spelling.memory, _gib(best)
    dual = "dual" in text.casefold()  # a card of two chips names the memory of both
    if wanted and have and not fitting and not dual and VARIANTS[0] <= wanted / have <= VARIANTS[1]:
        changes["memory_bytes"] = wanted * GIB
        words.append(f"{wanted:g} GB")
    if spelling.power is not None and not powered and best.tdp_w is not None:
        changes["tdp_w"] = spelling.power
        words.append(f"{spelling.power:g} W")
    return changes, words


def _near(wanted: float | None, have: float | None, tolerance: float) -> bool:
    return wanted is None or (have is not None and abs(wanted - have) <= tolerance * have)


def _gib(chip: Chip) -> float | None:
    return None if chip.memory_bytes is None else chip.memory_bytes / GIB
