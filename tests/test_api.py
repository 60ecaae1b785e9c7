import json
import subprocess
import sys
from pathlib import Path

import pytest

import suanli as sl
from suanli.errors import UnknownNameError


def test_all_names_are_there_and_nothing_heavy_is_loaded_by_import() -> None:
    for name in sl.__all__:
        assert getattr(sl, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = sl.nothing
    code = "import sys, suanli; print([m for m in ('numpy', 'polars', 'numba', 'scipy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_names_and_files_are_read_alike(tmp_path: Path) -> None:
    assert sl.chip("H20").id == "h20-96"
    assert sl.chip(sl.chip("h20")) == sl.chip("h20")
    config = {
        "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256,
    }  # fmt: skip
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    assert sl.model(path).hidden == sl.model("meta-llama/Llama-3.1-8B").hidden == 4096
    with pytest.raises(UnknownNameError, match="did you mean"):
        sl.chip("h10o")


def test_a_cluster_joins_all_its_chips() -> None:
    found = sl.cluster("h100", 64)
    assert found.chips_per_node == 8
    assert found.network.n_chips == 64


def test_screening_gives_a_ruling_with_its_rule() -> None:
    ruling = sl.screen("h20", to="CN", owner="CN", date="2025-04-15")
    assert ruling.outcome == "LICENCE_REQUIRED"
    assert any(r.rule == "US-2025-04-LETTERS" for r in ruling.remarks)
    assert sl.screen("h20", to="CN", owner="CN", date="2025-01-22").group == "free"


def test_design_is_a_room_and_a_call() -> None:
    room = sl.design
    found = room("llama-3.1-8b:decode", candidates=3000, full=3, refine=False)  # type: ignore[operator]
    assert found.kept > 0
    assert room.preset("bytedance-5nm").cores is not None


def test_training_ranks_and_serving_answers() -> None:
    ranking = sl.train("llama-3.1-8b", on="h100", chips=8, global_batch=64, seq_len=4096, top=2)
    assert 0.1 < float(ranking.best.mfu) < 1.0
    row = sl.serve("llama-3.1-8b", on="h100", tpot_s=0.05).row(0, named=True)
    assert row["fits"]
    assert row["tpot_s"] <= 0.05 * (1 + 1e-9)
    assert row["p10"] < row["requests_per_s_per_chip"] < row["p90"]
