"""Lists of internet addresses: does an address belong to one of these networks?"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

NAMED = {
    "loopback": ("127.0.0.0/8", "::1/128"),
    "linklocal": ("169.254.0.0/16", "fe80::/10"),
    "uniquelocal": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
}
"""Groups that a list may name instead of writing them out."""

# Parse quirk: these mean "everybody", although they are single addresses (test_key_addresses).
EVERYBODY = {"0.0.0.0": "0.0.0.0/0", "::": "::/0", "::0": "::/0"}  # noqa: S104


class Networks:
    """Addresses, networks in CIDR notation and named groups. IPv4 addresses never match IPv6 networks."""

    def __init__(self, members: Iterable[str]) -> None:
        texts = [text for member in members for text in NAMED.get(member, (EVERYBODY.get(member, member),))]
        self._networks = [ip_network(text, strict=False) for text in texts]
        self._known: dict[str, bool] = {}

    def __contains__(self, address: str) -> bool:
        found = self._known.get(address)
        if found is None:
            found = self._holds(address)
            if len(self._known) < 10_000:  # the same few addresses ask again and again
                self._known[address] = found
        return found

    def __bool__(self) -> bool:
        return bool(self._networks)

    def _holds(self, address: str) -> bool:
        parsed = parse_address(address)
        return parsed is not None and any(parsed in network for network in self._networks)


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address; an IPv4 address dressed as IPv6 counts as IPv4. None if it is no address."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


NAT64, COMPATIBLE = ip_network("64:ff9b::/96"), ip_network("::/96")


def is_public(text: str) -> bool:
    """Is this an address of the public internet? One that carries an IPv4 address is as public as that is:
    translators on the way (NAT64, 6to4, Teredo) would call it."""
    address = parse_address(text)
    if isinstance(address, IPv6Address):
        carried = [address.sixtofour, *(address.teredo or ())]
        if address in NAT64 or address in COMPATIBLE:
            carried.append(IPv4Address(int(address) & 0xFFFFFFFF))
        if not all(other.is_global for other in carried if other is not None):
            return False
    return address is not None and address.is_global and not address.is_multicast
