from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suanli import catalog
from suanli.errors import InfeasibleError, InputError
from suanli.kinds import Service
from suanli.serving import (
    Part,
    arrivals,
    check_peak,
    copies_of,
    day_of,
    held_share,
    lengths,
    options,
    other_options,
    read_mix,
    requests,
    scheduler,
    share,
    simulate,
)
from suanli.serving._mix import SLOTS, ahead
from tests.serving.lanes import column, lane, one

H100 = catalog.chip("h100-sxm")


def part(name: str = "chat", model: str = "llama-3.1-8b", peak: float = 12.0, **changes: Any) -> Part:
    fields: dict[str, Any] = {"input_tokens": 1000.0, "output_tokens": 200.0, "ttft_s": 1.0, "tpot_s": 0.03}
    service = Service(model=catalog.model(model), rate=200.0, **{**fields, **changes})
    return Part(name=name, service=service, day=day_of(peak, 2.0))


def test_a_day_has_its_peak_where_it_says() -> None:
    day = day_of(21.0, 1.6)
    assert int(np.argmax(day)) == 21
    assert max(day) == pytest.approx(1.0)
    assert max(day) / np.mean(day) == pytest.approx(1.6)
    assert part().rates().max() == pytest.approx(200.0)
    assert part().rates().size == SLOTS
    flat = replace(part(), day=(0.5, 1.0))
    assert flat.rates()[[0, 24, 48, 72]].tolist() == [100.0, 150.0, 200.0, 150.0]
    with pytest.raises(InputError, match="between 1 and 2"):
        day_of(12.0, 3.0)


def test_one_service_takes_its_copies_and_no_more() -> None:
    found = share([part()], H100)
    option = found.options[0]
    assert found.apart == found.together == np.ceil(200.0 / option.requests_per_s) * option.layout.chips
    assert found.table()["copies"].to_list() == [found.apart // option.layout.chips]
    assert found.mean_chips < 0.7 * found.together


def test_services_with_opposite_peaks_share_and_with_one_peak_do_not() -> None:
    night = share([part("a", peak=0.0), part("b", peak=12.0)], H100)
    same = share([part("a", peak=12.0), part("b", peak=12.0)], H100)
    assert same.together == same.apart == night.apart
    assert night.together < 0.65 * night.apart  # cosines half a day apart add up to the mean
    assert night.together >= night.mean_chips
    assert (night.chips.sum(axis=0) <= night.together).all()
    slow = share([part("a", peak=0.0), part("b", peak=12.0)], H100, start_s=4 * 3600.0)
    assert night.together < slow.together <= slow.apart  # what loads for hours is there twice


def test_copies_load_before_they_are_needed() -> None:
    copies = np.array([[1, 1, 3, 2] + [1] * 92])
    assert ahead(copies, 0.0).tolist() == copies.tolist()
    assert ahead(copies, 900.0)[0, :4].tolist() == [1, 3, 3, 2]
    assert ahead(copies, 901.0)[0, :4].tolist() == [3, 3, 3, 2]


def test_larger_pools_hold_more_of_their_rate() -> None:
    flux = catalog.model("flux.1-dev")
    picture = Service(model=flux, rate=1.0, input_tokens=0.0, output_tokens=0.0)
    option = next(o for o in other_options([picture], [H100]) if o.fits and o.layout.tp == 1)
    picture = replace(picture, latency_s=2.2 * option.ttft_s)
    alone, pool = (held_share(option, picture, copies=n) for n in (1, 4))
    # one sample at a time at a steady rate: M/D/1 waits rho S / 2 (1 - rho)
    assert alone == pytest.approx(2.0 * 1.2 / (1.0 + 2.0 * 1.2), abs=0.08)
    assert alone < pool <= 1.0
    rates = np.array([0.0, 0.5, 1.0, 3.0, 9.0]) * option.requests_per_s
    assert copies_of(rates, option, {}).tolist() == [0, 1, 1, 3, 9]
    assert copies_of(rates, option, {1: 0.8, 2: 0.9, 4: 1.0}).tolist() == [0, 1, 2, 4, 9]


def test_what_is_simulated_holds_at_the_busiest_time() -> None:
    mixed = [
        part(),
        part("search", "qwen3-embedding-8b", 3.0, input_tokens=300.0, output_tokens=1.0, ttft_s=0.3, tpot_s=None),
    ]
    found = share(mixed, H100, simulated=True)
    assert all(0.5 < v <= 1.0 for held in found.held for v in held.values())
    seen = check_peak(found)
    assert seen["holds"].to_list() == [True, True]
    assert found.together >= share(mixed, H100).together
    assert found.table()["held_in_simulation"].is_not_null().all()


def test_the_closed_form_is_near_what_simulation_holds() -> None:
    service = part().service
    option = max((o for o in options([service], [H100], max_chips=2) if o.fits), key=lambda o: o.per_chip)
    near = held_share(option, service, copies=2)
    assert near > 0.8
    assert held_share(option, replace(service, tpot_s=0.6 * (service.tpot_s or 0.0)), copies=2) < 0.9 * near


def test_replicas_follow_a_schedule() -> None:
    n = 3000
    asked = requests(arrivals("poisson", rate=20.0, n=n, seed=1), lengths(600, n=n, seed=2), lengths(60, n=n, seed=3))
    seen = simulate(
        lane(seats=one(64.0)),
        asked,
        scheduler=scheduler("vllm"),
        replicas=3,
        schedule=[(0.0, 1), (50.0, 3), (100.0, 2)],
    )
    when, where = column(seen, "arrival_s"), column(seen, "replica")
    assert set(where[when < 50]) == {0}
    assert set(where[(when >= 50) & (when < 100)]) == {0, 1, 2}
    assert set(where[when >= 100]) == {0, 1}
    assert np.isfinite(column(seen, "latency_s")).all()
    with pytest.raises(InputError, match="between 1 and 2 replicas"):
        simulate(lane(), asked, scheduler=scheduler("vllm"), replicas=2, schedule=[(0.0, 3)])


MIX = """
chip: h100-sxm
start: 5 min
services:
  - {name: chat, model: llama-3.1-8b, users: 2M, slo: "ttft=1s,tpot=30ms"}
  - {name: clicks, model: dlrm-dcnv2, rate: 9000/s, input_tokens: 500, slo: p99=60ms, day: [0.5, 1]}
  - {name: pictures, model: flux.1-dev, rate: 2/s, slo: latency=60s, day: {peak_hour: 20, peak_over_mean: 1.5}}
"""


def test_a_mix_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "mix.yaml"
    path.write_text(MIX, encoding="utf-8")
    parts, chip, start = read_mix(path)
    assert (chip, start) == ("h100-sxm", 300.0)
    assert [p.name for p in parts] == ["chat", "clicks", "pictures"]
    assert parts[0].service.rate == pytest.approx(2 * 2e6 * 7.3 / 86_400)
    assert parts[1].service.percentile == 0.99
    assert parts[1].service.latency_s == pytest.approx(0.06)
    assert parts[2].service.latency_s == pytest.approx(60.0)
    assert share(parts, H100).together > 3


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rate: 2/s", "rte: 2/s", r"mix.yaml:7: services.2.rte: unknown field; did you mean 'rate'"),
        ("rate: 2/s, ", "", r"pictures: state either rate or users"),
        ("slo: p99=60ms", "slo: p9=60ms", r"clicks: 'p9=60ms' is no limit"),
        ("name: clicks", "name: chat", r"the name 'chat' stands for two"),
        ("flux.1-dev", "flux.9-dev", r"pictures: .*flux"),
        ("peak_over_mean: 1.5", "peak_over_mean: 4", r"mix.yaml:7: .*peak_over_mean"),
        ("9000/s", "-1/s", r"clicks: a rate of -1/s is not above 0"),
    ],
)
def test_a_bad_mix_says_where(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "mix.yaml"
    path.write_text(MIX.replace(old, new), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_mix(path)


def test_what_cannot_be_held_says_why() -> None:
    with pytest.raises(InfeasibleError, match=r"chat: nothing serves Llama 3\.1 8B on h100-sxm: too slow"):
        share([part(tpot_s=1e-5)], H100)
    with pytest.raises(InputError, match="at least one service"):
        share([], H100)
    with pytest.raises(InputError, match="chat: a day has shares"):
        share([replace(part(), day=(0.0, 0.0))], H100)
