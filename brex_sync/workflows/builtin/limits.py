"""Spend limits: create, update."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from brex_sync.workflows.declare import Call, Inputs, Steps, workflow, write
from brex_sync.workflows.fields import Amount, Day, Text, maybe_minor, minor

CREATE = Call("POST /v2/spend_limits", scope="budgets", refetch="spend_limits")
UPDATE = Call("PUT /v2/spend_limits/{id}", scope="budgets", refetch="spend_limits")

Recurrence = Literal["PER_WEEK", "PER_MONTH", "PER_QUARTER", "PER_YEAR", "ONE_TIME"]
Switch = Literal["ENABLED", "DISABLED"]
Cards = Literal["DISABLED", "ALL_MEMBERS"]
Shared = Literal["SHARED", "PRIVATE"]
Firmness = Literal["HARD", "SOFT"]
SpendType = Literal["BUDGET_PROVISIONED_CARDS_ONLY", "NON_BUDGET_PROVISIONED_CARDS_ALLOWED"]


class NewLimit(Inputs):
    """A spend limit to create."""

    name: Text = Field(description="Name.")
    limit: Amount = Field(description="How much may be spent a period, such as 5000.00 USD.")
    period_recurrence_type: Recurrence = Field("PER_MONTH", description="How often it renews.")
    expense_policy_id: Text = Field(description="The id of the expense policy that holds for it.")
    firmness: Firmness = Field("HARD", description="HARD declines what goes beyond; SOFT doesn't.")
    description: Text | None = Field(None, description="What it is for.")
    owner_user_ids: list[Text] = Field([], description="User ids of its owners.")
    member_user_ids: list[Text] = Field([], description="User ids of those who may spend it.")
    parent_budget_id: Text | None = Field(None, description="The budget it belongs to.")
    start_date: Day | None = Field(None, description="First day, YYYY-MM-DD.")
    end_date: Day | None = Field(None, description="Last day, YYYY-MM-DD.")
    transaction_limit: Amount | None = Field(None, description="Most for one transaction.")
    limit_increase_setting: Switch = Field("ENABLED", description="May members ask for more?")
    expense_visibility: Shared = Field("SHARED", description="May members see its expenses?")
    authorization_visibility: Literal["PUBLIC", "PRIVATE"] = Field(
        "PUBLIC", description="May members see the limit?"
    )
    spend_type: SpendType = Field(
        "BUDGET_PROVISIONED_CARDS_ONLY", description="Which cards may spend it."
    )
    auto_transfer_cards_setting: Switch = Field("DISABLED", description="Move cards by itself?")
    auto_create_limit_cards_setting: Cards = Field("DISABLED", description="Make cards by itself?")


@workflow(
    CREATE, confirm=lambda given: f"{given.limit} can be spent from the limit {given.name!r}."
)
def create_spend_limit(given: NewLimit) -> Steps:
    """Create a spend limit."""
    own = {"limit", "firmness", "transaction_limit"}
    body = given.model_dump(exclude=own, exclude_none=True) | {
        "authorization_settings": {
            "base_limit": minor(given.limit),
            "authorization_type": given.firmness,
            "rollover_refresh_rate": "OFF",
        },
        "transaction_limit": maybe_minor(given.transaction_limit),
    }
    yield write("create limit", CREATE, body=body)


class LimitChange(Inputs):
    """The fields of a spend limit to change; the others stay as they are."""

    spend_limit_id: Text = Field(description="The spend limit's id at Brex.")
    name: Text | None = Field(None, description="Name.")
    limit: Amount | None = Field(None, description="How much may be spent a period.")
    firmness: Firmness | None = Field(None, description="HARD declines what goes beyond.")
    period_recurrence_type: Recurrence | None = Field(None, description="How often it renews.")
    description: Text | None = Field(None, description="What it is for.")
    owner_user_ids: list[Text] | None = Field(None, description="All its owners' user ids.")
    member_user_ids: list[Text] | None = Field(None, description="All its members' user ids.")
    start_date: Day | None = Field(None, description="First day, YYYY-MM-DD.")
    end_date: Day | None = Field(None, description="Last day, YYYY-MM-DD.")
    transaction_limit: Amount | None = Field(None, description="Most for one transaction.")
    limit_increase_setting: Switch | None = Field(None, description="May members ask for more?")
    take_away: list[Literal["start_date", "end_date", "transaction_limit"]] = Field(
        [], description="Fields to remove."
    )

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        changed = self.model_dump(exclude_none=True, exclude={"spend_limit_id"})
        if both := [name for name in self.take_away if name in changed]:
            raise ValueError(f"{both[0]} is both set and taken away")
        if changed == {"take_away": []}:
            raise ValueError("nothing is to be changed")
        return self


def _allows(given: LimitChange) -> str | None:
    freed = "transaction_limit" in given.take_away
    if not (given.limit or given.transaction_limit or given.firmness or freed):
        return None
    return f"What can be spent from {given.spend_limit_id} changes."


@workflow(UPDATE, confirm=_allows, confirm_when="if an amount or the firmness changes")
def update_spend_limit(given: LimitChange) -> Steps:
    """Change a spend limit: how much, for whom, how long."""
    own = {"spend_limit_id", "limit", "firmness", "transaction_limit", "take_away"}
    body: dict[str, Any] = given.model_dump(exclude=own, exclude_none=True)
    settings = {"base_limit": maybe_minor(given.limit), "authorization_type": given.firmness}
    if given.limit or given.firmness:
        body["authorization_settings"] = {k: v for k, v in settings.items() if v is not None}
    if given.transaction_limit:
        body["transaction_limit"] = minor(given.transaction_limit)
    body |= {f"set_{name}_null": True for name in given.take_away}
    yield write("update limit", UPDATE, id=given.spend_limit_id, body=body)
