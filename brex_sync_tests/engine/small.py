"""A company with a few rows of everything: what costs most is a list per row of another."""

from brex_sync.sandbox import World

PAGE, ROWS = 20, 6
SELF = "cuuser_00000"
"""The user whose credential reads."""
BELOW = {"users": None, "trips": "bookings", "fields": "field_values"}


def small_company() -> World:
    """A new world with at most ROWS users, trips and fields, beside SELF."""
    world = World(months=2, card_transactions=20, expenses=10)
    for name, below in BELOW.items():
        for key in [key for key in ids(world, name) if key != SELF][ROWS:]:
            world.collection(name).delete(key)
            for listed in ids(world, below, key) if below else ():
                world.collection(str(below)).delete(listed)
    users = set(ids(world, "users"))
    for key in [key for key in ids(world, "user_limits") if key not in users]:
        world.collection("user_limits").delete(key)
    return world


def ids(world: World, name: str, parent: str | None = None) -> list[str]:
    """The ids of a list, in its order."""
    return list(world.collection(name).rows(parent).ids)
