"""Networks from which a webhook may be called."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Any

MAX_CACHED = 1_000  # lists of networks


def is_in_networks(address: str, networks: tuple[str, ...]) -> bool:
    """Return True if the address is in one of the networks. An address that cannot be read is in none.

    An IPv4 address may come in its IPv6 form, ::ffff:192.0.2.1, from a server that listens on both.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    found = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(found in network for network in _parse(networks))


@lru_cache(MAX_CACHED)
def _parse(networks: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(ipaddress.ip_network(text, strict=False) for text in networks)
