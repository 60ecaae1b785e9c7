from pathlib import Path

import pytest

from suanli.cli import main


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["rules", "picture", *arguments])
    return int(stop.value.code or 0)


def test_pictures_are_written(tmp_path: Path) -> None:
    assert run("life", str(tmp_path / "life.svg"), "--chip", "H20") == 0
    assert "h20-96" in (tmp_path / "life.svg").read_text()
    assert run("plane", str(tmp_path / "plane.svg"), "--date", "2023-12-01") == 0
    assert run("plane", str(tmp_path / "two.json"), "--date", "2023-01-01", "--date", "2023-12-01") == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("plne", "x.svg"), "did you mean 'plane'"),
        (("plane", "x.svg", "--date", "2020-01-01"), "no rule here is so old"),
        (("plane", "x.png", "--date", "2023-01-01", "--date", "2023-12-01"), "needs an .html file"),
        (("life", "x.svg", "--chip", "h2o"), "unknown chip 'h2o'"),
    ],
)
def test_bad_wishes_are_one_line(
    arguments: tuple[str, ...], complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())
