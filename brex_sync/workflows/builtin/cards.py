"""Cards: issue, lock, unlock, terminate."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from brex_sync.workflows.declare import Call, Inputs, Steps, workflow, write
from brex_sync.workflows.fields import Address, Amount, Day, Period, Text, minor

ISSUE = Call("POST /v2/cards", scope="cards", refetch="cards")
LOCK = Call("POST /v2/cards/{id}/lock", scope="cards", refetch="cards")
UNLOCK = Call("POST /v2/cards/{id}/unlock", scope="cards", refetch="cards")
TERMINATE = Call("POST /v2/cards/{id}/terminate", scope="cards", refetch="cards")

Reason = Literal[
    "CARD_DAMAGED",
    "CARD_LOST",
    "CARD_NOT_RECEIVED",
    "DO_NOT_NEED_PHYSICAL_CARD",
    "DO_NOT_NEED_VIRTUAL_CARD",
    "FRAUD",
    "OTHER",
]


class Card(Inputs):
    """A card."""

    card_id: Text = Field(description="The card's id at Brex.")


class CardWithReason(Card):
    """A card, and a reason, which its owner sees."""

    reason: Reason = Field("OTHER", description="Why; its owner sees it.")
    note: Text | None = Field(None, description="More about it.")


class NewCard(Inputs):
    """A card to issue."""

    user_id: Text = Field(description="Whose card it is: the user's id at Brex.")
    card_name: Text = Field(description="The name of the card.")
    limit: Amount | None = Field(
        None, description="A limit of its own, such as 500.00 USD; the user's if left out."
    )
    period: Period = Field("MONTHLY", description="How often that limit renews.")
    lock_after: Day | None = Field(None, description="Lock it after this day, YYYY-MM-DD.")

    mailing_address: Address | None = Field(
        None, description="Where a physical card is sent; without it the card is virtual."
    )

    @model_validator(mode="after")
    def _locks_by_its_limit(self) -> Self:
        if self.lock_after and not self.limit:
            raise ValueError("lock_after needs a limit: a card without one has no controls")
        return self


def card_body(
    user_id: str, name: str, limit: str | None, period: str, lock_after: str | None = None
) -> dict[str, Any]:
    """Returns the body that issues a virtual card, with its own limit or under its user's."""
    controls = limit and {
        "spend_limit": minor(limit),
        "spend_duration": period,
        "lock_after_date": lock_after,
    }
    return {
        "owner": {"type": "USER", "user_id": user_id},
        "card_name": name,
        "card_type": "VIRTUAL",
        "limit_type": "CARD" if limit else "USER",
        "spend_controls": controls,
    }


def _spends(given: NewCard) -> str:
    if given.mailing_address is not None:
        return f"The card {given.card_name!r} is made, and sent to {given.mailing_address.city}."
    return f"The card {given.card_name!r} can be spent from at once."


@workflow(ISSUE, confirm=_spends)
def issue_card(given: NewCard) -> Steps:
    """Issue a card, virtual or physical, with a limit of its own or under its user's."""
    body = card_body(given.user_id, given.card_name, given.limit, given.period, given.lock_after)
    if given.mailing_address is not None:
        address = given.mailing_address.model_dump(exclude_none=True)
        body |= {"card_type": "PHYSICAL", "mailing_address": address}
    yield write("issue card", ISSUE, body=body)


@workflow(LOCK)
def lock_card(given: CardWithReason) -> Steps:
    """Lock a card, until it is unlocked."""
    body = {"reason": given.reason, "description": given.note}
    yield write("lock card", LOCK, id=given.card_id, body=body)


@workflow(UNLOCK)
def unlock_card(given: Card) -> Steps:
    """Unlock a card that is locked."""
    yield write("unlock card", UNLOCK, id=given.card_id)


@workflow(TERMINATE, confirm=lambda given: f"Card {given.card_id} is ended for good.")
def terminate_card(given: CardWithReason) -> Steps:
    """Terminate a card: it can never be used again."""
    body = {"reason": given.reason, "description": given.note}
    yield write("terminate card", TERMINATE, id=given.card_id, body=body)
