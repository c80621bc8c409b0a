"""Apprise client: sends a notice to one of a hundred services.

Apprise accepts neither a connection nor a deadline, and its URLs can refer to local files and programs. So it runs in
this thread under a guard; its HTTP requests ignore the environment and limit the size of responses; and its messages
about failures are not logged, because they may contain keys, but redacted and put into the error.
"""

from __future__ import annotations

import logging
import mimetypes
import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError

from errors import NodeError, TimedOut
from net.egress import MAX_BYTES, describe_lookup_error
from net.library_sockets import guard_connections
from nodes.base import Context, Once
from nodes.credentials.keyring import DecryptedCredential
from nodes.http.body import is_permanent
from packs.mail.message import Attachment, to_valid_text
from packs.mail.servers import check_service

MAX_PAUSE = 20.0  # seconds
MAX_REASON = 300
# OpenSSL's reasons for a response that is not TLS.
NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")


@dataclass(frozen=True, slots=True)
class Notice:
    """A message; `format` is text, markdown or html, `level` is info, success, warning or failure."""

    message: str
    title: str = ""
    format: str = "text"
    level: str = "info"
    attachments: Sequence[Attachment] = ()


@dataclass(slots=True)
class _Exchange:
    """State shared by the HTTP requests of one notice: the TLS context, and the status of the last response or the
    reason why there was none.
    """

    tls: Any
    status: int | None = None
    failure: str | None = None


_exchange: ContextVar[_Exchange | None] = ContextVar("exchange", default=None)


def send(service: DecryptedCredential, notice: Notice, ctx: Context, seconds: float, more: Iterable[str] = ()) -> str:
    """Send a notice within `seconds`; return the name of the service.

    `more` has further text from the config, such as attachments, to check for secrets.

    Raises: NodeError if the service did not accept it.
    """
    url = _get_url(service)
    ctx.check_secrets(host_of(url), [notice.title, notice.message, *more])
    if not (notice.message or notice.title):
        raise NodeError("message: must not be empty", permanent=True)
    end = time.monotonic() + seconds
    with _copy_attachments(notice.attachments) as copies, _open_exchange(ctx, seconds, copies) as exchange:
        plugin = _make_plugin(url, end)
        name = str(plugin.service_name)
        if copies and not plugin.attachment_support:
            raise NodeError(f"{name} does not support attachments; remove them", permanent=True)
        said = _send(plugin, notice, copies)
    if said is not None:
        late = plugin.throttle.is_short or time.monotonic() >= end
        raise _to_node_error(name, said, exchange, ctx, seconds, late)
    return name


def send_text(service: DecryptedCredential, message: str, title: str, ctx: Context, seconds: float) -> str:
    """Send a text within `seconds`; return the name of the service. Raises: NodeError if it was not accepted."""
    return send(service, Notice(message, title), ctx, seconds)


def identify_service(service: DecryptedCredential, ctx: Context, seconds: float) -> str:
    """Return the name of the URL's service without a request. Raises: NodeError if the URL is not supported."""
    with _open_exchange(ctx, seconds, []):
        return str(_make_plugin(_get_url(service), time.monotonic() + seconds).service_name)


def host_of(url: str) -> str:
    """Return the host in the URL if it has one, else the scheme: `slack`."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""
    return host if "." in host or ":" in host or host == "localhost" else url.partition(":")[0].lower()


def _get_url(service: DecryptedCredential) -> str:
    url = str(service.data["url"]).strip()
    try:
        check_service(url)
    except ValidationError as error:
        raise NodeError(f"{service.label}: {error.messages[0]}", permanent=True) from None
    return url


# Apprise itself


def _load() -> Any:
    # Their messages contain URLs, which are secret. The important part goes into the error.
    for name in ("apprise", "urllib3"):
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.addHandler(logging.NullHandler())
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    import apprise
    import requests
    from apprise.manager_plugins import NotificationManager

    # These read files, which a guard would forbid later.
    mimetypes.init()
    NotificationManager().load_modules()
    # Apprise accepts no session; so every session that requests creates checks if it is ours.
    requests.Session = requests.sessions.Session = _session_class()  # type: ignore[misc]
    return apprise


_apprise = Once(_load)


def _make_plugin(url: str, end: float) -> Any:
    """Return the URL's service, set up for one message before `end`."""
    apprise = _apprise()
    asset = apprise.AppriseAsset(
        app_id="Headrace",
        app_desc="Headrace",
        language="en",
        async_mode=False,
        service_timeout=0,
        storage_mode="memory",
        pgp_autogen=False,
        pem_autogen=False,
        allow_templates=False,
        image_path_mask=False,
    )
    try:
        plugin = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=False)
    except Exception as error:
        # Plugins raise various errors for an invalid URL.
        raise NodeError(f"the service URL is not valid: {_strip_urls(str(error))}", permanent=True) from None
    if plugin is None:
        raise NodeError("the service URL is not of a supported service", permanent=True)
    left = max(end - time.monotonic(), 0.1)
    plugin.retry, plugin.optional = 0, False
    if "rto=" not in url:
        plugin.socket_read_timeout = MAX_PAUSE
    plugin.socket_connect_timeout = min(plugin.socket_connect_timeout, left)
    plugin.socket_read_timeout = min(plugin.socket_read_timeout, left)
    if "overflow=" not in url:
        plugin.overflow_mode = apprise.OverflowMode.SPLIT
    plugin.throttle = _Throttle(plugin.request_rate_per_sec, end)
    return plugin


class _Throttle:
    """The pauses that a service requires between messages, if there is time for them."""

    def __init__(self, pause: float, end: float) -> None:
        self.pause, self.end = pause, end
        self.latest: float | None = None
        self.is_short = False

    def __call__(self, last_io: Any = None, wait: float | None = None) -> None:
        now = time.monotonic()
        pause = wait if wait is not None else 0.0 if self.latest is None else self.latest + self.pause - now
        self.is_short = now + pause >= self.end
        if self.is_short:
            raise TimeoutError("the service requires a longer pause than the timeout allows")
        time.sleep(max(pause, 0.0))
        self.latest = time.monotonic()


def _send(plugin: Any, notice: Notice, copies: Sequence[Path]) -> str | None:
    """Return None if the notice was accepted, else Apprise's message."""
    from apprise.attachment.file import AttachFile

    apprise = _apprise()
    attached = apprise.AppriseAttachment()
    for path, each in zip(copies, notice.attachments, strict=True):
        attached.add(AttachFile(path=str(path), name=each.name, mimetype=each.content_type))
    sender = apprise.Apprise(asset=plugin.asset)
    sender.add(plugin)
    with sender.notify(
        body=to_valid_text(notice.message),
        title=to_valid_text(notice.title),
        notify_type=notice.level,
        body_format=notice.format,
        attach=attached if copies else None,
    ) as result:
        if result:
            return None
        said = [entry.message for entry in result.logs()]
        return said[-1] if said else "the message was not accepted"


def _to_node_error(name: str, said: str, exchange: _Exchange, ctx: Context, seconds: float, late: bool) -> NodeError:
    if late:
        return TimedOut(f"{name}: timed out after {round(seconds, 1):g} s")
    if exchange.failure is not None:
        return NodeError(f"{name}: {ctx.clean(exchange.failure)[:MAX_REASON]}")
    status = exchange.status
    shown = f"{name} (status {status})" if status is not None else name
    permanent = status is not None and status >= 400 and is_permanent(status)
    return NodeError(f"{shown}: {_strip_urls(ctx.clean(said))}", permanent, kind="refused" if permanent else "remote")


def _describe_failure(error: Exception, url: str) -> str:
    """Return why a request got no response. `requests` and `urllib3` both wrap the reason in their own errors."""
    import urllib3.exceptions as of

    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    reason: Any = error.args[0] if error.args and isinstance(error.args[0], Exception) else error
    reason = getattr(reason, "reason", None) or reason
    cause = reason.__cause__ or reason
    if isinstance(reason, of.NameResolutionError):
        return describe_lookup_error(host, cause)
    if isinstance(reason, of.NewConnectionError):
        return f"{host}:{port}: {getattr(cause, 'strerror', None) or 'no connection'}"
    if any(word in str(reason) for word in NOT_TLS):
        return f"{host}:{port} does not speak TLS: check the scheme and the port of the URL"
    if isinstance(reason, of.SSLError):
        return f"{host}:{port}: {_strip_urls(str(reason))}"
    if isinstance(reason, of.TimeoutError):
        return f"{host}:{port} did not answer in time"
    return f"{host}:{port} closed the connection without a response: it may require TLS, or not speak HTTP"


def _strip_urls(said: str) -> str:
    """Return one line without URLs."""
    words = re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", said).split(" ")
    return " ".join("…" if "://" in word else word for word in words).strip()[:MAX_REASON]


# Its environment


@contextmanager
def _copy_attachments(attachments: Sequence[Attachment]) -> Iterator[list[Path]]:
    """Yield copies of the attachments: Apprise opens files, and those of the workspace may change meanwhile."""
    if not attachments:
        yield []
        return
    with tempfile.TemporaryDirectory(prefix="headrace-notice-") as folder:
        paths = [Path(folder, str(number)) for number in range(len(attachments))]
        for path, each in zip(paths, attachments, strict=True):
            path.write_bytes(each.content)
        yield paths


@contextmanager
def _open_exchange(ctx: Context, seconds: float, files: Sequence[Path]) -> Iterator[_Exchange]:
    """Permit only these files and the network that the egress rule allows, for at most `seconds`."""
    own = Path(_apprise().__file__).parent
    services = ctx.need_services()
    exchange = _Exchange(services.tls("notices"))
    token = _exchange.set(exchange)
    try:
        with guard_connections(services.egress, seconds, [own, *(path.parent for path in files)]):
            yield exchange
    finally:
        _exchange.reset(token)


def _session_class() -> Any:
    import requests
    import urllib3

    class Adapter(requests.adapters.HTTPAdapter):
        """Uses our TLS context, and reads at most MAX_BYTES of a response."""

        def __init__(self, exchange: _Exchange) -> None:
            self.exchange = exchange
            super().__init__()

        def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
            host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
            return host, {**pool, "ssl_context": self.exchange.tls} if verify is True else pool

        def send(self, *given: Any, **options: Any) -> Any:
            self.exchange.status = self.exchange.failure = None
            try:
                response = super().send(*given, **{**options, "stream": True})
            except requests.exceptions.RequestException as error:
                self.exchange.failure = _describe_failure(error, given[0].url)
                raise
            try:
                content = response.raw.read(MAX_BYTES + 1, decode_content=False)
            except urllib3.exceptions.HTTPError as error:
                self.exchange.failure = _describe_failure(error, given[0].url)
                raise requests.exceptions.ConnectionError(error) from None
            finally:
                response.close()
            if len(content) > MAX_BYTES:
                self.exchange.failure = f"the response has more than {MAX_BYTES} bytes"
                raise requests.exceptions.ContentDecodingError(self.exchange.failure)
            response._content, response._content_consumed = content, True
            self.exchange.status = response.status_code
            return response

    class AppriseSession(requests.Session):
        """Unchanged, except within `send`: there it ignores proxies, logins and CA files of the environment."""

        def __init__(self) -> None:
            super().__init__()
            exchange = _exchange.get()
            if exchange is not None:
                self.trust_env = False
                self.headers["Accept-Encoding"] = "identity"
                self.mount("https://", Adapter(exchange))
                self.mount("http://", Adapter(exchange))

    return AppriseSession
