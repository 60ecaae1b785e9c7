from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from suanli import catalog
from suanli.cli import main
from suanli.errors import InputError
from suanli.training import (
    Setting,
    measured_ratios,
    prepare,
    prior_parameters,
    profile_of,
    read_profile,
    search,
    setting_of,
    step,
    strategies,
)

PRIOR = prior_parameters()
CHIP = catalog.chip("a100-80-sxm")


def setting(n: int = 8, **more: object) -> Setting:
    given = {"seq_len": 2048, "global_batch": 64, "year": 2023, **more}
    return setting_of(catalog.model("llama-2-7b"), CHIP, n, **given)  # type: ignore[arg-type]


def parts(where: Setting, **layout: object) -> dict[str, float]:
    one = step(where, strategies(**layout), parameters=PRIOR)  # type: ignore[arg-type]
    return {name: float(value[0]) for name, value in one.time.breakdown.items()}


def layers(found: dict[str, float]) -> float:
    return sum(found[name] for name in ("products", "attention", "element-wise", "launch"))


def test_a_measured_layer_takes_the_time_that_was_measured() -> None:
    profile = profile_of(source="ours", tp=[2.0], micro_batch=[2.0], both=[0.030], forward=[0.009], sequence_parallel=1)
    found = parts(replace(setting(), profile=profile), tp=2, dp=4, micro_batch=2)
    assert layers(found) == pytest.approx(64 / 4 / 2 * 32 * 0.030, rel=1e-12)
    halved = replace(profile, forward=0.5 * profile.forward)
    again = [
        parts(replace(setting(), profile=p), tp=2, dp=4, micro_batch=2, recompute="full")["recompute"]
        for p in (profile, halved)
    ]
    assert again[1] == pytest.approx(0.5 * again[0], rel=1e-12)
    plain = parts(setting(), tp=2, dp=4, micro_batch=2)
    for name in ("tp", "head", "dp", "optimizer"):
        assert found[name] == plain[name]


def test_other_layouts_are_scaled_by_the_mean_of_measured_over_predicted() -> None:
    where = setting()
    prepared = prepare(
        where.site,
        where.facts,
        strategies(tp=[1.0, 2.0], micro_batch=[1.0, 2.0], dp=[8.0, 4.0]),
        seq=np.array([2048.0]),
        batch=np.array([64.0]),
        eras=[where.era],
        precision=where.precision,
    )
    once = profile_of(source="ours", tp=[1.0, 2.0], micro_batch=[1.0, 2.0], both=1.0)
    base = measured_ratios(prepared, once, PRIOR, precision=where.precision)[0]
    profile = profile_of(source="ours", tp=[1.0, 2.0], micro_batch=[1.0, 2.0], both=np.array([1.1, 1.1 * 1.21]) / base)
    where = replace(where, profile=profile)
    other = parts(where, tp=4, dp=2, micro_batch=1), parts(setting(), tp=4, dp=2, micro_batch=1)
    assert layers(other[0]) == pytest.approx(1.21 * layers(other[1]), rel=1e-9)


def test_a_search_picks_what_was_measured_to_be_fast() -> None:
    plain = search(setting(), top=3, parameters=PRIOR)
    best = plain.best.strategies
    tp, micro = (float(x[0]) for x in (best.tp, best.micro_batch))
    slow = profile_of(source="ours", tp=[tp, 8.0], micro_batch=[micro, micro], both=[10.0, 1e-3])
    found = search(replace(setting(), profile=slow), top=3, parameters=PRIOR)
    assert (float(found.best.strategies.tp[0]), float(found.best.strategies.micro_batch[0])) == (8.0, micro)
    assert any("ours" in s for s in found.best.time.sources)
    assert found.found.size == plain.found.size


FILE = """\
source: nsys of one rank, own cluster
chip: A100-80GB-SXM
hidden: 4096
seq: 2048
layers:
  - {tp: 1, micro_batch: 1, forward: 4 ms, backward: 9 ms}
  - {tp: 2, micro_batch: 1, both: 8 ms}
"""


def test_a_file_of_measured_layers_is_read(tmp_path: Path) -> None:
    path = tmp_path / "layers.yaml"
    path.write_text(FILE, encoding="utf-8")
    found = read_profile(path, chip=CHIP, hidden=4096, seq=2048)
    assert found.both.tolist() == [pytest.approx(0.013), pytest.approx(0.008)]
    assert found.forward[0] == pytest.approx(0.004)
    assert np.isnan(found.forward[1])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("hidden: 4096", "hidden: 2048", "hidden: measured with 2048, but the run has 4096"),
        ("A100-80GB-SXM", "h100", "chip: measured with h100-sxm, but the run has a100-80-sxm"),
        ("both: 8 ms", "both: 8 GB", "layers.1: "),
        ("both: 8 ms", "forward: 8 ms", "layers.1: give forward and backward, or both"),
        ("both: 8 ms", "both: 0 ms", "must be above 0"),
        ("tp: 2", "tp: 1", "1, 1, 1, 1 is named twice"),
        ("micro_batch: 1, both", "microbatch: 1, both", "layers.1.micro_batch: is missing"),
    ],
)
def test_bad_files_say_what_is_wrong(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "layers.yaml"
    path.write_text(FILE.replace(old, new), encoding="utf-8")
    with pytest.raises(InputError, match=r"layers\.yaml") as error:
        read_profile(path, chip=CHIP, hidden=4096, seq=2048)
    assert message in str(error.value)


def test_train_takes_measured_layers(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "layers.yaml"
    path.write_text(FILE, encoding="utf-8")
    run = ["train", "llama-2-7b", "--on", "a100-80-sxm", "--chips", "8", "--batch", "64", "--seq", "2048"]
    told = []
    for more in ([], [f"--measured={path}"]):
        with pytest.raises(SystemExit):
            main([*run, "--year=2023", "--json=-", *more])
        told.append(json.loads(capsys.readouterr().out))
    assert told[0]["measured"] is None
    assert told[1]["measured"]["layouts"] == 2
    assert told[1]["choices"][0]["step_s"] != told[0]["choices"][0]["step_s"]
    assert any("own cluster" in s for s in told[1]["sources"])
