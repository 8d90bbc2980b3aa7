"""Vendors: create."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from brex_sync.workflows.declare import Call, Inputs, Steps, workflow, write
from brex_sync.workflows.fields import Address, Email, Text

CREATE = Call("POST /v1/vendors", scope="vendors", refetch="vendors")

Digits = Annotated[str, StringConstraints(pattern=r"^\d{4,17}$")]


class Ach(Inputs):
    """A bank account paid by ACH."""

    type: Literal["ACH"]
    routing_number: Digits
    account_number: Digits
    account_type: Literal["CHECKING", "SAVING"]
    account_class: Literal["BUSINESS", "PERSONAL"]


class Wire(Inputs):
    """A bank account paid by domestic wire."""

    type: Literal["DOMESTIC_WIRE"]
    routing_number: Digits
    account_number: Digits
    address: Address


class Cheque(Inputs):
    """The address of cheques."""

    type: Literal["CHEQUE"]
    recipient_name: Annotated[Text, StringConstraints(max_length=40)]
    mailing_address: Address


Account = Annotated[Ach | Wire | Cheque, Field(discriminator="type")]


class NewVendor(Inputs):
    """A vendor to create."""

    company_name: Text = Field(description="Name; there is one vendor of each name.")
    email: Email | None = Field(None, description="E-mail address.")
    phone: Text | None = Field(None, description="Phone number.")
    payment_accounts: list[Account] = Field(
        [],
        description="How it is paid: one of each type of ACH, DOMESTIC_WIRE and CHEQUE.",
        json_schema_extra={"private": True},
    )

    @model_validator(mode="after")
    def _has_one_of_each(self) -> Self:
        types = [account.type for account in self.payment_accounts]
        if len(set(types)) < len(types):
            raise ValueError("payment_accounts: Brex knows one account of each type")
        return self


@workflow(CREATE)
def create_vendor(given: NewVendor) -> Steps:
    """Create a vendor, with the accounts it is paid to. No money moves."""
    body = given.model_dump(exclude={"payment_accounts"}, exclude_none=True)
    if given.payment_accounts:
        body["payment_accounts"] = [
            {"details": account.model_dump(exclude_none=True)} for account in given.payment_accounts
        ]
    yield write("create vendor", CREATE, body=body)
