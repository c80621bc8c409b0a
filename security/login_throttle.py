"""Login throttle: limits on password attempts. Each attempt counts as a failure before the password is checked, so
concurrent attempts in any process are no more than consecutive ones.

An attacker at one address is blocked. An account attacked from many addresses becomes slow for unknown addresses, and
never for those from which its user logged in recently, unless the attacker has such an address too: then it is slow
there, but never closed.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import NamedTuple

from database import write
from database.base import now_ms
from database.queries import users
from database.queries.locks import lock_names
from errors import TooMany
from models import User

WINDOW_MS = 15 * 60_000
# Failures within WINDOW_MS that block: an account from one address; all accounts from that address.
MAX_FAILURES = {"pair": 10, "address": 50}
SHARED_FACTOR = 10  # by which an address may fail more often if it may be that of many clients
MAX_BAD_LINKS = 50  # from one address; tokens cannot be guessed, so this only limits the server's work
FREE_FAILURES = 10  # of an account; after these each attempt waits twice as long as the previous one
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
            users.forget_failures([self.keys["pair"], self.keys["account"]])
            users.uncount_failure(self.keys["address"])
            users.note_address(user.id, self.network)


def count_attempt(account: str, address: str, user: User | None, is_shared: bool = False) -> Attempt:
    """Count an attempt at this account's password; `user` is None for an unknown account.

    `is_shared`: the address may be that of many clients.

    Raises: TooMany with the seconds to wait, if no attempt is allowed now.
    """
    made = Attempt(account, get_network(address))
    keys, factor = made.keys, SHARED_FACTOR if is_shared else 1
    with write():
        lock_names("login", keys.values())
        if user is not None and users.is_known_address(user.id, made.network):
            # Its user may be behind the same proxy as the attacker.
            waits = [_get_pause(keys["pair"])]
        else:
            waits = [_get_pause(keys["account"]), _get_block("address", keys, factor)]
            waits += [_get_pause(keys["pair"]) if is_shared else _get_block("pair", keys)]
        if max(waits) > 0:
            raise TooMany("Too many failed logins; try again later", retry_after=-(-max(waits) // 1000))
        users.note_failures(keys.values(), WINDOW_MS)
    return made


def count_bad_link(address: str, is_shared: bool) -> None:
    """Count an invalid invitation link of this address. Raises: TooMany if there are too many."""
    _count_link(get_network(address), MAX_BAD_LINKS * (SHARED_FACTOR if is_shared else 1))


def count_refusal(invitation: str) -> None:
    """Count a use of this invitation that was refused. Raises: TooMany if there are too many, with a valid link."""
    _count_link(invitation, MAX_BAD_LINKS)


def _count_link(name: str, most: int) -> None:
    key = f"link:{name}"
    row = users.recent_failures(key, WINDOW_MS)
    if row is not None and row.count >= most:
        wait = -(-(row.since + WINDOW_MS - now_ms()) // 1000)
        raise TooMany("Too many invalid invitation links; try again later", retry_after=max(1, wait))
    users.note_failures([key], WINDOW_MS)


def lock(*accounts: str) -> None:
    """Let no other transaction count attempts at these accounts until the end of this one."""
    lock_names("login", [f"account:{account}" for account in accounts])


def forget(account: str) -> None:
    """Forget the failures of an account whose password has changed."""
    with write():
        lock(account)
        users.forget_failures([f"account:{account}"])
        users.forget_all_failures(f"pair:{account} ")


@lru_cache(4_096)
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


def _get_block(kind: str, keys: dict[str, str], factor: int = 1) -> int:
    """Return the milliseconds until this counter's failures expire, if they block; else 0."""
    row = users.recent_failures(keys[kind], WINDOW_MS)
    return 0 if row is None or row.count < MAX_FAILURES[kind] * factor else row.since + WINDOW_MS - now_ms()


def _get_pause(key: str) -> int:
    """Return the milliseconds until the next attempt after many failures; at most 0 if it is allowed."""
    row = users.recent_failures(key, WINDOW_MS)
    if row is None or row.count < FREE_FAILURES:
        return 0
    pause = min(MAX_PAUSE, 2 ** min(row.count - FREE_FAILURES, 10))
    return row.last + pause * 1000 - now_ms()
