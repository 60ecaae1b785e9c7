from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli import catalog
from suanli.errors import InfeasibleError
from suanli.training import (
    Ranking,
    Setting,
    describe,
    era,
    facts,
    layout_table,
    prior_parameters,
    rate_table,
    search,
    setting_of,
    site_of,
    step,
    strategy_tables,
)
from suanli.training._evaluate import step_time, total_memory
from suanli.training._offers import EVERYTHING, offers_of
from suanli.training._ranking import steps_of
from suanli.training._search import chosen, prepare_grid
from suanli.training._search import search_space as search_all
from suanli.training._space import divisors, layouts, space, valid
from suanli.training._strategy import SCHEDULES

PRIOR = prior_parameters()


def setting(name: str = "llama-3.1-8b", n: int = 16, **more: object) -> Setting:
    given = {"seq_len": 4096, "global_batch": 64, "year": 2025, **more}
    return setting_of(catalog.model(name), catalog.chip("h100-sxm"), n, **given)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def ranking() -> Ranking:
    return search(setting(), parameters=PRIOR, top=4)


def test_divisors() -> None:
    assert divisors(12) == [1, 2, 3, 4, 6, 12]
    assert divisors(1) == [1]
    assert divisors(49) == [1, 7, 49]


@pytest.mark.parametrize("name", ["llama-3.1-8b", "mixtral-8x7b"])
def test_scalar_and_batch_agree(name: str) -> None:
    where = setting(name, n=16)
    of = space(where.facts, n_chips=16, batch=64, seq=4096, domain=where.site.domain)
    prepared = prepare_grid(where.site, where.facts, of, seq=4096, era=where.era, precision="bf16")
    whole = (*of.shape, of.n_layouts)
    times = np.broadcast_to(step_time(prepared, PRIOR), whole).reshape(of.n_switches, -1)
    held = np.broadcast_to(total_memory(prepared), whole).reshape(of.n_switches, -1)
    fine = np.broadcast_to(valid(of.grid), whole).reshape(of.n_switches, -1)
    rng = np.random.default_rng(3)
    found = search_all(
        where.site,
        where.facts,
        n_chips=16,
        batch=64,
        seq=4096,
        era=where.era,
        precision="bf16",
        parameters=PRIOR,
        schedules=SCHEDULES,
        offers=EVERYTHING,
    )
    for _ in range(40):
        layout, switch = int(rng.integers(of.n_layouts)), int(rng.integers(of.n_switches))
        if not fine[switch, layout]:
            continue
        picked = chosen(found, np.array([layout]), np.array([switch]))
        one = step(where, picked.strategies, parameters=PRIOR)
        assert float(one.time.value[0]) == pytest.approx(times[switch, layout], rel=1e-12)
        assert one.memory_bytes == pytest.approx(held[switch, layout], rel=1e-12)


def test_the_search_finds_the_least_of_all(ranking: Ranking) -> None:
    where = setting()
    of = space(
        where.facts,
        n_chips=16,
        batch=64,
        seq=4096,
        domain=where.site.domain,
        schedules=where.era.schedules,
        offers=offers_of(where.era.id),
    )
    prepared = prepare_grid(where.site, where.facts, of, seq=4096, era=where.era, precision="bf16")
    whole = (*of.shape, of.n_layouts)
    fits = np.broadcast_to(total_memory(prepared) <= (where.site.chip.memory_bytes or 0.0), whole) & np.broadcast_to(
        valid(of.grid), whole
    )
    best = np.where(fits, np.broadcast_to(step_time(prepared, PRIOR), whole), np.inf).min()
    assert float(ranking.best.time.value[0]) == pytest.approx(best, rel=1e-12)
    assert ranking.found.size == of.size
    assert ranking.found.fitting == int(fits.sum())
    assert ranking.found.done == 1.0


def test_ranking_says_why_others_lose(ranking: Ranking) -> None:
    times = [float(c.step.time.value[0]) for c in ranking.choices]
    assert times == sorted(times)
    assert ranking.choices[0].reason == "fastest that fits"
    assert all("% slower: " in c.reason for c in ranking.choices[1:])
    assert len({describe(c.step.strategies).split(" mbs")[0] for c in ranking.choices}) == len(ranking.choices)
    for miss in ranking.misses:
        assert not miss.fits
        assert "GiB over memory" in miss.reason
    frame = layout_table(ranking)
    assert frame["tokens_per_s"].is_sorted(descending=True)
    assert frame["step_s"][0] == pytest.approx(times[0])
    assert frame["memory_bytes"].to_numpy().max() <= (catalog.chip("h100-sxm").memory_bytes or 0.0)


def test_the_space_of_gpt3_has_seven_million_strategies() -> None:
    f = facts(catalog.model("gpt3-175b"))
    assert space(f, n_chips=4096, batch=4096, seq=2048, domain=8).size >= 7_000_000


@settings(max_examples=20, deadline=None)
@given(n=st.sampled_from([8, 24, 64, 96, 100]), batch=st.sampled_from([64, 96, 600]))
def test_layouts_fill_chips_and_batch(n: int, batch: int) -> None:
    f = facts(catalog.model("llama-3.1-8b"))
    for x in layouts(f, n_chips=n, batch=batch, seq=4096, domain=8):
        assert x.chips == n
        assert x.batch == batch
        assert batch % (x.dp * x.micro_batch) == 0
        assert 32 % x.tp == 0
        assert x.pp <= 32
        assert x.vpp == 1 or 32 % (x.pp * x.vpp) == 0
    for x in layouts(f, n_chips=n, batch=batch, seq=4096, domain=8, exact=False):
        assert 0.9 * n <= x.chips <= n or n == 100
        assert x.batch % (x.dp * x.micro_batch) == 0
        assert x.dp <= batch


def test_llama3s_126_layers_interleave_with_its_ends_counted_as_layers() -> None:
    f = facts(catalog.model("llama-3.1-405b"))
    assert f.layers[0] == 126
    found = layouts(f, n_chips=2048, batch=512, seq=8192, domain=8, pins={"tp": 8, "pp": 16, "dp": 16, "cp": 1})
    assert {x.vpp for x in found if x.schedule == 1} == {2, 4, 8}  # 128 = 16 x 8


def test_pins_hold(ranking: Ranking) -> None:
    pinned = search(setting(), parameters=PRIOR, pins={"tp": 4, "micro_batch": 2})
    for c in pinned.choices:
        assert float(c.step.strategies.tp[0]) == 4
        assert float(c.step.strategies.micro_batch[0]) == 2
    assert float(pinned.best.time.value[0]) >= float(ranking.best.time.value[0])
    with pytest.raises(InfeasibleError, match="with tp 5"):
        search(setting(), parameters=PRIOR, pins={"tp": 5})


def test_every_strategy_is_in_the_table(ranking: Ranking) -> None:
    frames = list(strategy_tables(ranking))
    assert sum(f.height for f in frames) == ranking.found.size
    assert sum(int(f["fits"].sum()) for f in frames) == ranking.found.fitting
    best = min(float(f.filter("fits")["step_s"].min()) for f in frames)  # type: ignore[arg-type]
    assert best == pytest.approx(float(ranking.best.time.value[0]), rel=1e-12)


@pytest.mark.parametrize(
    ("pins", "seq", "message"),
    [
        ({"tp": 5}, 4096, "with tp 5: tp 5 does not divide the 32 heads"),
        ({"pp": 40}, 4096, "pp 40 is more than the 32 layers"),
        ({"cp": 8}, 4104, "a sequence of 4,104 tokens does not divide by 2 x cp 8"),
        ({"ep": 4}, 4096, "ep 4 does not divide the 0 experts"),
        ({"tp": 8, "pp": 4}, 4096, "tp 8 x pp 4 = 32 does not divide 16 chips"),
        ({"dp": 16, "micro_batch": 3}, 4096, "dp must divide the batch"),
    ],
)
def test_impossible_degrees_say_which(pins: dict[str, int], seq: int, message: str) -> None:
    with pytest.raises(InfeasibleError, match=message):
        search(setting(seq_len=seq), parameters=PRIOR, pins=pins)


def test_sharding_and_recomputation_can_be_fixed(ranking: Ranking) -> None:
    both = search(setting(era_id="fsdp2"), parameters=PRIOR, pins={"schedule": 3, "pp": 2})
    assert {float(c.step.strategies.schedule[0]) for c in both.choices} == {3.0}
    pinned = search(setting(), parameters=PRIOR, pins={"sharding": 3, "recompute": 2, "cp": 2, "context": 1})
    for c in pinned.choices:
        s = c.step.strategies
        assert (s.sharding[0], s.recompute[0], s.cp[0], s.context[0]) == (3, 2, 2, 1)
    assert float(pinned.best.time.value[0]) > float(ranking.best.time.value[0])


def test_a_model_that_fits_nowhere_says_by_how_much() -> None:
    message = r"llama-3.1-405b fits nowhere on 8 x h100-sxm: the nearest, .* needs .* GiB over the 80.0 GiB"
    with pytest.raises(InfeasibleError, match=message):
        search(setting("llama-3.1-405b", n=8), parameters=PRIOR)


def test_impossible_batches_are_one_line() -> None:
    with pytest.raises(InfeasibleError, match="no tp x pp x cp x dp makes 37 chips"):
        search(setting(n=37), parameters=PRIOR)
    assert search(setting(n=37), parameters=PRIOR, exact=False).best.strategies.chips[0] <= 37


def test_rate_table_for_the_planner() -> None:
    chips = [catalog.chip(n) for n in ("h100-sxm", "ascend910b3")]
    frame = rate_table(catalog.model("llama-3.1-70b"), chips, [4, 1000, 4000], year=2025, tokens=1e12, parameters=PRIOR)
    assert frame.height == 6
    small = frame.filter(n_chips=4, chip="ascend910b3").row(0, named=True)
    assert not small["fits"]
    assert "GiB over" in small["reason"]
    assert small["tokens_per_s"] is None
    good = frame.filter("fits")
    assert (good["used_chips"] <= good["n_chips"]).all()
    assert (good["used_chips"] >= 0.9 * good["n_chips"]).all()
    assert ((good["p10"] < good["tokens_per_s"]) & (good["tokens_per_s"] < good["p90"])).all()
    assert (good["goodput"] < 1).all()
    assert (good["power_w"] > 0).all()
    for chip in ("h100-sxm", "ascend910b3"):
        rates = frame.filter("fits", chip=chip).sort("n_chips")["tokens_per_s"].to_list()
        assert rates == sorted(rates)
    h100 = frame.filter(n_chips=4000, chip="h100-sxm").row(0, named=True)
    assert h100["days"] == pytest.approx(1e12 / h100["tokens_per_s"] / 86400)


def test_steps_of_a_search_are_those_of_one_strategy(ranking: Ranking) -> None:
    index = np.flatnonzero(np.isfinite(ranking.found.seconds))[:5]
    prepared = chosen(ranking.found, index, ranking.found.switch[index])
    for one, want in zip(steps_of(ranking.setting, prepared, PRIOR), ranking.found.seconds[index], strict=True):
        assert float(one.time.value[0]) == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize(("n", "batch"), [(2048, 1024), (24576, 768), (1000, 1000), (7, 896)])
def test_the_usual_batch_divides_over_the_chips(n: int, batch: int) -> None:
    assert setting(n=n, seq_len=8192, global_batch=None).batch == batch


def test_wide_domains_keep_tensor_parallelism_inside() -> None:
    rack = site_of(catalog.chip("gb200"), chips_per_node=4)
    assert rack.domain == 72
    assert era("nemo-2026").tp_overlap == 1


def test_a_pool_of_no_size_spoils_no_other() -> None:
    frame = rate_table(catalog.model("llama-3.1-8b"), [catalog.chip("h100")], [0, 8], year=2025, parameters=PRIOR)
    assert frame["fits"].to_list() == [False, True]
    assert frame["reason"][0] == "chips: 0 is below 1"
