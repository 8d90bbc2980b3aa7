"""An OAuth application registered at Brex."""

from dataclasses import dataclass, field
from datetime import timedelta

BASE_SCOPES = ("openid", "offline_access")
NEVER = frozenset({"cards.pan"})
REFRESH_LIFETIME = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Application:
    """An application registered with Brex, and the issuer it is registered with."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str
