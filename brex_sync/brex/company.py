"""Which company a credential belongs to: the cheapest request that shows it."""

import msgspec

from brex_sync.brex.client import BrexClient, Meter
from brex_sync.brex.strict_json import read_item
from brex_sync.errors import NotAllowed, UnusableAnswer


class Company(msgspec.Struct, frozen=True):
    """The company, as Brex describes it; both fields are None if the credential may not read it."""

    id: str | None = None
    legal_name: str | None = None


async def whose(client: BrexClient) -> Company:
    """The company whose account the client reads. Any response proves that the credential is valid.

    Without the scope `companies.readonly`, the credential's own user is requested. A credential
    that may read neither is valid too, because Brex recognised it.

    Raises:
        CredentialRefused: Brex does not accept the credential.
        BrexError: there was no usable response.
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
