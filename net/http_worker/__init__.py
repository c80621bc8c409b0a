"""HTTP worker for gunicorn: one event loop for all connections, and a thread only for a complete request.

The loop (the worker's main thread) accepts connections, reads heads and bodies into memory, and sends the rest of
a response to a slow client. Each of these has a deadline. So a slow or silent client holds a connection and some
memory, both limited, but no thread. TLS is left to the proxy.

Requests and responses are gunicorn's: its parser, its WSGI environment, its response. `ThreadWorker` provides the pool,
the signals, and `method_queue`, through which other threads call functions in the loop.

The loop owns a connection unless its state is BUSY: then the answering thread owns it. That is a thread of the pool,
which calls the app; or, for requests that a shortcut takes, the thread that calls `reply`.
"""

from __future__ import annotations

import errno
import io
import json
import selectors
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol, TypeAlias

from gunicorn.http import wsgi
from gunicorn.http.errors import (
    ConfigurationProblem,
    ExpectationFailed,
    ForbiddenProxyRequest,
    InvalidResponseHeader,
    InvalidResponseHeaderName,
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
    UnsupportedTransferCoding,
)
from gunicorn.workers.gthread import ThreadWorker

from .connection import (
    FREE_SECONDS,
    HEAD_SECONDS,
    MAX_HEAD,
    MIN_RATE,
    READ_SIZE,
    ClientConnection,
    ConnectionState,
    DatedResponse,
    HttpExchange,
    begin_response,
    decode_chunks,
    keep_settings,
    make_body,
    parse_head,
)
from .server_logger import RequestIds

# Refusals: responses without the app, in the form of the API's errors.

STATUSES: dict[type[Exception], int] = {
    ForbiddenProxyRequest: 403,
    LimitRequestLine: 414,
    ExpectationFailed: 417,
    LimitRequestHeaders: 431,
    UnsupportedTransferCoding: 501,
    # Faults of the app.
    ConfigurationProblem: 500,
    InvalidResponseHeader: 500,
    InvalidResponseHeaderName: 500,
}
RETRY_SECONDS = 5


def find_status(error: Exception) -> int:
    """Return the status of the response to a request that failed with this error of gunicorn or of the app."""
    return STATUSES.get(type(error), 400 if isinstance(error, ParseException) else 500)


def make_refusal(status: int, message: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """Return a response with an error and these headers, after which the connection is closed."""
    body = json.dumps({"error": message}).encode()
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *([f"Retry-After: {RETRY_SECONDS}"] if status == 503 else []),
        *(f"{name}: {value}" for name, value in headers),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


# Shortcut interface: code that answers some requests in the loop, without a thread and without the app.

# Sends a response: status line ("200 OK"), headers, body. From any thread, once. It adds the Content-Length of a body
# that is not empty.
Reply: TypeAlias = Callable[[str, Sequence[tuple[str, str]], bytes], None]


class Shortcut(Protocol):
    """Answers requests in the loop. It must never wait: all other clients would wait with it."""

    def take(self, request: Any, body: bytes, reply: Reply) -> bool:
        """Return True if `reply` will be called for this request (gunicorn's); False leaves it to the app."""

    def end_turn(self) -> None:
        """Process the requests taken since the last call. Called at least twice a second."""


CLOSE_SECONDS = 2.0  # for a client to read the end of its last response
STOP_IDLE_SECONDS = 2.0  # for a connection without its first request when the worker stops: it may be on its way
CROWDED_SECONDS = 1.0  # for a connection without a request, when the maximum number of connections is open
SWEEP_SECONDS = 0.5  # between two checks of deadlines

MAX_UNSENT = 256 * 1024  # bytes; beyond it, a response is paused until the client has read
MAX_HELD = 128 * 1024**2  # bytes of incomplete bodies and unsent responses in a worker; beyond it, close the slowest
WAITING = (ConnectionState.IDLE, ConnectionState.HEAD, ConnectionState.CLOSING)
NO_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

TOO_SLOW = (
    f"The request came too slowly: its head must arrive within {HEAD_SECONDS:g} seconds, and its body, after "
    f"{FREE_SECONDS:g} seconds, at {MIN_RATE // 1024} KB a second or faster"
)


class ResponseFile(wsgi.FileWrapper):
    """A file returned by the app, in pieces of READ_SIZE."""

    def __init__(self, filelike: Any, blksize: int = READ_SIZE) -> None:
        super().__init__(filelike, max(blksize, READ_SIZE))


class HttpWorker(ThreadWorker):
    """Serves HTTP/1.1 without TLS. `max_body` is the largest body, in bytes, that the loop reads.

    `shortcut` answers some complete requests in the loop. With `request_ids`, requests have ids. `on_response` is
    called with each exchange that ends, and its duration in seconds. Refusals have `error_headers`.
    """

    max_body = 5 * 1024**2
    shortcut: Shortcut | None = None
    request_ids: RequestIds | None = None
    error_headers: Sequence[tuple[str, str]] = ()
    on_response: Callable[[HttpExchange, float], None] | None = None
    alive: bool

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.connections: set[ClientConnection] = set()
        self.held = 0  # bytes of incomplete bodies and unsent responses
        self.streamed = 0  # bodies that threads read
        self.slow = 0  # slow connections closed since the last sweep
        self.next_sweep = self.accept_after = 0.0
        self.idle_until: float | None = None  # while it stops

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Check gunicorn's settings. Raises: RuntimeError for settings that this worker does not support."""
        if cfg.is_ssl:
            raise RuntimeError("Headrace does not serve TLS itself; put a proxy in front of it (deploy/nginx.conf)")
        super().check_config(cfg, log)

    def init_process(self) -> None:
        keep_settings(self.cfg)
        super().init_process()

    # The loop

    def run(self) -> None:
        """Serve until the worker stops, then finish requests in progress for up to `graceful_timeout` seconds."""
        self.poller.register(self.method_queue.fileno(), selectors.EVENT_READ, self.method_queue.run_callbacks)
        while self.alive:
            has_room = len(self.connections) < self.worker_connections
            self.set_accept_enabled(has_room and time.monotonic() >= self.accept_after)
            self.turn()
        self.stop_listening()
        now = time.monotonic()
        self.idle_until, ends = now + STOP_IDLE_SECONDS, now + self.cfg.graceful_timeout
        while self.connections and time.monotonic() < ends:
            self.turn()
        for connection in list(self.connections):
            if connection.state is not ConnectionState.BUSY:
                self.drop(connection)
        # Threads that still answer use the queue, so it stays open until the process ends.
        self.tpool.shutdown(wait=False)

    def stop_listening(self) -> None:
        """Accept the connections in the kernel's queue, and close the listeners, so that later ones are refused."""
        self.set_accept_enabled(False)
        for listener in self.sockets:
            while self.accept(listener):
                pass
            listener.close()

    def turn(self) -> None:
        """Wait for events and handle them, and check deadlines from time to time."""
        for key, _ in self.poller.select(SWEEP_SECONDS):
            key.data(key.fileobj)
        if self.shortcut is not None:
            self.shortcut.end_turn()
        now = time.monotonic()
        if now >= self.next_sweep:
            self.next_sweep = now + SWEEP_SECONDS
            self.notify()
            self.sweep(now)
            if self.alive and not self.is_parent_alive():
                self.alive = False

    def sweep(self, now: float) -> None:
        """End connections past their deadline. If no free ones are left, idle connections get a shorter deadline."""
        is_full = len(self.connections) >= self.worker_connections
        for connection in list(self.connections):
            if connection.state is ConnectionState.BUSY:
                continue
            if connection.state is ConnectionState.SENDING:
                self.extend_deadline(connection, now)
            elif self.idle_until is not None and connection.state is ConnectionState.HEAD and not connection.received:
                # Idle ones keep their deadline, before which a proxy closes them: a request may always be on its way.
                connection.deadline = min(connection.deadline, self.idle_until)
            elif is_full and connection.state in WAITING:
                connection.deadline = min(connection.deadline, connection.since + CROWDED_SECONDS)
            if connection.deadline <= now:
                self.expire(connection)
        if self.slow:
            self.log.info("Closed %d connections whose clients sent or read too slowly", self.slow)
            self.slow = 0

    def expire(self, connection: ClientConnection) -> None:
        """End a connection past its deadline, with a response if one can still be sent."""
        asks = connection.state is ConnectionState.BODY or (
            connection.state is ConnectionState.HEAD and connection.received
        )
        self.slow += bool(asks) or connection.state is ConnectionState.SENDING
        if asks:
            self.refuse(connection, 408, TOO_SLOW)
            return
        if connection.state is ConnectionState.SENDING:
            connection.reset_on_close()
        self.drop(connection)

    def watch(self, connection: ClientConnection, events: int) -> None:
        """Call `handle_ready` when the socket is ready for these events; 0 for none."""
        if events == connection.watched:
            return
        if not connection.watched:
            self.poller.register(connection.sock, events, partial(self.handle_ready, connection))
        elif not events:
            self.poller.unregister(connection.sock)
        else:
            self.poller.modify(connection.sock, events, partial(self.handle_ready, connection))
        connection.watched = events

    def handle_ready(self, connection: ClientConnection, _: Any) -> None:
        """Serve a connection whose socket is ready, unless a thread owns it."""
        if connection.state is ConnectionState.BUSY:
            with connection.lock:
                if connection.state is ConnectionState.BUSY:
                    # Sent before the previous response was complete: read after that.
                    self.watch(connection, 0)
                    return
        try:
            self.serve(connection)
        except Exception:
            # A bug must not end the worker, or an attacker who finds it could.
            self.log.exception("Error in the state %s of a connection", connection.state.name)
            self.drop(connection)

    def serve(self, connection: ClientConnection) -> None:
        """Read or write, depending on the state of the connection."""
        if connection.state is ConnectionState.SENDING:
            self.send_more(connection)
        elif connection.state is ConnectionState.CLOSING:
            self.discard(connection)
        elif connection.state is not ConnectionState.CLOSED:
            self.receive(connection)

    def accept(self, listener: Any) -> bool:
        """Accept one connection from the kernel's queue. Return False if there is none that can be accepted."""
        try:
            sock, client = listener.accept()
        except OSError as error:
            if error.errno in NO_FILES:
                self.log.warning("No connection can be accepted for a second: %s", error.strerror)
                self.accept_after = time.monotonic() + 1.0
            elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EPERM, errno.EPROTO):
                raise
            return False
        sock.setblocking(False)
        connection = ClientConnection(sock, client, listener.getsockname(), time.monotonic())
        self.connections.add(connection)
        self.watch(connection, selectors.EVENT_READ)
        return True

    # Receiving

    def receive(self, connection: ClientConnection) -> None:
        """Read received data, and start answering a complete request."""
        try:
            data = connection.sock.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.drop(connection)
            return
        if data:
            connection.received += data
            self.advance(connection)
        elif connection.state is ConnectionState.BODY and connection.exchange is not None:
            # Disconnected. The app refuses the incomplete body.
            connection.exchange.is_cut_off = True
            connection.exchange.request.force_close()
            self.begin(connection, connection.exchange, len(connection.received))
        else:
            self.drop(connection)

    def advance(self, connection: ClientConnection) -> None:
        """Parse as much of a request as was received."""
        now = connection.moved_at = time.monotonic()
        if connection.state is ConnectionState.IDLE:
            connection.state, connection.since, connection.deadline = ConnectionState.HEAD, now, now + HEAD_SECONDS
        if connection.state is ConnectionState.HEAD and not self.read_head(connection, now):
            return
        exchange = connection.exchange
        assert exchange is not None
        end = self.end_of_body(connection, exchange)
        if end is not None:
            self.begin(connection, exchange, end)
        elif exchange.chunks is not None and exchange.chunks.are_tiny(connection.received):
            self.refuse(connection, 413, "The body comes in chunks that are too small")
        else:
            connection.deadline = connection.since + FREE_SECONDS + len(connection.received) / MIN_RATE
            self.hold(connection)

    def read_head(self, connection: ClientConnection, now: float) -> bool:
        """Parse the head if it is complete. Return True if the request's body is next."""
        received = connection.received
        end = received.find(b"\r\n\r\n", max(0, connection.scanned - 3))
        connection.scanned = len(received)
        # gunicorn requires CRLF at the end of each line and refuses other line ends itself.
        if end < 0 and len(received) <= MAX_HEAD and received.count(b"\n") == received.count(b"\r\n"):
            return False
        size = len(received) if end < 0 else end + 4
        try:
            request = parse_head(self.cfg, bytes(received[:size]), connection)
        except Exception as error:
            self.handle_error(None, connection, connection.client, error)
            self.flush_and_close(connection)
            return False
        del received[:size]
        connection.scanned = 0
        connection.requests += 1
        connection.state, connection.since = ConnectionState.BODY, now
        connection.exchange = exchange = HttpExchange(request)
        if request._expected_100_continue and self.end_of_body(connection, exchange) is None:
            request._expected_100_continue = False
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            return self.flush_or_drop(connection)
        return True

    def end_of_body(self, connection: ClientConnection, exchange: HttpExchange) -> int | None:
        """Return the length of the received body, or of the part that the loop reads; None if it is incomplete."""
        received = connection.received
        if exchange.length is not None:
            exchange.is_streamed = exchange.length > self.max_body
            whole = len(received) if exchange.is_streamed else exchange.length
            return whole if len(received) >= whole else None
        assert exchange.chunks is not None
        end = exchange.chunks.end(received)
        if not exchange.chunks.is_valid:
            exchange.request.force_close()
        if end is None and exchange.chunks.received(received) > self.max_body + READ_SIZE:
            exchange.is_streamed, end = True, len(received)
        return end

    def begin(self, connection: ClientConnection, exchange: HttpExchange, size: int) -> None:
        """Start answering the request; its body is the first `size` received bytes."""
        request = exchange.request
        if exchange.is_streamed:
            if self.streamed >= max(1, self.cfg.threads // 4):
                self.refuse(connection, 503, "Too many large bodies at once; try again soon")
                return
            self.streamed += 1
            request.force_close()
        exchange.body = bytes(connection.received[:size])
        del connection.received[:size]
        connection.state = ConnectionState.BUSY
        self.account(connection)
        if self.request_ids is not None:
            self.request_ids.begin(request)
        if self.shortcut is None or not self.is_taken(connection, exchange, self.shortcut):
            self.tpool.submit(self.answer, connection, exchange)
        if self.request_ids is not None:
            self.request_ids.leave()

    def hold(self, connection: ClientConnection) -> None:
        """Count the memory held for this client. Beyond MAX_HELD, close the connections that were idle longest."""
        self.account(connection)
        while self.held > MAX_HELD:
            others = [other for other in self.connections if other.held > READ_SIZE and other is not connection]
            if not others:
                return
            slowest = min(others, key=lambda other: other.moved_at)
            self.slow += 1
            if slowest.state is ConnectionState.BODY:
                self.refuse(slowest, 503, "The server has too many unfinished requests; try again soon")
            else:
                slowest.reset_on_close()
                self.drop(slowest)

    def account(self, connection: ClientConnection) -> None:
        """Count the memory held for this client."""
        owned = connection.state not in (ConnectionState.BUSY, ConnectionState.CLOSED)
        held = len(connection.received) + connection.unsent_bytes if owned else 0
        self.held += held - connection.held
        connection.held = held

    # Answering

    def is_taken(self, connection: ClientConnection, exchange: HttpExchange, shortcut: Shortcut) -> bool:
        """Return True if the shortcut answers this request. It gets complete bodies of a declared length."""
        if exchange.length is None or exchange.is_streamed or exchange.is_cut_off:
            return False
        try:
            return shortcut.take(exchange.request, exchange.body, partial(self.reply, connection, exchange))
        except Exception:
            self.log.exception("Error in the shortcut for a request; the app answers it")
            return False

    def reply(
        self,
        connection: ClientConnection,
        exchange: HttpExchange,
        status: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
    ) -> None:
        """Send the shortcut's response to a request."""
        exchange.is_shortcut = True
        try:
            self.prepare(connection, exchange)
            begin_response(exchange.response, status, tuple(headers), len(body))
            if self.request_ids is not None:
                self.request_ids.add_header(exchange)
            exchange.answer = (body,)
            exchange.items = iter(exchange.answer)
        except Exception as error:
            self.fail(connection, exchange, error)
        else:
            self.produce(connection, exchange)

    def answer(self, connection: ClientConnection, exchange: HttpExchange) -> None:
        """Call the app, and send as much of its response as the client accepts. In a thread of the pool."""
        request = exchange.request
        if self.request_ids is not None:
            self.request_ids.enter(request)
        try:
            request.body = make_body(connection, exchange)
            if exchange.chunks is not None and not exchange.is_streamed and not exchange.is_cut_off:
                request.body = io.BytesIO(decode_chunks(request.body))
            self.prepare(connection, exchange, for_app=True)
            exchange.environ["wsgi.multithread"] = True
            exchange.environ["wsgi.file_wrapper"] = ResponseFile
            exchange.answer = self.wsgi(exchange.environ, exchange.response.start_response)
            if not self.alive:  # it may have begun to stop since `prepare`
                exchange.response.force_close()
            if self.request_ids is not None:
                self.request_ids.add_header(exchange)
            exchange.items = iter(exchange.answer)
        except Exception as error:
            self.fail(connection, exchange, error)
        else:
            self.produce(connection, exchange)
        if self.request_ids is not None:
            self.request_ids.leave()

    def prepare(self, connection: ClientConnection, exchange: HttpExchange, for_app: bool = False) -> None:
        """Create gunicorn's response, and the WSGI environment if the app or the access log needs it."""
        request = exchange.request
        self.cfg.pre_request(self, request)
        if for_app or self.log.needs_environ:
            exchange.response, exchange.environ = wsgi.create(
                request, connection, connection.client, connection.server, self.cfg
            )
        else:
            exchange.response = DatedResponse(request, connection, self.cfg)
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("Autorestarting worker after current request.")
            self.alive = False
        if not self.alive or not self.cfg.keepalive or len(self.connections) >= self.max_keepalived:
            exchange.response.force_close()

    def produce(self, connection: ClientConnection, exchange: HttpExchange) -> None:
        """Send the app's response, or a part of it if the client accepts no more: the loop sends the rest later."""
        response = exchange.response
        try:
            for item in exchange.items:
                response.write(item)
                if response.response_length is not None and response.sent >= response.response_length:
                    continue  # the response is complete, and `finish` sends it
                connection.flush()
                if connection.unsent_bytes > MAX_UNSENT:
                    self.method_queue.defer(self.take_over, connection, None)
                    return
            response.close()
        except Exception as error:
            self.fail(connection, exchange, error)
            return
        self.end(exchange)
        self.finish(connection, not response.should_close())

    def fail(self, connection: ClientConnection, exchange: HttpExchange, error: Exception) -> None:
        """End an exchange that cannot be completed: with status 500 if nothing is sent yet."""
        if isinstance(error, ConnectionError):
            self.forget_unsent(connection, error)
        elif exchange.response is not None and exchange.response.headers_sent:
            # A second response would be read as the rest of the first.
            self.log.error("Error handling request", exc_info=error)
        else:
            self.handle_error(exchange.request, connection, connection.client, error)
            exchange.response = DatedResponse(exchange.request, connection, self.cfg)
            exchange.response.status = exchange.response.status_code = find_status(error)
        self.end(exchange)
        self.finish(connection, False)

    def end(self, exchange: HttpExchange) -> None:
        """Close the app's response iterable, and write the access log."""
        try:
            if hasattr(exchange.answer, "close"):
                exchange.answer.close()
            took = datetime.now() - exchange.began
            if self.on_response is not None:
                self.on_response(exchange, took.total_seconds())
            if self.log.has_access_log:
                self.log.access(exchange.response, exchange.request, exchange.environ, took)
            self.cfg.post_request(self, exchange.request, exchange.environ, exchange.response)
        except Exception:
            self.log.exception("Error at the end of a request")

    def forget_unsent(self, connection: ClientConnection, error: Exception) -> None:
        """Drop the queued data of a client that has disconnected."""
        self.log.debug("The client is gone: %s", error)
        connection.unsent.clear()
        connection.unsent_bytes = 0

    def finish(self, connection: ClientConnection, keep: bool) -> None:
        """Send the queued data and end BUSY; `keep` leaves the connection open. From any thread."""
        with connection.lock:
            # Under the lock, so that the loop sees the connection free if the next request arrives immediately.
            try:
                connection.flush()
            except OSError as error:
                self.forget_unsent(connection, error)
                keep = False
            if keep and connection.watched and not connection.unsent and not connection.received:
                # The loop has nothing to do until the next request comes.
                connection.exchange = None
                connection.deadline = time.monotonic() + self.cfg.keepalive
                connection.state = ConnectionState.IDLE
                return
        self.method_queue.defer(self.take_over, connection, keep)

    # Sending and closing, in the loop

    def take_over(self, connection: ClientConnection, keep: bool | None) -> None:
        """Take over a connection from the answering thread; `keep` is None if the response is not complete yet."""
        if connection.exchange is not None and connection.exchange.is_streamed:
            connection.exchange.is_streamed = False
            self.streamed -= 1
        if connection.unsent:
            now = time.monotonic()
            connection.state, connection.keep = ConnectionState.SENDING, keep
            connection.since = connection.moved_at = now
            connection.begin_sending()
            connection.deadline = now + FREE_SECONDS
            self.watch(connection, selectors.EVENT_WRITE)
            self.hold(connection)
        elif keep is None:
            connection.state = ConnectionState.BUSY
            self.tpool.submit(self.produce, connection, connection.exchange)
        elif keep:
            self.wait_for_request(connection)
        else:
            self.close(connection)

    def send_more(self, connection: ClientConnection) -> None:
        """Send more of a response now that the client has read, and continue when all is sent."""
        if self.flush_or_drop(connection):
            connection.moved_at = time.monotonic()
            self.account(connection)
            if not connection.unsent:
                self.take_over(connection, connection.keep)

    def flush_or_drop(self, connection: ClientConnection) -> bool:
        """Send the queued data that the client accepts immediately. Return False if the client has disconnected."""
        try:
            connection.flush()
        except OSError:
            self.drop(connection)
            return False
        return True

    def extend_deadline(self, connection: ClientConnection, now: float) -> None:
        """Set the deadline of a reading client: FREE_SECONDS after its last data, or earlier below MIN_RATE."""
        before, taken = connection.taken, connection.count_taken()
        if taken > before:
            connection.moved_at = now
        connection.deadline = FREE_SECONDS + min(connection.moved_at, connection.since + taken / MIN_RATE)

    def wait_for_request(self, connection: ClientConnection) -> None:
        """Keep the connection for its next request, which may already have arrived."""
        now = time.monotonic()
        connection.exchange = None
        connection.state, connection.deadline = ConnectionState.IDLE, now + self.cfg.keepalive
        self.account(connection)
        self.watch(connection, selectors.EVENT_READ)
        if connection.received:
            self.advance(connection)

    def refuse(self, connection: ClientConnection, status: int, message: str) -> None:
        """Refuse a request without calling the app, and close."""
        connection.sendall(make_refusal(status, message, self.error_headers))
        self.flush_and_close(connection)

    def handle_error(self, req: Any, client: ClientConnection, addr: Any, exc: Exception) -> None:
        """Log an error of a request or of the app, and queue a response."""
        status = find_status(exc)
        if status == 500:
            self.log.exception("Error handling request %s %s", getattr(req, "method", ""), getattr(req, "uri", ""))
            message = "Internal error; the server's log has the details"
        else:
            self.log.warning("Invalid request from ip=%s: %s", addr[0] if addr else "", exc)
            message = f"The request is not valid HTTP, or more than the server reads: {exc}"
        client.sendall(make_refusal(status, message, self.error_headers))

    def flush_and_close(self, connection: ClientConnection) -> None:
        """Send the queued data that the client accepts immediately, and close."""
        if self.flush_or_drop(connection):
            self.close(connection)

    def close(self, connection: ClientConnection) -> None:
        """Signal the end of the last response, and wait briefly for the client to close.

        Closing a socket with unread input resets the connection, and the client may lose the end of the response (RFC
        9112, section 9.6).
        """
        try:
            connection.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.drop(connection)
            return
        connection.received.clear()
        connection.unsent.clear()
        connection.unsent_bytes = 0
        connection.exchange = None
        connection.state, connection.deadline = ConnectionState.CLOSING, time.monotonic() + CLOSE_SECONDS
        self.account(connection)
        self.watch(connection, selectors.EVENT_READ)

    def discard(self, connection: ClientConnection) -> None:
        """Read and drop data that a client sends to a closing connection."""
        try:
            data = connection.sock.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.drop(connection)

    def drop(self, connection: ClientConnection) -> None:
        """Close the socket and forget the connection."""
        if connection.state is ConnectionState.CLOSED:
            return
        self.watch(connection, 0)
        if connection.state is ConnectionState.SENDING and connection.keep is None and connection.exchange is not None:
            self.tpool.submit(self.end, connection.exchange)
        connection.state, connection.exchange = ConnectionState.CLOSED, None
        self.account(connection)
        self.connections.discard(connection)
        connection.sock.close()
