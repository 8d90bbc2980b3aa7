"""Expansions show what they promise, and nothing is shown unasked."""

from datetime import date
from typing import Any

import pytest

from brex_sync.sandbox import World, create_app, create_empty_world, create_world, shown_items
from brex_sync_tests.engine.items import spent
from brex_sync_tests.sandbox.asking import get, listed

DAY = date(2026, 3, 10)
CARDS, EXPENSES = "/v2/transactions/card/primary", "/v1/expenses"
JOINED = {"location": "locations", "department": "departments", "user": "users",
          "budget": "spend_limits"}  # fmt: skip


@pytest.fixture(scope="module")
def world() -> World:
    return create_world(today=DAY, card_transactions=200)


@pytest.fixture
def app(world: World) -> Any:
    return create_app(world, rate_limit=None)


@pytest.mark.parametrize("name", JOINED)
def test_an_expansion_shows_the_item_named(app: Any, world: World, name: str) -> None:
    others = world.collection(JOINED[name])
    items = listed(app, EXPENSES, **{"expand[]": name})
    assert {item[name] is None for item in items} == {True, False}
    for item in items:
        shown, other = item[name], others.get(item[f"{name}_id"] or "")
        assert shown is None if other is None else shown.items() <= other.items()
    assert name not in listed(app, EXPENSES)[0]


def test_all_expansions_together_equal_the_truth_with_them(app: Any, world: World) -> None:
    names = ["location", "department", "merchant", "user", "budget", "payment", "policy",
             "spending_entity"]  # fmt: skip
    items = listed(app, EXPENSES, **{"expand[]": names})
    assert items == shown_items(world, "expenses", expand=names)
    paid = [item["payment"] for item in items if "payment" in item]
    assert {p["paymentInstrument"]["type"] for p in paid} == {"CARD"}
    assert {p["statusReason"] for p in paid} >= {"APPROVED"}
    one = next(i for i in items if i["merchant"])
    assert get(app, f"{EXPENSES}/{one['id']}", params={"expand[]": names}).json() == one


def test_receipts_have_links_only_when_expanded_and_line_items_have_them_too(app: Any) -> None:
    bare = [r for item in listed(app, EXPENSES) for r in item["receipts"] or ()]
    assert bare
    assert not [r for r in bare if "download_uris" in r]
    items = listed(app, EXPENSES, **{"expand[]": "receipts.download_uris"})
    parts = [part for item in items for part in item["expense_line_items"] or ()]
    receipts = [r for item in (*items, *parts) for r in item["receipts"] or ()]
    assert all("X-Amz-Expires=900" in link for r in receipts for link in r["download_uris"])


def test_custom_fields_come_when_loaded(app: Any) -> None:
    assert not [item for item in listed(app, EXPENSES) if "custom_fields" in item]
    loaded = listed(app, EXPENSES, load_custom_fields="true")
    assert [item for item in loaded if "custom_fields" in item]


def test_a_card_transaction_tells_its_expense_only_when_expanded(app: Any, world: World) -> None:
    assert not [t for t in listed(app, CARDS) if "expense_id" in t]
    told = {t["id"]: t["expense_id"] for t in listed(app, CARDS, **{"expand[]": "expense_id"})
            if "expense_id" in t}  # fmt: skip
    assert len(told) > 150
    for transaction, expense in told.items():
        spent_on = world.collection("expenses").get(expense)
        assert spent_on is not None
        amount = world.collection("card_transactions").get(transaction)["amount"]  # type: ignore[index]
        assert spent_on["billing_amount"] == amount


def test_expanding_leaves_every_other_byte_as_it_is(app: Any) -> None:
    world = create_empty_world(DAY)
    odd = b'{"id":"odd","posted_at_date":"2026-03-10","n":12345678901234567890123,"t":"\\ud800"}'
    world.collection("card_transactions").add_raw("odd", "2026-03-10", odd)
    world.collection("card_transactions").add(spent("plain", "2026-03-09"))
    world.collection("card_transaction_expenses").add_raw("odd", "", b'"expense_1"')
    page = get(create_app(world), CARDS, params={"expand[]": "expense_id"}).content
    assert odd[:-1] + b',"expense_id":"expense_1"}' in page


def test_unknown_expansions_are_refused(app: Any) -> None:
    refused = get(app, CARDS, params={"expand[]": "merchant"})
    assert refused.status_code == 400
    assert "Unsupported entity expansion" in refused.json()["message"]
    assert get(app, "/v2/users", params={"expand[]": "limit"}).status_code == 200
