"""Fitted parameters: the user's own take precedence, what is missing names its script."""

import json
from pathlib import Path

import pytest

from suanli.catalog import fitted
from suanli.errors import InputError


def test_what_is_missing_names_the_script() -> None:
    with pytest.raises(InputError, match=r"python -m validation\.fit\.nothing"):
        fitted("nothing")


def test_the_users_parameters_take_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fitted").mkdir()
    (tmp_path / "fitted" / "mine.json").write_text(json.dumps({"final": {"a": 1.5}}), encoding="utf-8")
    monkeypatch.setenv("SUANLI_CATALOG", str(tmp_path))
    assert fitted("mine")["final"] == {"a": 1.5}


@pytest.mark.parametrize(("text", "words"), [("{", r"bad\.json:1:2: not valid JSON"), ("[1]", "expected an object")])
def test_a_bad_file_says_where(text: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fitted").mkdir()
    (tmp_path / "fitted" / "bad.json").write_text(text, encoding="utf-8")
    monkeypatch.setenv("SUANLI_CATALOG", str(tmp_path))
    with pytest.raises(InputError, match=words):
        fitted("bad")
