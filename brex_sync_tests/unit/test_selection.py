"""Which streams some names mean."""

import pytest

from brex_sync.errors import UnknownStream
from brex_sync.streams import STREAMS
from brex_sync.streams.selection import select


def names(*chosen: str) -> set[str]:
    return {stream.name for stream in select(chosen)}


def test_all_streams_are_meant_where_none_is_named() -> None:
    assert list(select(())) == list(STREAMS.values())


def test_a_stream_brings_those_it_is_listed_by() -> None:
    assert names("cash_transactions", "cards") == {"cash_accounts", "cash_transactions", "cards"}


def test_a_minus_leaves_a_stream_out_and_those_listed_by_it() -> None:
    assert names("-trips") == set(STREAMS) - {"trips", "bookings"}
    assert names("trips", "bookings", "users", "-bookings") == {"trips", "users"}


def test_a_child_tables_name_means_its_stream() -> None:
    assert names("expense_receipts") == {"expenses"}
    assert names("-expense_receipts") == set(STREAMS) - {"expenses"}


@pytest.mark.parametrize("wrong", ["user", "-user", "", "-"])
def test_an_unknown_name_is_told_with_those_there_are(wrong: str) -> None:
    with pytest.raises(UnknownStream, match="there is: users, cards"):
        select([wrong])
