"""Which requests other programs may make: plain paths of Brex's API, and never card numbers."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
READS = ("GET",)
LONGEST = 1024
"""Characters in a path; Brex's longest has fewer than 200."""

_PLAIN = re.compile(r"/v[1-9][0-9]?(?:/[A-Za-z0-9._~=:,+-]+)+")
_ONLY_DOTS = re.compile(r"/\.+(?:/|\Z)")
_ON_HOST = re.compile(r"/(?![/\\])[!-~]*")
_CARD_NUMBER = re.compile(r"(?<![a-z0-9])pan(?![a-z0-9])", re.IGNORECASE)
_SECRETS = "/v1/webhooks/secrets"


def refusal(method: str, path: str) -> str | None:
    """Why a request is refused for every caller, whatever the rules; None if it is not.

    A path must have exactly one reading. Nothing is decoded or normalised here, so that Brex cannot
    read another path than the one that was checked.
    """
    if method not in METHODS:
        return f"the method is none of {', '.join(METHODS)}"
    if len(path) > LONGEST:
        return f"the path is longer than {LONGEST} characters"
    if not _PLAIN.fullmatch(path) or _ONLY_DOTS.search(path):
        return (
            "the path is not a plain one such as /v2/users/me: a version, then letters, digits "
            "and . _ ~ = : , + - between single slashes; parameters go into the query"
        )
    return refusal_anywhere(path)


def refusal_anywhere(path: str) -> str | None:
    """Why a path is refused even for this package's own requests, which may contain encoded
    identifiers; None if it is not.
    """
    if not _ON_HOST.fullmatch(path):
        return "the path would lead to another host"
    if _CARD_NUMBER.search(_decoded(path)):
        return "card numbers are never asked for"
    return None


@dataclass(frozen=True, slots=True)
class Rules:
    """The methods, and the paths with everything below them, that other programs may request
    through the proxy. Without `paths`, all of them.
    """

    methods: frozenset[str] = frozenset(READS)
    paths: tuple[str, ...] = ()

    @classmethod
    def of(cls, methods: Iterable[str], paths: Iterable[str]) -> Self:
        """The rules for these methods and paths; without methods, reads only.

        Raises:
            ValueError: a method or path is not valid.
        """
        wanted = frozenset(method.upper() for method in methods) or frozenset(READS)
        if wanted - set(METHODS):
            raise ValueError(f"methods must be some of {', '.join(METHODS)}")
        plain = tuple(path.rstrip("/") for path in paths)
        for path in plain:
            if why := refusal("GET", f"{path}/x"):
                raise ValueError(f"path {path!r}: {why}")
        return cls(wanted, plain)

    def refusal(self, method: str, path: str) -> str | None:
        """Why a request is not forwarded; None if it is."""
        if why := refusal(method, path):
            return why
        if method not in self.methods:
            return f"{method} is not among the methods allowed: {', '.join(sorted(self.methods))}"
        if self.paths and not any(_is_under(path, allowed) for allowed in self.paths):
            return f"the path is not under one of those allowed: {', '.join(self.paths)}"
        if _is_under(path.lower(), _SECRETS):
            return "who had the webhooks' secrets could sign events of its own"
        return None


def _is_under(path: str, parent: str) -> bool:
    return path == parent or path.startswith(f"{parent}/")


def _decoded(path: str) -> str:
    """The path with percent-encoding removed, however often it was applied."""
    while (plain := unquote(path, errors="replace")) != path:
        path = plain
    return path
