"""The token of a home, and the browser sessions that are exchanged for it."""

import base64
import hmac

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

LASTS = 24 * 60 * 60
"""Seconds after which a browser must show the token again."""


class Sessions:
    """Creates and verifies sessions. Every process with the same token accepts them; none contains
    it.

    A session is an encrypted text with a date and is not stored here. A new token ends all
    sessions.
    """

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self._seal = Fernet(base64.urlsafe_b64encode(self._derived(b"sessions", 32)))
        self.cookie = f"brex_sync_{self._derived(b'cookie', 4).hex()}"
        """Its name. A browser sends cookies to every port of a host, and homes have one each."""

    def is_token(self, shown: str) -> bool:
        """Whether this is the token, compared in constant time."""
        return hmac.compare_digest(shown.encode(), self._token)

    def new(self) -> str:
        """A session that starts now."""
        return self._seal.encrypt(b"").decode()

    def knows(self, session: str) -> bool:
        """Whether the session was created with this token and has not expired."""
        try:
            self._seal.decrypt(session.encode(), ttl=LASTS)
        except InvalidToken:
            return False
        return True

    def _derived(self, use: bytes, length: int) -> bytes:
        info = b"brex_sync " + use
        return HKDF(algorithm=SHA256(), length=length, salt=None, info=info).derive(self._token)
