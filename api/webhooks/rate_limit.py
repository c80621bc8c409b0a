"""Rate limits shared exactly by all processes of a machine: a small file with the time of each limit's next call.

The algorithm is GCRA, a leaky bucket that keeps one number for each limit: the time at which its bucket is empty again
(ITU-T I.371, annex A.1).
"""

from __future__ import annotations

import fcntl
import math
import mmap
import os
import struct
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from api.http.request_origin import ClientAddress
from errors import TooMany, Unavailable
from security.login_throttle import get_network

MINUTE = 60_000_000_000  # nanoseconds
SLOT = struct.Struct("<8sQ")  # the key of the limit, and when its bucket is empty, on the machine's monotonic clock
SLOTS = 4_096
MAX_PROBES = 16  # slots that a limit may use


class Slot(NamedTuple):
    """A slot of the file with its content, which may be another limit's."""

    at: int
    key: bytes
    empty_at: int


class RateLimits:
    """Rate limits in a file, opened at first use in each process, since a forked descriptor would share its lock."""

    def __init__(self, path: Path, clock: Callable[[], int] = time.monotonic_ns) -> None:
        """`clock` returns nanoseconds, the same in all processes."""
        self.path, self.clock = path, clock
        self._lock = threading.Lock()
        self._fd = -1
        self._slots: mmap.mmap | None = None

    def take(self, name: str, per_minute: int, count: int = 1) -> float:
        """Take one call of this limit; with `count` 0 only look. Return 0, or the seconds until the next is allowed.

        After a minute without calls, `per_minute` calls are allowed at once; then one each `60 / per_minute` seconds.

        Raises: OSError if the file cannot be opened.
        """
        key = blake2b(name.encode(), digest_size=8).digest()
        step = MINUTE // per_minute
        with self._lock:
            slots = self._slots or self._open()
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            try:
                now = self.clock()
                first = int.from_bytes(key)
                places = [(first + number) % SLOTS * SLOT.size for number in range(MAX_PROBES)]
                found = [Slot(at, *SLOT.unpack_from(slots, at)) for at in places]
                # This limit's slot; else an unused or expired one, else the one that expires first.
                mine = next((slot for slot in found if slot.key == key), None)
                slot = mine or min(found, key=lambda slot: slot.empty_at if now < slot.empty_at <= now + MINUTE else 0)
                # A time further ahead than a limit can reach was written before the machine restarted.
                is_known = slot.key == key and now < slot.empty_at <= now + MINUTE
                empty_at = (slot.empty_at if is_known else now) + step
                if empty_at > now + MINUTE:
                    return (empty_at - now - MINUTE) / 1e9
                if count:
                    SLOT.pack_into(slots, slot.at, key, empty_at)
                return 0.0
            finally:
                fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _open(self) -> mmap.mmap:
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # Allocate all blocks: writing to a missing one on a full disk would kill the process (SIGBUS).
        os.posix_fallocate(self._fd, 0, SLOTS * SLOT.size)
        self._slots = mmap.mmap(self._fd, SLOTS * SLOT.size)
        return self._slots


# Guesses: limits on wrong secrets of webhooks, forms and app triggers.
#
# Two limits hold for each secret: one for each network address, and one for all addresses together, so that more
# addresses do not help a guesser. While the second one is reached, only addresses that sent the right secret lately
# are served: an answer to a right secret from elsewhere would tell a guesser that it is right. The second one does
# not apply to secrets of LONG_SECRET characters or more: nobody guesses them, and so nobody can keep out their
# callers.
#
# The processes of a machine count together (see `rate_limit.py`). No header of a request changes a limit.

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
        if any(len(secret) < LONG_SECRET for secret in secrets) and not self.knows(target, network):
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

    def knows(self, target: str, network: str) -> bool:
        """Return True if this network address has sent the right secret lately."""
        return any((target, network) in known for known in (self._known, self._known_before))

    def note_right(self, target: str, network: str) -> None:
        """Note that this network address has sent the right secret."""
        now = self.clock()
        if now >= self._known_until or len(self._known) >= MAX_KNOWN:
            self._known_before, self._known = self._known, set()
            self._known_until = now + KNOWN_SECONDS
        self._known.add((target, network))


# Refusal log: callers of webhooks and signed links that were refused, so that each is logged once a minute only.
#
# Kept in memory: each process counts separately. The limits on guesses are in `guesses.py`.

WINDOW = 60.0  # seconds
MAX_KEPT = 10_000  # pairs of webhook and address; beyond it, the oldest are dropped
MAX_LINES = 20  # in the logs of one webhook within a window


@dataclass(slots=True)
class _Count:
    since: float
    count: int = 0


class RefusalLog:
    """Refusals of one process. Thread-safe. `clock` returns seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: OrderedDict[tuple[str, str], _Count] = OrderedDict()

    def note(self, hook: str, address: str) -> bool:
        """Count a refusal. Return True if it should be logged: the first of a window, up to MAX_LINES."""
        return self.count(hook, address) == 1 and self.count(hook, "") <= MAX_LINES

    def count(self, hook: str, address: str) -> int:
        """Count a refusal of the address. Return its number in the current window."""
        pair = hook, address
        with self._lock:
            now = self._clock()
            found = self._counts.get(pair)
            if found is None or now >= found.since + WINDOW:
                self._counts.pop(pair, None)
                found = self._counts[pair] = _Count(now)
                while len(self._counts) > MAX_KEPT:
                    self._counts.popitem(last=False)
            found.count += 1
            return found.count
