"""What the command line prints can be read, however narrow the terminal."""

from datetime import UTC, date, datetime
from io import StringIO

import pytest
from rich.console import Console

from brex_sync.cli.printing import print_report, print_status, progress
from brex_sync.streams.columns import personal
from brex_sync.sync.report import Report, StreamReport
from brex_sync.warehouse.status.runs import StreamStatus

THROUGH = date(2026, 11, 25)


@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_no_name_or_number_of_a_table_is_cut(width: int) -> None:
    told = StringIO()
    console = Console(file=told, width=width)
    numbers = StreamReport("accounting_records", 1_200_000, 1_100_000, synced_through=THROUGH)
    print_report(console, Report("brex", {"accounting_records": numbers}))
    at = datetime(2026, 11, 25, 9, tzinfo=UTC)
    status = StreamStatus("card_transactions", at, THROUGH, 1_000_000, 0, 0, 0, 0, False)
    print_status(console, "brex", [status])
    for whole in ("accounting_records", "1,200,000", "1,100,000", "quarantined", "synced through"):
        assert whole in told.getvalue()
    for whole in ("card_transactions", "1,000,000", "2026-11-25", "last synced (UTC)"):
        assert whole in told.getvalue()
    assert "…" not in told.getvalue()


def test_lines_about_a_stream_are_few_and_the_last_one_is_there() -> None:
    told = StringIO()
    report = StreamReport("users")
    with progress(Console(file=told), ["users"]) as show:
        for n in range(500):
            report.fetched = n
            show(report)
        report.synced_through = THROUGH
        show(report)
    lines = told.getvalue().splitlines()
    assert len(lines) < 10
    assert lines[-1].startswith("users: 499 rows fetched")


def test_what_identifies_a_person_says_so() -> None:
    [field] = personal("email", "E-mail address.").fields()
    assert field.description == "E-mail address. Personal data."
