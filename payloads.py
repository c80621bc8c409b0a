"""Values too large for a row: each lies in a file of its own under the data folder, `values/<run id>/<name>.json`.

A file is on the disk before the row that speaks of it, so a row never points at nothing.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

NAME = re.compile(r"[A-Za-z0-9_]+\Z")


class Kept(NamedTuple):
    """A value as a row holds it: its `text`, or the `size` in bytes of the file where it lies."""

    text: str | None
    size: int | None = None


def _sync(folder: Path) -> None:
    """Bring the folder's entries to the disk: a file that was synced may still lack its name."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class Payloads:
    """The files of all runs. Values up to `inline_bytes` stay in their rows."""

    def __init__(self, folder: Path, inline_bytes: int) -> None:
        self.folder = folder
        self.inline_bytes = inline_bytes

    def keep(self, run_id: str, name: str, value: bytes | None) -> Kept:
        """What to write into the row for this JSON text; a large one is in its file, synced, when this returns."""
        if value is None:
            return Kept(None)
        if len(value) <= self.inline_bytes:
            return Kept(value.decode())
        path = self._path(run_id, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(value)
            file.flush()
            os.fsync(file.fileno())
        for folder in (path.parent, self.folder):
            _sync(folder)
        return Kept(None, len(value))

    def load(self, run_id: str, name: str, kept: Kept) -> bytes | None:
        """The JSON text again; None where there is none."""
        if kept.size is not None:
            return self._path(run_id, name).read_bytes()
        return None if kept.text is None else kept.text.encode()

    def share(self, run_id: str, with_id: str, names: Iterable[str]) -> None:
        """Let another run have these values of a run, its input among them, for as long as it likes."""
        source, target = self._path(run_id, "x").parent, self._path(with_id, "x").parent
        found = [path for name in ("input", *names) if (path := source / f"{name}.json").exists()]
        if not found:
            return
        target.mkdir(parents=True, exist_ok=True)
        for path in found:
            os.link(path, target / path.name)
        for folder in (target, self.folder):
            _sync(folder)

    def remove(self, run_id: str) -> None:
        """Delete the files of a run."""
        shutil.rmtree(self._path(run_id, "x").parent, ignore_errors=True)

    def _path(self, run_id: str, name: str) -> Path:
        if not NAME.match(run_id) or not NAME.match(name):
            raise ValueError(f"no name of a payload: {run_id}/{name}")
        return self.folder / run_id / f"{name}.json"
