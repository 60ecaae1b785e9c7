import os
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field

from suanli.errors import InputError
from suanli.files import read_json, read_model, read_table, read_yaml, to_json, whole, write_json


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    power: float = Field(gt=0)


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    country: str
    sites: list[Inner]


def put(folder: Path, text: str) -> Path:
    path = folder / "case.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_norway_is_a_country(tmp_path: Path) -> None:
    assert read_model(put(tmp_path, "country: NO\nsites: []\n"), Outer).country == "NO"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("country: NO\nsites:\n- powr: 3\n", r"case\.yaml:3: sites\.0\.power: is missing|did you mean 'power'"),
        ("country: NO\nsites:\n- power: 3\n  colour: red\n", r"case\.yaml:4: sites\.0\.colour: unknown field"),
        ("country: NO\nsites:\n- power: -3\n", r"case\.yaml:3: sites\.0\.power: .*greater than 0.*-3"),
        ("country: NO\n", r"case\.yaml:1: sites: is missing"),
        ("country: [\n", r"case\.yaml:\d+:\d+: not valid YAML"),
    ],
)
def test_bad_yaml_names_file_line_field(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(InputError, match=expected) as caught:
        read_model(put(tmp_path, text), Outer)
    assert "\n" not in str(caught.value)


def test_yaml_tags_run_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    path = put(tmp_path, f"country: !!python/object/apply:os.mkdir ['{marker}']\nsites: []\n")
    with pytest.raises(InputError):
        read_model(path, Outer)
    assert not marker.exists()


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_yaml(tmp_path / "absent.yaml")
    with pytest.raises(InputError, match="is a folder"):
        read_yaml(tmp_path)
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        read_yaml(path)


def test_broken_json_names_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{\n "a": }')
    with pytest.raises(InputError, match=r"x\.json:2:7: not valid JSON") as caught:
        read_json(path)
    assert "\n" not in str(caught.value)


def test_truncated_parquet_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(InputError, match="not a readable parquet file") as caught:
        read_table(path)
    assert "\n" not in str(caught.value)


def test_whole_leaves_nothing_behind_on_failure(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    target.write_text("old")

    def fail_half_way() -> None:
        with whole(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["out.json"]  # noqa: PTH208


def test_unwritable_folder_is_an_input_error(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_json(blocker / "out.json", {})


def test_json_refuses_nan() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        to_json({"x": float("nan")})
