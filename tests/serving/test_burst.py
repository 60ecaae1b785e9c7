import numpy as np
import pytest

from suanli.serving import (
    Gate,
    all_at_once,
    closed_loop,
    drafting,
    launch,
    lengths,
    protocol,
    requests,
    scheduler,
    simulate,
)
from tests.serving.lanes import column, lane, one, plain_habits

FACTS: dict[str, str | float] = {
    "framework": "sglang",
    "family": "blackwell",
    "model": "deepseek-r1",
    "precision": "fp8",
    "version": "0.5.9",
    "isl": 1024.0,
    "osl": 1024.0,
    "clients": 8.0,
    "tp": 8.0,
    "dp": 1.0,
}


@pytest.mark.parametrize(("framework", "mixes"), [("vllm", True), ("sglang", False)])
def test_a_burst_of_chats_follows_the_simulator(framework: str, mixes: bool) -> None:
    rng, n = np.random.default_rng(0), 1000
    answers = np.maximum(rng.exponential(200.0, n), 4.0).astype(int)
    prompts = np.maximum(rng.exponential(217.0, n), 8.0).astype(int)
    changes = {"mixes": one(mixes), "seats": one(1024.0)}
    seen = simulate(lane(**changes), requests(np.zeros(n), prompts, answers), scheduler=scheduler(framework))
    found = all_at_once(
        lane(**changes),
        plain_habits(),
        clients=one(float(n)),
        prompt=one(217.0),
        answer=one(200.0),
        chat=one(True),
        short=one(answers.mean() * np.mean(1.0 / answers)),
        client_s=one(0.0),
    )
    assert found.requests_per_s[0] == pytest.approx(seen.totals["requests_per_s"], rel=0.2)
    assert found.ttft_s[0] == pytest.approx(column(seen, "ttft_s").mean(), rel=0.25)
    assert found.tpot_s[0] == pytest.approx(np.nanmean(column(seen, "tpot_s")), rel=0.4)


@pytest.mark.parametrize("clients", [16, 64, 256])
def test_prefill_first_rounds_of_equal_answers_stay_in_step(clients: int) -> None:
    n = clients * 10
    asked = requests(np.zeros(n), np.full(n, 1024), np.full(n, 512))
    seen = simulate(lane(mixes=one(False)), asked, scheduler=scheduler("sglang"), clients=clients)
    found = closed_loop(
        lane(mixes=one(False)),
        plain_habits(),
        clients=one(float(clients)),
        prompt=one(1024.0),
        answer=one(512.0),
        rounds=one(10.0),
        alike=True,
    )
    assert found.ttft_s[0] == pytest.approx(column(seen, "ttft_s").mean(), rel=0.3)
    assert found.tpot_s[0] == pytest.approx(column(seen, "tpot_s").mean(), rel=0.03)


def test_lengths_that_differ_spread_the_rounds() -> None:
    def first(spread: float) -> float:
        state = closed_loop(
            lane(mixes=one(False)),
            plain_habits(),
            clients=one(64.0),
            prompt=one(1024.0),
            answer=one(512.0),
            rounds=one(10.0),
            spread=spread,
        )
        return float(state.ttft_s[0])

    assert first(0.0) > first(0.05) > first(0.2) >= first(1.0)
    n = 640
    asked = requests(np.zeros(n), lengths(1024, n=n, seed=2, spread=0.058), lengths(512, n=n, seed=3, spread=0.058))
    seen = simulate(lane(mixes=one(False)), asked, scheduler=scheduler("sglang"), clients=64)
    assert first(0.2) == pytest.approx(column(seen, "ttft_s").mean(), rel=0.3)  # sqrt(12) deviations wide


def test_prompts_held_back_wait_longer_and_meet_company() -> None:
    gate = Gate(every=one(30.0), up_to=one(0.0))
    held, beside = gate.held(one(0.1))
    assert (held[0], beside[0]) == (15.0, pytest.approx(3.0))
    held, beside = Gate(every=one(0.0), up_to=one(40.0)).held(one(0.0))
    assert (held[0], beside[0]) == (40.0, 0.0)  # alone, it waits out the time
    crowded, _ = Gate(every=one(0.0), up_to=one(40.0)).held(one(10.0))
    assert crowded[0] == pytest.approx(20.0, rel=0.02)  # among many, half of it on average
    load = {"clients": one(32.0), "prompt": one(1024.0), "answer": one(1024.0), "rounds": one(10.0)}
    free = closed_loop(lane(), plain_habits(), **load)
    kept = closed_loop(lane(), plain_habits(), **load, gate=gate)
    assert kept.ttft_s[0] - free.ttft_s[0] > 14.0 * free.step_s[0]


def test_a_slow_client_sets_the_pace() -> None:
    load = {"clients": one(500.0), "prompt": one(200.0), "answer": one(200.0), "chat": one(False), "short": one(1.0)}
    found = all_at_once(lane(seats=one(1024.0)), plain_habits(), **load, client_s=one(1e-3))
    assert found.requests_per_s[0] * 200.0 < 1000.0


def test_drafts_yield_the_tokens_that_are_accepted() -> None:
    drafted = drafting(lane(), one(3.0), one(0.7), one(61.0))
    assert drafted.accepted[0] == pytest.approx(1 + 0.7 + 0.49 + 0.343)
    assert drafted.verify[0] == 4.0
    assert drafted.linear[0, 0] == pytest.approx(lane().linear[0, 0] * (1 + 3 / 61))
    same = drafting(lane(), one(0.0), one(0.7), one(61.0))
    assert (same.verify[0], same.accepted[0], same.linear[0, 0]) == (1.0, 1.0, lane().linear[0, 0])


def test_launches_add_up_in_their_order() -> None:
    # benchmarks/dsr1_fp8_b200.sh of InferenceX: scheduler-recv-interval 10 below 16 clients, else 30
    few = launch("InferenceX", FACTS)
    assert (few.every, few.seats, few.budget, few.kv) == (10, 128, 32768, "fp8")
    assert launch("InferenceX", {**FACTS, "clients": 16.0}).every == 30
    assert launch("InferenceX", {**FACTS, "family": "hopper"}) == launch("", FACTS)
    mtp: dict[str, str | float] = {**FACTS, "framework": "trtllm", "version": "1.2.0rc6.post3"}
    assert (launch("InferenceX", mtp).drafts, launch("InferenceX", {**mtp, "dp": 8.0}).drafts) == (3, 1)


def test_the_protocol_follows_title_and_lengths() -> None:
    title = "NVIDIA aiconfigurator silicon sample (own runs)"
    assert protocol(title, (8192.0, 1024.0)).scripts == "InferenceX"
    assert protocol(title, (4096.0, 512.0)).alike
    assert protocol("something else").rounds == 10.0
