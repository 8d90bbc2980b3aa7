"""Brex's error answers."""

from collections.abc import Mapping
from enum import Enum

import msgspec
from starlette.responses import Response


class Errors(Enum):
    """How an API words its errors: the names of kind and message, and kinds of its own."""

    USUAL = "type"
    ACCOUNTING = "error_code"


_ACCOUNTING = {"BAD_REQUEST": "INVALID_REQUEST"}


class ErrorReply(Exception):
    """An error answer; without a message, one without a body."""

    def __init__(self, status: int, kind: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.headers: Mapping[str, str] = headers

    def response(self, errors: Errors = Errors.USUAL) -> Response:
        """The answer as the API in question words it."""
        kind = self.kind
        if errors is Errors.ACCOUNTING:
            kind = _ACCOUNTING.get(kind, kind)
        body = b""
        if self.message:
            body = msgspec.json.encode({errors.value: kind, "message": self.message})
        return Response(body, self.status, self.headers, media_type="application/json")


def bad_request(message: str) -> ErrorReply:
    """A 400."""
    return ErrorReply(400, "BAD_REQUEST", message)


def not_found(message: str) -> ErrorReply:
    """A 404."""
    return ErrorReply(404, "NOT_FOUND", message)
