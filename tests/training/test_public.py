import inspect

import suanli.training as room


def test_all_names_the_public_face() -> None:
    public = {n for n, v in vars(room).items() if not n.startswith("_") and not inspect.ismodule(v)} - {"annotations"}
    assert set(room.__all__) == public
    assert len(room.__all__) == len(set(room.__all__))
