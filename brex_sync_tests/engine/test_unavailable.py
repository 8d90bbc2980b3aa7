"""A stream the credential may not read is unavailable: not empty, and no failed run."""

from datetime import timedelta
from typing import Any

import pytest

from brex_sync.sandbox import Fault, create_app
from brex_sync.sandbox.app import Access
from brex_sync.sandbox.faults import Kind
from brex_sync.streams import STREAMS
from brex_sync.warehouse import runs
from brex_sync.warehouse.runs import StreamStatus

SCOPE = '{"type": "FORBIDDEN", "message": "Missing required scope"}'
ROLE = '{"type": "UNAUTHORIZED", "message": "Must be cash admin, bookkeeper or user"}'
ABSENT = '{"type": "NOT_FOUND", "message": "No such product"}'


def refuse(rig: Any, path: str, status: int, body: str) -> None:
    rig.faults.add(Fault(Kind.STATUS, path=path, times=None, status=status, body=body))


def stands(rig: Any, name: str) -> StreamStatus:
    return runs.status(rig.engine, "brex", STREAMS[name])


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [(403, SCOPE, "required scope"), (401, ROLE, "bookkeeper"), (404, ABSENT, "No such product")],
)
def test_the_reason_is_told_and_the_others_are_read(
    company: Any, status: int, body: str, reason: str
) -> None:
    refuse(company, "/v1/vendors", status, body)
    report = company.sync("vendors", "budgets")
    assert report.finished
    assert report.streams["budgets"].inserted
    assert reason in str(report.streams["vendors"].unavailable)
    assert reason in str(stands(company, "vendors").unavailable)
    assert company.rows("SELECT state FROM brex_sync.run_streams WHERE stream = 'vendors'") == [
        ("unavailable",)
    ]


def test_what_was_read_before_stays(company: Any) -> None:
    company.sync("vendors")
    before = company.live("vendors")
    refuse(company, "/v1/vendors", 403, SCOPE)
    company.sync("vendors")
    assert company.live("vendors") == before
    assert stands(company, "vendors").unavailable


def test_it_is_asked_for_once_a_day_and_forgotten_once_it_can_be_read(company: Any) -> None:
    refuse(company, "/v1/vendors", 403, SCOPE)

    def asked_after(hours: float, **options: Any) -> int:
        company.later = timedelta(hours=hours)
        company.requests.clear()
        company.sync("vendors", **options)
        return sum(r.path == "/v1/vendors" for r in company.requests)

    assert [asked_after(h) for h in (0, 1, 22.9, 23.1, 24, 46.2)] == [1, 0, 0, 1, 0, 1]
    assert asked_after(47, insist=True) == 1, "a person who asks for it is not put off"
    company.faults.clear()
    assert asked_after(80) == 1
    assert stands(company, "vendors").unavailable is None
    assert company.live("vendors")
    assert asked_after(81) == 1


def test_what_is_listed_by_an_unavailable_stream_is_unavailable_too(company: Any) -> None:
    refuse(company, "/v2/accounts/cash", 401, ROLE)
    report = company.sync()
    assert report.finished
    told = {s.stream for s in report.streams.values() if s.unavailable}
    assert told == {"cash_accounts", "cash_statements", "cash_transactions"}
    assert "needs cash_accounts" in str(report.streams["cash_transactions"].unavailable)
    company.faults.clear()
    company.later = timedelta(days=1)
    report = company.sync()
    assert not any(s.unavailable for s in report.streams.values()), "all of them at once"


def test_a_token_with_few_scopes_reads_what_it_may(company: Any) -> None:
    scopes = frozenset({"users.readonly", "cards.readonly"})
    company.app = create_app(company.world, tokens={company.token: Access(scopes)})
    report = company.sync()
    assert report.finished
    read = {s.stream for s in report.streams.values() if not s.unavailable}
    assert read == {"users", "cards", "user_limits", "current_user", "cost_centers"}


def test_a_revoked_token_is_a_failure_and_no_stream_is_called_unavailable(company: Any) -> None:
    company.token = "bxt_revoked"
    report = company.sync()
    assert not report.finished
    assert not any(s.unavailable for s in report.streams.values())
    assert company.rows("SELECT * FROM brex_sync.unavailable") == []
