"""Commands whose options are the fields of a frozen dataclass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer

from suanli.cli._command import command, option


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One required option, one with a default, and a flag under a name of its own."""

    chip: Annotated[str, option("Chip to ask for.", metavar="NAME")]
    max_power: Annotated[float, option("Most power in W.", panel="Limits", min=0.0)] = 700.0
    exact: Annotated[bool, option("Exactly this many.", "--exact/--about")] = True


def ask(*arguments: str) -> tuple[int | str | None, list[Asked]]:
    heard: list[Asked] = []

    def run(asked: Asked) -> None:
        """Say what is asked."""
        heard.append(asked)

    app = typer.Typer(add_completion=False)
    app.command()(command(Asked, run))
    with pytest.raises(SystemExit) as stop:
        app(list(arguments))
    return stop.value.code, heard


def test_fields_are_options_with_their_defaults() -> None:
    assert ask("--chip", "h20") == (0, [Asked(chip="h20")])
    assert ask("--chip", "h20", "--max-power=400", "--about") == (0, [Asked(chip="h20", max_power=400.0, exact=False)])


@pytest.mark.parametrize("arguments", [(), ("--chip", "h20", "--max-power=-1"), ("--chip", "h20", "--max_power=1")])
def test_what_no_field_takes_is_refused(arguments: tuple[str, ...]) -> None:
    assert ask(*arguments) == (2, [])


def test_help_shows_text_panel_and_docstring(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("--help") == (0, [])
    told = " ".join(capsys.readouterr().out.split())
    for text in ("Say what is asked.", "Chip to ask for.", "Limits", "[required]", "[default: exact]"):
        assert text in told
