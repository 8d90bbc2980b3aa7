"""Whose account a credential opens: the cheapest question there is."""

import msgspec

from brex_sync.brex.client import BrexClient, Meter
from brex_sync.brex.strict_json import read_item
from brex_sync.errors import NotAllowed, UnusableAnswer


class Company(msgspec.Struct, frozen=True):
    """The company, as far as Brex says; both None where the credential may not ask."""

    id: str | None = None
    legal_name: str | None = None


async def whose(client: BrexClient) -> Company:
    """The company whose account the client reads. That it answers proves the credential good.

    A credential without the scope `companies.readonly` is tried on the user it belongs to; one
    that may not ask that either is good all the same, since Brex knew it.

    Raises:
        CredentialRefused: Brex does not know the credential, or not any more.
        BrexError: there was no usable answer.
    """
    try:
        return await client.get("/v2/company", {}, _company, Meter())
    except NotAllowed:
        pass
    try:
        await client.get("/v2/users/me", {}, read_item, Meter())
    except NotAllowed:
        pass
    return Company()


def _company(body: bytes) -> Company:
    try:
        return msgspec.json.decode(body, type=Company)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise UnusableAnswer("GET /v2/company answered 200 and no company") from None
