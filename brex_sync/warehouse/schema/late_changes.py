"""What changed after a month was closed: the statement of the view, for one stream."""

from brex_sync.streams.columns import Kind
from brex_sync.streams.declare import Ledger, Stream
from brex_sync.warehouse.schema.columns import same


def for_source(statement: str, stream: Stream) -> str:
    """The statement with a stream's names in it.

    Raises:
        ValueError: the stream does not say to which month a row belongs.
    """
    ledger = stream.ledger
    if ledger is None:
        raise ValueError(f"stream {stream.name}: rows belong to no month")
    names = {
        "source": stream.name,
        "own_key": f'"{stream.own_key[0]}"',
        "parent": f't."{stream.parent.into}"' if stream.parent else "NULL",
        "dated_before": _date(stream, ledger, "before"),
        "dated_now": _date(stream, ledger, "t"),
        "amount": ledger.amount,
        "same_key": same(stream.key, "v", "t"),
    }
    for name, value in names.items():
        statement = statement.replace(f"{{{name}}}", value)
    return statement


def _date(stream: Stream, ledger: Ledger, of: str) -> str:
    """The date that says to which month a row belongs, of the row called `of`."""
    column = f'{of}."{ledger.dated}"'
    kind = next(field.kind for field in stream.fields() if field.name == ledger.dated)
    return column if kind is Kind.DATE else f"({column} AT TIME ZONE 'UTC')::date"
