"""Stream of a run's responses to the caller of a webhook, as server-sent events (HTML standard, section 9.2).

Each node that responds sends one event, as soon as its step is on the disk; the last event has the status of the run.
The stream reads the record of the run, so it does not matter which process executes it. It ends with the connection,
and cannot be resumed; the run goes on.

An open stream holds a request thread. So only a quarter of the threads of a process have one, and no webhook, caller or
workspace can hold all of these places.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import orjson
from flask import Request, Response

import engine
from database.queries import steps
from database.queries.webhooks import WebhookTarget
from dispatch import Dispatcher, Ticket
from dispatch.payloads import Kept
from errors import Unavailable
from models import Run
from nodes.base import REGISTRY

MAX_SECONDS = 600.0
HEARTBEAT_SECONDS = 15.0  # of silence, after which a comment is sent: a proxy would close a silent connection
POLL_SECONDS = 0.5
HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx passes each event on at once
}
TOO_MANY = "Too many answers are streamed at the moment; try again soon"


class Streams:
    """The open streams of one process, a limited number. Each also counts as a long wait of the dispatcher.

    One webhook and one network address have at most half of the places, a workspace all but a quarter.
    """

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.dispatcher = dispatcher
        self.places = max(1, dispatcher.config.threads // 4)
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()

    def begin(self, hook: WebhookTarget, network: str | None, request: Request) -> EventStream:
        """Reserve the place for a stream to the request; close it. `network` is None for an address of many callers.

        Raises: Unavailable if there are too many.
        """
        half, most = max(1, self.places // 2), max(1, self.places - max(1, self.places // 4))
        limits = {
            "": self.places,
            f"workspace {hook.flow.workspace_id}": most,
            f"hook {hook.flow.id} {hook.node_id}": half,
        }
        if network is not None:
            limits[f"network {network}"] = half
        with self._lock:
            if any(self._open[key] >= limit for key, limit in limits.items()):
                raise Unavailable(TOO_MANY, retry_after=5)
            if not self.dispatcher.waiting.take_long_place():
                raise Unavailable(TOO_MANY, retry_after=5)
            self._open.update(limits.keys())
        return EventStream(self, limits.keys(), request)

    def end(self, keys: Iterable[str]) -> None:
        """Free the place of a stream."""
        self.dispatcher.waiting.leave_long_place()
        with self._lock:
            self._open.subtract(keys)
            self._open += Counter()  # drops the keys of 0


class EventStream:
    """The place of a stream, and its response."""

    def __init__(self, streams: Streams, keys: Iterable[str], request: Request) -> None:
        self.streams, self.dispatcher, self.keys = streams, streams.dispatcher, keys
        # Of our HTTP worker; other servers do not tell.
        self._has_disconnected = getattr(request.environ.get("gunicorn.socket"), "has_disconnected", lambda: False)
        self._lock = threading.Lock()
        self._is_closed = False

    def close(self) -> None:
        """Free the place. The first call counts."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        self.streams.end(self.keys)

    def make_response(self, ticket: Ticket) -> Response:
        """Return the response with the events of the run. The server closes the stream with it."""
        ticket.durable()
        response = Response(self._send(ticket), headers=HEADERS)
        response.call_on_close(self.close)
        return response

    def _send(self, ticket: Ticket) -> Iterator[bytes]:
        run_id, sent = str(ticket.run.id), -1
        ends_at = min(time.monotonic() + MAX_SECONDS, self.dispatcher.waiting.ends_at)
        changed = threading.Event()
        if ticket.active is not None:
            ticket.active.heard = changed.set
        yield make_event({"run_id": run_id}, "run")
        silent_since = time.monotonic()
        while not self._has_disconnected():
            changed.clear()
            # The run first: all steps of a run that has ended are on the disk.
            run = Run.find(run_id)
            types = [type_ for type_, node in REGISTRY.items() if node.responds]
            for step in steps.successes(run_id, types, sent):
                sent = step.seq
                value = self.dispatcher.resources.value(run_id, f"step_{sent}", Kept(step.output, step.output_bytes))
                if engine.is_response(value):
                    yield make_event(find_body(value), seq=sent)
                    silent_since = time.monotonic()
            now = time.monotonic()
            ends_at = min(ends_at, self.dispatcher.waiting.ends_at)
            if run is None or run.finished_at is not None or now >= ends_at:
                yield make_event({"run_id": run_id, "status": "failed" if run is None else run.status}, "end")
                return
            if now - silent_since >= HEARTBEAT_SECONDS:
                yield b":\n\n"
                silent_since = now
            changed.wait(min(POLL_SECONDS, ends_at - now))


def find_body(response: dict[str, Any]) -> Any:
    """Return the data of the event for the output of a node that responds: its body, or the object with its bytes."""
    return (
        response["body"] if "body" in response else {key: response[key] for key in response.keys() & {"file", "base64"}}
    )


def make_event(data: Any, name: str = "", seq: int = 0) -> bytes:
    """Return an event: text as it is, other data as JSON. Without a name, it is a message."""
    text = data if isinstance(data, str) else orjson.dumps(data).decode()
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    head = [*([f"event: {name}"] if name else []), *([f"id: {seq}"] if seq else [])]
    return "\n".join([*head, *(f"data: {line}" for line in lines), "", ""]).encode("utf-8", "replace")
