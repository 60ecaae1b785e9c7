from __future__ import annotations

import json
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from suanli import catalog
from suanli.training import (
    Step,
    picture,
    picture_svg,
    pipeline_events,
    prior_parameters,
    setting_of,
    step,
    strategies,
)


def one(**strategy: object) -> Step:
    where = setting_of(catalog.model("llama-3.1-8b"), catalog.chip("h100-sxm"), 64, seq_len=4096, global_batch=256)
    given = {"tp": 2, "pp": 4, "dp": 8, "recompute": "full", "recompute_share": 0.5, **strategy}
    return step(where, strategies(**given), parameters=prior_parameters())  # type: ignore[arg-type]


@pytest.mark.parametrize(("strategy", "passes"), [({}, 2), ({"vpp": 2}, 4), ({"schedule": "zero_bubble"}, 3)])
def test_trace_is_what_perfetto_reads(strategy: dict[str, object], passes: int) -> None:
    got = one(**strategy)
    events = json.loads(json.dumps(pipeline_events(got)))
    assert {e["ph"] for e in events} == {"M", "X", "C"}
    whole = [e for e in events if e["ph"] == "X" and e["args"]]
    assert len(whole) == 4 * 32 * passes
    for stage in range(4):
        mine = sorted((e for e in whole if e["tid"] == stage), key=lambda e: e["ts"])
        for a, b in pairwise(mine):
            assert a["ts"] + a["dur"] <= b["ts"] + 0.01
    inner = [e for e in events if e["ph"] == "X" and e["name"] == "attention" and e["tid"] == 0]
    held = [e["args"]["micro-batches"] for e in events if e["ph"] == "C" and e["name"] == "held by stage 0"]
    assert len(inner) >= 64
    assert max(held) >= 4
    assert held[-1] == 0


def test_a_drawn_step_is_as_long_as_the_predicted_one() -> None:
    got = one()
    end = max(e["ts"] + e["dur"] for e in pipeline_events(got) if e["ph"] == "X")
    assert end / 1e6 == pytest.approx(float(got.time.value[0]), rel=0.05)


def test_pictures_show_every_stage() -> None:
    got = one()
    lines = picture(got)
    assert len(lines) == 4
    assert {len(line) for line in lines} == {72}
    assert lines[3].startswith(".")
    assert lines[0].startswith("0")
    svg = ElementTree.fromstring(picture_svg(got))
    boxes = svg.findall(".//{http://www.w3.org/2000/svg}rect")
    titled = [b for b in boxes if b.find("{http://www.w3.org/2000/svg}title") is not None]
    assert len(titled) == 4 * 12 * 2
    width = float(svg.attrib["width"])
    assert all(float(b.get("x", 0)) >= 0 and float(b.get("x", 0)) + float(b.get("width", 0)) <= width for b in titled)
