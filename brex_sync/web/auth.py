"""How the UI authenticates people."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Protocol


class Auth(StrEnum):
    """How the UI authenticates people: by its token, by a reverse proxy's header, or not at all."""

    TOKEN = "token"  # noqa: S105
    PROXY = "proxy"
    NONE = "none"


class _Headers(Protocol):
    def getlist(self, key: str) -> list[str]: ...


@dataclass(frozen=True)
class Vouching:
    """A reverse proxy that logs people in and names them in a header, known by its address."""

    header: str
    networks: tuple[IPv4Network | IPv6Network, ...]

    def names(self, peer: str, headers: _Headers) -> bool:
        """Whether a request comes from the proxy and names exactly one person."""
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        if not any(address in network for network in self.networks):
            return False
        named = [name.strip() for name in headers.getlist(self.header)]
        return len(named) == 1 and named != [""]


def parse_networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """The addresses and networks in a comma-separated list.

    Raises ValueError for anything else, and for a network that includes every address.
    """
    networks = []
    for word in filter(None, map(str.strip, text.split(","))):
        try:
            network = ip_network(word)
        except ValueError:
            raise ValueError(f"{word}: not an address or a network, such as 10.0.0.0/8") from None
        if network.prefixlen == 0:
            raise ValueError(f"{word}: that is everybody's address")
        networks.append(network)
    return tuple(networks)
