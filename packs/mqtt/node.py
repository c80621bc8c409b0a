"""MQTT node: publishes messages to a broker, or receives them for some time, by `paho-mqtt`.

The library's loop runs in the node's own thread, until the work is done or the time is up.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import math
import secrets
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from marshmallow import ValidationError, fields, validate

from errors import ErrorKind, LimitExceeded, NodeError, TimedOut
from fields import Schema
from net.library_sockets import dial, guard_connections
from nodes.base import Context, Inbox, Item, Node, Polled, Services, check_installed, setting
from nodes.core.triggers import TriggerNode
from nodes.credentials import base
from nodes.credentials.keyring import DecryptedCredential
from nodes.credentials.types import checks
from nodes.data.jmespath_query import MAX_QUERY, make_key, read_payload
from nodes.fields import anything, choice, credential, flag, number, text, text_of, whole
from nodes.http.pagination import jmespath

MAX_SENT = 256 * 1024
MAX_RECEIVED, MAX_TOTAL = 2**20, 10 * 2**20
MAX_TOPIC = 65_535  # bytes, the limit of the protocol
PERMANENT = {
    "Bad user name or password",
    "Not authorized",
    "Unsupported protocol version",
    "Client identifier not valid",
}
CHECK_SECONDS = 0.5  # seconds between checks of the deadline while nothing arrives


class MqttCredential(base.CredentialType):
    """An MQTT broker."""

    title = "MQTT"
    host = base.text("The broker: mqtt.example.com", base.check_host, required=True, title="Host")
    port = base.port(8883)
    tls = flag("Encrypt the connection", True, literal=False, title="Use TLS")
    username = base.text("The user name", title="User name")
    password = base.secret("The password", title="Password")


class MqttNode(Node):
    """Publishes a message to an MQTT broker and waits for its confirmation, or receives messages for some seconds."""

    type = "mqtt"
    category = "integration"
    title = "MQTT"
    icon = "broadcast"
    also = ("iot", "publish", "broker")
    pure = False
    extra = "mqtt"
    requires = ("paho",)
    examples = (
        {
            "config": {"credential": "plant", "topic": "alarms/{{ input.sensor }}", "payload": "{{ input }}"},
            "input": {"sensor": "boiler", "celsius": 96.5},
            "output": {"topic": "alarms/boiler", "size": 34},
        },
        {
            "config": {"credential": "plant", "operation": "receive", "topic": "sensors/+/state", "limit": 2},
            "output": {"messages": [{"topic": "sensors/boiler/state", "payload": {"celsius": 96.5}, "retained": True}]},
        },
    )

    class Config(Schema):
        credential = credential("The MQTT broker", "mqtt", required=True, title="Credential")
        operation = choice(
            "The operation at the broker",
            {"publish": "Publish", "receive": "Receive"},
            load_default="publish",
            title="Operation",
        )
        topic = text(
            "The topic: sensors/boiler. For receive, + and # are wildcards", most=1_024, required=True, title="Topic"
        )
        payload = anything(
            "The message: text as it is, other values as JSON. Default: the input", lines="", title="Payload"
        )
        qos = whole(
            "The delivery guarantee: 0 at most once, 1 at least once, 2 exactly once",
            0,
            2,
            load_default=1,
            title="Quality of service",
        )
        retain = flag("Let the broker keep the message for later subscribers", False, title="Retain")
        limit = whole(
            "For receive: the number of messages after which to stop", 1, 1_000, load_default=1, title="Max messages"
        )
        seconds = number(
            "For receive: seconds to listen. Retained messages arrive immediately",
            0.1,
            300,
            load_default=5.0,
            title="Listen for (seconds)",
        )
        timeout = number(
            "Seconds until the node fails, not counting the time to listen",
            0.1,
            300,
            load_default=30.0,
            title="Timeout (seconds)",
        )

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        check_installed(type(self))
        listening = config["operation"] == "receive"
        most = config["timeout"] + (config["seconds"] if listening else 0)
        end = time.monotonic() + ctx.seconds_left(most)
        found = ctx.credential(config["credential"], "mqtt")
        topic = check_topic(config["topic"], listening)
        payload = b"" if listening else text_of(config.get("payload", input)).encode("utf-8", "replace")
        if len(payload) > MAX_SENT:
            raise LimitExceeded(f"the payload has {len(payload):,} bytes; the limit is {MAX_SENT:,}")
        ctx.check_secrets(found.data["host"], [topic, payload.decode("utf-8", "replace")])
        with connect(found, ctx, end) as broker:
            if listening:
                return {"messages": broker.receive(topic, config["qos"], config["limit"], config["seconds"])}
            broker.publish(topic, payload, config["qos"], config["retain"])
        return {"topic": topic, "size": len(payload)}


def check_topic(topic: str, listening: bool) -> str:
    """Return the topic. Raises: NodeError if it is invalid."""
    if "\0" in topic or len(topic.encode("utf-8", "replace")) > MAX_TOPIC:
        raise NodeError("the topic must not contain NUL, and must be shorter", permanent=True)
    if not listening and set(topic) & {"+", "#"}:
        raise NodeError("a topic to publish to must not contain the wildcards + and #", permanent=True)
    try:
        topic.encode()
    except UnicodeEncodeError:
        raise NodeError("the topic is not valid text (half a surrogate pair)", permanent=True) from None
    return topic


class MqttConnection:
    """A connection to a broker until `end`, on the clock of `time.monotonic`."""

    def __init__(self, client: Any, host: str, end: float) -> None:
        self.client, self.host, self.end = client, host, end
        self.answer: Any = None
        self.granted: Any = None
        self.messages: list[Any] = []
        client.on_connect = lambda client, userdata, flags, reason, properties: setattr(self, "answer", reason)
        client.on_subscribe = lambda client, userdata, mid, reasons, properties: setattr(self, "granted", reasons[0])
        client.on_message = lambda client, userdata, message: self.messages.append(message)

    def log_in(self, port: int) -> None:
        """Connect and log in."""
        # The broker waits this long for a sign of life: longer than the connection lasts.
        self.client.connect(self.host, port, keepalive=min(60_000, math.ceil(self.end - time.monotonic()) + 60))
        self.loop_until(lambda: self.answer is not None)
        if self.answer.is_failure:
            reason = str(self.answer)
            raise NodeError(f"{self.host} rejected the connection: {reason}", reason in PERMANENT, kind="refused")

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> None:
        """Publish, and wait for the broker's confirmation, or with qos 0 until it is sent."""
        sent = self.client.publish(topic, payload, qos, retain)
        self.loop_until(sent.is_published)

    def receive(self, topic: str, qos: int, limit: int, seconds: float) -> list[dict[str, Any]]:
        """Return the messages received in `seconds`, at most `limit`."""
        self.client.subscribe(topic, qos)
        self.loop_until(lambda: self.granted is not None)
        if self.granted.is_failure:
            raise NodeError(f"{self.host} does not permit subscribing to {topic!r}", True, kind="refused")
        enough = time.monotonic() + seconds
        self.loop_until(lambda: len(self.messages) >= limit or time.monotonic() >= enough, enough)
        return [
            {"topic": message.topic, "payload": read_payload(message.payload), "retained": bool(message.retain)}
            for message in self.messages[:limit]
        ]

    def loop_until(self, done: Callable[[], bool], at: float = math.inf) -> None:
        """Run the library's loop until `done()` is true, checking after each received packet and at the time `at`."""
        while not done():
            now = time.monotonic()
            if now >= self.end:
                raise TimeoutError
            code = self.client.loop(max(0.0, min(CHECK_SECONDS, self.end - now, at - now)))
            if code and not done():
                raise ConnectionError("the connection was lost")

    def leave(self) -> None:
        """Disconnect properly, so that the broker does not assume a failure."""
        self.client.disconnect()
        with suppress(OSError):
            while self.client.want_write() and time.monotonic() < self.end:
                if self.client.loop(0.05):
                    break


@contextmanager
def connect(found: DecryptedCredential, ctx: Context, end: float) -> Iterator[MqttConnection]:
    """Yield a broker after the login. Raises: NodeError if anything fails."""
    host, services = found.data["host"], ctx.need_services()
    client = make_client(found, ctx, end)
    try:
        with guard_connections(services.egress, end - time.monotonic()):
            broker = MqttConnection(client, host, end)
            broker.log_in(found.data["port"])
            yield broker
            broker.leave()
    except (OSError, ValueError) as error:
        if client.too_large:
            raise LimitExceeded(f"{host} sent {client.too_large}") from None
        if time.monotonic() >= end:
            raise TimedOut(f"{host} did not answer in time") from None
        permanent = isinstance(error, ssl.SSLCertVerificationError | ValueError)
        raise NodeError(f"{host}: {str(error) or type(error).__name__}", permanent, kind="remote") from None
    finally:
        client.close()


def make_client(found: DecryptedCredential, ctx: Context, end: float, name: str = "", **options: Any) -> Any:
    """Return a client that is not connected yet. `end` limits the connecting, `name` is its id; default: a new one."""
    logging.getLogger("paho").setLevel(logging.WARNING)
    services = ctx.need_services()
    found.check_host(found.data["host"])
    tls = services.tls("mqtt") if found.data["tls"] else None
    client = _client_class()(services, end, tls, name, **options)
    if found.data.get("username"):
        client.username_pw_set(found.data["username"], found.data.get("password"))
    return client


@functools.cache
def _client_class() -> Any:
    """Return the client class; made at first use, because it loads paho."""
    from paho.mqtt.client import Client, MQTTv311
    from paho.mqtt.enums import CallbackAPIVersion

    class LimitedClient(Client):
        """Connects under the egress rule, and limits the size of messages."""

        def __init__(
            self, services: Services, end: float, tls: ssl.SSLContext | None, name: str = "", **options: Any
        ) -> None:
            name = name or f"headrace-{secrets.token_hex(8)}"
            super().__init__(
                CallbackAPIVersion.VERSION2, name, protocol=MQTTv311, reconnect_on_failure=False, **options
            )
            self.services, self.end, self.tls, self.too_large, self.room = services, end, tls, "", MAX_TOTAL
            self.max_received = MAX_RECEIVED

        def _create_socket_connection(self) -> socket.socket:
            sock = dial(self.services.egress, self.host, self.port, self.end - time.monotonic())
            return sock if self.tls is None else self.tls.wrap_socket(sock, server_hostname=self.host)

        def _sock_recv(self, bufsize: int) -> bytes:
            if bufsize > self.max_received:
                self.too_large = f"a message of more than {self.max_received:,} bytes"
                raise ConnectionError("the message is too large")
            # The library itself buffers messages of qos 2 until they are complete.
            data = super()._sock_recv(bufsize)
            self.room -= len(data)
            if self.room < 0:
                self.too_large = f"more than {MAX_TOTAL:,} bytes; lower the limit"
                raise ConnectionError("the messages are too large")
            return data

        def close(self) -> None:
            """Close open connections."""
            self._reset_sockets()

    return LimitedClient


@checks("mqtt")
def check(found: DecryptedCredential, ctx: Context, asked: Mapping[str, Any]) -> str:
    """Connect and log in."""
    check_installed(MqttNode)
    with connect(found, ctx, time.monotonic() + ctx.seconds_left(15)) as broker:
        who = found.data.get("username")
        return f"{broker.host} accepts the connection" + (f" of {who}" if who else "")


# MQTT trigger: a run for each message of some topics, by a session that the broker keeps.
#
# A message of quality of service 1 is acknowledged once its run is on the disk. Until then the broker delivers it
# again, so no message is lost, and one whose acknowledgement was lost arrives twice.

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
            "Let the broker keep messages while the server is not connected; needs quality of service 1",
            True,
            title="Keep missed messages",
        )
        retained = flag(
            "Also start runs for messages that the broker retained before", False, title="Include retained messages"
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
