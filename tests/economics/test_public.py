"""The public face of economics."""

from types import ModuleType

import suanli.economics as economics


def test_all_equals_the_public_names() -> None:
    public = {n for n, v in vars(economics).items() if not n.startswith("_") and not isinstance(v, ModuleType)}
    assert sorted(public) == sorted(economics.__all__)
