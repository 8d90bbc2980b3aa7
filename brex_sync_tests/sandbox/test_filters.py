"""Every filter leaves exactly the rows that a plain loop over the truth leaves."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from brex_sync.sandbox import create_app, create_world
from brex_sync_tests.sandbox.asking import get, ids, listed

DAY = date(2026, 3, 10)
WORLD = create_world(today=DAY, card_transactions=900, expenses=700)
APP = create_app(WORLD, rate_limit=None)
CARDS, EXPENSES, RECORDS = "/v2/transactions/card/primary", "/v1/expenses", "/v3/accounting/records"


def truth(collection: str, keep: Callable[[Any], Any] = lambda item: True) -> list[str]:
    return [item["id"] for item in WORLD.collection(collection).items() if keep(item)]


def test_transactions_are_filtered_by_users_as_a_list_and_repeated() -> None:
    owners = {c["id"]: c["owner"]["user_id"] for c in WORLD.collection("cards").items()}
    users = ["cuuser_00003", "cuuser_00017"]
    expected = truth("card_transactions", lambda t: owners.get(t["card_id"]) in users)
    assert 0 < len(expected) < 100
    assert ids(APP, CARDS, user_ids=users) == expected
    assert ids(APP, CARDS, user_ids=",".join(users), limit="7") == expected
    assert ids(APP, CARDS, user_ids="nobody") == []


@pytest.mark.parametrize(
    ("sent", "since"),
    [
        ("2026-02-27", "2026-02-27"),
        ("2026-02-27T00:00:00", "2026-02-27"),
        ("2026-02-27T23:59:59.999Z", "2026-02-27"),
        ("2026-02-27T23:30:00-05:00", "2026-02-28"),
    ],
)
def test_posted_at_start_is_a_whole_day_in_utc_and_inclusive(sent: str, since: str) -> None:
    expected = truth("card_transactions", lambda t: t["posted_at_date"] >= since)
    assert ids(APP, CARDS, posted_at_start=sent) == expected
    account = "dpacc_operating"
    cash = [
        t["id"]
        for t in WORLD.collection("cash_transactions").items(account)
        if t["posted_at_date"] >= since
    ]
    assert ids(APP, f"/v2/transactions/cash/{account}", posted_at_start=sent) == cash


@pytest.mark.parametrize("name", ["purchased_at", "updated_at", "payment_posted_at"])
def test_expenses_are_filtered_by_periods_inclusive_at_both_ends(name: str) -> None:
    moments = sorted(e[name] for e in WORLD.collection("expenses").items() if e[name])
    start, end = moments[100], moments[300]
    expected = truth("expenses", lambda e: e[name] and start <= e[name] <= end)
    assert len(expected) >= 201
    found = ids(APP, EXPENSES, **{f"{name}_start": start, f"{name}_end": end}, limit="100")
    assert found == expected
    bare = start.removesuffix("Z")
    assert ids(APP, EXPENSES, **{f"{name}_start": bare, f"{name}_end": end}) == expected


@pytest.mark.parametrize(
    "name", ["user_id", "budget_id", "spending_entity_id", "expense_type", "status",
             "payment_status"]
)  # fmt: skip
def test_expenses_are_filtered_by_several_values(name: str) -> None:
    values = sorted({e[name] for e in WORLD.collection("expenses").items() if e[name]})[:2]
    expected = truth("expenses", lambda e: e[name] in values)
    assert expected
    assert ids(APP, EXPENSES, **{f"{name}[]": values}) == expected


def test_filters_narrow_each_other() -> None:
    expected = truth(
        "expenses", lambda e: e["status"] == "SETTLED" and (e["updated_at"] or "") >= "2026-02-01"
    )
    sent = {"status[]": "SETTLED", "updated_at_start": "2026-02-01T00:00:00.000"}
    assert 0 < len(expected) < 200
    assert ids(APP, EXPENSES, **sent) == expected


def test_card_expenses_are_those_on_cards() -> None:
    assert ids(APP, "/v1/expenses/card") == truth("expenses", lambda e: e["expense_type"] == "CARD")


def test_the_parts_of_a_split_expense_are_found_by_their_parent() -> None:
    parents = [e for e in WORLD.collection("expenses").items() if e["status"] == "SPLIT"]
    assert parents
    for parent in parents:
        parts = ids(APP, EXPENSES, **{"parent_expense_id[]": parent["id"]})
        assert set(parts) == {part["id"] for part in parent["expense_line_items"]}
        amounts = [part["billing_amount"]["amount"] for part in parent["expense_line_items"]]
        assert sum(amounts) == parent["billing_amount"]["amount"]


@pytest.mark.parametrize(
    ("way", "keeps"),
    [
        ("gt", lambda m, bound: m > bound),
        ("gte", lambda m, bound: m >= bound),
        ("lt", lambda m, bound: m < bound),
        ("lte", lambda m, bound: m <= bound),
    ],
)
def test_records_are_compared_as_strictly_as_asked(way: str, keeps: Any) -> None:
    records = WORLD.collection("accounting_records").items()
    bound = records[50]["updated_at"]
    expected = [r["id"] for r in records if keeps(r["updated_at"], bound)]
    assert ids(APP, RECORDS, **{f"updated_at[{way}]": bound}, limit="500") == expected


def test_records_are_filtered_by_ids_source_and_review() -> None:
    some = truth("accounting_records")[3:9]
    assert ids(APP, RECORDS, ids=some) == some
    assert get(APP, RECORDS, params={"ids": [f"a{i}" for i in range(501)]}).status_code == 400
    bills = truth("accounting_records", lambda r: r["source_type"] == "BILL")
    assert bills
    assert ids(APP, RECORDS, source_type="BILL") == bills
    found = listed(APP, RECORDS, review_status="EXPORTED")
    assert {r["source_type"] for r in found} == {"CARD", "REIMBURSEMENT"}
    assert {r["review_status"] for r in found} == {"EXPORTED"}


def test_a_single_entry_leaves_out_what_offsets_it() -> None:
    sides = {
        entry: {
            i["type"] for r in listed(APP, RECORDS, single_entry=entry) for i in r["line_items"]
        }
        for entry in ("true", "false")
    }
    assert sides == {"true": {"DEBIT"}, "false": {"DEBIT", "CREDIT"}}


@pytest.mark.parametrize(
    "name", ["email", "status", "manager_id", "department_id", "location_id", "title_id",
             "cost_center_id", "legal_entity_id"]
)  # fmt: skip
def test_users_are_filtered_by_each_newer_filter(name: str) -> None:
    value = WORLD.collection("users").items()[5][name] or "loc_0001"
    gone = ("DELETED", "ARCHIVED")
    expected = truth("users", lambda u: u[name] == value and u["status"] not in gone)
    assert expected
    assert ids(APP, "/v2/users", **{f"{name}[]": value}) == expected


def test_users_are_found_by_a_part_of_their_name_and_by_custom_fields() -> None:
    part = WORLD.collection("users").items()[9]["last_name"][1:4].casefold()
    found = listed(APP, "/v2/users", name=part.upper())
    assert found
    assert all(part in f"{u['first_name']} {u['last_name']}".casefold() for u in found)
    sent = {"custom_field[]": "cf_shirt:opt_M", "load_custom_fields": "true"}
    shirts = listed(APP, "/v2/users", **sent)
    assert shirts
    assert {u["custom_fields"][0]["value"]["option_label"] for u in shirts} == {"M"}


def test_legacy_user_filters_stand_alone() -> None:
    email = WORLD.collection("users").items()[3]["email"]
    assert len(ids(APP, "/v2/users", email=email)) == 1
    refused = get(APP, "/v2/users", params={"email": email, "status[]": "ACTIVE"})
    assert refused.status_code == 400
    assert "email" in refused.json()["message"]


def test_trips_updated_after_a_moment_leave_out_that_moment() -> None:
    moments = [t["updated_at"] for t in WORLD.collection("trips").items()]
    bound = moments[10]
    expected = truth("trips", lambda t: t["updated_at"] > bound)
    assert ids(APP, "/v1/trips", last_updated_after=bound) == expected


def test_lists_of_parents_are_filtered_too() -> None:
    values = WORLD.collection("field_values").items("field_0000")
    path = "/v1/fields/field_0000/values"
    for name in ("brex_id", "value_id", "remote_id"):
        wanted = [v[name] for v in values if v[name]][:2]
        found = listed(APP, path, **{f"{name}[]": wanted})
        assert [v["brex_id"] for v in found] == [v["brex_id"] for v in values if v[name] in wanted]
    assert len(listed(APP, path, value=values[0]["value"])) == 1


def test_what_is_no_moment_is_refused() -> None:
    for path, name in ((CARDS, "posted_at_start"), (RECORDS, "updated_at[gt]")):
        refused = get(APP, path, params={name: "yesterday"})
        assert refused.status_code == 400
        assert refused.json()["message"] == f"{name} is invalid"


def test_a_filtered_list_changes_with_the_truth() -> None:
    world = create_world(today=DAY, card_transactions=50)
    app = create_app(world)
    before = ids(app, EXPENSES, **{"status[]": "SETTLED"})
    world.collection("expenses").edit(before[0], status="VOID")
    assert ids(app, EXPENSES, **{"status[]": "SETTLED"}) == before[1:]


def test_referrals_that_expired_are_not_listed() -> None:
    assert ids(APP, "/v1/referrals") == truth("referrals", lambda r: r["status"] != "EXPIRED")
    assert len(ids(APP, "/v1/referrals")) == 4
