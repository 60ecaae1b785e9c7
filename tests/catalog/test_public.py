"""The public face of the catalogue."""

from types import ModuleType

import suanli.catalog as catalog


def test_all_equals_the_public_names() -> None:
    public = {n for n, v in vars(catalog).items() if not n.startswith("_") and not isinstance(v, ModuleType)}
    assert sorted(public) == sorted(catalog.__all__)
