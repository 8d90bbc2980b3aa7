"""A stream the credential may not read is unavailable: not empty, and no failed run."""

from datetime import timedelta
from typing import Any

import pytest

from brex_sync.sandbox import Fault, create_app
from brex_sync.sandbox.app import TokenPermissions
from brex_sync.sandbox.faults import FaultKind
from brex_sync.streams import STREAMS
from brex_sync.warehouse.status import runs
from brex_sync.warehouse.status.runs import StreamStatus
from brex_sync_tests.engine.items import cash_account, day, paid
from brex_sync_tests.engine.truth import assert_equal

SCOPE = '{"type": "FORBIDDEN", "message": "Missing required scope"}'
ROLE = '{"type": "UNAUTHORIZED", "message": "Must be cash admin, bookkeeper or user"}'
CASH = "/v2/transactions/cash/"
ABSENT = '{"type": "NOT_FOUND", "message": "No such product"}'


def refuse(rig: Any, path: str, status: int, body: str) -> None:
    rig.faults.add(Fault(FaultKind.STATUS, path=path, times=None, status=status, body=body))


def stands(rig: Any, name: str) -> StreamStatus:
    return runs.status(rig.warehouse, STREAMS[name])


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


def test_it_is_asked_for_once_in_every_run_and_forgotten_once_it_can_be_read(company: Any) -> None:
    refuse(company, "/v1/vendors", 403, SCOPE)

    def asked() -> int:
        company.requests.clear()
        company.sync("vendors")
        return sum(r.path == "/v1/vendors" for r in company.requests)

    assert [asked() for _ in range(3)] == [1, 1, 1]
    assert stands(company, "vendors").unavailable
    company.faults.clear()
    assert asked() == 1
    assert stands(company, "vendors").unavailable is None
    assert company.live("vendors")


def test_what_is_listed_by_an_unavailable_stream_is_unavailable_too(company: Any) -> None:
    refuse(company, "/v2/accounts/cash", 401, ROLE)
    report = company.sync()
    assert report.finished
    told = {s.stream for s in report.streams.values() if s.unavailable}
    assert told == {"cash_accounts", "cash_statements", "cash_transactions"}
    assert "needs cash_accounts" in str(report.streams["cash_transactions"].unavailable)
    company.faults.clear()
    report = company.sync()
    assert not any(s.unavailable for s in report.streams.values()), "all of them at once"


def test_a_token_with_few_scopes_reads_what_it_may(company: Any) -> None:
    scopes = frozenset({"users.readonly", "cards.readonly"})
    company.app = create_app(company.world, tokens={company.token: TokenPermissions(scopes)})
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


@pytest.fixture
def accounts(rig: Any) -> Any:
    """Three cash accounts, each with a transaction."""
    for key in "abc":
        rig.world.collection("cash_accounts").add(cash_account(key))
        pay(rig, key)
    return rig


def pay(rig: Any, account: str, more: str = "1") -> None:
    rows = rig.world.collection("cash_transactions")
    rows.add(paid(f"{account}{more}", day(rig.world, 1)), account)


def paths(rig: Any, start: str) -> list[str]:
    return sorted(r.path.removeprefix(start) for r in rig.requests if r.path.startswith(start))


@pytest.mark.parametrize(("status", "body"), [(403, SCOPE), (401, ROLE)])
@pytest.mark.parametrize("before", [False, True], ids=["never read", "read before"])
def test_one_list_refused_says_nothing_of_its_siblings(
    accounts: Any, status: int, body: str, before: bool
) -> None:
    if before:
        accounts.sync()
    refuse(accounts, f"{CASH}b", status, body)
    for n in range(3):
        pay(accounts, "a", f"run{n}")
        pay(accounts, "c", f"run{n}")
        accounts.requests.clear()
        report = accounts.sync("cash_transactions")
        stream = report.streams["cash_transactions"]
        assert paths(accounts, CASH) == ["a", "b", "c"], "one request for what is refused"
        assert (report.finished, stream.state, stream.unavailable) == (True, "finished", None)
        assert "1 of 3 lists are unavailable" in stream.notices[0]
        assert stands(accounts, "cash_transactions").refused[0].startswith("the list of b ")
        assert {f"arun{n}", f"crun{n}"} <= accounts.live("cash_transactions")
    assert accounts.gone("cash_transactions") == set()
    accounts.faults.clear()
    assert not accounts.sync("cash_transactions").streams["cash_transactions"].notices
    assert stands(accounts, "cash_transactions").refused == ()
    assert_equal(accounts, "cash_transactions")


def test_a_stream_of_which_no_list_may_be_read_is_unavailable_and_each_is_asked_for_again(
    accounts: Any,
) -> None:
    refuse(accounts, f"{CASH}*", 403, SCOPE)
    report = accounts.sync("cash_transactions")
    assert report.finished
    assert report.streams["cash_transactions"].unavailable
    accounts.faults.clear()
    refuse(accounts, f"{CASH}a", 403, SCOPE)
    accounts.requests.clear()
    assert accounts.sync("cash_transactions").streams["cash_transactions"].notices
    assert paths(accounts, CASH) == ["a", "b", "c"]
    assert accounts.live("cash_transactions") == {"b1", "c1"}


def test_lists_of_rows_known_before_are_read_though_their_stream_is_refused(accounts: Any) -> None:
    accounts.sync()
    refuse(accounts, "/v2/accounts/cash", 401, ROLE)
    pay(accounts, "b", "new")
    report = accounts.sync()
    assert report.finished
    assert report.streams["cash_accounts"].unavailable
    assert report.streams["cash_transactions"].notices
    assert "bnew" in accounts.live("cash_transactions")


@pytest.mark.parametrize("before", [False, True], ids=["never read", "read before"])
def test_a_list_brex_does_not_find_of_a_row_it_has_is_a_fault(accounts: Any, before: bool) -> None:
    if before:
        accounts.sync()
    refuse(accounts, f"{CASH}b", 404, ABSENT)
    refuse(accounts, "/v2/accounts/cash/b/statements", 404, ABSENT)
    pay(accounts, "a", "new")
    for _ in range(2):
        report = accounts.sync()
        failed = {s.stream for s in report.failed}
        assert failed == {"cash_transactions", "cash_statements"}
        assert "Brex has b of cash_accounts" in str(report.streams["cash_transactions"].error)
        assert accounts.gone("cash_transactions") == set()
        assert "anew" in accounts.live("cash_transactions")
    accounts.faults.clear()
    assert accounts.sync().finished
    assert_equal(accounts, "cash_transactions")


def test_a_list_brex_does_not_find_of_a_row_it_does_not_find_waits_for_the_rows_own_list(
    company: Any,
) -> None:
    company.sync("bookings")
    trips, bookings = company.world.collection("trips"), company.world.collection("bookings")
    gone = next(
        t["id"] for t in trips.items()
        if bookings.rows(t["id"]).ids and t["updated_at"] < day(company.world, 30)
    )  # fmt: skip
    rows = company.rows("SELECT id FROM brex.bookings WHERE trip_id = :t", t=gone)
    for key in bookings.rows(gone).ids:
        bookings.delete(key)
    trips.delete(gone)
    company.later = timedelta(days=1)
    for odd in (gone, f"{gone}/bookings"):
        refuse(company, f"/v1/trips/{odd}", 404, ABSENT)
    report = company.sync("bookings")
    assert "the next run reads them all" in str(report.streams["bookings"].error)
    assert (company.gone("trips"), company.gone("bookings")) == (set(), set())
    assert company.sync("bookings").finished
    assert company.gone("trips") == {gone}
    assert {(key,) for key in company.gone("bookings")} == set(rows)


def test_what_was_read_before_and_is_not_found_is_a_fault(company: Any) -> None:
    company.sync("vendors")
    before = company.live("vendors")
    refuse(company, "/v1/vendors", 404, ABSENT)
    report = company.sync("vendors")
    assert "read before" in str(report.streams["vendors"].error)
    assert company.live("vendors") == before
