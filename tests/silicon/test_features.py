"""The features that stored efficiencies rest on are told, and few."""

from __future__ import annotations

import json
from importlib.resources import files

from suanli.catalog import fitted


def test_every_feature_has_a_meaning() -> None:
    told = json.loads(files("suanli.silicon").joinpath("data/features.json").read_text(encoding="utf-8"))["features"]
    used = {
        name
        for law in fitted("ops")["laws"].values()
        for column in law["columns"]
        for name in column.rpartition("|")[2].split("*")
    }
    assert used - set(told) == set()


def test_what_new_chips_rest_on_is_few_coefficients() -> None:
    data = fitted("ops")
    for name, law in data["laws"].items():
        kept = [
            column.split("|")[1] for column, value in zip(law["columns"], data["final"][name], strict=True) if value
        ]
        assert sum(1 for group in kept if not group.startswith("kernel:") and "@" not in group) < 170, name
