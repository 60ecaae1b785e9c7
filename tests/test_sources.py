from suanli.sources import Figure, Source, Sourced, roots


def test_roots_are_found_once_through_the_graph() -> None:
    price = Sourced("price", 1.0, "USD", Source("a price list", "2025-01-01", "reported"))
    power = Sourced("power", 2.0, "W", Source("a datasheet", "2024-01-01", "datasheet"))
    hour = Figure("hour", 3.0, "USD/h", "price / life + power", {"price": price, "power": power})
    token = Figure("token", 4.0, "USD", "hour / rate", {"hour": hour, "price": price})
    assert roots(token) == (price, power)
