"""Rate limits that all processes of a machine share, exactly: a small file, which holds when each may be called again.

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
SLOT = struct.Struct("<8sQ")  # which limit, and when its bucket is empty, on the clock of the machine
SLOTS = 4_096
PROBED = 16  # of the slots that a limit may have


class Slot(NamedTuple):
    """A place in the file: what it holds of a limit, which may be another one."""

    at: int
    key: bytes
    empty_at: int


class Rates:
    """Opens the file at its first use, in each process anew, since a forked descriptor would share its lock."""

    def __init__(self, path: Path, clock: Callable[[], int] = time.monotonic_ns) -> None:
        """`clock` gives nanoseconds, the same for all processes."""
        self.path, self.clock = path, clock
        self._lock = threading.Lock()
        self._fd = -1
        self._slots: mmap.mmap | None = None

    def wait(self, name: str, per_minute: int) -> float:
        """Take one of the calls that this limit allows; 0, or the seconds until there is one again.

        After a minute without calls, `per_minute` are allowed at once; then one each time its share of a minute is
        over. Raises OSError if the file cannot be opened.
        """
        key = blake2b(name.encode(), digest_size=8).digest()
        step = MINUTE // per_minute
        with self._lock:
            slots = self._slots or self._open()
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            try:
                now = self.clock()
                slot = _slot(slots, key, now)
                # A time that is further ahead than any limit can be was written before the machine started anew.
                is_known = slot.key == key and now < slot.empty_at <= now + MINUTE
                empty_at = (slot.empty_at if is_known else now) + step
                if empty_at > now + MINUTE:
                    return (empty_at - now - MINUTE) / 1e9
                SLOT.pack_into(slots, slot.at, key, empty_at)
                return 0.0
            finally:
                fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _open(self) -> mmap.mmap:
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # A block that is missing would end the process when it writes there and the disk is full.
        os.posix_fallocate(self._fd, 0, SLOTS * SLOT.size)
        self._slots = mmap.mmap(self._fd, SLOTS * SLOT.size)
        return self._slots


def _slot(slots: mmap.mmap, key: bytes, now: int) -> Slot:
    """The slot of this limit; else one that holds nothing of use any more, or the one that soon will not."""
    first = int.from_bytes(key)
    places = [(first + number) % SLOTS * SLOT.size for number in range(PROBED)]
    found = [Slot(at, *SLOT.unpack_from(slots, at)) for at in places]
    mine = next((slot for slot in found if slot.key == key), None)
    return mine or min(found, key=lambda slot: slot.empty_at if now < slot.empty_at <= now + MINUTE else 0)
