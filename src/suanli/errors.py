"""Errors that a user can act on: one line, no traceback, exit code 2."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class SuanliError(Exception):
    """Something the user can mend; its text is one line that says what was found and what is allowed."""


class InputError(SuanliError):
    """A file, option or value that is not what it should be."""


class UnknownNameError(InputError):
    """A name that is in no catalogue."""


class InfeasibleError(SuanliError):
    """Limits that cannot hold together; the text names them."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name closest to ``name`` in spelling, or None where none is close."""
    by_fold = {k.casefold(): k for k in known}
    found = get_close_matches(name.casefold(), by_fold, n=1, cutoff=0.5)
    return by_fold[found[0]] if found else None


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """Return the error for a ``kind`` called ``name`` that is not among ``known``."""
    close = nearest(name, known)
    hint = (
        f"; did you mean '{close}'?"
        if close
        else f"; 'suanli {kind}{'es' if kind.endswith('ch') else 's'} list' names all"
    )
    return UnknownNameError(f"unknown {kind} '{name}'{hint}")
