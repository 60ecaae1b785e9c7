"""The face of the room: its names, and nothing else."""

import types

from suanli import fabric


def test_all_names_what_is_public() -> None:
    public = {
        name
        for name, value in vars(fabric).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert public == set(fabric.__all__)
