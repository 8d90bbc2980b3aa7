"""Users: invite, offboard, set a limit."""

from typing import Literal, Self

from pydantic import Field, model_validator

from brex_sync.errors import BadInputs
from brex_sync.workflows.builtin.cards import ISSUE, LOCK, TERMINATE, Reason, card_body
from brex_sync.workflows.declare import (
    Call,
    Inputs,
    Steps,
    read,
    read_all,
    wait_until,
    workflow,
    write,
)
from brex_sync.workflows.fields import NONE, Amount, AmountOrNone, Email, Period, Text, minor

INVITE = Call("POST /v2/users", scope="users", refetch=("users", "user_limits"))
UPDATE = Call("PUT /v2/users/{id}", scope="users", refetch="users")
SET_LIMIT = Call("POST /v2/users/{id}/limit", scope="users", refetch="user_limits")
LOOK = Call("GET /v2/users/{id}", scope="users.readonly")
LOOK_AT_SELF = Call("GET /v2/users/me", scope="users.readonly")
LIST_CARDS = Call("GET /v2/cards", scope="cards.readonly")

ENDED = "TERMINATED"
GONE = ("ARCHIVED", "CLOSED", "DELETED", "DISABLED")
"""The states of users who cannot become ACTIVE by accepting an invitation."""


class NewPerson(Inputs):
    """A user to invite, with an optional limit and card."""

    first_name: Text = Field(description="First name.")
    last_name: Text = Field(description="Last name.")
    email: Email = Field(description="E-mail address, to which the invitation goes.")
    manager_id: Text | None = Field(None, description="The manager's user id.")
    department_id: Text | None = Field(None, description="The department's id.")
    location_id: Text | None = Field(None, description="The location's id.")
    title_id: Text | None = Field(None, description="The title's id.")
    monthly_limit: Amount | None = Field(
        None, description="What they may spend a month, such as 2000.00 USD."
    )
    card_name: Text | None = Field(None, description="Issue a virtual card of this name.")
    limit: Amount | None = Field(None, description="A limit of the card's own; else the user's.")
    period: Period = Field("MONTHLY", description="How often the card's limit renews.")

    @model_validator(mode="after")
    def _limits_a_card(self) -> Self:
        if self.limit and not self.card_name:
            raise ValueError("limit is the card's: name the card with card_name")
        return self


def _spends(given: NewPerson) -> str | None:
    may_spend = given.monthly_limit or given.card_name
    return f"{given.email} gets money to spend at once." if may_spend else None


@workflow(
    INVITE,
    SET_LIMIT,
    LOOK,
    ISSUE,
    confirm=_spends,
    confirm_when="if there is a limit or a card",
)
def invite_user(given: NewPerson) -> Steps:
    """Invite a user, with manager, department, limit and card in one run.

    The card is issued once they have accepted the invitation and are ACTIVE, as in the example of
    Brex's Team API; until then the run waits.
    """
    later = {"monthly_limit", "card_name", "limit", "period"}
    body = given.model_dump(exclude=later, exclude_none=True)
    user = yield write("invite", INVITE, body=body)
    if given.monthly_limit:
        limit = {"monthly_limit": minor(given.monthly_limit)}
        yield write("set limit", SET_LIMIT, id=user["id"], body=limit)
    if given.card_name:
        yield wait_until("accept invitation", LOOK, id=user["id"], reaches="ACTIVE", never=GONE)
        body = card_body(user["id"], given.card_name, given.limit, given.period)
        yield write("issue card", ISSUE, body=body)


class Leaver(Inputs):
    """A user to offboard."""

    user_id: Text = Field(description="The user's id at Brex.")
    cards: Literal["lock", "terminate"] = Field(
        "lock", description="Lock their cards, or terminate them for good."
    )
    reason: Reason = Field("OTHER", description="Why, of the cards.")


def _ends_cards(given: Leaver) -> str | None:
    if given.cards == "lock":
        return None
    return f"All cards of {given.user_id} are ended for good."


@workflow(
    LOOK_AT_SELF,
    LOOK,
    LIST_CARDS,
    LOCK,
    TERMINATE,
    UPDATE,
    confirm=_ends_cards,
    confirm_when="if `cards` is `terminate`",
)
def offboard_user(given: Leaver) -> Steps:
    """Offboard a user: lock or terminate their cards, and disable them."""
    own = yield read("look at own user", LOOK_AT_SELF)
    if own["id"] == given.user_id:
        raise BadInputs(["user_id: the credential is this user's own, and would end with it"])
    yield read("look at user", LOOK, id=given.user_id)
    cards = yield read_all("list cards", LIST_CARDS, user_id=given.user_id, keep=("id", "status"))
    done = {ENDED, "LOCKED"} if given.cards == "lock" else {ENDED}
    yield [
        write(
            f"{given.cards} card {card['id']}",
            LOCK if given.cards == "lock" else TERMINATE,
            id=card["id"],
            body={"reason": given.reason},
        )
        for card in cards
        if card["status"] not in done
    ]
    yield write("disable user", UPDATE, id=given.user_id, body={"status": "DISABLED"})


class UserLimit(Inputs):
    """The monthly limit of a user."""

    user_id: Text = Field(description="The user's id at Brex.")
    monthly_limit: AmountOrNone = Field(
        description="Such as 2000.00 USD; the word none removes the limit."
    )


def _allows(given: UserLimit) -> str:
    allowed = "without a limit" if given.monthly_limit == NONE else f"{given.monthly_limit} a month"
    return f"{given.user_id} may spend {allowed}."


@workflow(SET_LIMIT, confirm=_allows)
def set_user_limit(given: UserLimit) -> Steps:
    """Set a user's monthly limit, or remove it."""
    limit = None if given.monthly_limit == NONE else minor(given.monthly_limit)
    yield write("set limit", SET_LIMIT, id=given.user_id, body={"monthly_limit": limit})
