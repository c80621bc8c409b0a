"""Login throttle: limits on password attempts. Each attempt counts as a failure before the password is checked, so
concurrent attempts in any process are no more than consecutive ones.

An attacker at one address is blocked. An account attacked from many addresses becomes slow for unknown addresses, and
never closes for those from which its user logged in recently.
"""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

from database import write
from errors import TooMany
from models import LoginAddress, LoginFailure, User, lock_names, now_ms

WINDOW_MS = 15 * 60_000
# Failures within WINDOW_MS that block: an account from one address; all accounts from that address.
MAX_FAILURES = {"pair": 10, "address": 50}
MAX_BAD_LINKS = 50  # from one address; tokens cannot be guessed, so this only limits the server's work
FREE_FAILURES = 10  # of an account, from any address; after these each attempt waits twice as long as the previous one
MAX_PAUSE = 60  # seconds


class Attempt(NamedTuple):
    """One attempt at an account's password, which counts as a failure unless it has succeeded."""

    account: str
    network: str

    @property
    def keys(self) -> dict[str, str]:
        """Return the keys of its counters, by kind."""
        return {
            "pair": f"pair:{self.account} {self.network}",
            "account": f"account:{self.account}",
            "address": f"address:{self.network}",
        }

    def mark_success(self, user: User) -> None:
        """Undo the count: the password was right. Failures of the account are forgotten."""
        with write():
            lock_names("login", self.keys.values())
            LoginFailure.forget([self.keys["pair"], self.keys["account"]])
            LoginFailure.uncount(self.keys["address"])
            LoginAddress.note(user.id, self.network)


def count_attempt(account: str, address: str, user: User | None, is_shared: bool = False) -> Attempt:
    """Count an attempt at this account's password; `user` is None for an unknown account.

    `is_shared`: many clients share the address, so it is not blocked as one.

    Raises: TooMany with the seconds to wait, if no attempt is allowed now.
    """
    made = Attempt(account, get_network(address))
    keys = made.keys
    with write():
        lock_names("login", keys.values())
        waits = [_get_block("pair", keys)]
        if user is None or not LoginAddress.is_known(user.id, made.network):
            waits += [_get_pause(keys["account"]), 0 if is_shared else _get_block("address", keys)]
        if max(waits) > 0:
            raise TooMany("Too many failed logins; try again later", retry_after=-(-max(waits) // 1000))
        LoginFailure.note(keys.values(), WINDOW_MS)
    return made


def check_links(address: str, is_shared: bool) -> None:
    """Check the recent invalid invitation links of this address. Raises: TooMany if there are too many."""
    row = None if is_shared else LoginFailure.recent(_make_link_key(address), WINDOW_MS)
    if row is not None and row.count >= MAX_BAD_LINKS:
        wait = -(-(row.since + WINDOW_MS - now_ms()) // 1000)
        raise TooMany("Too many invalid invitation links; try again later", retry_after=max(1, wait))


def note_bad_link(address: str) -> None:
    """Count an invitation link that is invalid, or belongs to another person."""
    LoginFailure.note([_make_link_key(address)], WINDOW_MS)


def _make_link_key(address: str) -> str:
    return f"link:{get_network(address)}"


def lock(*accounts: str) -> None:
    """Let no other transaction count attempts at these accounts until the end of this one."""
    lock_names("login", [f"account:{account}" for account in accounts])


def forget(account: str) -> None:
    """Forget the failures of an account whose password has changed."""
    with write():
        lock(account)
        LoginFailure.forget([f"account:{account}"])
        LoginFailure.forget_all(f"pair:{account} ")


def get_network(address: str) -> str:
    """Return the unit that counts as one address: for IPv6 its /64, which one client has. Other text is unchanged."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def _get_block(kind: str, keys: dict[str, str]) -> int:
    """Return the milliseconds until this counter's failures expire, if they block; else 0."""
    row = LoginFailure.recent(keys[kind], WINDOW_MS)
    return 0 if row is None or row.count < MAX_FAILURES[kind] else row.since + WINDOW_MS - now_ms()


def _get_pause(key: str) -> int:
    """Return the milliseconds until the next attempt at an account with many failures; at most 0 if it is allowed."""
    row = LoginFailure.recent(key, WINDOW_MS)
    if row is None or row.count < FREE_FAILURES:
        return 0
    pause = min(MAX_PAUSE, 2 ** min(row.count - FREE_FAILURES, 10))
    return row.last + pause * 1000 - now_ms()
