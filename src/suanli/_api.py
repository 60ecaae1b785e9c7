"""The library in a few calls: what ``import suanli as sl`` offers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suanli import catalog
from suanli.kinds import Chip, Cluster, Model, Ruling, Service

if TYPE_CHECKING:
    import polars as pl

    from suanli.fleet import Case, Plan
    from suanli.training import Ranking


def chip(name: str | Path | Chip) -> Chip:
    """Return a chip by any spelling of its name or from a chip file. Raises UnknownNameError, InputError."""
    return name if isinstance(name, Chip) else catalog.chip(str(name))


def model(name: str | Path | Model) -> Model:
    """Return a model by any spelling of its name or from a config.json. Raises UnknownNameError, InputError."""
    return name if isinstance(name, Model) else catalog.model(str(name))


def cluster(on: str | Path | Chip, n_chips: int, *, chips_per_node: int | None = None) -> Cluster:
    """Return ``n_chips`` of a chip joined by the network of its datasheet. Raises InputError."""
    from suanli.fabric import network_of

    found = chip(on)
    network = network_of(found, n_chips, chips_per_node)
    return Cluster(chip=found, n_chips=n_chips, chips_per_node=network.tiers[0].size, network=network)


def train(
    of: str | Path | Model,
    *,
    on: str | Path | Chip,
    chips: int,
    top: int = 5,
    exact: bool = True,
    pins: Mapping[str, int] | None = None,
    **setting: Any,
) -> Ranking:
    """Return the ranked strategies of training a model on ``chips`` chips.

    ``setting`` is as ``training.setting_of`` takes it: ``seq_len``, ``global_batch``, ``precision``, ``year`` ...;
    ``pins`` fixes degrees and switches, ``exact`` False uses as many chips as degrees can. Raises InfeasibleError where
    the model fits nowhere, by how many GiB.
    """
    from suanli.training import search, setting_of

    return search(setting_of(model(of), chip(on), chips, **setting), top=top, exact=exact, pins=pins)


def serve(
    of: str | Path | Model,
    *,
    on: str | Path | Chip,
    input_tokens: float = 1024.0,
    output_tokens: float = 256.0,
    ttft_s: float | None = None,
    tpot_s: float | None = None,
    rate: float = 1.0,
    **options: Any,
) -> pl.DataFrame:
    """Return the best layout of a service on a chip within its limits, a row: rates per chip, latencies, interval.

    ``options`` is as ``serving.capacity_table`` takes it: ``framework="vllm@0.12.0"`` names a framework, with a
    version where it is not the newest known. Raises InputError.
    """
    from suanli.serving import capacity_table

    service = Service(
        model=model(of), rate=rate, input_tokens=input_tokens, output_tokens=output_tokens, ttft_s=ttft_s, tpot_s=tpot_s
    )
    return capacity_table([service], [chip(on)], **options)


def screen(
    item: str | Path | Chip,
    *,
    to: str,
    owner: str,
    date: str,
    parent: str | None = None,
    activity: str = "export",
    ruleset: str = "as_enforced",
    facts: Mapping[str, Any] | None = None,
) -> Ruling:
    """Return what the dated rules say of a chip, a place, a party and a use. Not legal advice. Raises InputError."""
    from suanli import controls

    query = controls.query_of_chip(
        chip(item), to=to, owner=owner, parent=parent, date=date, activity=activity, facts=facts or {}
    )
    return controls.screen(query, ruleset=ruleset)


def plan(case: str | Path | Case, **options: Any) -> Plan:
    """Return the plan of a case, given as such, by its folder or by the name of a shipped one.

    ``options`` is as ``fleet.Options`` takes it. Raises InputError, InfeasibleError.
    """
    from suanli import fleet

    found = case if isinstance(case, fleet.Case) else fleet.load_case(str(case))
    return fleet.solve(found, options=fleet.Options(**options))
