"""What changed after a month was closed: the statement of the view, for one stream."""

from brex_sync.streams.declare import Stream
from brex_sync.warehouse.columns import same


def for_source(statement: str, stream: Stream) -> str:
    """The statement with a stream's names in it.

    Raises:
        ValueError: the stream does not say to which month a row belongs.
    """
    if stream.booked is None:
        raise ValueError(f"stream {stream.name}: rows belong to no month")
    names = {
        "source": stream.name,
        "own_key": f'"{stream.own_key[0]}"',
        "parent": f't."{stream.per.into}"' if stream.per else "NULL",
        "dated": stream.booked.dated,
        "amount": stream.booked.amount,
        "same_key": same(stream.key, "v", "t"),
    }
    for name, value in names.items():
        statement = statement.replace(f"{{{name}}}", value)
    return statement
