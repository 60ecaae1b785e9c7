import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import suanli as sl
from suanli import catalog
from suanli.cli import main
from suanli.errors import InputError, UnknownNameError
from suanli.kinds import Service
from suanli.serving import (
    Layout,
    factors,
    fitted_set,
    frameworks,
    options,
    release_asked,
    release_of,
    releases,
    scheduler,
)

SEVERAL = "- vLLM: v0.11.0; - SGLang: v0.5.5.post1; - TensorRT-LLM: v1.2.0rc1; "


@pytest.mark.parametrize(
    ("framework", "version", "key"),
    [
        ("vllm", "0.12.0", "vllm 0.11"),
        ("vllm", "0.13.9", "vllm 0.11"),
        ("vllm", "0.14.0", "vllm 0.14"),
        ("vllm", "0.11+", "vllm 0.11"),
        ("vllm", "0.7.3", "vllm 0.6"),
        ("vllm", "v0.5.2", "vllm 0.1"),
        ("sglang", "0.5.8.post1", "sglang 0.4"),
        ("sglang", "0.3.6", "sglang 0.1"),
        ("trtllm", "1.2.0rc6.post2", "trtllm 1.0"),
        ("trtllm", "0.14.0", "trtllm 0.5"),
        ("vllm", SEVERAL, "vllm 0.11"),
        ("sglang", SEVERAL, "sglang 0.4"),
        ("trtllm", SEVERAL, "trtllm 1.0"),
        ("mindie", "- vLLM-Ascend: v0.9.1; - MindIE: 2.1RC1; ", "mindie 1.0"),
        ("vllm", "- vLLM-Ascend: v0.9.1; - MindIE: 2.1RC1; ", "vllm 0.8"),
        ("vLLM v0.9.2", "v5.1", "vllm 0.8"),  # the round of MLPerf, and what a submission says of its framework
        ("Mango AI, vllm-0.9.0.2.dev108+g71faa1880.d20250717.rocm641, ROCm 6.12.12", "v5.1", "vllm 0.8"),
    ],
)
def test_a_version_belongs_to_the_last_release_it_has_reached(framework: str, version: str, key: str) -> None:
    assert release_of(framework, version) == key


@pytest.mark.parametrize(
    ("framework", "version"),
    [
        ("vllm", ""),
        ("vllm", "v5.1"),
        ("trtllm", "v4.1 unverified"),
        ("sglang", "nightly-dev-20260216-d3bae71e"),
        ("vllm", "nightly-5b8c30d62b754b57"),
        ("sglang", "- vLLM: v0.11.0; "),
        ("TensorRT 10.11, CUDA 12.9", "v5.1"),  # the compiler's version, not TensorRT-LLM's
        ("PyTorch 2.8.0a0+git74091a9", "v5.1"),
        ("trtllm", "0.8.1.post1"),  # Dynamo's image
        ("llama.cpp", "1.0.0"),
    ],
)
def test_a_text_without_the_frameworks_own_version_tells_no_release(framework: str, version: str) -> None:
    assert release_of(framework, version) == ""


def test_every_framework_has_sourced_releases_in_order() -> None:
    for name in frameworks():
        known = releases(name)
        assert known
        assert [release_of(name, r.first) for r in known] == [r.key for r in known]
        assert all(r.source and r.change for r in known)
        assert scheduler(name).release == known[-1].key


def test_a_choice_names_a_version_or_takes_the_newest() -> None:
    assert scheduler("vllm@0.9.2").release == "vllm 0.8"
    assert scheduler("SGLang v0.3.6").release == "sglang 0.1"
    assert scheduler("vllm@99.0").release == scheduler("vllm").release
    assert scheduler("vllm@0.0.9").release == ""
    asked = release_asked("trtllm@0.21.0")
    assert asked is not None
    assert asked.key == "trtllm 0.20"


@pytest.mark.parametrize("text", ["vllm@new", "vllm@", "vllm@v5.1", "vllm@1", "mindie@x"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is no version; write it as"):
        scheduler(text)


def test_an_unknown_framework_is_named_without_its_version() -> None:
    with pytest.raises(UnknownNameError, match="unknown framework 'vlm'"):
        scheduler("vlm@0.12.0")


def test_releases_shift_the_hosts_work_only_and_unknown_ones_nothing() -> None:
    known = fitted_set()
    shifts = known["release"]
    assert shifts
    assert all(set(s) == {"host", "layer", "front"} for s in shifts.values())
    assert all(abs(v) < 1.0 for s in shifts.values() for v in s.values())
    keys = [*sorted(shifts), "", "vllm 7.7"]
    found = factors(known, ["vllm"] * len(keys), ["hopper"] * len(keys), keys)
    for name, values in found.items():
        wanted = np.exp([shifts.get(k, {}).get(name, 0.0) for k in keys])
        np.testing.assert_allclose(values / values[-1], wanted, err_msg=name)


def test_stored_sets_all_know_releases() -> None:
    from suanli.catalog import fitted

    stored = fitted("serving")
    for name, one in {"final": stored["final"], **stored["left_out"]}.items():
        assert "vllm 0.14" in one["release"], name


def test_more_host_work_slows_small_batches_most() -> None:
    known = dict(fitted_set())
    known["release"] = {"vllm 0.11": {"host": 1.0, "layer": 0.3}, "vllm 0.14": {"host": -1.0}}
    chip, model = catalog.chip("h100-sxm"), catalog.model("llama-3.1-8b")

    def rate(framework: str, tpot: float, parameters: dict[str, Any]) -> float:
        one = Service(model=model, rate=1.0, input_tokens=1000.0, output_tokens=200.0, tpot_s=tpot)
        found = options([one], [chip], framework=framework, layouts=[Layout(tp=1)], parameters=parameters)
        return found[0].requests_per_s

    few, many = 0.011, 0.05
    shares = [rate("vllm@0.12.0", limit, known) / rate("vllm@0.19.0", limit, known) for limit in (few, many)]
    assert shares[0] < shares[1] < 1.0
    unshifted = {**known, "release": {}}
    assert rate("vllm@0.9.0", few, known) == rate("vllm", few, unshifted)


def test_serve_takes_and_shows_a_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "answer.json"
    args = ["serve", "llama-3.1-8b", "--on", "h100-sxm", "--chips", "1", "--json", str(path), "--framework"]
    with pytest.raises(SystemExit) as stop:
        main([*args, "vllm@0.12.0"])
    assert stop.value.code == 0
    found = json.loads(path.read_text(encoding="utf-8"))
    assert (found["framework"], found["framework_version"], found["release_from"]) == ("vllm", "0.12.0", "0.11")
    assert "Framework: vllm 0.12.0 (as from 0.11 on: CUDA graphs" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        main([*args, "vllm@latest"])
    assert stop.value.code == 2
    assert "'latest' is no version; write it as vllm@0.14" in capsys.readouterr().err


def test_the_library_takes_a_version() -> None:
    rates = [
        sl.serve("llama-3.1-8b", on="h100-sxm", tpot_s=0.02, framework=f)["requests_per_s_per_chip"][0]
        for f in ("vllm@0.12.0", "vllm@0.19.0", "vllm")
    ]
    assert rates[0] != rates[1]
    assert rates[1] == rates[2]
