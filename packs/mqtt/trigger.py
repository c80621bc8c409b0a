"""MQTT trigger: a run for each message of some topics, by a session that the broker keeps.

A message of quality of service 1 is acknowledged once its run is on the disk. Until then the broker delivers it again,
so no message is lost, and one whose acknowledgement was lost arrives twice.
"""

from __future__ import annotations

import hashlib
import select
import ssl
import time
from collections import deque
from contextlib import suppress
from typing import Any

from marshmallow import ValidationError, fields, validate

from errors import ErrorKind, NodeError
from fields import Schema
from nodes.base import Context, Inbox, Item, Polled, check_installed, setting
from nodes.core.triggers import TriggerNode
from nodes.data.jmespath_query import MAX_QUERY, make_key, read_payload
from nodes.fields import credential, flag, text, whole
from nodes.http.pagination import jmespath
from packs.mqtt.node import MAX_RECEIVED, PERMANENT, check_topic, make_client

CONNECT_SECONDS = 30.0
KEEPALIVE = 30  # seconds
LOOP_SECONDS = 0.3
BATCH = 100
# Messages received and without a run yet, beyond which nothing more is read; then the broker keeps the rest.
MAX_PENDING, MAX_PENDING_BYTES = 1_000, 8 * 2**20
MAX_DROPPED = 16 * 2**20  # bytes of a message that is too large for a run: it is read and dropped


def _topic(value: str) -> None:
    try:
        check_topic(value, True)
    except NodeError as error:
        raise ValidationError(error.message) from None


class MqttTrigger(TriggerNode):
    """Starts a run for each message that arrives at some topics of an MQTT broker.

    With quality of service 1 no message is lost: it is acknowledged when its run is on the disk, and the broker keeps
    those that arrive while the server is down. With `key`, a message that is delivered twice starts one run.
    """

    type = "mqtt_trigger"
    title = "New MQTT message"
    icon = "antenna"
    also = ("iot", "subscribe", "broker", "topic", "mosquitto")
    polls = True
    listens = True
    source = ("credential",)
    extra = "mqtt"
    requires = ("paho",)
    examples = (
        {
            "config": {"credential": "plant", "topics": ["sensors/+/state"], "key": "payload.id"},
            "input": {"topic": "sensors/boiler/state", "payload": {"id": 7, "celsius": 96.5}, "retained": False},
            "output": {"topic": "sensors/boiler/state", "payload": {"id": 7, "celsius": 96.5}, "retained": False},
        },
    )

    class Config(Schema):
        credential = credential("The MQTT broker", "mqtt", required=True, title="Credential")
        topics = setting(
            fields.List(
                fields.String(validate=[validate.Length(1, 1_024), _topic]),
                required=True,
                validate=validate.Length(1, 50),
            ),
            "The topics: sensors/boiler, or with the wildcards + and #: sensors/+/state",
            literal=True,
            title="Topics",
        )
        qos = whole(
            "The delivery guarantee: 0 at most once, 1 at least once", 0, 1, load_default=1, title="Quality of service"
        )
        key = text(
            "JMESPath of the key of a message: payload.id. A message with a known key starts no run",
            jmespath,
            most=MAX_QUERY,
            least=1,
            literal=True,
            title="Key path",
        )
        keep = flag(
            "Whether the broker keeps messages while the server is not connected, which needs quality of service 1",
            True,
            title="Keep missed messages",
        )
        retained = flag(
            "Whether messages that the broker retained before start runs", False, title="Include retained messages"
        )

    def poll(self, config: dict[str, Any], state: Any, ctx: Context) -> Polled:
        raise NodeError("this process cannot listen to MQTT brokers")

    def listen(self, config: dict[str, Any], state: Any, ctx: Context, inbox: Inbox) -> None:
        check_installed(type(self))
        found = ctx.credential(config["credential"], "mqtt")
        subscriber = Subscriber(config, ctx, inbox)
        client = make_client(
            found,
            ctx,
            time.monotonic() + CONNECT_SECONDS,
            make_client_id(ctx),
            clean_session=not config["keep"],
            manual_ack=True,
        )
        client.max_received = MAX_DROPPED
        host = found.data["host"]
        try:
            subscriber.connect(client, host, found.data["port"], state)
            subscriber.work()
            client.disconnect()
        except (OSError, ValueError) as error:
            what = f"sent {client.too_large}" if client.too_large else str(error) or type(error).__name__
            permanent = isinstance(error, ssl.SSLCertVerificationError | ValueError)
            raise NodeError(f"{host}: {what}", permanent, kind="remote") from None
        finally:
            client.close()


def make_client_id(ctx: Context) -> str:
    """Return the id of the session at the broker: always the same for the trigger of a flow, and of 23 characters."""
    place = f"{ctx.scope['workflow']['id']} {ctx.node_id}"
    return "headrace" + hashlib.sha256(place.encode()).hexdigest()[:15]


class Subscriber:
    """A connection with its messages that have no run yet."""

    def __init__(self, config: dict[str, Any], ctx: Context, inbox: Inbox) -> None:
        self.config, self.ctx, self.inbox = config, ctx, inbox
        self.client: Any = None
        self.pending: deque[Any] = deque()
        self.bytes = 0
        self._answer: Any = None
        self._granted: Any = None
        self._is_unsubscribed = False

    def connect(self, client: Any, host: str, port: int, state: Any) -> None:
        """Connect, and subscribe to the topics. Raises: NodeError, OSError."""
        self.client = client
        client.on_connect = lambda client, userdata, flags, reason, properties: setattr(
            self, "_answer", (flags, reason)
        )
        client.on_subscribe = lambda client, userdata, mid, reasons, properties: setattr(self, "_granted", reasons)
        client.on_unsubscribe = lambda *_: setattr(self, "_is_unsubscribed", True)
        client.on_message = lambda client, userdata, message: self._receive(message)
        end = time.monotonic() + CONNECT_SECONDS
        client.connect(host, port, keepalive=KEEPALIVE)
        self._wait(lambda: self._answer is not None, end)
        flags, reason = self._answer
        if reason.is_failure:
            kind: ErrorKind = "credential" if str(reason) in PERMANENT else "refused"
            raise NodeError(f"{host} rejected the connection: {reason}", str(reason) in PERMANENT, kind=kind)
        self._subscribe(host, state if flags.session_present and isinstance(state, dict) else {}, end)
        self.inbox.connected()

    def _subscribe(self, host: str, state: dict[str, Any], end: float) -> None:
        """Subscribe to new topics and leave the others. The state has the topics of the session at the broker."""
        wanted, qos = sorted(set(self.config["topics"])), self.config["qos"]
        known = state.get("topics", []) if state.get("qos") == qos else []
        new = [topic for topic in wanted if topic not in known]
        gone = [topic for topic in state.get("topics", []) if topic not in wanted]
        if not new and not gone:
            return
        # Saved before and after, so that no subscription of the session is ever forgotten.
        self.inbox.save({"topics": sorted({*wanted, *gone}), "qos": None})
        if new:
            self.client.subscribe([(topic, qos) for topic in new])
            self._wait(lambda: self._granted is not None, end)
            for topic, granted in zip(new, self._granted, strict=False):
                if granted.is_failure:
                    raise NodeError(f"{host} does not permit subscribing to {topic!r}", True, kind="refused")
        if gone:
            self.client.unsubscribe(gone)
            self._wait(lambda: self._is_unsubscribed, end)
        self.inbox.save({"topics": wanted, "qos": qos})

    def _wait(self, done: Any, end: float) -> None:
        while not done():
            if time.monotonic() >= end:
                raise ConnectionError("the broker did not answer in time")
            self._loop(LOOP_SECONDS, done)

    def _loop(self, seconds: float, done: Any = lambda: False) -> None:
        self.client.room = MAX_DROPPED  # pending data is limited, so this limits one step only
        if self.client.loop(seconds) and not done():
            raise ConnectionError("the connection was lost")

    def work(self) -> None:
        """Receive messages until the inbox is closed. Raises: OSError if the connection is lost."""
        while self.inbox.is_open():
            if len(self.pending) < MAX_PENDING and self.bytes < MAX_PENDING_BYTES:
                self._loop(0.0 if self.pending else LOOP_SECONDS)
                while self.pending and len(self.pending) < BATCH and self._has_more():
                    self._loop(0.0)
            elif self.client.loop_misc():
                raise ConnectionError("the connection was lost")
            if self.pending and not self._deliver():
                time.sleep(LOOP_SECONDS)  # no room for runs

    def _has_more(self) -> bool:
        sock = self.client.socket()
        if sock is None:
            return False
        return bool(getattr(sock, "pending", int)() or select.select([sock], [], [], 0)[0])

    def _receive(self, message: Any) -> None:
        if message.retain and not self.config["retained"]:
            self._acknowledge(message)
        elif len(message.payload) > MAX_RECEIVED:
            size = len(message.payload)
            self.ctx.log("error", f"A message of {message.topic[:200]!r} with {size:,} bytes is too large for a run")
            self._acknowledge(message)
        else:
            self.pending.append(message)
            self.bytes += len(message.payload)

    def _deliver(self) -> int:
        """Deliver the oldest messages and acknowledge those with a run. Return their number."""
        batch = [self.pending[at] for at in range(min(BATCH, len(self.pending)))]
        values = [
            {"topic": message.topic, "payload": read_payload(message.payload), "retained": bool(message.retain)}
            for message in batch
        ]
        taken = self.inbox.deliver([Item(make_key(self.config.get("key"), value), value) for value in values])
        for message in batch[:taken]:
            self.pending.popleft()
            self.bytes -= len(message.payload)
            self._acknowledge(message)
        return taken

    def _acknowledge(self, message: Any) -> None:
        with suppress(ValueError):
            self.client.ack(message.mid, message.qos)
