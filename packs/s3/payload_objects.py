"""Payloads as objects of an S3 store. Rows of PostgreSQL refer to them by name (database/queries/large_values.py).

The name of an object consists of the id of its run and a digest of its content. So equal values of a run share one
object, and no object ever changes. The database has the name before the object is written, and until it is deleted.
A retry of a run refers to the objects of that run instead of copying them.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from hashlib import blake2b
from importlib.util import find_spec

from config import Config
from database.queries import large_values
from dispatch.payloads import PayloadRows
from errors import ConfigError
from packs.s3.value_store import TRY_SECONDS, StoreDown, ValueStore

WRITE_SECONDS = 60.0  # for which a run in progress waits for a store that is down, before the run fails
MAX_RECENT_BYTES = 16 * 2**20


def open_payloads(config: Config, inline_bytes: int) -> PayloadObjects:
    """Return the payloads in the store of HEADRACE_VALUES_URL. It connects at its first use."""
    return PayloadObjects(inline_bytes, ValueStore(config))


def check_values(config: Config) -> None:
    """Check the store of large values, if one is set. Raises: ConfigError if it refuses, or minio is not installed."""
    if not config.values_url:
        return
    if find_spec("minio") is None:
        raise ConfigError(
            "HEADRACE_VALUES_URL is set, but the package minio is not installed; start with EXTRAS=s3, or run "
            "`.venv/bin/python -m pip install -r extras/s3.txt`"
        )
    store = ValueStore(config)
    try:
        store.check()
    finally:
        store.close()


class PayloadObjects(PayloadRows):
    """The payloads of all runs, in objects. Values that were written before the store was configured stay in rows."""

    def __init__(self, inline_bytes: int, store: ValueStore) -> None:
        super().__init__(inline_bytes)
        self.store = store
        self._recent = Recent()

    def _store(self, run_id: str, name: str, value: bytes, claims: int, is_patient: bool = False) -> None:
        digest = _digest(value)
        large_values.put_object(run_id, name, claims, digest)
        self._write(f"{run_id}/{digest}", value, is_patient)

    def close(self) -> None:
        """Close the connections to the store."""
        self.store.close()

    def prepare(self, run_id: str, value: bytes | None) -> None:
        """Write the object of a value, so that `keep` need not wait for the store. Call it before a transaction."""
        if value is not None and len(value) > self.inline_bytes:
            digest = _digest(value)
            large_values.note_object(run_id, digest)
            self._write(f"{run_id}/{digest}", value)

    def _write(self, object_name: str, value: bytes, is_patient: bool = False) -> None:
        if self._recent.get(object_name) is None:
            self.store.put(object_name, value, WRITE_SECONDS if is_patient else TRY_SECONDS)
            self._recent.add(object_name, value)

    def read_object(self, object_name: str) -> bytes:
        """Return the content of an object. Raises: FileNotFoundError if it does not exist or was changed; StoreDown."""
        found = self._recent.get(object_name)
        if found is None:
            found = self.store.get(object_name)
            if _digest(found) != object_name.partition("/")[2]:
                raise FileNotFoundError(f"the content of the object {object_name} has changed")
            self._recent.add(object_name, found)
        return found

    def _read_beginning(self, object_name: str, most: int) -> bytes:
        return self.store.get(object_name, most)

    def remove(self, run_id: str) -> int:
        """Delete the values of a run. If the store is down, retention deletes the objects later."""
        objects = large_values.remove(run_id)
        if objects:
            try:
                self.store.remove(one.name for one in objects)
            except StoreDown:
                return 0
            large_values.forget_objects(objects)
            self._recent.forget(one.name for one in objects)
        return 0

    def changed_at(self, run_id: str) -> int | None:
        """Return when the run was accepted, in milliseconds; None if it has neither values nor objects to delete."""
        return large_values.changed_at(run_id, with_objects=True)


class Recent:
    """A cache of the objects that this process has written or read recently, by name."""

    def __init__(self, max_bytes: int = MAX_RECENT_BYTES) -> None:
        self.max_bytes = max_bytes
        self._values: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def get(self, name: str) -> bytes | None:
        """Return the content, or None."""
        return self._values.get(name)

    def forget(self, names: Iterable[str]) -> None:
        """Forget these contents."""
        with self._lock:
            for name in names:
                self._size -= len(self._values.pop(name, b""))

    def add(self, name: str, value: bytes) -> None:
        """Remember the content, and forget the oldest ones beyond the limit."""
        with self._lock:
            if name not in self._values:
                self._values[name] = value
                self._size += len(value)
            while self._size > self.max_bytes:
                self._size -= len(self._values.popitem(last=False)[1])


def _digest(value: bytes) -> str:
    return blake2b(value, digest_size=32).hexdigest()
