import suanli.serving as room


def test_all_names_the_public_face() -> None:
    public = {n for n in vars(room) if not n.startswith("_") and n not in {"annotations"}}
    public -= {n for n in public if getattr(getattr(room, n), "__name__", "") == f"suanli.serving.{n}"}
    assert set(room.__all__) == public
