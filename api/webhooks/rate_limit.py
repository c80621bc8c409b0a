"""Rate limits shared exactly by all processes of a machine: a small file with the time of each limit's next call.

The algorithm is GCRA, a leaky bucket that keeps one number for each limit: the time at which its bucket is empty again
(ITU-T I.371, annex A.1).
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import threading
import time
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

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
                slot = _find_slot(slots, key, now)
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


def _find_slot(slots: mmap.mmap, key: bytes, now: int) -> Slot:
    """Return this limit's slot; else an unused or expired one, else the one that expires first."""
    first = int.from_bytes(key)
    places = [(first + number) % SLOTS * SLOT.size for number in range(MAX_PROBES)]
    found = [Slot(at, *SLOT.unpack_from(slots, at)) for at in places]
    mine = next((slot for slot in found if slot.key == key), None)
    return mine or min(found, key=lambda slot: slot.empty_at if now < slot.empty_at <= now + MINUTE else 0)
