"""The command line: one module a command, loaded only when it is called."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import typer

from suanli import __version__
from suanli.errors import SuanliError

COMMANDS: dict[str, tuple[str, str]] = {
    "plan": ("plan", "Find the cheapest robust path of what to build, buy and lease for a case."),
    "backtest": ("backtest", "Plan with what was known on each day, then meet what happened."),
    "train": ("train", "Rank the strategies of a training run: time, memory, cost, and how sure."),
    "serve": ("serve", "Find what chips can serve of a model within latency limits, and at what cost."),
    "design": ("design", "Find the chips worth building for workloads inside a rule."),
    "screen": ("screen", "Say what the dated export rules say of a chip, a place, a party and a use."),
    "fabric": ("fabric", "Build a fabric from switches and optics: tiers, power, price."),
    "roofline": ("roofline", "Draw the operators of a model on a chip's roofline."),
    "chips": ("chips", "List and show chips with their sources."),
    "models": ("models", "List and show models with their sources."),
    "switches": ("switches", "List and show switches and optics."),
    "prices": ("prices", "List and show prices, rents and costs with their sources."),
    "rules": ("rules", "List, show, compare and check dated export rules."),
    "events": ("events", "List and show the dated facts of the founding case."),
    "explain": ("explain", "Say which inputs, formula and sources a figure of a result rests on."),
    "calibrate": ("calibrate", "Measure this machine and write a chip file."),
    "validate": ("validate", "Score predictions against measured rows."),
}
"""Command -> (module under suanli.cli that has ``register(app)``, one line of help)."""


def build(arguments: Sequence[str]) -> typer.Typer:
    """Return the application, with the one command that ``arguments`` calls loaded and the others named only."""
    app = typer.Typer(
        name="suanli",
        help="Planning AI compute, from chip to fleet: what to buy, lease or build, and what it can train and serve.",
        no_args_is_help=True,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    called = next((a for a in arguments if not a.startswith("-")), None)
    for name, (module, line) in COMMANDS.items():
        if name == called:
            import_module(f"suanli.cli.{module}").register(app)
        else:
            app.command(name, help=line)(_named_only)
    return app


def _named_only() -> None:
    """Stand for a command in the listing; never called, since a command that is called is loaded."""


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"suanli {__version__}")
        raise typer.Exit


def _options(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Print the version and stop."
    ),
) -> None:
    """Hold the options of the whole program."""
    del version  # its callback has done the work


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; what the user can mend is one line on standard error and exit code 2."""
    args = list(sys.argv[1:] if arguments is None else arguments)
    try:
        build(args)(args)
    except SuanliError as error:
        print(f"suanli: {' '.join(str(error).split())}", file=sys.stderr)  # noqa: T201 - the one error line
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("suanli: stopped", file=sys.stderr)  # noqa: T201
        raise SystemExit(130) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None
