"""The read endpoints of Brex's API reference, a line each."""

from dataclasses import dataclass
from enum import Enum


class Shape(Enum):
    """What an answer looks like."""

    PAGE = "items and next_cursor"
    ARRAY = "a bare array"
    ITEM = "one object"
    RECORDS = "items, next_cursor and has_next_page"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a collection is read. `filters` maps a parameter to the field it compares; `since`
    names the parameter that leaves out rows dated before it. `{id}` in the path is the item, or
    the parent where `per_parent`."""

    path: str
    collection: str
    scope: str
    shape: Shape = Shape.PAGE
    maximum: int = 1000
    since: str | None = None
    until: str | None = None
    filters: tuple[tuple[str, str], ...] = ()
    expand: frozenset[str] = frozenset()
    per_parent: bool = False


_EXPENSE_FILTERS = tuple(
    (f"{name}[]", name)
    for name in ("user_id", "budget_id", "spending_entity_id", "expense_type", "status",
                 "payment_status", "parent_expense_id")
)  # fmt: skip
_EXPENSE_EXPAND = frozenset(
    {"location", "department", "merchant", "receipts.download_uris", "user", "budget", "payment",
     "spending_entity", "policy"}
)  # fmt: skip


def _expenses(path: str, collection: str) -> Endpoint:
    return Endpoint(
        path,
        collection,
        "expenses.card.readonly",
        maximum=100,
        since="updated_at_start",
        until="updated_at_end",
        filters=_EXPENSE_FILTERS,
        expand=_EXPENSE_EXPAND,
    )


def _item(path: str, collection: str, scope: str) -> Endpoint:
    return Endpoint(path, collection, scope, Shape.ITEM)


ENDPOINTS = (
    Endpoint("/v2/users/me", "current_user", "users.readonly", Shape.ITEM),
    Endpoint(
        "/v2/users",
        "users",
        "users.readonly",
        filters=(("email", "email"), ("remote_display_id", "remote_display_id"),
                 ("status[]", "status")),
        expand=frozenset({"limit"}),
    ),
    _item("/v2/users/{id}", "users", "users.readonly"),
    _item("/v2/users/{id}/limit", "user_limits", "users.readonly"),
    Endpoint("/v2/departments", "departments", "departments.readonly", filters=(("name", "name"),)),
    _item("/v2/departments/{id}", "departments", "departments.readonly"),
    Endpoint("/v2/locations", "locations", "locations.readonly", filters=(("name", "name"),)),
    _item("/v2/locations/{id}", "locations", "locations.readonly"),
    Endpoint("/v2/titles", "titles", "titles.readonly", filters=(("name", "name"),)),
    _item("/v2/titles/{id}", "titles", "titles.readonly"),
    Endpoint("/v2/cost_centers", "cost_centers", "users.readonly", filters=(("name", "name"),)),
    Endpoint("/v2/legal_entities", "legal_entities", "legal_entities.readonly"),
    _item("/v2/legal_entities/{id}", "legal_entities", "legal_entities.readonly"),
    Endpoint("/v2/company", "company", "companies.readonly", Shape.ITEM),
    Endpoint("/v2/cards", "cards", "cards.readonly", filters=(("user_id", "owner.user_id"),)),
    _item("/v2/cards/{id}", "cards", "cards.readonly"),
    Endpoint("/v2/accounts/card", "card_accounts", "accounts.card.readonly", Shape.ARRAY),
    Endpoint(
        "/v2/accounts/card/primary/statements", "card_statements", "statements.card.readonly"
    ),
    Endpoint("/v2/accounts/cash", "cash_accounts", "accounts.cash.readonly"),
    Endpoint(
        "/v2/accounts/cash/primary", "primary_cash_account", "accounts.cash.readonly", Shape.ITEM
    ),
    _item("/v2/accounts/cash/{id}", "cash_accounts", "accounts.cash.readonly"),
    Endpoint(
        "/v2/accounts/cash/{id}/statements",
        "cash_statements",
        "statements.cash.readonly",
        per_parent=True,
    ),
    Endpoint(
        "/v2/transactions/card/primary",
        "card_transactions",
        "transactions.card.readonly",
        since="posted_at_start",
        expand=frozenset({"expense_id"}),
    ),
    Endpoint(
        "/v2/transactions/cash/{id}",
        "cash_transactions",
        "transactions.cash.readonly",
        since="posted_at_start",
        per_parent=True,
    ),
    _expenses("/v1/expenses", "expenses"),
    _expenses("/v1/expenses/card", "expenses"),
    _item("/v1/expenses/{id}", "expenses", "expenses.card.readonly"),
    _item("/v1/expenses/card/{id}", "expenses", "expenses.card.readonly"),
    Endpoint("/v2/budgets", "budgets", "budgets.readonly"),
    _item("/v2/budgets/{id}", "budgets", "budgets.readonly"),
    _item("/v1/budgets/{id}", "budgets_v1", "budgets.readonly"),
    _item("/v1/budget_programs/{id}", "budget_programs", "budgets.readonly"),
    Endpoint(
        "/v2/spend_limits",
        "spend_limits",
        "budgets.readonly",
        filters=(("member_user_id[]", "member_user_ids"),),
    ),
    _item("/v2/spend_limits/{id}", "spend_limits", "budgets.readonly"),
    Endpoint("/v1/budgets", "budgets_v1", "budgets.readonly"),
    Endpoint("/v1/budget_programs", "budget_programs", "budgets.readonly"),
    Endpoint("/v1/vendors", "vendors", "vendors.readonly", filters=(("name", "company_name"),)),
    _item("/v1/vendors/{id}", "vendors", "vendors.readonly"),
    Endpoint("/v1/transfers", "transfers", "transfers.readonly"),
    _item("/v1/transfers/{id}", "transfers", "transfers.readonly"),
    Endpoint("/v1/linked_accounts", "linked_accounts", "linked_accounts.readonly"),
    Endpoint("/v1/referrals", "referrals", "https://onboarding.brexapis.com/referrals"),
    Endpoint("/v1/fields", "fields", "fields.read", filters=(("field_id[]", "brex_id"),)),
    Endpoint(
        "/v1/fields/{id}/values",
        "field_values",
        "field_values.read",
        filters=(("brex_id[]", "brex_id"), ("value_id[]", "value_id"),
                 ("remote_id[]", "remote_id"), ("value", "value")),
        per_parent=True,
    ),
    Endpoint("/v1/trips", "trips", "travel.trips.readonly", since="last_updated_after"),
    _item("/v1/trips/{id}", "trips", "travel.trips.readonly"),
    Endpoint("/v1/trips/{id}/bookings", "bookings", "travel.trips.readonly", per_parent=True),
    Endpoint(
        "/v3/accounting/records",
        "accounting_records",
        "accounting.record.read",
        Shape.RECORDS,
        maximum=500,
        since="updated_at[gte]",
        until="updated_at[lte]",
        filters=(("ids", "id"), ("review_status", "review_status"),
                 ("source_type", "source_type")),
    ),
    _item("/v1/referrals/{id}", "referrals", "https://onboarding.brexapis.com/referrals"),
    _item("/v1/fields/{id}", "fields", "fields.read"),
    _item("/v3/accounting/records/{id}", "accounting_records", "accounting.record.read"),
    Endpoint("/v1/webhooks", "webhooks", "openid"),
    _item("/v1/webhooks/{id}", "webhooks", "openid"),
    Endpoint("/v1/webhooks/secrets", "webhook_secrets", "openid", Shape.ARRAY),
)  # fmt: skip
