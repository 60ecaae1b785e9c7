"""The public face."""

from __future__ import annotations

import subprocess
import sys

import pytest

from suanli import controls


def test_all_names_are_there() -> None:
    assert sorted(set(controls.__all__)) == sorted(controls.__all__)
    for name in controls.__all__:
        assert getattr(controls, name) is not None
    public = {n for n in vars(controls) if not n.startswith("_") and n not in {"import_module", "TYPE_CHECKING", "Any"}}
    modules = {n for n in public if type(getattr(controls, n)).__name__ == "module"}
    assert public - modules <= set(controls.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'evade'"):
        controls.evade  # noqa: B018


def test_one_ruling_loads_no_arrays() -> None:
    code = (
        "import sys; from suanli.controls import Query, screen; screen(Query(date='2025-01-01', destination='CN')); "
        "sys.exit(any(m in sys.modules for m in ('numpy', 'polars', 'ruamel', 'pydantic')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
