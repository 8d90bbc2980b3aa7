"""The names under which a server is reached, and whether a page belongs to it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address
from typing import Self

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
"""The names under which a browser of this machine reaches it."""
STANDARD = {"http": 80, "https": 443}
"""The ports that an address need not name."""
_HOST = re.compile(
    r"(?P<name>{label}(\.{label})*|\[[0-9a-f:.]+\])(:(?P<port>[0-9]{{1,5}}))?".format(
        label="[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?"
    ),
    re.ASCII | re.IGNORECASE,
)


@dataclass(frozen=True)
class Host:
    """A name in lower case, or an address, and its port if it has one."""

    name: str
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The host in a Host header; None if it is invalid, such as one with a user in it."""
        found = _HOST.fullmatch(text)
        if found is None:
            return None
        name, port = found["name"].lower(), int(found["port"]) if found["port"] else None
        if name.startswith("["):
            try:
                name = f"[{IPv6Address(name[1:-1]).compressed}]"
            except AddressValueError:
                return None
        return cls(name, port) if port is None or 1 <= port <= 65535 else None

    @property
    def ports(self) -> Iterable[int]:
        """The port, or those that need not be named."""
        return (self.port,) if self.port else STANDARD.values()

    def is_of(self, origin: str) -> bool:
        """Whether an Origin header names this host: the request comes from the app's own page."""
        scheme, _, rest = origin.partition("://")
        page, unnamed = self.parse(rest), STANDARD.get(scheme)
        if page is None or unnamed is None:
            return False
        return (page.name, page.port or unnamed) == (self.name, self.port or unnamed)


def parse_hosts(text: str) -> list[Host]:
    """The hosts in a comma-separated list.

    Raises ValueError for anything else.
    """
    hosts = []
    for word in filter(None, map(str.strip, text.split(","))):
        host = Host.parse(word)
        if host is None:
            raise ValueError(f"{word}: not a host, such as dagster.example.com or localhost:8000")
        hosts.append(host)
    return hosts


class Hosts:
    """The names of a server: this machine's with its port, and additional ones."""

    def __init__(self, port: int, others: Iterable[Host] = ()) -> None:
        self._known = {(name, port) for name in LOOPBACK}
        self._known |= {(other.name, one) for other in others for one in other.ports}

    def __contains__(self, host: Host) -> bool:
        return any((host.name, port) in self._known for port in host.ports)
