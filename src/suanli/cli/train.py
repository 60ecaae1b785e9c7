"""``suanli train MODEL --on CHIP --chips N``: rank the strategies of a training run."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from suanli.cli._command import command
from suanli.cli._train_options import Asked, pins_of, rate_of, setting_asked, stated_by
from suanli.cli.common import console, emit_json
from suanli.errors import InputError
from suanli.quantities import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from suanli.training import Ranking


def register(app: typer.Typer) -> None:
    """Add ``train`` to the application."""
    line = "Rank the strategies of a training run: time, memory, cost, and how sure."
    app.command("train", help=line)(command(Asked, train))


def train(asked: Asked) -> None:
    """Search every strategy of the run and show the best, why the others lose, and what the run costs."""
    from suanli.cli._train_show import as_json, show
    from suanli.cli._train_write import write_files
    from suanli.training import search

    if asked.split not in {"data", "pipeline", "best"}:
        raise InputError(f"split: '{asked.split}' is not one of data, pipeline, best")
    out = console(asked.json_path)
    stated = stated_by(asked.model)
    setting = setting_asked(asked, stated)
    pins = {**stated.pins, **pins_of(asked)}
    with _progress() as tick:
        ranking = search(setting, top=asked.top, pins=pins, exact=asked.use_all, progress=tick)
    run = _run(asked, ranking)
    write_files(ranking, trace=asked.trace, picture=asked.picture, parquet=asked.parquet, everything=asked.everything)
    emit_json(asked.json_path, as_json(ranking, run))
    show(out, ranking, run)


def _run(asked: Asked, ranking: Ranking) -> dict[str, Any]:
    """Return the whole run at the best strategy, and what is asked of carbon, other pools and quality."""
    from suanli.cli import _train_run as run_of

    model = ranking.setting.model
    usual = model.training_tokens or 20.0 * run_of.weights_of(ranking.setting)
    amount = parse(asked.tokens, "") if asked.tokens else usual
    dates = run_of.Dates(start=asked.start, deadline=asked.deadline, deliveries=tuple(asked.deliver or ()))
    keeping = run_of.Keeping(rate=rate_of(asked.checkpoint_rate), synchronous=asked.halt, year=asked.year)
    run = run_of.whole_run(ranking.best, amount, dates, keeping)
    run |= run_of.carbon(run["energy_j"], asked.region, asked.year)
    if asked.beside:
        speed = rate_of(asked.link)
        run |= run_of.pools(
            ranking, asked.beside, amount, run["goodput"], split=asked.split, link=speed, year=asked.year
        )
    if asked.deadline or asked.rival or asked.before:
        run["quality"] = run_of.quality(ranking, run, rivals=asked.rival or [], before=asked.before, keeping=keeping)
    return run


@contextmanager
def _progress() -> Iterator[Callable[[float], None]]:
    """Show a bar on standard error while the search runs; it disappears after."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Evaluating strategies (Ctrl-C keeps what was found)", total=1.0)
        yield lambda share: bar.update(task, completed=share)
