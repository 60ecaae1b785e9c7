from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from suanli import catalog
from suanli.errors import InputError
from suanli.training import (
    Setting,
    Step,
    feed_of,
    load_time,
    operations,
    prior_parameters,
    setting_of,
    step,
    strategies,
)

PRIOR = prior_parameters()


def run(**feed: object) -> Step:
    where = setting_of(
        catalog.model("llama-3.1-8b"), catalog.chip("h100-sxm"), 64, seq_len=4096, global_batch=256, year=2025
    )
    if feed:
        where = replace(where, site=replace(where.site, feed=feed_of(**feed)))  # type: ignore[arg-type]
    return step(where, strategies(tp=2, dp=32), parameters=PRIOR)


def seconds(one: Step) -> float:
    return float(one.time.value[0])


def test_text_is_read_far_faster_than_it_is_learnt() -> None:
    usual = run()
    assert usual.time.breakdown["data"][0] == 0.0
    # 4 bytes a token of a vocabulary beyond 65,500, Llama 3's storage: 0.5 ms for 65,536 tokens a chip
    where: Setting = usual.setting
    load = load_time(where.site.feed, where.facts, usual.strategies, seq=np.array([4096.0]), batch=np.array([256.0]))
    tokens = 4096 * 256 / 64
    known = {name: item.value for name, item in operations().items()}
    assert load[0] == pytest.approx(tokens * max(4.0 / known["storage_rate"], 0.5 / known["loader_tokens"]))
    assert 100 * load[0] < seconds(usual)


def test_a_step_waits_for_slow_storage_only_for_what_exceeds_it() -> None:
    usual = run()
    rate = 4.0 * 4096 * 256 / 64 / (3.0 * seconds(usual))  # B/s a chip that take three steps' time
    slow = run(storage=rate)
    assert seconds(slow) == pytest.approx(3.0 * seconds(usual))
    assert slow.time.breakdown["data"][0] == pytest.approx(2.0 * seconds(usual))
    last = run(storage=rate, ahead=False)
    assert seconds(last) == pytest.approx(4.0 * seconds(usual))
    busy = run(prepare=1000.0, workers=1)
    assert seconds(busy) == pytest.approx(4096 * 256 / 64 / 1000.0)
    assert seconds(run(prepare=1000.0, workers=4)) == pytest.approx(seconds(busy) / 4)


def test_nothing_to_read_from_is_refused() -> None:
    with pytest.raises(InputError, match="storage: 0 is not above zero"):
        feed_of(storage=0.0)
    with pytest.raises(InputError, match="workers: 0 is not above zero"):
        feed_of(workers=0)
