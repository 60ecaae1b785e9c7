import json
from pathlib import Path

import pytest

from suanli.cli import main
from suanli.sources import Figure, Source, Sourced, pack


@pytest.fixture
def result(tmp_path: Path) -> Path:
    price = Sourced("price of a chip", 15000.0, "USD", Source("a price list", "2023-03-01", "reported"), 10e3, 25e3)
    cost = Figure("fleet cost", 3e8, "USD", "chips x price", {"price": price})
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({"provenance": pack({"fleet.cost": cost})}))
    return path


def test_a_figure_is_traced_to_its_source(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["explain", str(result), "fleet.cost"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for part in ("chips x price", "USD 15.0 k", "a price list", "2023-03-01", "reported"):
        assert part in text


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [(["fleet.cst"], "did you mean 'fleet.cost'"), (["zzz"], "no figure 'zzz'")],
)
def test_an_unknown_figure_is_one_line(
    result: Path, arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["explain", str(result), *arguments])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1


def test_a_file_without_figures_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.json"
    for text, complaint in (("[1]", "no figures"), ("{", "not valid JSON")):
        path.write_text(text)
        with pytest.raises(SystemExit) as stop:
            main(["explain", str(path)])
        assert stop.value.code == 2
        assert complaint in capsys.readouterr().err


def test_a_name_means_the_figure_that_ends_in_it_before_one_that_holds_it() -> None:
    from suanli.cli.explain import Packed, find

    packed: Packed = {"figures": {"a.cost.unserved requests": {}, "a.served": {}, "a.served.chat": {}}, "values": {}}
    assert find(packed, "served") == ["a.served"]
    assert find(packed, "unserved") == ["a.cost.unserved requests"]
