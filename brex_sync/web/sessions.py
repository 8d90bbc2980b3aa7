"""The token of a home, and the sessions of browsers into which it is exchanged."""

import base64
import hmac

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

LASTS = 24 * 60 * 60
"""Seconds after which a browser must show the token again."""


class Sessions:
    """Makes and knows sessions. Whoever has the same token knows them too; none holds the token.

    They are sealed and dated texts, kept nowhere here. With another token, all have ended.
    """

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self._seal = Fernet(base64.urlsafe_b64encode(self._derived(b"sessions", 32)))
        self.cookie = f"brex_sync_{self._derived(b'cookie', 4).hex()}"
        """Its name. A browser sends cookies to every port of a host, and homes have one each."""

    def is_token(self, shown: str) -> bool:
        """Whether this is the token, found in a time that does not tell how much of it is right."""
        return hmac.compare_digest(shown.encode(), self._token)

    def new(self) -> str:
        """A session from now on."""
        return self._seal.encrypt(b"").decode()

    def knows(self, session: str) -> bool:
        """Whether it was made from our token, and not too long ago."""
        try:
            self._seal.decrypt(session.encode(), ttl=LASTS)
        except InvalidToken:
            return False
        return True

    def _derived(self, use: bytes, length: int) -> bytes:
        info = b"brex_sync " + use
        return HKDF(algorithm=SHA256(), length=length, salt=None, info=info).derive(self._token)
