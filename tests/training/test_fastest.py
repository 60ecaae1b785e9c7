from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suanli import catalog
from suanli.errors import InfeasibleError
from suanli.training import EVERYTHING, Parameters, Setting, describe, prior_parameters, search, setting_of, step_time
from suanli.training._fastest import fastest, fastest_steps, least_time
from suanli.training._offers import offers_of
from suanli.training._rates import usual_offers
from suanli.training._search import prepare_grid
from suanli.training._space import space, valid
from suanli.training._strategy import SCHEDULES

PRIOR = prior_parameters()


def setting(name: str, chip: str, n: int, **more: object) -> Setting:
    given = {"seq_len": 4096, "global_batch": 256, "year": 2025, **more}
    return setting_of(catalog.model(name), catalog.chip(chip), n, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "chip", "sizes", "more"),
    [
        ("llama-3.1-8b", "h100-sxm", (8, 36), {}),
        ("llama-3.1-70b", "ascend910b3", (512, 1000), {"year": 2024}),
        ("mixtral-8x7b", "h20", (96,), {"year": 2026}),
        ("deepseek-v3", "h800-sxm", (256,), {"precision": "fp8", "era_id": "megascale"}),
        ("gpt3-175b", "a100-80-sxm", (200, 256), {"era_id": "megatron-2022", "seq_len": 2048}),
        ("llama-3.1-8b", "b200-sxm", (48,), {"era_id": "fsdp2", "global_batch": None, "seq_len": 32768}),
    ],
)
def test_the_quick_path_picks_what_a_whole_search_picks(
    name: str, chip: str, sizes: tuple[int, ...], more: dict[str, object]
) -> None:
    pools = [setting(name, chip, n, **more) for n in sizes]
    offers = usual_offers(pools[0])
    for pool, quick in zip(pools, fastest_steps(pools, offers, PRIOR), strict=True):
        whole = search(pool, top=1, exact=False, offers=offers, parameters=PRIOR).best
        assert not isinstance(quick, InfeasibleError)
        assert describe(quick.strategies) == describe(whole.strategies)
        assert quick.batch == whole.batch
        assert float(quick.time.value[0]) == pytest.approx(float(whole.time.value[0]), rel=1e-12)
        assert quick.memory_bytes == pytest.approx(whole.memory_bytes, rel=1e-12)


def test_pools_without_a_strategy_say_what_a_whole_search_says() -> None:
    pools = [setting("llama-3.1-70b", "ascend910b3", n) for n in (4, 64, 1)]
    offers = offers_of(pools[0].era.id)
    found = fastest_steps(pools, offers, PRIOR)
    for pool, quick in zip(pools[::2], found[::2], strict=True):
        with pytest.raises(InfeasibleError) as error:
            search(pool, top=1, exact=False, offers=offers, parameters=PRIOR)
        assert str(quick) == str(error.value)
    assert not isinstance(found[1], InfeasibleError)


def test_few_layouts_are_looked_at() -> None:
    pool = setting("llama-3.1-70b", "h100-sxm", 512)
    of = space(pool.facts, n_chips=512, batch=256, seq=4096, domain=8, offers=EVERYTHING)
    prepared = prepare_grid(pool.site, pool.facts, of, seq=4096, era=pool.era, precision="bf16")
    found = fastest(prepared, of, PRIOR, pool.site.chip.memory_bytes or 0.0)
    assert found.done == 1.0
    assert np.isfinite(found.seconds).any()
    assert found.size < 0.3 * of.size


def changed(factors: dict[str, float]) -> Parameters:
    values = {name: value * factors.get(name, 1.0) for name, value in PRIOR.values.items()}
    return replace(PRIOR, values=values)


@settings(max_examples=6, deadline=None)
@given(
    which=st.sampled_from(["llama-3.1-8b", "mixtral-8x7b", "deepseek-v2-lite"]),
    chip=st.sampled_from(["h100-sxm", "ascend910b3"]),
    batch=st.sampled_from([32, 48]),
    launch=st.sampled_from([0.1, 30.0]),
    links=st.sampled_from([0.2, 8.0]),
)
def test_no_strategy_is_faster_than_its_layouts_bound(
    which: str, chip: str, batch: int, launch: float, links: float
) -> None:
    pool = setting(which, chip, 16, global_batch=batch, era_id="nemo-2026")
    of = space(
        pool.facts, n_chips=16, batch=batch, seq=4096, domain=pool.site.domain, schedules=SCHEDULES, offers=EVERYTHING
    )
    prepared = prepare_grid(pool.site, pool.facts, of, seq=4096, era=pool.era, precision="bf16")
    p = changed({"launch": launch, **dict.fromkeys(("tp", "pp", "dp", "piece", "ep", "cp"), links)})
    whole = (*of.shape, of.n_layouts)
    seconds = np.where(valid(of.grid), np.broadcast_to(step_time(prepared, p), whole), np.inf)
    bound = least_time(prepared, p)
    assert np.isfinite(bound).all()
    assert (bound <= seconds).all()
    # Nor is it so low that it says nothing: where memory rules nothing out, most layouts come close to it.
    assert np.median(seconds.reshape(-1, of.n_layouts).min(axis=0) / bound) < 1.1
