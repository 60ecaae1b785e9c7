"""Commands whose options are a frozen dataclass: each field is stated once, with its type, help and default."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

import typer

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Options = TypeVar("Options", bound=DataclassInstance)
else:
    Options = TypeVar("Options")


def option(text: str, *names: str, panel: str | None = None, **more: Any) -> Any:
    """Return a Typer option with its help, under the heading ``panel`` where one is given.

    Its name is that of the field where ``names`` are not given.
    """
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


def command(options: type[Options], run: Callable[[Options], None]) -> Callable[..., None]:
    """Return ``run`` as Typer takes it: a function with a parameter for each field of the dataclass ``options``.

    A field is annotated with its Typer argument or option; one without a default is required.
    """

    def call(**given: Any) -> None:
        run(options(**given))

    hints = get_type_hints(options, include_extras=True)
    parameters = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(options)
    ]
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__doc__ = run.__doc__
    return call
