"""The public face of the room."""

from __future__ import annotations

import types

from suanli import silicon


def test_all_names_what_is_public() -> None:
    public = {n for n, v in vars(silicon).items() if not n.startswith("_") and not isinstance(v, types.ModuleType)}
    assert public - {"annotations"} == set(silicon.__all__)
