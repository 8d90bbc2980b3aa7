"""Writes about budgets and spend limits."""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from brex_sync.sandbox.error_replies import bad_request
from brex_sync.sandbox.world.collection import Item
from brex_sync.sandbox.world.company import COMPANY
from brex_sync.sandbox.writes.declare import (
    Day,
    MaybeText,
    Money,
    ReceivedWrite,
    Text,
    WriteEndpoint,
    check_ids,
    sent,
)

Period = Literal["WEEKLY", "MONTHLY", "QUARTERLY", "YEARLY", "ONE_TIME"]
LimitPeriod = Literal["PER_WEEK", "PER_MONTH", "PER_QUARTER", "PER_YEAR", "ONE_TIME"]
Shared = Literal["SHARED", "PRIVATE"]
Public = Literal["PUBLIC", "PRIVATE"]
Switch = Literal["ENABLED", "DISABLED"]
Cards = Literal["DISABLED", "ALL_MEMBERS"]
SpendType = Literal["BUDGET_PROVISIONED_CARDS_ONLY", "NON_BUDGET_PROVISIONED_CARDS_ALLOWED"]
Rollover = Literal["OFF", "NEVER", "PER_MONTH", "PER_QUARTER", "PER_YEAR"]
MaybeDay = Day | UnsetType | None
MaybeIds = list[str] | UnsetType | None
EARLIER_PERIODS = {
    "PER_WEEK": "WEEKLY",
    "PER_MONTH": "MONTHLY",
    "PER_QUARTER": "QUARTERLY",
    "PER_YEAR": "YEARLY",
    "ONE_TIME": "ONE_TIME",
}
NULLED = ("start_date", "end_date", "transaction_limit")


class NewBudget(msgspec.Struct):
    """A budget to plan."""

    name: Text
    description: str
    parent_budget_id: Text
    period_recurrence_type: Period
    amount: Money
    owner_user_ids: list[str] | None = None
    limit_type: Literal["HARD", "SOFT"] | None = None
    start_date: Day | None = None
    end_date: Day | None = None


class BudgetChange(msgspec.Struct):
    """What to change of a budget; what is left out or null stays."""

    name: MaybeText = UNSET
    description: MaybeText = UNSET
    parent_budget_id: MaybeText = UNSET
    owner_user_ids: MaybeIds = UNSET
    period_recurrence_type: Period | UnsetType | None = UNSET
    amount: Money | UnsetType | None = UNSET
    limit_type: Literal["HARD", "SOFT"] | UnsetType | None = UNSET
    start_date: MaybeDay = UNSET
    end_date: MaybeDay = UNSET


class Authorization(msgspec.Struct):
    """How much may be spent, and how firmly."""

    base_limit: Money
    authorization_type: Literal["HARD", "SOFT"]
    rollover_refresh_rate: Rollover
    limit_buffer_percentage: int | None = None


class AuthorizationChange(msgspec.Struct):
    """What to change of that."""

    base_limit: Money | UnsetType | None = UNSET
    authorization_type: Literal["HARD", "SOFT"] | UnsetType | None = UNSET
    rollover_refresh_rate: Rollover | UnsetType | None = UNSET
    limit_buffer_percentage: int | UnsetType | None = UNSET


class NewSpendLimit(msgspec.Struct):
    """A spend limit to set."""

    name: Text
    period_recurrence_type: LimitPeriod
    authorization_settings: Authorization
    expense_visibility: Shared
    authorization_visibility: Public
    limit_increase_setting: Switch
    spend_type: SpendType
    auto_transfer_cards_setting: Switch
    auto_create_limit_cards_setting: Cards
    expense_policy_id: Text
    description: str | None = None
    parent_budget_id: str | None = None
    start_date: Day | None = None
    end_date: Day | None = None
    transaction_limit: Money | None = None
    owner_user_ids: list[str] | None = None
    member_user_ids: list[str] | None = None
    limit_increase_request_policy_id: str | None = None
    limit_approval_policy_id: str | None = None
    legal_entity_id: str | None = None
    department_id: str | None = None


class SpendLimitChange(msgspec.Struct):
    """What to change of a spend limit; null changes nothing, `set_*_null` does."""

    name: MaybeText = UNSET
    description: MaybeText = UNSET
    status: Literal["ACTIVE", "EXPIRED", "ARCHIVED", "DELETED"] | UnsetType | None = UNSET
    period_recurrence_type: LimitPeriod | UnsetType | None = UNSET
    start_date: MaybeDay = UNSET
    end_date: MaybeDay = UNSET
    set_start_date_null: bool | None = None
    set_end_date_null: bool | None = None
    authorization_settings: AuthorizationChange | UnsetType | None = UNSET
    expense_visibility: Shared | UnsetType | None = UNSET
    authorization_visibility: Public | UnsetType | None = UNSET
    merchant_category_controls: dict[str, Any] | UnsetType | None = UNSET
    transaction_limit: Money | UnsetType | None = UNSET
    set_transaction_limit_null: bool | None = None
    limit_increase_setting: Switch | UnsetType | None = UNSET
    spend_type: SpendType | UnsetType | None = UNSET
    auto_transfer_cards_setting: Switch | UnsetType | None = UNSET
    auto_create_limit_cards_setting: Cards | UnsetType | None = UNSET
    owner_user_ids: MaybeIds = UNSET
    member_user_ids: MaybeIds = UNSET
    expense_policy_id: MaybeText = UNSET
    limit_increase_request_policy_id: MaybeText = UNSET
    limit_approval_policy_id: MaybeText = UNSET
    legal_entity_id: MaybeText = UNSET
    department_id: MaybeText = UNSET


def plan(call: ReceivedWrite) -> Item:
    """Plans a budget."""
    body = sent(call.body)
    _check_budget(call, body)
    body["owner_user_ids"] = body["owner_user_ids"] or []
    budget = {"budget_id": call.world.new_id("budget"), "account_id": COMPANY, **body}
    call.world.collection("budgets").add(budget | {"spend_budget_status": "ACTIVE"})
    return budget | {"spend_budget_status": "ACTIVE"}


def change_plan(call: ReceivedWrite) -> Item:
    """Changes a budget."""
    call.item("budgets")
    changes = _not_null(sent(call.body))
    _check_budget(call, changes)
    call.world.collection("budgets").edit(call.id, **changes)
    return call.item("budgets")


def archive_budget(call: ReceivedWrite) -> None:
    """Archives a budget; one that is archived stays so."""
    call.item("budgets")
    call.world.collection("budgets").edit(call.id, spend_budget_status="ARCHIVED")


def limit(call: ReceivedWrite) -> Item:
    """Sets a spend limit."""
    body = sent(call.body)
    _check_limit(call, body)
    settings = body["authorization_settings"]
    settings["limit_with_increases"] = settings["base_limit"]
    made: Item = {
        "id": call.world.new_id("spend_limit"),
        "account_id": COMPANY,
        **body,
        "status": "ACTIVE",
        "start_time_utc": None,
        "end_time_utc": None,
        "merchant_category_controls": None,
        "current_period_balance": None,
        "owner_user_ids": body["owner_user_ids"] or [],
        "member_user_ids": body["member_user_ids"] or [],
    }
    call.world.collection("spend_limits").add(made)
    call.world.collection("budgets_v1").add(_as_before(made))
    return made


def change_limit(call: ReceivedWrite) -> Item:
    """Changes a spend limit."""
    before, asked = call.item("spend_limits"), sent(call.body)
    nulls = {name: None for name in NULLED if asked.pop(f"set_{name}_null", None)}
    changes = _not_null(asked)
    clash = sorted(nulls.keys() & changes.keys())
    if clash:
        raise bad_request(f"{clash[0]} cannot be set and set to null")
    _check_limit(call, changes)
    if "authorization_settings" in changes:
        settings = (before["authorization_settings"] or {}) | _not_null(
            changes["authorization_settings"]
        )
        settings["limit_with_increases"] = settings.get("base_limit")
        changes["authorization_settings"] = settings
    return _edit_limit(call, **changes, **nulls)


def archive_limit(call: ReceivedWrite) -> None:
    """Archives a spend limit; one that is archived stays so."""
    call.item("spend_limits")
    _edit_limit(call, status="ARCHIVED")


def _edit_limit(call: ReceivedWrite, **changes: Any) -> Item:
    call.world.collection("spend_limits").edit(call.id, **changes)
    shown = call.item("spend_limits")
    earlier = call.world.collection("budgets_v1")
    if earlier.body(call.id) is not None:
        earlier.edit(call.id, **_as_before(shown))
    return shown


def _as_before(limit: Item) -> Item:
    """The spend limit as the first version of the API shows it."""
    shared = ("account_id", "name", "description", "parent_budget_id", "owner_user_ids",
              "member_user_ids", "start_date", "end_date", "spend_type")  # fmt: skip
    settings = limit["authorization_settings"] or {}
    states = {"ACTIVE": "APPROVED", "ARCHIVED": "TERMINATED"}
    return {name: limit[name] for name in shared} | {
        "budget_id": limit["id"],
        "period_type": EARLIER_PERIODS[limit["period_recurrence_type"]],
        "limit": settings.get("base_limit"),
        "budget_status": states.get(limit["status"], limit["status"]),
        "limit_type": settings.get("authorization_type"),
        "limit_visibility": limit["expense_visibility"],
        "budget_type": "SPEND_LIMIT",
    }


def _check_budget(call: ReceivedWrite, body: Item) -> None:
    if body.get("limit_type") == "HARD":
        raise bad_request("limit_type HARD is not supported")
    check_ids(call.world, "budgets", body.get("parent_budget_id"))
    check_ids(call.world, "users", *body.get("owner_user_ids") or ())


def _check_limit(call: ReceivedWrite, body: Item) -> None:
    check_ids(call.world, "budgets", body.get("parent_budget_id"))
    for field in ("owner_user_ids", "member_user_ids"):
        check_ids(call.world, "users", *body.get(field) or ())
    check_ids(call.world, "departments", body.get("department_id"))


def _not_null(changes: Item) -> Item:
    return {name: value for name, value in changes.items() if value is not None}


BUDGET_WRITES = (
    WriteEndpoint("POST", "/v2/budgets", "budgets", plan, NewBudget, keyed=True),
    WriteEndpoint("PUT", "/v2/budgets/{id}", "budgets", change_plan, BudgetChange, keyed=True),
    WriteEndpoint("POST", "/v2/budgets/{id}/archive", "budgets", archive_budget),
    WriteEndpoint("POST", "/v2/spend_limits", "budgets", limit, NewSpendLimit, keyed=True),
    WriteEndpoint(
        "PUT", "/v2/spend_limits/{id}", "budgets", change_limit, SpendLimitChange, keyed=True
    ),
    WriteEndpoint("POST", "/v2/spend_limits/{id}/archive", "budgets", archive_limit),
)
