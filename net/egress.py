"""Egress rule: an HTTP client that reaches only allowed addresses, within a time and a size.

The rule applies to the connected address, not to the name: the host is resolved here, each address is checked, and
exactly that address is dialled, so a name that resolves differently a moment later gains nothing. Every new connection
goes through this, including those of redirects.
"""

from __future__ import annotations

import functools
import hashlib
import ipaddress
import logging
import os
import re
import socket
import ssl
import tempfile
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from errors import ConfigError, LimitExceeded, NodeError, TimedOut

# HTTP clients with a client certificate (mTLS): one for each certificate, under the same egress rule.

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


log = logging.getLogger("headrace.egress")

MAX_BYTES = 10 * 2**20
MAX_REDIRECTS = 10
MAX_SHOWN = 200  # characters of a path in a message
PORTS = {"http": 80, "https": 443}
USER_AGENT = "Headrace"
CHUNK = 16 * 1024
MAX_UNZIPPED = 64 * 1024
GZIP = b"\x1f"
GLOBAL_V6 = ipaddress.ip_network("2000::/3")
NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Protocol assignments and 6to4 relays, which `is_global` classifies differently in different Python versions; and the
# host of an Azure machine, which gives it secrets. Other clouds have theirs at addresses that are not public.
SPECIAL_V4 = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")))
# Headers with the same meaning for every server. Others may be secret and are not sent to another host by a redirect.
SAFE_HEADERS = {
    *("accept", "accept-encoding", "accept-language", "connection", "content-length", "content-type", "host"),
    *("idempotency-key", "transfer-encoding", "user-agent"),
}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


def is_public(address: Address) -> bool:
    """Return True if the address is public. If an IPv6 address embeds an IPv4 address, that is checked."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in NAT64 else address.ipv4_mapped
        inner = inner or address.sixtofour
        if inner is not None:
            return is_public(inner)
        return address in GLOBAL_V6 and address.is_global
    special = address.is_multicast or address.is_reserved or any(address in network for network in SPECIAL_V4)
    return address.is_global and not special


class Rule:
    """The addresses that may be connected to: public ones, and those in the allow list.

    The list has hosts (`db.internal`, `*.example.com`), addresses and CIDRs. Raises: ConfigError for another entry.
    """

    def __init__(self, allow: Sequence[str]) -> None:
        self.hosts: set[str] = set()
        self.suffixes: list[str] = []
        self.networks: list[Any] = []
        for entry in filter(None, (item.strip().lower() for item in allow)):
            try:
                self.networks.append(ipaddress.ip_network(entry.strip("[]"), strict=False))
            except ValueError:
                if not set(entry).isdisjoint("/:@ ") or "*" in entry.removeprefix("*."):
                    raise ConfigError(f"HEADRACE_EGRESS_ALLOW: {entry!r} is not a host, address or CIDR") from None
                if entry.startswith("*."):
                    self.suffixes.append(entry[1:])
                else:
                    self.hosts.add(entry.rstrip("."))

    def permits(self, host: str, address: Address) -> bool:
        """Return True if a connection to `address`, resolved from `host`, is allowed."""
        return self.names(host) or is_public(address) or any(address in network for network in self.networks)

    def names(self, host: str) -> bool:
        """Return True if the allow list contains this host by name."""
        host = host.lower().rstrip(".")
        return host in self.hosts or any(host.endswith(suffix) for suffix in self.suffixes)

    def addresses(self, host: str, port: int) -> list[str]:
        """Return the addresses of `host` that may be reached, best first. Raises: NodeError if there are none."""
        found = {info[4][0]: None for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
        allowed = [str(text) for text in found if self.permits(host, ipaddress.ip_address(text))]
        if not allowed:
            # Authors of flows must not learn the addresses of the server's network.
            log.warning("refused to connect to %s, which is at %s", host, ", ".join(map(str, found)) or "no address")
            raise NodeError(
                f"{host} is at an address that may not be reached; HEADRACE_EGRESS_ALLOW can permit it, and the "
                "server's log has the address",
                permanent=True,
                kind="egress",
            )
        return allowed


@functools.cache
def tls_context(ca_file: Path | None, use: str) -> ssl.SSLContext:
    """Return the TLS context with the authorities of the system, of certifi and of the file.

    There is one for each `use`, since libraries change it: HTTP libraries set the protocols that they offer.
    """
    return make_tls_context(ca_file)


def make_tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a new TLS context with these authorities."""
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


@contextmanager
def limit_time(seconds: float) -> Iterator[None]:
    """Limit all operations of this thread on its connections to `seconds` in total. Raises: TimeoutError after that."""
    token = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def _limit_timeout(timeout: float | None) -> float | None:
    """Return the timeout of one socket operation, limited by the deadline of the whole exchange."""
    deadline = _deadline.get()
    if deadline is None:
        return timeout
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left if timeout is None else min(left, timeout)


def describe_lookup_error(host: str, error: Exception) -> str:
    """Return the reason why the host has no address."""
    if isinstance(error, socket.gaierror):
        known = error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
        return f"{host} cannot be resolved: {'no host has this name' if known else error.strerror}"
    return f"{host} cannot be resolved: {error}"


class Backend:
    """Network backend of httpcore2's pool, with the methods of `httpcore2.NetworkBackend`."""

    def __init__(self, rule: Rule) -> None:
        import httpcore2

        self.rule = rule
        self.inner = httpcore2.SyncBackend()
        self.failed = httpcore2.ConnectError

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, **options: Any) -> Any:
        """Connect to the first allowed address of the host that responds."""
        try:
            addresses = self.rule.addresses(host, port)
        except (OSError, UnicodeError, OverflowError) as error:
            raise self.failed(describe_lookup_error(host, error)) from None
        for address in addresses[:-1]:
            try:
                return self._dial(address, port, timeout, options)
            except self.failed:
                continue
        return self._dial(addresses[-1], port, timeout, options)

    def _dial(self, address: str, port: int, timeout: float | None, options: dict[str, Any]) -> Any:
        return DeadlineStream(self.inner.connect_tcp(address, port, _limit_timeout(timeout), **options))

    def connect_unix_socket(self, path: str, **options: Any) -> Any:
        raise NodeError("a socket of this machine may not be reached", permanent=True, kind="egress")

    def sleep(self, seconds: float) -> None:
        self.inner.sleep(seconds)


class DeadlineStream:
    """A connection whose operations share one deadline, so a slowly dripping server gains no time."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.inner.read(max_bytes, _limit_timeout(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), CHUNK):
            self.inner.write(buffer[start : start + CHUNK], _limit_timeout(timeout))

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> DeadlineStream:
        return DeadlineStream(self.inner.start_tls(ssl_context, server_hostname, _limit_timeout(timeout)))

    def close(self) -> None:
        self.inner.close()

    def get_extra_info(self, info: str) -> Any:
        return self.inner.get_extra_info(info)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An HTTP response. Header names are in lower case; `charset` is the one that the server declares.

    `content` is empty if it was saved elsewhere, and may be cut if only its start was requested. `url` is the address
    after redirects; `who` is the request for messages: `GET api.example.com:443/orders`.
    """

    status: int
    reason: str
    headers: dict[str, str]
    content: bytes
    charset: str | None
    url: str
    who: str


class Sink(Protocol):
    """Target of a body, written piece by piece. Raises: NodeError if it is full."""

    def write(self, data: bytes) -> Any: ...


# Takes a response without content and returns a context with the target for the content.
Save = Callable[[HttpResponse], AbstractContextManager[Sink]]
# Takes the address of a redirect to another site, and True if the body is sent too. Raises: NodeError to refuse it.
Allow = Callable[[str, bool], None]
# Adds a credential to an `httpx2.Request`. Raises: NodeError if that is not possible.
Sign = Callable[[Any], None]


class RequestOptions(NamedTuple):
    """Options of a request. With `save`, the body goes there, otherwise into the answer, up to the client's limit.

    With `error_bytes`, at most that many bytes of a response with status 400 or more are read, into the answer.
    `allow` is called before a redirect to another site. `sign` is called before the request, and again after each
    redirect until one leads to another site.
    """

    save: Save | None = None
    error_bytes: int | None = None
    allow: Allow | None = None
    sign: Sign | None = None


NO_OPTIONS = RequestOptions()


class HttpClient:
    """One connection pool for all runs, without cookies and settings from the environment. Thread-safe.

    `max_bytes` limits the body of a response. A client with a `certificate`, a TLS context, leaves redirects to another
    site to its `plain` one.
    """

    def __init__(
        self,
        rule: Rule,
        max_bytes: int = MAX_BYTES,
        ca_file: Path | None = None,
        certificate: ssl.SSLContext | None = None,
        plain: HttpClient | None = None,
    ) -> None:
        from http.cookiejar import CookieJar, DefaultCookiePolicy

        import httpcore2
        import httpx2

        # These log every URL at info level, and its query may contain a secret.
        for name in ("httpx2", "httpcore2"):
            logging.getLogger(name).setLevel(logging.WARNING)
        transport = httpx2.HTTPTransport.__new__(httpx2.HTTPTransport)
        transport._pool = httpcore2.ConnectionPool(
            ssl_context=certificate or tls_context(ca_file, "http"),
            max_connections=100,
            max_keepalive_connections=20,
            keepalive_expiry=30.0,
            network_backend=Backend(rule),  # type: ignore[arg-type]
        )
        self.max_bytes, self.plain = max_bytes, plain
        self._make = functools.partial(HttpClient, rule, max_bytes, ca_file, plain=self)
        self._new_context = functools.partial(make_tls_context, ca_file)
        self._certified: CertifiedClients | None = None
        self._http = httpx2.Client(
            transport=transport,
            trust_env=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "gzip"},
        )

    def close(self) -> None:
        """Close all connections."""
        self._http.close()
        if self._certified is not None:
            self._certified.close()

    def with_certificate(self, certificate: Certificate) -> AbstractContextManager[HttpClient]:
        """Return a context with a client that has this client certificate. Raises: NodeError if it is not valid."""
        self._certified = self._certified or CertifiedClients(self._make, self._new_context)
        return self._certified.open(certificate)

    def fetch(
        self,
        method: str,
        url: str,
        *,
        seconds: float,
        headers: Sequence[tuple[str, str]] = (),
        content: bytes | Iterable[bytes] | None = None,
        follow_redirects: bool = True,
        options: RequestOptions = NO_OPTIONS,
    ) -> HttpResponse:
        """Send a request and read the whole response, of any status, within `seconds`.

        An iterable content is iterated again for each redirect, and `headers` must have its Content-Length.

        Raises: NodeError if there is no response; its text names the method, host, port, path and cause, no secrets.
        """
        import httpx2

        target = parse_url(url)
        who = f"{method} {describe_url(target)}"
        try:
            with limit_time(seconds):
                raw = [(name.encode("ascii"), value.encode("utf-8")) for name, value in headers]
                request = self._http.build_request(method, target, headers=raw, content=content, timeout=seconds)
                response = self._follow(request, follow_redirects, options)
                try:
                    return self._read(response, who, options)
                finally:
                    response.close()
        except NodeError as error:
            raise error.at(who) from None
        except (TimeoutError, httpx2.TimeoutException):
            raise TimedOut(f"{who}: no complete answer within {seconds:.3g} s") from None
        except (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError, httpx2.InvalidURL, UnicodeError):
            raise NodeError(f"{who}: the request or one of its redirects is not valid HTTP", permanent=True) from None
        except httpx2.HTTPError as error:
            text = re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__
            raise NodeError(f"{who}: {text}") from None

    def _follow(self, request: Any, follow_redirects: bool, options: RequestOptions) -> Any:
        """Return the response at the end of the redirects, its body unread."""
        sign, http = options.sign, self._http
        for _ in range(MAX_REDIRECTS + 1):
            if sign is not None:
                sign(request)
            response = http.send(request, stream=True, follow_redirects=False)
            following = response.next_request if follow_redirects else None
            if following is None:
                if follow_redirects and response.has_redirect_location:
                    response.close()
                    raise NodeError("it redirects to an address that is not valid", permanent=True)
                return response
            response.close()
            if _remove_secrets(request, following, options.allow):
                sign, http = None, (self.plain or self)._http
            request = following
        raise LimitExceeded(f"more than {MAX_REDIRECTS} redirects")

    def _read(self, response: Any, who: str, options: RequestOptions) -> HttpResponse:
        """Return the answer with its body, or with the start of an error's body; or save the body."""
        import httpx2

        status, save, content = response.status_code, options.save, b""
        if options.error_bytes is not None and status >= 400:
            content, save = _read_start(response, options.error_bytes), None
        elif save is None:
            content = _read_start(response, self.max_bytes + 1)
            if len(content) > self.max_bytes:
                raise LimitExceeded(f"the answer has more than {self.max_bytes} bytes")
        reason, headers = response.reason_phrase, dict(response.headers)
        answer = HttpResponse(status, reason, headers, content, response.charset_encoding, str(response.url), who)
        if save is not None:
            with save(answer) as sink:
                try:
                    for piece in _read_pieces(response):
                        sink.write(piece)
                except TimeoutError:
                    # Otherwise the writer of the file would take it for a disk error, since it is an OSError.
                    raise httpx2.ReadTimeout("") from None
        return answer


def _read_start(response: Any, most: int) -> bytes:
    """Return the first `most` uncompressed bytes of a body, counted while decompressing; the rest is left unread."""
    body = bytearray()
    for piece in _read_pieces(response):
        body += piece
        if len(body) >= most:
            break
    del body[most:]
    return bytes(body)


def _read_pieces(response: Any) -> Iterator[bytes]:
    """Yield the uncompressed body in pieces of limited size. Raises: TimeoutError after the deadline."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise NodeError("the answer is compressed in a way that was not requested", permanent=True)
    raw = response.iter_raw()
    for piece in raw if encoding in ("", "identity") else _unzip(raw):
        _limit_timeout(None)
        yield piece


def _unzip(raw: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the uncompressed data in pieces of at most MAX_UNZIPPED bytes.

    The data is one gzip member or several; bytes after the last one are ignored. Raises: NodeError if it is invalid.
    """
    inner, has_ended = None, False
    for data in raw:
        while data and not has_ended:
            if inner is None or (inner.eof and data.startswith(GZIP)):
                inner = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
            has_ended = inner.eof
            if not has_ended:
                yield from _unzip_part(inner, data)
                data = inner.unused_data
    if inner is not None and not inner.eof:
        raise NodeError("the answer ends in the middle of its gzip data")


def _unzip_part(inner: Any, data: bytes) -> Iterator[bytes]:
    try:
        while True:
            piece = inner.decompress(data, MAX_UNZIPPED)
            yield piece
            data = inner.unconsumed_tail
            # Output may remain although all input is consumed.
            if not data and len(piece) < MAX_UNZIPPED:
                return
    except zlib.error:
        raise NodeError("the answer is not valid gzip") from None


def parse_url(url: str) -> Any:
    """Return an http or https URL as `httpx2.URL`. Raises: NodeError if it is not one."""
    import httpx2

    try:
        found = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError, TypeError):
        raise NodeError("the URL is not valid", permanent=True) from None
    try:
        host = found.host  # decodes Punycode
    except UnicodeError:
        raise NodeError("the host of the URL is not a valid domain name", permanent=True) from None
    if found.scheme not in ("http", "https") or not host:
        raise NodeError("the URL must begin with http:// or https:// and name a host", permanent=True)
    if not 0 < (found.port or 80) < 65_536:
        raise NodeError("the port of the URL must be from 1 to 65535", permanent=True)
    return found


def describe_url(url: Any) -> str:
    """Return host, port and path of an `httpx2.URL` for messages, without query and user name, which may be secret.

    A long path is cut at a slash: half of a secret could not be redacted.
    """
    host = f"[{url.host}]" if ":" in url.host else url.host
    path = url.raw_path.decode("ascii", "replace").partition("?")[0]
    if len(path) > MAX_SHOWN:
        path = path[:MAX_SHOWN].rpartition("/")[0] + "/…"
    return f"{host}:{url.port or PORTS[url.scheme]}{path}"


def get_host(url: str) -> str:
    """Return the host of an http or https URL. Raises: NodeError if it is not one."""
    host: str = parse_url(url).host
    return host


def _remove_secrets(request: Any, following: Any, allow: Allow | None) -> bool:
    """Remove the headers that were meant for the first site from a redirected request, if it leads to another site.

    Return True if it does.
    """
    get_host(str(following.url))
    old, new = request.url, following.url
    upgraded = (old.scheme, new.scheme, old.port, new.port) == ("http", "https", None, None)
    if old.host == new.host and (upgraded or (old.scheme, old.port) == (new.scheme, new.port)):
        return False
    for name in set(following.headers) - SAFE_HEADERS:
        del following.headers[name]
    if allow is not None:
        allow(str(new), following.stream is request.stream)
    return True
