"""What may be asked of Brex on somebody's word: plain paths of its API, and card numbers never."""

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
    """Why a request is never made for anyone, whatever the rules; None if it may be.

    Only paths that have one way to be read are let through: nothing is decoded or straightened
    here, so nobody behind us can read another path out of it.
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
    """Why not even our own code asks for a path, which may have encoded identifiers in it."""
    if not _ON_HOST.fullmatch(path):
        return "the path would lead to another host"
    if _CARD_NUMBER.search(_decoded(path)):
        return "card numbers are never asked for"
    return None


@dataclass(frozen=True, slots=True)
class Rules:
    """What other programs may ask of a connection: which methods, and what lies under which paths.

    No `paths` are all paths.
    """

    methods: frozenset[str] = frozenset(READS)
    paths: tuple[str, ...] = ()

    @classmethod
    def of(cls, methods: Iterable[str], paths: Iterable[str]) -> Self:
        """The rules people wrote down; no methods are those that read.

        Raises:
            ValueError: one cannot be meant.
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
        """Why a request is not passed on; None if it is."""
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
    """The path with all percent-encoding undone, however often it was applied."""
    while (plain := unquote(path, errors="replace")) != path:
        path = plain
    return path
