"""Search: it finds by itself what the rules reward."""

from __future__ import annotations

import numpy as np
import pytest

from suanli.catalog import chip
from suanli.design import (
    Activity,
    Limits,
    Place,
    Search,
    Space,
    activity_of,
    against_field,
    binding,
    cost_of_rules,
    doubts,
    evaluate,
    job_rate,
    judge,
    pareto,
    parse_jobs,
    preset,
    search,
    sensitivities,
)
from suanli.design._evaluate import standard
from suanli.design._score import screened_rate
from suanli.errors import InfeasibleError, InputError, UnknownNameError

JOBS = parse_jobs("llama-3.1-8b:decode=2,dlrm-dcnv2")
RULE = Limits(place=Place(date="2024-06-25"), area=858e-6, power=600.0)


@pytest.fixture(scope="module")
def ruled() -> Search:
    return search(JOBS, limits=RULE, candidates=40_000, full=40, refine=False, seed=5)


@pytest.fixture(scope="module")
def unruled() -> Search:
    return search(JOBS, limits=Limits(area=858e-6, power=600.0), candidates=10_000, full=20, refine=False, seed=5)


def test_jobs_are_read_with_use_and_weight() -> None:
    assert [(j.name, j.weight) for j in JOBS] == [("llama-3.1-8b:decode", 2.0), ("dlrm-dcnv2:recommend", 1.0)]
    with pytest.raises(UnknownNameError, match="did you mean 'decode'"):
        parse_jobs("llama-3.1-8b:decod")
    with pytest.raises(InputError, match="weight 'x' is not a number"):
        parse_jobs("llama-3.1-8b=x")
    with pytest.raises(InputError, match="no workload"):
        parse_jobs(" , ")
    with pytest.raises(UnknownNameError, match="use of dlrm-dcnv2"):
        parse_jobs("dlrm-dcnv2:train")


def test_under_the_rule_of_october_2023_area_becomes_valuable(ruled: Search, unruled: Search) -> None:
    for f in ruled.judged:
        if f.group == "free" and f.tpp >= 1600.0:
            assert f.tpp < 4800.0
            assert f.density < 3.2
    # The pattern of the H20 (TPP 2368 on 814 mm2): near the TPP limit, large, of low density.
    h20_like = [f for f in ruled.judged if 1900.0 < f.tpp < 2400.0 and (f.chip.die_area_m2 or 0) > 600e-6]
    assert h20_like
    without = max(unruled.judged, key=lambda f: f.objectives["per_usd"])
    assert without.density > 5.92
    assert without.tpp > 4800.0
    assert max(f.objectives["per_usd"] for f in ruled.front) < without.objectives["per_usd"]


def test_everything_proposed_keeps_its_limits(ruled: Search) -> None:
    assert ruled.front
    for f in ruled.front:
        assert f.group == "free"
        assert f.chip.die_area_m2 is not None
        assert f.chip.die_area_m2 <= RULE.area
        assert (f.chip.tdp_w or 0.0) <= RULE.power
        assert not f.design.flags
        assert all(r.rate > 0.0 and r.p10 <= r.rate <= r.p90 for r in f.rates)
    assert ruled.kept + sum(ruled.lost.values()) == ruled.tried


def test_the_front_is_not_beaten(ruled: Search) -> None:
    keep = pareto(np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 1.0], [2.0, 1.0]]))
    assert keep.tolist() == [True, True, False, True]
    for f in ruled.front:
        assert not any(
            all(g.objectives[o] > f.objectives[o] for o in f.objectives) for g in ruled.judged if g.group == "free"
        )


def test_a_search_repeats_itself() -> None:
    a, b = (search(JOBS[:1], candidates=2000, full=5, refine=False, seed=9) for _ in range(2))
    assert [f.objectives for f in a.front] == [f.objectives for f in b.front]


def test_limits_that_collide_are_named() -> None:
    with pytest.raises(InfeasibleError, match=r"no design keeps all limits; .* power"):
        search(JOBS, limits=Limits(power=5.0), candidates=2000, refine=False)
    with pytest.raises(InputError, match="objective 'speed'"):
        search(JOBS, objective="speed", candidates=2000)
    with pytest.raises(InputError, match="none of the memories gddr7 is in volume in 2024"):
        search(JOBS, space=Space(memories=("gddr7",)), limits=RULE, candidates=2000)


def test_refinement_does_not_lose_the_limits() -> None:
    found = search(JOBS[:1], limits=RULE, candidates=5000, full=10, refine=True, seed=3)
    refined = [f for f in found.judged if f.refined]
    assert len(refined) == 3
    for f in refined:
        assert f.group == "free"
        assert (f.chip.die_area_m2 or 0.0) <= RULE.area * 1.0001


def test_no_roofline_beats_the_peaks() -> None:
    spec = preset("bytedance-5nm")
    found = evaluate(spec)
    for job in parse_jobs("llama-3.1-8b:decode,llama-3.1-8b:prefill,llama-3.1-8b:train"):
        rate = float(screened_rate(spec, job, standard())[0])
        per_token = 2.0 * 7.5e9 * (3.0 if job.phase == "train" else 1.0)
        assert 0.0 < rate * per_token < found.chip.peak["fp8" if job.phase != "train" else "bf16"]
        measured = job_rate(found.chip, job)
        assert 0.4 < measured.rate / rate < 2.5


def test_what_does_not_fit_says_so() -> None:
    (job,) = parse_jobs("llama-3.1-405b:train")
    rate = job_rate(chip("a100-80-sxm"), job)
    assert rate.rate == 0.0  # 101 GB of weights a chip in a node of eight
    assert "the memory holds" in rate.reason
    with pytest.raises(InputError, match="the base chip cannot run every job"):
        search((job,), candidates=1000)


def test_the_field_is_judged_on_the_same_jobs() -> None:
    rows = against_field(JOBS, designs=[evaluate(preset("bytedance-5nm"))])
    assert [r.chip for r in rows[::2]][:2] == ["bytedance-5nm", "mtia-v2"]
    known = {(r.chip, r.rate.job): r for r in rows}
    ours, mtia = known["bytedance-5nm", "llama-3.1-8b:decode"], known["mtia-v2", "llama-3.1-8b:decode"]
    assert ours.rate.rate > 5.0 * mtia.rate.rate  # 4.9 TB/s against 0.2
    assert ours.usd_each is not None
    unsold = known["mtia-v2", "dlrm-dcnv2:recommend"]
    assert unsold.rate.rate > 0.0
    assert unsold.usd_each is None  # never sold: no price is made up
    assert "no price" in unsold.note


def test_what_the_rules_cost() -> None:
    places = [None, Place(date="2024-06-25"), Place(date="2025-06-25")]
    found = cost_of_rules(JOBS[:1], places, candidates=3000, refine=False)
    free, ruled, late = (found[k] for k in ("without rules", "2024-06-25", "2025-06-25"))
    assert free[0] is not None
    assert ruled[0] is not None
    assert ruled[0].objectives["per_usd"] <= free[0].objectives["per_usd"]
    # From 2025-01-31 a foundry's export is presumed listed, and no attestation is assumed.
    assert late[0] is None
    assert "rules" in late[1]


def test_binding_and_sensitivities_speak_of_the_design(ruled: Search) -> None:
    best = ruled.front[0]
    for held in binding(best, RULE):
        assert held.value >= 0.97 * held.limit
    base = {j.name: job_rate(chip("a100-80-sxm"), j).rate for j in JOBS}
    again = judge(best.spec, JOBS, base=base, limits=RULE)
    assert again.objectives == best.objectives
    moved = {m.name: m for m in sensitivities(best, JOBS, limits=RULE, base=base)}
    assert moved["memory_sites"].more["per_usd"] != 0.0
    assert max(abs(v) for m in moved.values() for v in m.more.values()) < 0.5
    told = doubts(best.spec)
    assert len(told) == 8
    assert all(abs(low) < 1.0 and abs(high) < 1.0 for _, low, high in told)


def test_power_at_work_follows_the_activity() -> None:
    found = evaluate(preset("bytedance-5nm"))
    (decode,) = parse_jobs("llama-3.1-8b:decode")
    rate = job_rate(found.chip, decode)
    busy = activity_of(found.chip, decode, rate)
    assert 0.3 < busy.memory <= 1.0  # decoding reads weights and caches
    assert 0.0 < busy.matrix < 1.0
    at_work = float(evaluate(found.spec, activity=busy).power.value[0])
    idle = float(evaluate(found.spec, activity=Activity(matrix=0.0, vector=0.0, memory=0.0, links=0.0)).power.value[0])
    assert idle < at_work < 1.3 * float(found.power.value[0])
    (train,) = parse_jobs("llama-3.1-405b:train")
    none = job_rate(found.chip, train)
    with pytest.raises(InputError, match=r"does not do llama-3\.1-405b:train"):
        activity_of(found.chip, train, none)


def test_a_smaller_die_may_lose_its_ruling(ruled: Search) -> None:
    place = RULE.place
    assert place is not None
    edge = max((f for f in ruled.judged if f.tpp > 1700.0), key=lambda f: f.density)
    area = edge.chip.die_area_m2 or 0.0
    assert edge.group_at(area, place) == "free"
    assert edge.group_at(0.6 * area, place) in {"conditional", "restricted"}
