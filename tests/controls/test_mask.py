"""Rulings for planners: the grid says what one ruling at a time says."""

from __future__ import annotations

import random

import numpy as np
import pytest

from suanli import catalog
from suanli.controls import GROUP_CODES, mask, query_of_chip, screen
from suanli.errors import InputError, UnknownNameError
from suanli.kinds import Chip

CHIPS = tuple(
    catalog.chip(name)
    for name in (
        "h100-sxm",
        "h20-96",
        "a800-80-sxm",
        "l40",
        "rtx5090d",
        "ascend910c",
        "ascend920",
        "bytedance-broadcom-5nm",
    )
)
SITES = ("CN", "MO", "MY", "US", "NO", "AE", "SA", "HK", "KH")
OWNERS = ("CN", ("SG", "CN"), "US", ("MY", ""), "RU")
ACTS = (
    "export",
    "use_in_place",
    "iaas_lease",
    "in_country_transfer",
    "foundry_export",
    "reexport",
    "continue_use",
    "cn_side_check",
)
STILL = set(ACTS) - {"export", "foundry_export", "reexport"}
DAYS = ("2022-09-15", "2023-02-01", "2023-10-30", "2024-12-20", "2025-05-20", "2026-09-05")


@pytest.mark.parametrize("ruleset", ["as_enforced", "as_written"])
def test_the_grid_says_what_single_rulings_say(ruleset: str) -> None:
    codes = mask(CHIPS, SITES, OWNERS, ACTS, DAYS, ruleset=ruleset)
    assert codes.shape == (len(CHIPS), len(SITES), len(OWNERS), len(ACTS), len(DAYS))
    assert codes.dtype == np.int8
    rng = random.Random(7)
    for _ in range(120):
        i, j, k, a, d = (rng.randrange(n) for n in codes.shape)
        owner = OWNERS[k]
        hq, parent = (owner, owner) if isinstance(owner, str) else owner
        start = SITES[j] if ACTS[a] in STILL else "US"
        query = query_of_chip(
            CHIPS[i], to=SITES[j], owner=hq, parent=parent, date=DAYS[d], activity=ACTS[a], ship_from=start
        )
        ruling = screen(query, ruleset=ruleset)
        assert GROUP_CODES[codes[i, j, k, a, d]] == ruling.group, (CHIPS[i].id, SITES[j], owner, ACTS[a], DAYS[d])


def of(chip: Chip, month: str, **stated: object) -> str:
    site, owner = str(stated.pop("site", "CN")), stated.pop("owner", "CN")
    codes = mask([chip], [site], [owner], ["export"], [month], **stated)  # type: ignore[list-item, arg-type]
    return GROUP_CODES[codes.item()]


def test_a_month_takes_the_severest_of_its_days() -> None:
    h20 = catalog.chip("h20-96")
    assert (of(h20, "2025-03"), of(h20, "2025-04"), of(h20, "2025-04-08")) == ("free", "restricted", "free")
    assert of(h20, "2025-04", owner="MY", site="MY") == "free"


def test_facts_reach_every_cell() -> None:
    chip = catalog.chip("h100-sxm")
    assert of(chip, "2025-02", site="MY", owner="MY") == "free"
    assert of(chip, "2025-02", site="MY", owner="MY", facts={"diversion_knowledge": 1}) == "restricted"


def test_bad_months_places_and_acts() -> None:
    chip = catalog.chip("h20-96")
    for month in ("2025-13", "soon", "2021-01"):
        with pytest.raises(InputError):
            of(chip, month)
    with pytest.raises(UnknownNameError):
        of(chip, "2025-01", site="ZZ")
    with pytest.raises(UnknownNameError):
        mask([chip], ["CN"], ["CN"], ["smuggle"], ["2025-01"])
