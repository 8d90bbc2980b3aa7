"""Companies with a few rows of everything: what costs most is a list per row of another."""

from brex_sync.sandbox import World, create_world

PAGE, ROWS = 20, 6
SELF = "cuuser_00000"
"""The user whose credential reads."""
BELOW = {"users": None, "trips": "bookings", "fields": "field_values"}


def small_company() -> World:
    """A new world of two months, with a page of transactions and of expenses."""
    return trimmed(create_world(months=2, card_transactions=PAGE, expenses=10))


def trimmed(world: World) -> World:
    """The world with ROWS users, trips and fields from all its time, beside SELF, and what is
    theirs."""
    for name, below in BELOW.items():
        others = [key for key in ids(world, name) if key != SELF]
        kept = set(others[:: max(1, len(others) // ROWS)][:ROWS])
        for key in (key for key in others if key not in kept):
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
