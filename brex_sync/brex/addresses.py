"""Checks of addresses before secrets are sent there, on parsed URLs: a pattern would accept
`https:evil.com`.
"""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

_PLAIN = re.compile(r"[a-z]+://([^@\s\\/?#]*@)?[^@\s\\/?#]+([/?][!\"$-\[\]-~]*)?", re.ASCII)
"""A scheme, at most one user, a host and what follows it: without a fragment, spaces, backslashes
or what is not ASCII, which programs read differently."""
_LABEL = r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?"
_NAME = re.compile(rf"(?!.*\d$){_LABEL}(\.{_LABEL})*", re.ASCII)
"""A host name; what ends in a digit is an address, or no name."""
_BETWEEN = re.compile(r"[,\s]+(?=[a-z][a-z0-9+.-]*://)", re.IGNORECASE)
"""What separates URLs: a comma that no scheme follows is part of one."""
_ANY = re.compile(r"[a-z][a-z0-9+.-]*://\S*", re.IGNORECASE)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def is_private(url: str) -> bool:
    """Whether only the host can read what is sent to the URL: https, or this machine.

    False for a URL without a host, or with anything but scheme, host, port and path.
    """
    scheme, host = _parsed(url)
    return scheme == "https" or (scheme == "http" and host in _LOOPBACK)


def is_mail_server(url: str) -> bool:
    """Whether the URL names a mail server, as `smtps://user:password@host:465` or `smtp://…`."""
    return _parsed(url)[0] in ("smtp", "smtps")


def is_here(host: str) -> bool:
    """Whether the host is this machine."""
    return host in _LOOPBACK


def split_urls(text: str) -> list[str]:
    """The URLs of any schemes in a text, separated by commas, spaces or both.

    Raises:
        ValueError: something in it is no URL; told by its place, not its text.
    """
    found = _BETWEEN.split(text.strip(", \t\r\n"))
    if others := [n for n, url in enumerate(found, start=1) if not _ANY.fullmatch(url)]:
        raise ValueError(
            f"number {others[0]} is no URL: expected Apprise URLs, such as slack://… or "
            "mailtos://…, separated by commas or spaces"
        )
    return found


def _parsed(url: str) -> tuple[str, str]:
    """The scheme and host of a plain URL; two empty texts for any other."""
    if not _PLAIN.fullmatch(url):
        return "", ""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "", ""
    if port == 0 or not (_NAME.fullmatch(host) or _is_address(host)):
        return "", ""
    return parts.scheme, host


def _is_address(host: str) -> bool:
    try:
        return not ip_address(host).is_unspecified
    except ValueError:
        return False
