"""What vTrain's single-node table shows of itself (validation/vtrain_scatter.py)."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from validation._vtrain_table import DATA, Profiles, Table, profiles_of, table_of
from validation.vtrain_scatter import (
    dearest,
    disorder,
    lost,
    perfect_model,
    repeats,
    replayed,
    smooth_models,
    with_profiles,
)

from suanli.scoring._training_score import regret


@pytest.fixture(scope="module")
def table() -> Table:
    return table_of(DATA / "single_node.csv")


@pytest.fixture(scope="module")
def found(table: Table) -> Profiles:
    return profiles_of(table)


def test_profiles_are_what_rows_replay(table: Table, found: Profiles) -> None:
    assert found.layer.shape == (32,)
    # 2 x 8 sequences on 2 stages of 12 layers: what differs from other numbers of layers is replayed whole.
    for i, one in enumerate(table.rows):
        if (one.pp, one.dp, one.tp) != (2, 1, 2):
            continue
        twin = next(
            j
            for j, other in enumerate(table.rows)
            if other.model.n_layers == 12
            and (other.pp, other.dp, other.batch, other.model.hidden) == (2, 1, one.batch, one.model.hidden)
            and table.profile[j] == table.profile[i]
        )
        more = table.seconds[i] - table.seconds[twin]
        layers = (table.passes[i] - table.passes[twin]) * found.layer[table.profile[i]]
        assert 0.7 * more <= layers <= more + 1e-12  # the rest are all-reduces and weight updates


def test_losses_are_those_that_validate_prints(table: Table, found: Profiles) -> None:
    assert lost(table, found, found.layer).max() == 0.0
    told = regret(table.rows, pl.DataFrame({"predicted": replayed(table, found, found.predicted)}))
    assert told is not None
    assert lost(table, found, found.predicted).mean() == pytest.approx(told["mean_pct"], rel=1e-9)
    most, cell = dearest(table, found)
    assert 0 < most < told["mean_pct"]
    assert cell in table.cells


def test_what_the_chip_times_repeats_and_what_the_host_times_does_not(table: Table, found: Profiles) -> None:
    updates, entries = repeats(table)
    assert updates < 0.05
    assert entries.min() < 0 < 1e-3 < entries.max()  # less than nothing in one profile
    broken, pairs, worst = disorder(found)
    assert broken > 0.2 * pairs
    assert worst > 0.25


def test_no_smooth_model_meets_two_per_cent_but_one_with_profiles_does(table: Table, found: Profiles) -> None:
    fitted, tuned = smooth_models(table, found, rounds=20)
    assert 2.0 < lost(table, found, tuned).mean() <= lost(table, found, fitted).mean()
    assert np.log(fitted / found.layer).std() < np.log(found.predicted / found.layer).std()
    told = regret(table.rows, pl.DataFrame({"predicted": with_profiles(table, found)}))
    assert told is not None
    assert told["mean_pct"] < 0.2


def test_a_perfect_model_loses_more_by_worse_profiles(table: Table, found: Profiles) -> None:
    means = [perfect_model(table, found, found.predicted, spread)[0] for spread in (0.0, 0.04, 0.1)]
    assert means[0] == 0.0
    assert means[0] < means[1] < means[2]
