"""The node `mqtt` with a real broker: Mosquitto if it is installed, else aMQTT."""

import json
import secrets
import socket
import threading
import time
from types import SimpleNamespace

import brokers
import pytest
from brokers import PASSWORD, free_port
from contract import Case, Contract
from marshmallow import ValidationError
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from errors import NodeError
from net.egress import Rule
from nodes import REGISTRY
from packs.mqtt import node as mqtt


@pytest.fixture(scope="module")
def broker(tmp_path_factory, authority):
    authority.server("localhost")
    broker = brokers.started(tmp_path_factory.mktemp("broker"), authority.folder / "localhost.pem")
    yield broker
    broker.stop()


@pytest.fixture
def subscriber(broker):
    """A client that records every message published from now on in `messages`.

    `wait(n, topic)` waits for n messages of a topic; `forget(topic)` deletes its retained message. aMQTT sends a
    client that connects the retained messages of all topics to which any client subscribes.
    """
    client = Client(CallbackAPIVersion.VERSION2)
    client.username_pw_set("zoe", PASSWORD)
    subscriber = SimpleNamespace(messages=[], client=client)
    ready, changed, retained, first = threading.Event(), threading.Condition(), [], f"first/{secrets.token_hex(8)}"

    def receive(client, userdata, message):
        # Retained messages, and all messages before our own first one, come from another test.
        if message.topic == first:
            ready.set()
        elif message.retain:
            retained.append(message)
        elif ready.is_set():
            with changed:
                subscriber.messages.append(message)
                changed.notify_all()

    def wait(count, topic=None):
        with changed:
            assert changed.wait_for(lambda: sum(topic in (None, one.topic) for one in subscriber.messages) >= count, 20)
        return subscriber.messages

    def forget(*topics):
        for topic in topics:
            client.publish(topic, b"", retain=True).wait_for_publish(10)
        with changed:
            assert changed.wait_for(
                lambda: set(topics) <= {one.topic for one in subscriber.messages if not one.payload}, 20
            )

    client.on_connect = lambda *args: client.subscribe("#", broker.quality)
    client.on_subscribe = lambda *args: client.publish(first, qos=1)
    client.on_message, subscriber.wait, subscriber.forget = receive, wait, forget
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    assert ready.wait(20)
    yield subscriber
    forget(*{message.topic for message in retained})
    client.disconnect()
    client.loop_stop()


def credential(broker, **changes):
    data = {"host": "127.0.0.1", "port": broker.port, "tls": False, "username": "zoe", "password": PASSWORD} | changes
    return {"plant": ("mqtt", {key: value for key, value in data.items() if value is not None})}


@pytest.fixture
def execute(run, broker):
    def execute(topic, credentials=None, input=None, context=None, **config):
        config |= {"credential": "plant", "topic": topic}
        return run("mqtt", config, input, credentials=credentials or credential(broker), **(context or {}))

    return execute


@pytest.fixture
def fails(execute):
    def fails(*args, **config):
        with pytest.raises(NodeError) as caught:
            execute(*args, **config)
        return caught.value

    return fails


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_message_arrives(execute, broker, subscriber, qos):
    assert execute("a/höre", payload="läuft", qos=qos) == {"topic": "a/höre", "size": 6}
    (message,) = subscriber.wait(1)
    assert (message.topic, message.payload.decode(), message.retain) == ("a/höre", "läuft", False)
    assert message.qos == min(qos, broker.quality)


def test_a_payload_that_is_not_text_is_sent_as_json(execute, subscriber):
    execute("a", payload={"celsius": 96.5, "ö": [None]})
    execute("a", input={"b": 1})
    execute("a", payload=21)
    execute("a", payload="")
    assert [message.payload.decode() for message in subscriber.wait(4)] == [
        '{"celsius": 96.5, "ö": [null]}',
        '{"b": 1}',
        "21",
        "",
    ]


def test_a_later_subscriber_receives_the_latest_retained_messages(execute, subscriber):
    execute("retained/a", payload="old", retain=True)
    execute("retained/a", payload={"new": 1}, retain=True)
    execute("retained/b", payload="x", retain=True)
    subscriber.wait(3)
    answer = execute("retained/+", operation="receive", limit=2, seconds=10)
    assert sorted(answer["messages"], key=lambda message: message["topic"]) == [
        {"topic": "retained/a", "payload": {"new": 1}, "retained": True},
        {"topic": "retained/b", "payload": "x", "retained": True},
    ]
    subscriber.forget("retained/a", "retained/b")


def test_messages_are_received_while_subscribed(execute, broker, subscriber):
    answers, place = [], f"live/{secrets.token_hex(8)}"
    listen = {"operation": "receive", "limit": 3, "seconds": 20}
    thread = threading.Thread(target=lambda: answers.append(execute(f"{place}/#", **listen)))
    thread.start()
    number = 0
    while thread.is_alive():
        number += 1
        subscriber.client.publish(f"{place}/a", [b"\xff\x00", b"12", b"text"][number % 3], qos=1).wait_for_publish(10)
        thread.join(0.02)
    messages = answers[0]["messages"]
    assert [(message["topic"], message["retained"]) for message in messages] == 3 * [(f"{place}/a", False)]
    assert all(message["payload"] in ({"base64": "/wA="}, 12, "text") for message in messages)


def test_no_messages_in_time_is_an_empty_list(execute):
    began = time.monotonic()
    assert execute("silence", operation="receive", seconds=0.2) == {"messages": []}
    assert 0.2 <= time.monotonic() - began < 15


@pytest.mark.parametrize("topic", ["a/+", "#", "a\0b", "a" * 1_025, "\ud800"])
def test_an_invalid_topic_is_rejected(fails, topic):
    try:
        assert fails(topic, payload="x").permanent
    except ValidationError as error:
        assert error.messages.keys() == {"topic"}


@pytest.mark.parametrize("topic", ["a/#/b", "a+", "##"])
def test_an_invalid_topic_filter_is_a_permanent_error(fails, topic):
    assert fails(topic, operation="receive", seconds=0.2).permanent


def test_an_oversized_payload_is_rejected(execute, fails, subscriber):
    assert execute("a", payload="x" * 2**18)["size"] == 2**18
    error = fails("a", payload="x" * (2**18 + 1))
    assert error.permanent and "262,144" in error.message


def test_an_oversized_message_is_rejected(fails, subscriber, monkeypatch):
    monkeypatch.setattr(mqtt, "MAX_RECEIVED", 10_000)
    subscriber.client.publish("large", b"x" * 20_000, retain=True).wait_for_publish(10)
    error = fails("large", operation="receive")
    subscriber.forget("large")
    assert error.permanent and "more than 10,000 bytes" in error.message


def test_messages_over_the_total_size_are_rejected_at_once(fails, subscriber, monkeypatch):
    """Waiting for the end of `seconds` instead would let any number of messages arrive."""
    monkeypatch.setattr(mqtt, "MAX_TOTAL", 10_000)
    for number in range(30):
        subscriber.client.publish(f"many/{number}", b"x" * 1_000, retain=True).wait_for_publish(10)
    began = time.monotonic()
    error = fails("many/#", operation="receive", limit=1_000, seconds=60)
    subscriber.forget(*(f"many/{number}" for number in range(30)))
    assert error.permanent and "more than 10,000 bytes" in error.message
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    "config", [{"qos": 3}, {"limit": 0}, {"limit": 1_001}, {"seconds": 301}, {"timeout": 0}, {"operation": "forget"}]
)
def test_an_invalid_setting_is_rejected(config):
    with pytest.raises(ValidationError) as caught:
        REGISTRY["mqtt"].Config().load({"credential": "a", "topic": "b", **config})
    assert caught.value.messages.keys() == config.keys()


@pytest.mark.parametrize("changes", [{"password": "falsch"}, {"username": "yan"}, {"username": None, "password": None}])
def test_a_rejected_login_is_a_permanent_error(fails, broker, changes):
    error = fails("a", payload="x", credentials=credential(broker, **changes))
    assert error.permanent and "rejected the connection" in error.message and "falsch" not in error.message


def test_the_certificate_of_the_broker_is_verified(execute, fails, broker, subscriber, authority):
    credentials = credential(broker, host="localhost", port=broker.tls_port, tls=True)
    context = {"rule": Rule(["localhost"])}
    error = fails("a", payload="x", credentials=credentials, context=context)
    assert error.permanent and "certificate" in error.message
    execute("a", payload="safe", credentials=credentials, context={**context, "ca_file": authority.file})
    assert subscriber.wait(1)[0].payload == b"safe"


def test_a_certificate_for_another_host_name_is_rejected(fails, broker, authority):
    credentials = credential(broker, port=broker.tls_port, tls=True)
    assert fails("a", payload="x", credentials=credentials, context={"ca_file": authority.file}).permanent


def test_a_broker_at_a_forbidden_address_is_rejected(fails, broker):
    error = fails("a", payload="x", credentials=credential(broker, host="127.0.0.2"))
    assert "may not be reached" in error.message and error.permanent


def test_a_proxy_in_the_environment_is_ignored(execute, subscriber, monkeypatch):
    monkeypatch.setenv("mqtt_proxy", "http://127.0.0.2:1")
    execute("a", payload="x")
    assert subscriber.wait(1)[0].payload == b"x"


def test_a_refused_connection_is_a_temporary_error(fails, broker):
    assert not fails("a", payload="x", credentials=credential(broker, port=free_port())).permanent


@pytest.mark.parametrize("tls", [False, True])
def test_a_silent_broker_times_out(fails, broker, tls):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        began = time.monotonic()
        credentials = credential(broker, port=listener.getsockname()[1], tls=tls)
        error = fails("a", payload="x", credentials=credentials, timeout=0.4)
        assert time.monotonic() - began < 15
        assert not error.permanent and "in time" in error.message


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\x02\x00\x03", b"\xff" * 100])
def test_a_server_of_another_protocol_is_an_error(fails, broker, answer):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        credentials = credential(broker, port=listener.getsockname()[1])
        assert not fails("a", payload="x", credentials=credentials, timeout=3).permanent
        thread.join(60)


def test_nothing_is_sent_to_a_host_outside_the_credential_binding(fails, broker):
    type_, data = credential(broker)["plant"]
    error = fails("a", payload="x", credentials={"plant": (type_, data, ("a.example",))})
    assert "may not be sent to" in error.message


@pytest.mark.parametrize("key", ["topic", "payload"])
def test_a_secret_is_not_sent_to_a_broker_outside_its_binding(make_ctx, broker, key):
    other = ("http_bearer", {"token": "s3cret!"}, ("a.example",))
    ctx, _ = make_ctx(credentials={**credential(broker), "other": other})
    config = {"credential": "plant", "topic": "a", "payload": "b", key: f"x {ctx.keyring['other']}"}
    with pytest.raises(NodeError) as caught:
        REGISTRY["mqtt"].run(REGISTRY["mqtt"].Config().load(config), None, ctx)
    assert "'other' may not be sent to 127.0.0.1" in caught.value.message


def check(make_ctx, credentials):
    ctx, _ = make_ctx(credentials=credentials)
    return mqtt.check(ctx.credential("plant"), ctx, {})


def test_the_check_of_a_working_credential_reports_the_login(make_ctx, broker):
    assert check(make_ctx, credential(broker)) == "127.0.0.1 accepts the connection of zoe"


def test_the_check_of_a_wrong_credential_reports_the_reason(make_ctx, broker):
    with pytest.raises(NodeError) as caught:
        check(make_ctx, credential(broker, password="falsch"))
    assert "rejected the connection" in caught.value.message


@pytest.fixture
def case_mqtt(broker, subscriber):
    def count():
        # The broker delivers this message after all messages that were published before it.
        last = f"last/{secrets.token_hex(8)}"
        subscriber.client.publish(last, qos=1).wait_for_publish(10)
        return len([message for message in subscriber.wait(1, last) if message.topic == f"a/{PASSWORD}"])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        silent = credential(broker, port=listener.getsockname()[1])
        yield Case(
            config={"credential": "plant", "topic": f"a/{PASSWORD}", "payload": json.dumps({"note": PASSWORD})},
            credentials=credential(broker) | {"silent": silent["plant"]},
            secret=PASSWORD,
            stalled={"credential": "silent"},
            count=count,
        )


class TestMqttKeepsTheContract(Contract):
    type_ = "mqtt"
