"""Floorplans and pictures."""

from __future__ import annotations

import pytest

from suanli.catalog import chip
from suanli.design import (
    DesignSpec,
    Limits,
    Place,
    against_field,
    breakdown_chart,
    evaluate,
    field_chart,
    floorplan,
    floorplan_chart,
    front_chart,
    parse_jobs,
    plane_chart,
    preset,
    search,
)
from suanli.errors import InputError


@pytest.mark.parametrize(
    "spec",
    [
        preset("bytedance-5nm"),
        DesignSpec(memory="none", memory_sites=0, host="none", cores=40),
        DesignSpec(memory="hbm3", memory_sites=5, cores=33, spare_cores=1, shared_sram=0.0),
        DesignSpec(memory="gddr6", memory_sites=1, cores=3),
    ],
    ids=["preset", "bare", "odd", "single"],
)
def test_the_boxes_fill_the_die(spec: DesignSpec) -> None:
    found = evaluate(spec)
    boxes, width, height = floorplan(found)
    on_die = [b for b in boxes if b["block"] != "HBM stack" and not b.get("inside")]
    assert width * height == pytest.approx(float(found.area.value[0]) * 1e6)
    assert sum(b["area"] for b in on_die) == pytest.approx(width * height, rel=1e-6)
    for b in on_die:
        assert -1e-9 <= b["x"] < b["x2"] <= width + 1e-9
        assert -1e-9 <= b["y"] < b["y2"] <= height + 1e-9
    phys = [b for b in boxes if b["block"] == "memory PHY"]
    assert len(phys) == spec.memory_sites
    assert all(b["x"] < 1e-9 or b["x2"] > width - 1e-9 for b in phys)
    cores = [b for b in boxes if b["block"] in {"core", "spare core"}]
    assert len(cores) == spec.cores
    assert sum(b["block"] == "spare core" for b in cores) == spec.spare_cores


def test_boxes_do_not_overlap() -> None:
    boxes = [b for b in floorplan(evaluate(preset("bytedance-5nm")))[0] if not b.get("inside")]
    for i, a in enumerate(boxes):
        for b in boxes[i + 1 :]:
            wide = min(a["x2"], b["x2"]) - max(a["x"], b["x"])
            tall = min(a["y2"], b["y2"]) - max(a["y"], b["y"])
            assert wide < 1e-6 or tall < 1e-6


def test_a_floorplan_is_of_one_design() -> None:
    with pytest.raises(InputError, match="not of 2"):
        floorplan(evaluate(DesignSpec(cores=[8, 16])))


def test_charts_hold_their_data() -> None:
    jobs = parse_jobs("llama-3.1-8b:decode")
    place = Place()
    found = search(jobs, limits=Limits(place=place), candidates=3000, full=6, refine=False)
    whole = found.front[0].design
    plan = floorplan_chart(whole, ink="#000", muted="#888").to_dict()
    assert "Floorplan" in plan["title"]["text"]
    assert len(breakdown_chart(whole, colours=("#1", "#2", "#3"), ink="#000").to_dict()["hconcat"]) == 3
    front = front_chart(found, muted="#888").to_dict()
    assert len(front["layer"]) == 2
    plane = plane_chart(found.judged, [chip("h20"), chip("mtia-v2")], place=place, memory="hbm3", node_nm=5, ink="#000")
    groups = {c["group"] for c in plane.to_dict()["layer"][0]["data"]["values"]}
    assert groups == {"free", "conditional", "restricted"}
    rows = against_field(jobs, designs=[whole], chips=[chip("h20")])
    assert len(field_chart(rows, colours=("#1",), ink="#000").to_dict()["vconcat"]) == 1
