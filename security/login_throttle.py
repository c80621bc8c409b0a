"""How often passwords may be tried. Each try counts as a failure before the password is looked at: tries at the same
time, in whichever process, are no more than those one after another.

Whoever guesses from one address is stopped; an account that is guessed at from many addresses becomes slow for those
that are not known, and never closes for the addresses from which its user has logged in of late.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from database import write
from errors import TooMany
from models import LoginAddress, LoginFailure, User, now_ms

WINDOW_MS = 15 * 60_000
# Failures within WINDOW_MS after which there are no more tries: for an account from one address; from that address.
MAX_FAILURES = {"pair": 10, "address": 50}
MAX_BAD_LINKS = 50  # from an address; a token cannot be guessed, so this bounds the work that is done for them
FREE_FAILURES = 10  # of an account, from wherever; after these, each try must wait, twice as long as the one before
MAX_PAUSE = 60  # seconds


@dataclass(frozen=True)
class Try:
    """One try at the password of an account, which counts as a failure unless it `worked`."""

    account: str
    network: str

    @property
    def keys(self) -> dict[str, str]:
        """The keys under which it is counted, by what they stand for."""
        return {
            "pair": f"pair:{self.account} {self.network}",
            "account": f"account:{self.account}",
            "address": f"address:{self.network}",
        }

    def worked(self, user: User) -> None:
        """Take it back: it was the password of this user. Failures of the account are forgotten."""
        with write():
            LoginFailure.forget([self.keys["pair"], self.keys["account"]])
            LoginFailure.take_back(self.keys["address"])
            LoginAddress.note(user.id, self.network)


def take(account: str, address: str, user: User | None, is_shared: bool = False) -> Try:
    """Count a try at the password of this account, whose user is None if there is none.

    `is_shared`: the address is known to stand for many clients, so that it is not stopped as one.

    Raises: TooMany, with the seconds to wait, if there may be no try now.
    """
    made = Try(account, network_of(address))
    keys = made.keys
    with write():
        waits = [_blocked("pair", keys)]
        if user is None or not LoginAddress.is_known(user.id, made.network):
            waits += [_paused(keys["account"]), 0 if is_shared else _blocked("address", keys)]
        if max(waits) > 0:
            raise TooMany("Too many failed logins; try again later", retry_after=-(-max(waits) // 1000))
        LoginFailure.note(keys.values(), WINDOW_MS)
    return made


def check_links(address: str, is_shared: bool) -> None:
    """Raises: TooMany if too many invitation links that are not valid came from this address of late."""
    row = None if is_shared else LoginFailure.recent(_link_key(address), WINDOW_MS)
    if row is not None and row.count >= MAX_BAD_LINKS:
        wait = -(-(row.since + WINDOW_MS - now_ms()) // 1000)
        raise TooMany("Too many invitation links that are not valid; try again later", retry_after=max(1, wait))


def note_bad_link(address: str) -> None:
    """Count an invitation link that is not valid, or not for the person who used it."""
    LoginFailure.note([_link_key(address)], WINDOW_MS)


def _link_key(address: str) -> str:
    return f"link:{network_of(address)}"


def forget(account: str) -> None:
    """Forget the failures of an account, whose password is another now."""
    LoginFailure.forget([f"account:{account}"])
    LoginFailure.forget_all(f"pair:{account} ")


def network_of(address: str) -> str:
    """What counts as one address: of IPv6 a /64, since that is what one client has. Any text that is none is itself."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def _blocked(kind: str, keys: dict[str, str]) -> int:
    """Milliseconds until the failures under this key are forgotten, if there are too many; else 0."""
    row = LoginFailure.recent(keys[kind], WINDOW_MS)
    return 0 if row is None or row.count < MAX_FAILURES[kind] else row.since + WINDOW_MS - now_ms()


def _paused(key: str) -> int:
    """Milliseconds until the next try at an account that has failed often; 0 or less for now."""
    row = LoginFailure.recent(key, WINDOW_MS)
    if row is None or row.count < FREE_FAILURES:
        return 0
    pause = min(MAX_PAUSE, 2 ** min(row.count - FREE_FAILURES, 10))
    return row.last + pause * 1000 - now_ms()
