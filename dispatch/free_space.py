"""Free disk space: a full disk stops everything, so new runs are refused before it is full."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

log = logging.getLogger("headrace.dispatch")

LOOK_SECONDS = 1.0
USUAL_FLOOR = 512 * 2**20
USUAL_SHARE = 20  # the usual floor is no more than one part in so many of a disk


class FreeSpace:
    """The free space of these folders, measured at most once a second, since every webhook call asks for it."""

    def __init__(
        self, folders: Iterable[Path], floor: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Set the `floor`: the bytes that must be free. None: 512 MB, or 5 % of the disk if that is less."""
        self.folders, self.floor, self.clock = list(dict.fromkeys(folders)), floor, clock
        self._looked_at: float | None = None
        self._is_low = False

    def is_low(self) -> bool:
        """Return True if one of the disks has less free space than its floor."""
        now = self.clock()
        if self._looked_at is None or now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            self._tell(any([self._is_short(folder) for folder in self.folders]))
        return self._is_low

    def _is_short(self, folder: Path) -> bool:
        try:
            disk = os.statvfs(folder)
        except OSError:
            # The next write raises the error.
            return False
        return disk.f_bavail * disk.f_frsize < self._floor_of(disk)

    def floor_at(self, folder: Path) -> int:
        """Return the bytes that must stay free on the disk of this folder."""
        return self._floor_of(os.statvfs(folder))

    def _floor_of(self, disk: os.statvfs_result) -> int:
        usual = min(USUAL_FLOOR, disk.f_blocks * disk.f_frsize // USUAL_SHARE)
        return usual if self.floor is None else self.floor

    def _tell(self, is_low: bool) -> None:
        if is_low and not self._is_low:
            log.warning("the disk of the data is nearly full: no new runs are taken until more than the floor is free")
        elif self._is_low and not is_low:
            log.info("the disk of the data has room again: new runs are taken")
        self._is_low = is_low
