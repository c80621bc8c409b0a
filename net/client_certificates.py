"""HTTP clients with a client certificate (mTLS): one for each certificate, under the same egress rule."""

from __future__ import annotations

import hashlib
import os
import ssl
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from errors import NodeError

MAX_CLIENTS = 20


class Certificate(NamedTuple):
    """A certificate with its chain, and its private key, both as PEM. The passphrase is empty if the key has none."""

    chain: str
    key: str
    passphrase: str


@dataclass(slots=True, eq=False)
class _PooledClient:
    client: Any
    users: int = 0
    is_evicted: bool = False


class CertifiedClients:
    """The clients of a process by certificate, closing the least recently used beyond MAX_CLIENTS. Thread-safe.

    `make` returns a client for a TLS context, `new_context` a context without a certificate.
    """

    def __init__(self, make: Callable[[ssl.SSLContext], Any], new_context: Callable[[], ssl.SSLContext]) -> None:
        self.make, self.new_context = make, new_context
        self._entries: OrderedDict[bytes, _PooledClient] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def open(self, certificate: Certificate) -> Iterator[Any]:
        """Yield the client of a certificate. Raises: NodeError if its parts do not fit together."""
        entry = self._enter(certificate)
        try:
            yield entry.client
        finally:
            with self._lock:
                entry.users -= 1
                is_left = entry.is_evicted and not entry.users
            if is_left:
                entry.client.close()

    def close(self) -> None:
        """Close all clients."""
        with self._lock:
            entries = list(self._entries.values())
            self._entries.clear()
        for entry in entries:
            entry.client.close()

    def _enter(self, certificate: Certificate) -> _PooledClient:
        key = hashlib.sha256("\0".join(certificate).encode()).digest()
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                context = self.new_context()
                load_certificate(context, certificate)
                entry = self._entries[key] = _PooledClient(self.make(context))
            entry.users += 1
            self._entries.move_to_end(key)
            evicted = self._entries.popitem(last=False)[1] if len(self._entries) > MAX_CLIENTS else None
            if evicted is not None:
                evicted.is_evicted = True
                evicted = evicted if not evicted.users else None
        if evicted is not None:
            evicted.client.close()
        return entry


def load_certificate(context: ssl.SSLContext, certificate: Certificate) -> None:
    """Add the certificate to the context. Raises: NodeError if its parts do not fit together.

    OpenSSL reads files only. The key is in a file in memory where the system has such files.
    """
    text = f"{certificate.key.strip()}\n{certificate.chain.strip()}\n"
    try:
        with _private_file(text.encode()) as path:
            # Without a passphrase, OpenSSL would ask for one on the terminal.
            context.load_cert_chain(path, password=lambda: certificate.passphrase or "none")
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or "they are not PEM, or the passphrase is wrong"
        text = f"the certificate and its private key cannot be used: {reason.lower().replace('_', ' ')}"
        raise NodeError(text, permanent=True, kind="credential") from None


@contextmanager
def _private_file(content: bytes) -> Iterator[str]:
    """Yield the path of a file with this content, which nobody else can read."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("certificate")
        try:
            os.write(descriptor, content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            yield file.name
