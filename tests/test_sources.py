from suanli.sources import Figure, Source, Sourced, pack, roots


def test_roots_are_found_once_through_the_graph() -> None:
    price = Sourced("price", 1.0, "USD", Source("a price list", "2025-01-01", "reported"))
    power = Sourced("power", 2.0, "W", Source("a datasheet", "2024-01-01", "datasheet"))
    hour = Figure("hour", 3.0, "USD/h", "price / life + power", {"price": price, "power": power})
    token = Figure("token", 4.0, "USD", "hour / rate", {"hour": hour, "price": price})
    assert roots(token) == (price, power)


def test_pack_writes_shared_nodes_once_and_keeps_every_edge() -> None:
    price = Sourced("price", 1.0, "USD", Source("a price list", "2025-01-01", "reported"))
    other = Sourced("price", 2.0, "USD", Source("a price list", "2025-01-01", "reported"))
    hour = Figure("hour", 3.0, "USD/h", "price / life", {"price": price})
    twin = Figure("hour", 5.0, "USD/h", "another hour")
    a = Figure("a", 1.0, "USD", "hour", {"h": hour})
    b = Figure("b", 1.0, "", "h", {"h": hour, "p": other, "t": twin})
    packed = pack({"a": a, "b": b})
    assert set(packed["figures"]) == {"a", "b", "hour", "hour'"}
    assert packed["figures"]["a"]["inputs"] == {"h": "hour"}
    assert packed["figures"]["b"]["inputs"] == {"h": "hour", "p": "price'", "t": "hour'"}
    assert len(packed["sources"]) == 1
