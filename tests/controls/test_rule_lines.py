"""Each line of the rules, asked from both sides of each border: ``rule_lines.txt`` beside this file.

A line is ``why | date | item | what is stated besides | outcome paragraph presumption``; items are in ``items.py``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from suanli.controls import screen
from tests.controls.items import question

LINES = [
    tuple(part.strip() for part in line.replace(" | |", " |  |").split(" | "))
    for line in (Path(__file__).parent / "rule_lines.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


def test_there_are_enough() -> None:
    assert len(LINES) >= 150
    assert all(len(line) == 5 for line in LINES)


@pytest.mark.parametrize("line", LINES, ids=[f"{line[1]} {line[0]}" for line in LINES])
def test_a_line_of_the_rules(line: tuple[str, ...]) -> None:
    _, date, item, more, expected = line
    query, ruleset = question(date, item, more)
    ruling = screen(query, ruleset=ruleset)
    assert (ruling.outcome, ruling.eccn, ruling.presumption) == tuple(expected.split()), ruling.depends_on
