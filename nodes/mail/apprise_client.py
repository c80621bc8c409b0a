"""Notices by Apprise, which knows a hundred services: one message to one of them.

Apprise takes neither a connection nor a deadline, and its addresses can name files and programs of this machine. So it
works in this thread, under a guard; its HTTP requests take nothing from the environment and answers of a bounded size;
and what it says of a failure is not logged, since that may hold keys, but put into the error, cleaned.
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

from errors import NodeError
from net.egress import MAX_BYTES, unresolved
from net.egress_guard import guarded
from nodes.base import Context, Once
from nodes.credentials.keyring import Credential
from nodes.credentials.types import check_service
from nodes.http.response import is_permanent
from nodes.mail.message import Attachment, sound

FORMATS = ("text", "markdown", "html")
LEVELS = ("info", "success", "warning", "failure")
LONGEST_PAUSE = 20.0
LONGEST_REASON = 300
# What OpenSSL says of an answer that is not TLS.
NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")


@dataclass(frozen=True, slots=True)
class Notice:
    """What is to be said; `format` is one of FORMATS, `level` one of LEVELS."""

    message: str
    title: str = ""
    format: str = "text"
    level: str = "info"
    attachments: Sequence[Attachment] = ()


@dataclass(slots=True)
class _Exchange:
    """What the HTTP requests of one notice share: whom they believe, and the status of the latest answer, or why there
    was none.
    """

    tls: Any
    status: int | None = None
    trouble: str | None = None


_exchange: ContextVar[_Exchange | None] = ContextVar("exchange", default=None)


def send(service: Credential, notice: Notice, ctx: Context, seconds: float, more: Iterable[str] = ()) -> str:
    """Send it, within so many seconds; the name of the service. NodeError where it was not taken.

    `more` is what people wrote besides the message, such as the texts of attachments.
    """
    url = _address(service)
    if ctx.keyring is not None:
        ctx.keyring.check_host(host_of(url), [notice.title, notice.message, *more])
    if not (notice.message or notice.title):
        raise NodeError("message: is empty", permanent=True)
    end = time.monotonic() + seconds
    with _kept(notice.attachments) as copies, _working(ctx, seconds, copies) as exchange:
        plugin = _plugin(url, end)
        name = str(plugin.service_name)
        if copies and not plugin.attachment_support:
            raise NodeError(f"{name} takes no attachments", permanent=True)
        said = _sent(plugin, notice, copies)
    if said is not None:
        late = plugin.throttle.is_short or time.monotonic() >= end
        raise _problem(name, said, exchange, ctx, seconds, late)
    return name


def understood(service: Credential, ctx: Context, seconds: float) -> str:
    """The name of the service that the address is of, without asking it anything. NodeError where it is of none."""
    with _working(ctx, seconds, []):
        return str(_plugin(_address(service), time.monotonic() + seconds).service_name)


def host_of(url: str) -> str:
    """The host in the address where there is one, else the scheme: `slack`."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""
    return host if "." in host or ":" in host or host == "localhost" else url.partition(":")[0].lower()


def _address(service: Credential) -> str:
    url = str(service.data["url"]).strip()
    try:
        check_service(url)
    except ValidationError as error:
        raise NodeError(f"{service.label}: {error.messages[0]}", permanent=True) from None
    return url


# Apprise itself


def _load() -> Any:
    # Their messages have addresses in them, which are secret. What matters of them goes into the error.
    for name in ("apprise", "urllib3"):
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.addHandler(logging.NullHandler())
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    import apprise
    import requests
    from apprise.manager_plugins import NotificationManager

    # These read files, which is too late under a guard.
    mimetypes.init()
    NotificationManager().load_modules()
    # There is no place to hand Apprise a session; so the one that requests makes knows whether it is ours.
    requests.Session = requests.sessions.Session = _session_class()  # type: ignore[misc]
    return apprise


_apprise = Once(_load)


def _plugin(url: str, end: float) -> Any:
    """The service that the address is of, set up for one message that has to be sent by `end`."""
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
        # Whatever a plugin makes of an address that it does not like.
        raise NodeError(f"the address of the service is not valid: {_clean(str(error))}", permanent=True) from None
    if plugin is None:
        raise NodeError("the address is of no service that can be used here", permanent=True)
    left = max(end - time.monotonic(), 0.1)
    plugin.retry, plugin.optional = 0, False
    if "rto=" not in url:
        plugin.socket_read_timeout = LONGEST_PAUSE
    plugin.socket_connect_timeout = min(plugin.socket_connect_timeout, left)
    plugin.socket_read_timeout = min(plugin.socket_read_timeout, left)
    if "overflow=" not in url:
        plugin.overflow_mode = apprise.OverflowMode.SPLIT
    plugin.throttle = _Throttle(plugin.request_rate_per_sec, end)
    return plugin


class _Throttle:
    """The pauses that a service wants between messages, as long as there is time for them."""

    def __init__(self, pause: float, end: float) -> None:
        self.pause, self.end = pause, end
        self.latest: float | None = None
        self.is_short = False

    def __call__(self, last_io: Any = None, wait: float | None = None) -> None:
        now = time.monotonic()
        pause = wait if wait is not None else 0.0 if self.latest is None else self.latest + self.pause - now
        self.is_short = now + pause >= self.end
        if self.is_short:
            raise TimeoutError("the service wants more time than there is")
        time.sleep(max(pause, 0.0))
        self.latest = time.monotonic()


def _sent(plugin: Any, notice: Notice, copies: Sequence[Path]) -> str | None:
    """None where it was taken, else what Apprise says about it."""
    from apprise.attachment.file import AttachFile

    apprise = _apprise()
    attached = apprise.AppriseAttachment()
    for path, each in zip(copies, notice.attachments, strict=True):
        attached.add(AttachFile(path=str(path), name=each.name, mimetype=each.content_type))
    sender = apprise.Apprise(asset=plugin.asset)
    sender.add(plugin)
    with sender.notify(
        body=sound(notice.message),
        title=sound(notice.title),
        notify_type=notice.level,
        body_format=notice.format,
        attach=attached if copies else None,
    ) as result:
        if result:
            return None
        said = [entry.message for entry in result.logs()]
        return said[-1] if said else "it was not taken"


def _problem(name: str, said: str, exchange: _Exchange, ctx: Context, seconds: float, late: bool) -> NodeError:
    if late:
        return NodeError(f"{name}: not done within {round(seconds, 1):g} s")
    if exchange.trouble is not None:
        return NodeError(f"{name}: {ctx.clean(exchange.trouble)[:LONGEST_REASON]}")
    status = exchange.status
    shown = f"{name} (status {status})" if status is not None else name
    return NodeError(
        f"{shown}: {_clean(ctx.clean(said))}", status is not None and status >= 400 and is_permanent(status)
    )


def _trouble(error: Exception, url: str) -> str:
    """Say why a request got no answer. `requests` wraps the reason in errors of its own, and `urllib3` in others."""
    import urllib3.exceptions as of

    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    reason: Any = error.args[0] if error.args and isinstance(error.args[0], Exception) else error
    reason = getattr(reason, "reason", None) or reason
    cause = reason.__cause__ or reason
    if isinstance(reason, of.NameResolutionError):
        return unresolved(host, cause)
    if isinstance(reason, of.NewConnectionError):
        return f"{host}:{port}: {getattr(cause, 'strerror', None) or 'no connection'}"
    if any(word in str(reason) for word in NOT_TLS):
        return f"{host}:{port} does not speak TLS: the scheme is that of an encrypted service, or the port is wrong"
    if isinstance(reason, of.SSLError):
        return f"{host}:{port}: {_clean(str(reason))}"
    if isinstance(reason, of.TimeoutError):
        return f"{host}:{port} did not answer in time"
    return f"{host}:{port} ended the connection without an answer: it may speak TLS, or not HTTP"


def _clean(said: str) -> str:
    """One line, without addresses."""
    words = re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", said).split(" ")
    return " ".join("…" if "://" in word else word for word in words).strip()[:LONGEST_REASON]


# What it works in


@contextmanager
def _kept(attachments: Sequence[Attachment]) -> Iterator[list[Path]]:
    """Copies of the attachments: Apprise opens files, and those of the workspace may change meanwhile."""
    if not attachments:
        yield []
        return
    with tempfile.TemporaryDirectory(prefix="headrace-notice-") as folder:
        paths = [Path(folder, str(number)) for number in range(len(attachments))]
        for path, each in zip(paths, attachments, strict=True):
            path.write_bytes(each.content)
        yield paths


@contextmanager
def _working(ctx: Context, seconds: float, files: Sequence[Path]) -> Iterator[_Exchange]:
    """Nothing but these files and what the egress rule permits is within reach, and nothing after so many seconds."""
    own = Path(_apprise().__file__).parent
    services = ctx.need_services()
    exchange = _Exchange(services.tls("notices"))
    token = _exchange.set(exchange)
    try:
        with guarded(services.egress, seconds, [own, *(path.parent for path in files)]):
            yield exchange
    finally:
        _exchange.reset(token)


def _session_class() -> Any:
    import requests
    import urllib3

    class Adapter(requests.adapters.HTTPAdapter):
        """Believes whom we do, and reads no more than MAX_BYTES of an answer."""

        def __init__(self, exchange: _Exchange) -> None:
            self.exchange = exchange
            super().__init__()

        def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
            host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
            return host, {**pool, "ssl_context": self.exchange.tls} if verify is True else pool

        def send(self, *given: Any, **options: Any) -> Any:
            self.exchange.status = self.exchange.trouble = None
            try:
                response = super().send(*given, **{**options, "stream": True})
            except requests.exceptions.RequestException as error:
                self.exchange.trouble = _trouble(error, given[0].url)
                raise
            try:
                content = response.raw.read(MAX_BYTES + 1, decode_content=False)
            except urllib3.exceptions.HTTPError as error:
                self.exchange.trouble = _trouble(error, given[0].url)
                raise requests.exceptions.ConnectionError(error) from None
            finally:
                response.close()
            if len(content) > MAX_BYTES:
                self.exchange.trouble = f"the answer has more than {MAX_BYTES} bytes"
                raise requests.exceptions.ContentDecodingError(self.exchange.trouble)
            response._content, response._content_consumed = content, True
            self.exchange.status = response.status_code
            return response

    class Session(requests.Session):
        """As ever, but within `send`: there it takes no proxy, no login and no authority from the environment."""

        def __init__(self) -> None:
            super().__init__()
            exchange = _exchange.get()
            if exchange is not None:
                self.trust_env = False
                self.headers["Accept-Encoding"] = "identity"
                self.mount("https://", Adapter(exchange))
                self.mount("http://", Adapter(exchange))

    return Session
