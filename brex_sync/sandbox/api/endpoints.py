"""The read endpoints of Brex's API reference, each with what it filters, shows and refuses."""

import operator
from dataclasses import dataclass
from enum import Enum

from brex_sync.sandbox.api.details import Detail, accepted, attached, joined, links, without
from brex_sync.sandbox.api.filters import (
    Compared,
    Filter,
    Like,
    OneOf,
    Through,
    comparisons,
    period,
)
from brex_sync.sandbox.error_replies import Errors


class BodyShape(Enum):
    """What an answer looks like."""

    PAGE = "items and next_cursor"
    ARRAY = "a bare array"
    ITEM = "one object"
    RECORDS = "items, next_cursor and has_next_page"


@dataclass(frozen=True, slots=True)
class Hidden:
    """Items whose `field` has one of `values`: not listed unless `parameter` asks for them."""

    field: str
    values: frozenset[str]
    parameter: str | None = None


@dataclass(frozen=True, slots=True)
class ListEndpoint:
    """Where a collection is read.

    `maximum` is the largest page; None for a list that takes no limit. `only` is a field and the
    value that all items here have; `nested` the field with items of the same kind. `{id}` in the
    path is the item, or one of the collection `per_parent`, if that is named; `{key}` then is the
    item. `unset` names a collection whose items have one here, and what is answered for one that
    was never set.
    """

    path: str
    collection: str
    scope: str
    shape: BodyShape = BodyShape.PAGE
    maximum: int | None = 1000
    filters: tuple[Filter, ...] = ()
    details: tuple[Detail, ...] = ()
    only: tuple[str, str] | None = None
    hidden: Hidden | None = None
    per_parent: str | None = None
    nested: str | None = None
    errors: Errors = Errors.USUAL
    unset: tuple[str, bytes] | None = None


def _item(
    path: str,
    collection: str,
    scope: str,
    details: tuple[Detail, ...] = (),
    nested: str | None = None,
    errors: Errors = Errors.USUAL,
    per_parent: str | None = None,
    unset: tuple[str, bytes] | None = None,
) -> ListEndpoint:
    return ListEndpoint(
        path,
        collection,
        scope,
        BodyShape.ITEM,
        details=details,
        nested=nested,
        errors=errors,
        per_parent=per_parent,
        unset=unset,
    )


def _each(*names: str) -> tuple[Filter, ...]:
    return tuple(OneOf(f"{name}[]", name) for name in names)


_NAMED = {"id": "id", "name": "name"}
_EXPENSE_FILTERS: tuple[Filter, ...] = (
    *_each("user_id", "budget_id", "spending_entity_id", "status", "payment_status"),
    OneOf("parent_expense_id[]", "id", Through("expense_parents", "parent_expense_id")),
    *period("purchased_at", "purchased_at"),
    *period("updated_at", "updated_at"),
    *period("payment_posted_at", "payment_posted_at"),
)
_EXPENSE_DETAILS = (
    joined("location", "locations", _NAMED),
    joined("department", "departments", _NAMED),
    joined("merchant", "merchants",
           {"raw_descriptor": "raw_descriptor", "mcc": "mcc", "country": "country"}),
    links("download_uris", within="receipts"),
    joined("user", "users", {"id": "id", "first_name": "first_name", "last_name": "last_name",
                             "department_id": "department_id", "location_id": "location_id"}),
    joined("budget", "spend_limits", _NAMED),
    joined("spending_entity", "legal_entities",
           {"id": "id", "display_name": "displayName", "billing_address": "billingAddress",
            "created_at": "createdAt", "status": "status", "is_default": "isDefault"}),
    attached("payment", "expense_payments"),
    attached("policy", "expense_policies"),
    attached("custom_fields", "expense_custom_fields", "load_custom_fields", "true"),
)  # fmt: skip
_USER_FILTERS: tuple[Filter, ...] = (
    OneOf("email", "email", legacy=True),
    OneOf("remote_display_id", "remote_display_id", legacy=True),
    Like("name", ("first_name", "last_name")),
    *_each("email", "status", "manager_id", "department_id", "location_id", "title_id",
           "cost_center_id", "legal_entity_id"),
    OneOf("custom_field[]", "id", Through("user_options", "options")),
)  # fmt: skip
_USER_DETAILS = (
    accepted("limit"),
    attached("custom_fields", "user_custom_fields", "load_custom_fields", "true"),
)
_BY_NAME = (OneOf("name", "name"),)
_REVIEWED = ("source_type", frozenset({"CARD", "REIMBURSEMENT"}))
_SINGLE_ENTRY = (without("single_entry", "line_items", "type", "CREDIT"),)
_REFERRALS = "https://onboarding.brexapis.com/referrals"

_NO_LIMIT = ("users", b'{"monthly_limit":null,"monthly_available":null}')

_TEAM = (
    _item("/v2/users/me", "current_user", "users.readonly"),
    ListEndpoint("/v2/users", "users", "users.readonly", filters=_USER_FILTERS,
                 details=_USER_DETAILS,
                 hidden=Hidden("status", frozenset({"DELETED", "ARCHIVED"}), "status[]")),
    _item("/v2/users/{id}", "users", "users.readonly"),
    _item("/v2/users/{id}/limit", "user_limits", "users.readonly", unset=_NO_LIMIT),
    ListEndpoint("/v2/departments", "departments", "departments.readonly", filters=_BY_NAME),
    _item("/v2/departments/{id}", "departments", "departments.readonly"),
    ListEndpoint("/v2/locations", "locations", "locations.readonly", filters=_BY_NAME),
    _item("/v2/locations/{id}", "locations", "locations.readonly"),
    ListEndpoint("/v2/titles", "titles", "titles.readonly", filters=_BY_NAME),
    _item("/v2/titles/{id}", "titles", "titles.readonly"),
    ListEndpoint("/v2/cost_centers", "cost_centers", "users.readonly", filters=_BY_NAME),
    ListEndpoint("/v2/legal_entities", "legal_entities", "legal_entities.readonly"),
    _item("/v2/legal_entities/{id}", "legal_entities", "legal_entities.readonly"),
    _item("/v2/company", "company", "companies.readonly"),
    ListEndpoint("/v2/cards", "cards", "cards.readonly", filters=(OneOf("user_id",
                 "owner.user_id"),)),
    _item("/v2/cards/{id}", "cards", "cards.readonly"),
)  # fmt: skip

_TRANSACTIONS = (
    ListEndpoint("/v2/accounts/card", "card_accounts", "accounts.card.readonly", BodyShape.ARRAY),
    ListEndpoint(
        "/v2/accounts/card/primary/statements", "card_statements", "statements.card.readonly"
    ),
    ListEndpoint("/v2/accounts/cash", "cash_accounts", "accounts.cash.readonly"),
    _item("/v2/accounts/cash/primary", "primary_cash_account", "accounts.cash.readonly"),
    _item("/v2/accounts/cash/{id}", "cash_accounts", "accounts.cash.readonly"),
    ListEndpoint("/v2/accounts/cash/{id}/statements", "cash_statements", "statements.cash.readonly",
                 per_parent="cash_accounts"),
    ListEndpoint("/v2/transactions/card/primary", "card_transactions", "transactions.card.readonly",
                 filters=(OneOf("user_ids", "card_id", Through("cards", "owner.user_id")),
                      period("posted_at", "posted_at_date")[0]),
                 details=(attached("expense_id", "card_transaction_expenses"),)),
    ListEndpoint("/v2/transactions/cash/{id}", "cash_transactions", "transactions.cash.readonly",
                 filters=period("posted_at", "posted_at_date")[:1], per_parent="cash_accounts"),
)  # fmt: skip

_EXPENSES = (
    ListEndpoint("/v1/expenses", "expenses", "expenses.card.readonly", maximum=100,
                 filters=(*_EXPENSE_FILTERS, *_each("expense_type")),
                 details=_EXPENSE_DETAILS, nested="expense_line_items"),
    ListEndpoint("/v1/expenses/card", "expenses", "expenses.card.readonly", maximum=100,
                 filters=_EXPENSE_FILTERS, only=("expense_type", "CARD"),
                 details=_EXPENSE_DETAILS, nested="expense_line_items"),
    _item("/v1/expenses/{id}", "expenses", "expenses.card.readonly",
          _EXPENSE_DETAILS, "expense_line_items"),
    _item("/v1/expenses/card/{id}", "expenses", "expenses.card.readonly",
          _EXPENSE_DETAILS, "expense_line_items"),
)  # fmt: skip

_BUDGETS = (
    ListEndpoint("/v2/budgets", "budgets", "budgets.readonly"),
    _item("/v2/budgets/{id}", "budgets", "budgets.readonly"),
    ListEndpoint("/v2/spend_limits", "spend_limits", "budgets.readonly",
                 filters=(OneOf("member_user_id[]", "member_user_ids"),)),
    _item("/v2/spend_limits/{id}", "spend_limits", "budgets.readonly"),
    ListEndpoint("/v1/budgets", "budgets_v1", "budgets.readonly"),
    _item("/v1/budgets/{id}", "budgets_v1", "budgets.readonly"),
    ListEndpoint("/v1/budget_programs", "budget_programs", "budgets.readonly"),
    _item("/v1/budget_programs/{id}", "budget_programs", "budgets.readonly"),
)  # fmt: skip

_PAYMENTS = (
    ListEndpoint("/v1/vendors", "vendors", "vendors.readonly",
                 filters=(OneOf("name", "company_name"),)),
    _item("/v1/vendors/{id}", "vendors", "vendors.readonly"),
    ListEndpoint("/v1/transfers", "transfers", "transfers.readonly"),
    _item("/v1/transfers/{id}", "transfers", "transfers.readonly"),
    ListEndpoint("/v1/linked_accounts", "linked_accounts", "linked_accounts.readonly"),
)  # fmt: skip

_FIELDS = (
    ListEndpoint("/v1/fields", "fields", "fields.read", filters=(OneOf("field_id[]", "brex_id"),)),
    _item("/v1/fields/{id}", "fields", "fields.read"),
    ListEndpoint("/v1/fields/{id}/values", "field_values", "field_values.read",
                 filters=(*_each("brex_id", "value_id", "remote_id"), OneOf("value", "value")),
                 per_parent="fields"),
    _item("/v1/fields/{id}/values/{key}", "field_values", "field_values.read", per_parent="fields"),
)  # fmt: skip

_TRAVEL = (
    ListEndpoint("/v1/trips", "trips", "travel.trips.readonly",
                 filters=(Compared("last_updated_after", "updated_at", operator.gt),)),
    _item("/v1/trips/{id}", "trips", "travel.trips.readonly"),
    ListEndpoint("/v1/trips/{id}/bookings", "bookings", "travel.trips.readonly",
                 per_parent="trips"),
    _item("/v1/trips/{id}/bookings/{key}", "bookings", "travel.trips.readonly", per_parent="trips"),
)  # fmt: skip

_ACCOUNTING = (
    ListEndpoint("/v3/accounting/records", "accounting_records", "accounting.record.read",
             BodyShape.RECORDS, maximum=500,
                 filters=(OneOf("ids", "id", most=500),
                      OneOf("review_status", "review_status", among=_REVIEWED),
                      OneOf("source_type", "source_type"), *comparisons("updated_at")),
                 details=_SINGLE_ENTRY, errors=Errors.ACCOUNTING),
    _item("/v3/accounting/records/{id}", "accounting_records", "accounting.record.read",
          _SINGLE_ENTRY, errors=Errors.ACCOUNTING),
)  # fmt: skip

_PARTNERS = (
    ListEndpoint("/v1/referrals", "referrals", _REFERRALS, maximum=None,
                 hidden=Hidden("status", frozenset({"EXPIRED"}))),
    _item("/v1/referrals/{id}", "referrals", _REFERRALS),
    ListEndpoint("/v1/webhooks", "webhooks", "openid"),
    _item("/v1/webhooks/{id}", "webhooks", "openid"),
    ListEndpoint("/v1/webhooks/groups", "webhook_groups", "openid"),
    _item("/v1/webhooks/groups/{id}", "webhook_groups", "openid"),
    ListEndpoint("/v1/webhooks/groups/{id}/members", "webhook_group_members", "openid",
                 per_parent="webhook_groups"),
    ListEndpoint("/v1/webhooks/secrets", "webhook_secrets", "openid", BodyShape.ARRAY),
)  # fmt: skip

ENDPOINTS = (
    *_TEAM,
    *_TRANSACTIONS,
    *_EXPENSES,
    *_BUDGETS,
    *_PAYMENTS,
    *_FIELDS,
    *_TRAVEL,
    *_ACCOUNTING,
    *_PARTNERS,
)
