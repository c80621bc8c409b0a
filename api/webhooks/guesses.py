"""Guesses: limits on wrong secrets of webhooks, forms and app triggers.

Two limits hold for each secret: one for each network address, and one for all addresses together, so that more
addresses do not help a guesser. While the second one is reached, only addresses that sent the right secret lately are
served: an answer to a right secret from elsewhere would tell a guesser that it is right. The second one does not apply
to secrets of LONG_SECRET characters or more: nobody guesses them, and so nobody can keep out their callers.

The processes of a machine count together (see `rate_limit.py`). No header of a request changes a limit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from api.http.request_origin import ClientAddress
from api.webhooks.rate_limit import RateLimits
from errors import TooMany, Unavailable
from security.login_throttle import get_network

MAX_OF_ADDRESS = 10  # wrong secrets a minute, from one network address at one secret
MAX_OF_SHARED = 100  # the same, if the address may be that of many clients
MAX_OF_SECRET = 100  # from all addresses
LONG_SECRET = 32  # characters
RECENT = 60.0  # seconds
KNOWN_SECONDS = 86_400.0  # for which an address is known at least
MAX_KNOWN = 10_000  # pairs of secret and address, twice


class Guess(NamedTuple):
    """An attempt at a target's secret, with the limits that count it if it is wrong: names, and numbers a minute."""

    guesses: Guesses
    target: str
    network: str
    limits: tuple[tuple[str, int], ...]

    def mark_right(self) -> None:
        """Note that this network address has sent the right secret."""
        self.guesses.note_right(self.target, self.network)

    def mark_wrong(self) -> None:
        """Count a wrong secret. Raises: TooMany if a limit is reached, by others at the same time; Unavailable."""
        self.guesses.last_wrong = self.guesses.clock()
        self.guesses.apply(self.limits, 1)


class Guesses:
    """Wrong secrets of late, and the addresses with right ones. Thread-safe. `clock` returns seconds."""

    def __init__(self, rates: RateLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self.rates, self.clock = rates, clock
        self.last_wrong = -math.inf
        self._known: set[tuple[str, str]] = set()
        self._known_before: set[tuple[str, str]] = set()
        self._known_until = -math.inf

    def __bool__(self) -> bool:
        """Return True if this process has seen a wrong secret so recently that a limit may apply."""
        return self.clock() < self.last_wrong + RECENT

    def begin(self, target: str, client: ClientAddress, secrets: Iterable[str]) -> Guess:
        """Check the limits before the secrets of this target are compared with the one that the client sent.

        Raises: TooMany if a limit is reached; Unavailable if it cannot be read.
        """
        network = get_network(client.address)
        limits = [(f"guess {target} {network}", MAX_OF_SHARED if client.is_shared else MAX_OF_ADDRESS)]
        if any(len(secret) < LONG_SECRET for secret in secrets) and not self._is_known(target, network):
            limits.append((f"guess {target}", MAX_OF_SECRET))
        if self:
            self.apply(limits, 0)
        return Guess(self, target, network, tuple(limits))

    def apply(self, limits: Iterable[tuple[str, int]], count: int) -> None:
        """Count wrong secrets, unless a limit is reached. Raises: TooMany; Unavailable."""
        try:
            # What the address may not send does not use up the limit of all others.
            wait = next((wait for name, most in limits if (wait := self.rates.take(name, most, count))), 0.0)
        except OSError as error:
            raise Unavailable("Callers cannot be authenticated at the moment", retry_after=5) from error
        if wait:
            raise TooMany("Too many calls failed to authenticate; try again later", retry_after=math.ceil(wait))

    def note_right(self, target: str, network: str) -> None:
        """Note that this network address has sent the right secret."""
        now = self.clock()
        if now >= self._known_until or len(self._known) >= MAX_KNOWN:
            self._known_before, self._known = self._known, set()
            self._known_until = now + KNOWN_SECONDS
        self._known.add((target, network))

    def _is_known(self, target: str, network: str) -> bool:
        pair = target, network
        return pair in self._known or pair in self._known_before
