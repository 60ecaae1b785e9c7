from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from suanli import catalog, workloads
from suanli.training import (
    Facts,
    Prepared,
    active_weights,
    era,
    facts,
    fitted_parameters,
    model_flop,
    parts_of,
    prepare,
    search,
    setting_of,
    sigma_of,
    site_of,
    stack,
    step_time,
    strategies,
    total_memory,
    total_weights,
)
from suanli.training._compressed import gathered_numbers, kept_numbers, keys_seen, projections
from suanli.training._memory import Recipe, kept_activations, layer_activations
from suanli.workloads._compressed import pairs

FLASH, PRO = "deepseek-v4-flash", "deepseek-v4-pro"
ONE = np.ones(1)

# Published pretraining runs in MXFP8 at 4,096 tokens a sequence, routing forced to balance:
# github.com/NVIDIA-NeMo/Megatron-Bridge pull requests 5724 (Flash) and 4808 (Pro), layouts from its perf_recipes.
# (model, chip, chips, batch, seconds, published TFLOP/s a chip, layout)
RUNS = (
    (FLASH, "gb200", 128, 2048, 8.1346, 731.4, {"dp": 128, "ep": 32, "short_moments": 1.0}),
    (FLASH, "gb300", 128, 2048, 7.84032, 759.28, {"dp": 128, "ep": 32, "micro_batch": 2, "short_moments": 1.0}),
    (PRO, "gb300", 256, 4096, 21.5, 996.0, {"pp": 4, "vpp": 4, "dp": 64, "ep": 64}),
)


def f_of(name: str) -> Facts:
    return facts(catalog.model(name))


def prepared(f: Facts, chip: str, batch: int, layout: dict[str, float], n: int = 1) -> Prepared:
    return prepare(
        site_of(catalog.chip(chip), chips_per_node=4),
        f,
        strategies(recompute="selective", **layout),
        seq=np.full(n, 4096.0),
        batch=np.full(n, float(batch)),
        eras=[era("nemo-2026")] * n,
        precision="mxfp8",
        balanced=np.ones(n),
    )


@pytest.mark.parametrize(("name", "total", "active"), [(FLASH, 284e9, 13e9), (PRO, 1.6e12, 49e9)])
def test_weights_are_the_published_ones(name: str, total: float, active: float) -> None:
    # Hugging Face model cards of DeepSeek-V4, April 2026
    assert float(total_weights(f_of(name))[0]) == pytest.approx(total, rel=0.02)
    assert float(active_weights(f_of(name))[0]) == pytest.approx(active, rel=0.025)
    counted = workloads.parameters(catalog.model(name))
    assert float(total_weights(f_of(name))[0]) == pytest.approx(counted.total, rel=0.001)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: f"{run[0]}-{run[1]}")
def test_model_flop_are_what_megatron_counts(run: tuple[object, ...]) -> None:
    name, _, chips, batch, seconds, rate, _ = run
    told = rate * 1e12 * chips * seconds / (batch * 4096)  # type: ignore[operator]
    counted = float(model_flop(f_of(str(name)), np.array([4096.0]))[0])
    assert counted == pytest.approx(told, rel=0.002 if name == FLASH else 0.015)  # Pro's figures are rounded


@pytest.mark.parametrize("length", [100, 4096, 131_072])
@pytest.mark.parametrize("name", [FLASH, PRO])
def test_queries_see_the_keys_that_workloads_count(name: str, length: int) -> None:
    model = catalog.model(name)
    assert model.compressed is not None
    seen = [pairs(model, r, length, length) / length for r in model.compressed.ratios]
    assert float(keys_seen(f_of(name), np.array([float(length)]))[0]) == pytest.approx(np.mean(seen), rel=1e-9)


def test_projections_have_the_weights_of_attention() -> None:
    f = f_of(PRO)
    sizes = weights(f, 1.0)
    assert sum(sizes) == pytest.approx(float(f.mixer[0]), rel=0.01)  # but for mixers of streams and places in pools
    formats = [form for *_, form in projections(f, tp=ONE, dtype="fp8", half="bf16")]
    assert formats.count("bf16") == 3  # pools and the indexer's keys
    shared = weights(f, 8.0)
    assert shared[0] == sizes[0]  # down projections are whole on every chip
    assert shared[-1] == pytest.approx(sizes[-1] / 8.0)


def weights(f: Facts, tp: float) -> list[float]:
    found = projections(f, tp=np.array([tp]), dtype="fp8", half="bf16")
    return [float(np.ravel(n * k * share * batch)[0]) for n, k, share, batch, _ in found]


@pytest.mark.parametrize("run", RUNS, ids=lambda run: f"{run[0]}-{run[1]}")
def test_published_runs_lie_in_the_interval(run: tuple[object, ...]) -> None:
    name, chip, _, batch, seconds, _, layout = run
    p = fitted_parameters()
    one = prepared(f_of(str(name)), str(chip), int(batch), layout)  # type: ignore[call-overload, arg-type]
    spread = sigma_of(p, era_id="nemo-2026", chip=one.site.chip, strange=True)
    assert spread > sigma_of(p, era_id="nemo-2026", chip=one.site.chip)
    ratio = float(step_time(one, p)[0]) / seconds  # type: ignore[operator]
    assert abs(np.log(ratio)) < 1.2816 * spread
    assert float(total_memory(one)[0]) < (one.site.chip.memory_bytes or 0.0)
    # Each model by the factor that the other's runs ask for
    other = replace(p, values={**p.values, "mixer": 2.4 if name == PRO else 2.2})
    assert float(step_time(one, other)[0]) == pytest.approx(seconds, rel=0.15)


def test_long_sequences_cost_little_more_a_token() -> None:
    def second_a_token(name: str, length: int) -> float:
        where = setting_of(
            catalog.model(name), catalog.chip("h200"), 256, seq_len=length, global_batch=2**24 // length, year=2026
        )
        one = prepare(
            where.site,
            where.facts,
            strategies(tp=8, pp=4, dp=8, ep=8),
            seq=np.array([float(length)]),
            batch=np.array([2.0**24 / length]),
            eras=[where.era],
            precision="bf16",
        )
        return float(parts_of(one, fitted_parameters())["attention"][0])

    grown = [second_a_token(name, 65_536) / second_a_token(name, 8_192) for name in (FLASH, "deepseek-v3")]
    assert grown[0] < 0.5 * grown[1]
    assert grown[1] > 4.0


FUSED = Recipe(
    seq=np.array([4096.0]), flash=ONE, dropout=0.0 * ONE, selective_gemm=0.0 * ONE, selective_elementwise=ONE
)


def kept(f: Facts, **how: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return kept_activations(f, strategies(**how), FUSED)


def test_recomputation_spares_streams() -> None:
    f = f_of(FLASH)
    single = replace(f, streams=ONE)
    tokens, hidden = 4096.0, 4096.0
    # Before each of two blocks four streams in 2 bytes; a layer's input alone; mixed again
    for recompute, numbers in ((0.0, 8.0), (2.0, 3.0), (1.0, 0.0)):
        more = float((kept(f, recompute=recompute) - kept(single, recompute=recompute))[0])
        assert more == pytest.approx(2.0 * numbers * tokens * hidden, abs=1.0)
    assert float(kept(f, recompute=2.0)[0]) == 2.0 * 4.0 * tokens * hidden


def test_attention_keeps_queries_outputs_and_what_was_pooled() -> None:
    f = replace(f_of(FLASH), streams=ONE, moe_layers=0.0 * ONE, dense_layers=43.0 * ONE, ffn=0.0 * ONE)
    none = layer_activations(f, strategies(), FUSED)
    heads, width, hidden = 64 * 512, 512, 4096
    pools = (2 * 2 * width * 21 + 2 * width * 20) / 43  # overlapping pools of 21 layers, plain ones of 20
    choice = (64 * 128 + 2 * 512) * 21 / 43
    numbers = 4 * hidden + 2 * heads + width + 1024 + 8 * 1024 + pools + choice
    assert float(none[0]) == pytest.approx(4096 * (2.0 * numbers + 4.0 * 64), rel=1e-12)
    assert float(kept_numbers(f_of("deepseek-v3"))[0]) == 0.0


def test_contexts_exchange_entries() -> None:
    # An entry of 512 numbers for every 4 tokens in 21 layers, with an index of 128, for every 128 tokens in 20
    want = ((512 + 128) * 21 / 4 + 512 * 20 / 128) / 43
    assert float(gathered_numbers(f_of(FLASH))[0]) == pytest.approx(want)


def test_models_side_by_side_take_what_each_takes_alone() -> None:
    names = (FLASH, "deepseek-v3", "llama-3.1-8b")
    layout = {"dp": 64.0, "ep": np.array([32.0, 32.0, 1.0])}
    p = fitted_parameters()
    several = prepared(stack([f_of(n) for n in names]), "gb200", 2048, layout, n=3)  # type: ignore[arg-type]
    for i, name in enumerate(names):
        alone = prepared(f_of(name), "gb200", 2048, {"dp": 64.0, "ep": layout["ep"][i]})  # type: ignore[index]
        assert float(step_time(several, p)[i]) == pytest.approx(float(step_time(alone, p)[0]), rel=1e-12)
        assert float(total_memory(several)[i]) == pytest.approx(float(total_memory(alone)[0]), rel=1e-12)


def test_other_models_have_nothing_of_it() -> None:
    own = {f.name for f in fields(Facts)} & {"mixer", "out_groups", "far", "entries", "sparse", "chosen", "index_dim"}
    assert all(float(getattr(f_of("deepseek-v3"), name)[0]) == 0.0 for name in own)
    assert float(f_of("deepseek-v3").streams[0]) == 1.0


def test_the_search_covers_it() -> None:
    where = setting_of(catalog.model(FLASH), catalog.chip("h200"), 256, seq_len=4096, global_batch=2048, year=2026)
    best = search(where, top=1, exact=False, pins={"tp": 1, "cp": 1}).best
    assert 0.05 < best.mfu < 0.5
    assert best.time.p90[0] / best.time.value[0] > 1.1
