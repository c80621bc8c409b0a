"""Store of large values: objects of an S3 bucket, written, read and deleted by name, with limits on time and size.

Its library, which the node `s3` uses too, is loaded at the first use. The egress rule does not apply: like the
database, the store is configured by the operator of the server, and not by a user.
"""

from __future__ import annotations

import functools
import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from hashlib import blake2b
from importlib.util import find_spec
from io import BytesIO
from typing import Any, TypeVar
from urllib.parse import urlsplit

from config import Config
from database.queries import large_values
from dispatch.payloads import PayloadRows
from errors import ConfigError, NodeError, Unavailable
from net.egress import tls_context
from packs.s3.node import PIECE, PROTOCOL_ERRORS, make_pool_class, to_node_error

T = TypeVar("T")
log = logging.getLogger("headrace.dispatch")
AWS = "https://s3.amazonaws.com"
CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 10.0
MIN_RATE = 2**20  # bytes a second: a value may take its size divided by this, in addition to these seconds
TRY_SECONDS = 3.0  # for retries of a failed request
FIRST_PAUSE, MAX_PAUSE = 0.2, 5.0  # seconds between two attempts; doubled after each
MIN_PART = 5 * 2**20  # the minimum of the library
MAX_BYTES = 2**30  # of one value: the maximum of HEADRACE_MAX_VALUE_BYTES
MAX_CONNECTIONS = 32  # kept open
MISSING = "NoSuchKey"


class StoreDown(Unavailable):
    """The store could not write, read or delete a value.

    The reason is only in the server's log, because it may contain the address of the store.
    """

    def __init__(self) -> None:
        super().__init__("The store of large values does not answer at the moment; try again soon", retry_after=5)


class ValueStore:
    """The objects below a prefix of a bucket. It connects at its first use, so it can be created before a fork.

    Methods raise StoreDown after retries for `patience` seconds.
    """

    def __init__(self, config: Config, pause: Callable[[float], object] = time.sleep) -> None:
        place = urlsplit(config.values_url)
        self.config, self.pause = config, pause
        self.bucket, self.prefix = place.netloc, f"{place.path}/".lstrip("/")
        self.endpoint = urlsplit(config.values_endpoint or AWS)
        self._client: Any = None
        self._pool: Any = None
        self._lock = threading.Lock()
        self._is_down = False

    def put(self, name: str, value: bytes, patience: float = TRY_SECONDS) -> None:
        """Write an object."""
        self._try(lambda client: self._write(client, self._key(name), value), patience)

    def get(self, name: str, most: int | None = None, patience: float = TRY_SECONDS) -> bytes:
        """Return an object, or its first `most` bytes. Raises: FileNotFoundError if there is none."""
        return self._try(lambda client: self._read(client, self._key(name), most), patience)

    def remove(self, names: Iterable[str]) -> None:
        """Delete objects. Objects that do not exist are ignored."""
        keys = [self._key(name) for name in names]
        self._try(lambda client: self._remove(client, keys), TRY_SECONDS)

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            if self._pool is not None:
                self._pool.clear()

    def check(self) -> None:
        """Write, read and delete an object. Log a warning if the store is down. Raises: ConfigError if it refuses."""
        name = f"check_{secrets.token_hex(8)}"
        try:
            client = self._connect()
            key = self._key(name)
            self._write(client, key, b"{}")
            self._read(client, key)
            self._remove(client, [key])
        except Exception as error:
            failure = self._describe(error)
            if failure.permanent:
                raise ConfigError(
                    f"HEADRACE_VALUES_URL: {self.config.values_url} cannot be used: {failure.message}. Check also "
                    "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL_S3"
                ) from None
            log.warning("The store of large values cannot be reached yet: %s", failure.message)

    def _key(self, name: str) -> str:
        return f"{self.prefix}{name}.json"

    def _try(self, request: Callable[[Any], T], patience: float) -> T:
        """Return the result of a request. After a transient error it is retried."""
        end, pause = time.monotonic() + patience, FIRST_PAUSE
        while True:
            try:
                result = request(self._connect())
            except FileNotFoundError:
                raise
            except Exception as error:
                failure = self._describe(error)
            else:
                self._note(None)
                return result
            if failure.permanent or time.monotonic() + pause > end:
                self._note(failure)
                raise StoreDown from None
            self.pause(pause)
            pause = min(MAX_PAUSE, pause * 2)

    def _note(self, failure: NodeError | None) -> None:
        """Log if requests begin to fail, or succeed again."""
        was, self._is_down = self._is_down, failure is not None
        if failure is not None and not was:
            log.error("The store of large values fails: %s", failure.message)
        elif was and failure is None:
            log.info("The store of large values answers again")

    def _describe(self, error: Exception) -> NodeError:
        from minio.error import MinioException
        from urllib3.exceptions import HTTPError

        if isinstance(error, NodeError):
            return error
        if not isinstance(error, (MinioException, HTTPError, OSError, *PROTOCOL_ERRORS)):
            raise error
        return to_node_error(error, self.endpoint.hostname or "")

    # The library

    def _connect(self) -> Any:
        with self._lock:
            if self._client is None:
                from minio import Minio

                config = self.config
                self._pool = _make_pool()(ssl_context=tls_context(config.ca_file, "values"), maxsize=MAX_CONNECTIONS)
                self._client = Minio(
                    self.endpoint.netloc,
                    config.values_key_id,
                    config.values_key,
                    secure=self.endpoint.scheme == "https",
                    region=config.values_region or None,
                    http_client=self._pool,
                )
            return self._client

    def _write(self, client: Any, key: str, value: bytes) -> None:
        # In one part, so that the object exists completely or not at all.
        client.put_object(self.bucket, key, BytesIO(value), len(value), part_size=max(MIN_PART, len(value)))

    def _read(self, client: Any, key: str, most: int | None = None) -> bytes:
        from minio.error import S3Error

        try:
            response = client.get_object(self.bucket, key, length=most or 0)
        except S3Error as error:
            if error.code == MISSING:
                raise FileNotFoundError(f"the object {key} is not in the bucket {self.bucket}") from None
            raise
        try:
            body = bytearray()
            size = int(response.headers.get("content-length", 0))
            end = time.monotonic() + ANSWER_SECONDS + size / MIN_RATE
            for piece in response.stream(PIECE, decode_content=False):
                body += piece
                if len(body) > min(size, MAX_BYTES) or time.monotonic() > end:
                    raise NodeError(f"{self.endpoint.hostname} sent too much or too slowly")
        except BaseException:
            response.close()
            raise
        response.release_conn()
        return bytes(body)

    def _remove(self, client: Any, keys: Iterable[str]) -> None:
        from minio.deleteobjects import DeleteObject

        for error in client.remove_objects(self.bucket, [DeleteObject(key) for key in keys]):
            if error.code != MISSING:
                raise NodeError(f"{error.code}: {str(error.message)[:500]} ({error.name})")


@functools.cache
def _make_pool() -> Any:
    from urllib3 import Timeout

    class ValueStorePool(make_pool_class()):  # type: ignore[misc]
        """Gives each request a timeout that depends on the size of its body."""

        def urlopen(self, method: str, url: str, redirect: bool = True, **options: Any) -> Any:
            size = len(options.get("body") or b"")
            # urllib3 uses the timeout of connecting also for sending the body.
            options["timeout"] = Timeout(connect=CONNECT_SECONDS + size / MIN_RATE, read=ANSWER_SECONDS)
            return super().urlopen(method, url, redirect, **options)

    return ValueStorePool


# Payloads as objects. Rows of PostgreSQL refer to them by name (database/queries/large_values.py).
#
# The name of an object consists of the id of its run and a digest of its content. So equal values of a run share one
# object, and no object ever changes. The database has the name before the object is written, and until it is deleted.
# A retry of a run refers to the objects of that run instead of copying them.

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
            "`.venv/bin/python -m pip install -r packs/s3/requirements.txt`"
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
