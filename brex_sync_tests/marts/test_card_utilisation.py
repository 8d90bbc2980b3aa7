"""Which limit rules a card, and how much of it is used."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from brex_sync.sandbox import shown_items
from brex_sync_tests.marts.conftest import keep
from brex_sync_tests.marts.tables import money, put

TODAY = datetime.now(UTC).date()
LIMIT = (
    "SELECT card_id, limit_source, limit_period, limit_amount_minor, used_amount_minor, "
    "used_fraction::text, cards_on_limit FROM brex_marts.card_utilisation ORDER BY 1"
)
OWN, OWN_LEFT = "spend_controls_spend_limit", "spend_controls_spend_available"


def card(rig: Any, key: str, limit_type: str | None = "USER", **more: Any) -> None:
    given = {"owner_user_id": "u", "status": "ACTIVE"} | more
    put(rig.engine, "cards", id=key, limit_type=limit_type, **given)


def user_limit(rig: Any, limit: int | None, left: int | None, currency: str = "USD") -> None:
    limits = money("monthly_limit", limit) | money("monthly_available", left, currency)
    put(rig.engine, "user_limits", user_id="u", **limits)


def spend_limit(rig: Any, key: str, **amounts: Any) -> None:
    names = {
        "base": "authorization_settings_base_limit",
        "increased": "authorization_settings_limit_with_increases",
        "spent": "current_period_balance_amount_spent",
        "rollover": "current_period_balance_rollover_amount",
    }
    columns: dict[str, Any] = {}
    for name, minor in amounts.items():
        minor, currency = minor if isinstance(minor, tuple) else (minor, "USD")
        columns |= money(names[name], minor, currency)
    put(rig.engine, "spend_limits", id=key, period_recurrence_type="PER_QUARTER", **columns)


def test_a_company_s_cards_have_the_limit_that_brex_names(synced: Any) -> None:
    users = synced.world.collection("user_limits")
    limits = {limit["id"]: limit for limit in shown_items(synced.world, "spend_limits")}
    expected = {}
    for item in shown_items(synced.world, "cards"):
        own, shared = item["spend_controls"] or {}, limits.get(item["budget_id"]) or {}
        allowed = shared.get("authorization_settings") or {}
        spent = (shared.get("current_period_balance") or {}).get("amount_spent")
        of_user = users.get(item["owner"]["user_id"]) or {}
        if own:
            found = "card", own["spend_limit"], own["spend_available"]["amount"]
        elif allowed:
            limit = allowed["limit_with_increases"]
            found = "spend_limit", limit, spent and limit["amount"] - spent["amount"]
        elif of_user.get("monthly_limit"):
            found = "user", of_user["monthly_limit"], of_user["monthly_available"]["amount"]
        else:
            found = None, {"amount": None}, None
        expected[item["id"]] = (found[0], found[1]["amount"], found[2])
    rows = synced.rows(
        "SELECT card_id, limit_source, limit_amount_minor, available_amount_minor "
        "FROM brex_marts.card_utilisation"
    )
    assert {row[0]: row[1:] for row in rows} == expected
    assert {row[1] for row in rows} == {"card", "spend_limit", "user", None}


def test_the_limit_is_the_card_s_then_the_spend_limit_s_then_the_user_s(fresh: Any) -> None:
    user_limit(fresh, 1000, 250)
    spend_limit(fresh, "s", base=500, increased=600, spent=150, rollover=40)
    own = money(OWN, 200) | money(OWN_LEFT, 50) | {"spend_controls_spend_duration": "ONE_TIME"}
    card(fresh, "card", "CARD", budget_id="s", **own)
    card(fresh, "limit", budget_id="s")
    card(fresh, "user")
    card(fresh, "user too", budget_id="no such limit")
    assert fresh.rows(LIMIT) == [
        ("card", "card", "one time", 200, 150, "0.7500", 1),
        ("limit", "spend_limit", "quarterly", 640, 150, "0.2344", 1),
        ("user", "user", "monthly", 1000, 750, "0.7500", 2),
        ("user too", "user", "monthly", 1000, 750, "0.7500", 2),
    ]


def test_where_brex_says_no_limit_there_is_none(fresh: Any) -> None:
    user_limit(fresh, None, 250)
    card(fresh, "a")
    card(fresh, "b", "CARD")
    card(fresh, "c", None, owner_user_id=None)
    assert {row[1:] for row in fresh.rows(LIMIT)} == {(None, None, None, None, None, None)}


def test_a_card_with_its_own_kind_of_limit_never_takes_its_user_s(fresh: Any) -> None:
    user_limit(fresh, 1000, 250)
    card(fresh, "c", "CARD")
    assert fresh.one("SELECT limit_source FROM brex_marts.card_utilisation") is None


def test_what_is_left_in_another_currency_is_not_taken_off(fresh: Any) -> None:
    user_limit(fresh, 1000, 250, "EUR")
    spend_limit(fresh, "s", base=(500, None), spent=(100, "EUR"), rollover=(7, "EUR"))
    card(fresh, "a")
    card(fresh, "b", budget_id="s")
    assert fresh.rows(LIMIT) == [
        ("a", "user", "monthly", 1000, None, None, 1),
        ("b", "spend_limit", "quarterly", 500, None, None, 1),
    ]


def test_a_limit_of_nothing_has_no_fraction_and_terminated_cards_do_not_share(fresh: Any) -> None:
    user_limit(fresh, 0, 0)
    card(fresh, "a")
    card(fresh, "b", status="TERMINATED")
    assert [row[3:] for row in fresh.rows(LIMIT)] == [(0, 0, None, 1)] * 2


@pytest.mark.parametrize(
    ("month", "year", "last"),
    [
        (2, 2028, date(2028, 2, 29)),
        (12, 2027, date(2027, 12, 31)),
        (13, 2027, None),
        (1, None, None),
    ],
)
def test_a_card_expires_on_the_last_day_of_its_month(
    fresh: Any, month: int, year: int | None, last: date | None
) -> None:
    card(fresh, "c", expiration_date_month=month, expiration_date_year=year)
    assert fresh.one("SELECT expires_on FROM brex_marts.card_utilisation") == last


def test_spent_this_month_is_in_dollars_and_says_what_is_not_in_it(fresh: Any) -> None:
    card(fresh, "c")
    card(fresh, "idle")
    this, last = TODAY.replace(day=1), TODAY.replace(day=1) - timedelta(days=1)
    for key, day, usd in (("a", this, 500), ("b", this, None), ("refund", this, -200),
                          ("old", last, 9)):  # fmt: skip
        put(
            fresh.engine,
            "expenses",
            id=key,
            expense_type="CARD",
            status="APPROVED",
            payment_status="CLEARED" if (usd or 0) >= 0 else "REFUNDED",
            payment_payment_instrument_type="CARD",
            payment_payment_instrument_id="c",
            purchased_at=f"{day}T12:00:00Z",
            updated_at=f"{day}T12:00:00Z",
            **money("billing_amount", usd or 300, "EUR"),
            **money("usd_equivalent_amount", usd, "USD"),
        )
    keep(fresh.engine)
    assert fresh.rows(
        "SELECT spent_this_month::text, lines_this_month, lines_without_usd "
        "FROM brex_marts.card_utilisation ORDER BY card_id"
    ) == [("3.00", 3, 1), ("0", 0, 0)]
