"""The node `mqtt` with a real broker: Mosquitto where this machine has it, else aMQTT."""

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
from nodes.remote import mqtt


@pytest.fixture(scope="module")
def broker(tmp_path_factory, authority):
    authority.server("localhost")
    broker = brokers.started(tmp_path_factory.mktemp("broker"), authority.folder / "localhost.pem")
    yield broker
    broker.stop()


@pytest.fixture
def ear(broker):
    """Hears all that is published from now on: `ear.messages`; `ear.wait(n, topic)` waits for that many of a topic.

    `ear.forget(topic)` ends that a message is kept. aMQTT sends whoever connects all of those that anybody listens to.
    """
    client = Client(CallbackAPIVersion.VERSION2)
    client.username_pw_set("zoe", PASSWORD)
    ear = SimpleNamespace(messages=[], client=client)
    there, heard, kept, first = threading.Event(), threading.Condition(), [], f"first/{secrets.token_hex(8)}"

    def hear(client, userdata, message):
        # What was kept comes from another test, and so does what is heard before our own first message.
        if message.topic == first:
            there.set()
        elif message.retain:
            kept.append(message)
        elif there.is_set():
            with heard:
                ear.messages.append(message)
                heard.notify_all()

    def wait(count, topic=None):
        with heard:
            assert heard.wait_for(lambda: sum(topic in (None, one.topic) for one in ear.messages) >= count, 20)
        return ear.messages

    def forget(*topics):
        for topic in topics:
            client.publish(topic, b"", retain=True).wait_for_publish(10)
        with heard:
            assert heard.wait_for(lambda: set(topics) <= {one.topic for one in ear.messages if not one.payload}, 20)

    client.on_connect = lambda *args: client.subscribe("#", broker.quality)
    client.on_subscribe = lambda *args: client.publish(first, qos=1)
    client.on_message, ear.wait, ear.forget = hear, wait, forget
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    assert there.wait(20)
    yield ear
    forget(*{message.topic for message in kept})
    client.disconnect()
    client.loop_stop()


def credential(broker, **changes):
    data = {"host": "127.0.0.1", "port": broker.port, "tls": False, "username": "zoe", "password": PASSWORD} | changes
    return {"plant": ("mqtt", {key: value for key, value in data.items() if value is not None})}


@pytest.fixture
def do(run, broker):
    def do(topic, credentials=None, input=None, context=None, **config):
        config |= {"credential": "plant", "topic": topic}
        return run("mqtt", config, input, credentials=credentials or credential(broker), **(context or {}))

    return do


@pytest.fixture
def fails(do):
    def fails(*args, **config):
        with pytest.raises(NodeError) as caught:
            do(*args, **config)
        return caught.value

    return fails


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_message_arrives(do, broker, ear, qos):
    assert do("a/höre", payload="läuft", qos=qos) == {"topic": "a/höre", "size": 6}
    (message,) = ear.wait(1)
    assert (message.topic, message.payload.decode(), message.retain) == ("a/höre", "läuft", False)
    assert message.qos == min(qos, broker.quality)


def test_a_payload_that_is_no_text_is_json(do, ear):
    do("a", payload={"celsius": 96.5, "ö": [None]})
    do("a", input={"b": 1})
    do("a", payload=21)
    do("a", payload="")
    assert [message.payload.decode() for message in ear.wait(4)] == [
        '{"celsius": 96.5, "ö": [null]}',
        '{"b": 1}',
        "21",
        "",
    ]


def test_a_kept_message_is_there_for_those_who_come_later(do, ear):
    do("kept/a", payload="old", retain=True)
    do("kept/a", payload={"new": 1}, retain=True)
    do("kept/b", payload="x", retain=True)
    ear.wait(3)
    answer = do("kept/+", operation="receive", limit=2, seconds=10)
    assert sorted(answer["messages"], key=lambda message: message["topic"]) == [
        {"topic": "kept/a", "payload": {"new": 1}, "retained": True},
        {"topic": "kept/b", "payload": "x", "retained": True},
    ]
    ear.forget("kept/a", "kept/b")


def test_messages_are_heard_while_it_listens(do, broker, ear):
    answers, place = [], f"live/{secrets.token_hex(8)}"
    listen = {"operation": "receive", "limit": 3, "seconds": 20}
    thread = threading.Thread(target=lambda: answers.append(do(f"{place}/#", **listen)))
    thread.start()
    number = 0
    while thread.is_alive():
        number += 1
        ear.client.publish(f"{place}/a", [b"\xff\x00", b"12", b"text"][number % 3], qos=1).wait_for_publish(10)
        thread.join(0.02)
    messages = answers[0]["messages"]
    assert [(message["topic"], message["retained"]) for message in messages] == 3 * [(f"{place}/a", False)]
    assert all(message["payload"] in ({"base64": "/wA="}, 12, "text") for message in messages)


def test_nothing_heard_is_an_empty_list(do):
    began = time.monotonic()
    assert do("silence", operation="receive", seconds=0.2) == {"messages": []}
    assert 0.2 <= time.monotonic() - began < 15


@pytest.mark.parametrize("topic", ["a/+", "#", "a\0b", "a" * 1_025, "\ud800"])
def test_a_topic_that_cannot_be_published_to_is_refused(fails, topic):
    try:
        assert fails(topic, payload="x").permanent
    except ValidationError as error:
        assert error.messages.keys() == {"topic"}


@pytest.mark.parametrize("topic", ["a/#/b", "a+", "##"])
def test_a_filter_that_is_none_is_permanent(fails, topic):
    assert fails(topic, operation="receive", seconds=0.2).permanent


def test_a_payload_has_a_greatest_size(do, fails, ear):
    assert do("a", payload="x" * 2**18)["size"] == 2**18
    error = fails("a", payload="x" * (2**18 + 1))
    assert error.permanent and "262,144" in error.message


def test_a_message_that_is_too_large_is_refused(fails, ear, monkeypatch):
    monkeypatch.setattr(mqtt, "MAX_RECEIVED", 10_000)
    ear.client.publish("large", b"x" * 20_000, retain=True).wait_for_publish(10)
    error = fails("large", operation="receive")
    ear.forget("large")
    assert error.permanent and "more than 10,000 bytes" in error.message


def test_messages_that_are_too_large_together_end_it_at_once(fails, ear, monkeypatch):
    """And not when the time is up, until when there could be any number of them."""
    monkeypatch.setattr(mqtt, "MAX_TOTAL", 10_000)
    for number in range(30):
        ear.client.publish(f"many/{number}", b"x" * 1_000, retain=True).wait_for_publish(10)
    began = time.monotonic()
    error = fails("many/#", operation="receive", limit=1_000, seconds=60)
    ear.forget(*(f"many/{number}" for number in range(30)))
    assert error.permanent and "more than 10,000 bytes" in error.message
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    "config", [{"qos": 3}, {"limit": 0}, {"limit": 1_001}, {"seconds": 301}, {"timeout": 0}, {"operation": "forget"}]
)
def test_a_bad_setting_is_refused(config):
    with pytest.raises(ValidationError) as caught:
        REGISTRY["mqtt"].Config().load({"credential": "a", "topic": "b", **config})
    assert caught.value.messages.keys() == config.keys()


@pytest.mark.parametrize("changes", [{"password": "falsch"}, {"username": "yan"}, {"username": None, "password": None}])
def test_a_login_that_is_refused_is_permanent(fails, broker, changes):
    error = fails("a", payload="x", credentials=credential(broker, **changes))
    assert error.permanent and "rejected the connection" in error.message and "falsch" not in error.message


def test_a_broker_has_to_prove_who_it_is(do, fails, broker, ear, authority):
    known = credential(broker, host="localhost", port=broker.tls_port, tls=True)
    context = {"rule": Rule(["localhost"])}
    error = fails("a", payload="x", credentials=known, context=context)
    assert error.permanent and "certificate" in error.message
    do("a", payload="safe", credentials=known, context={**context, "ca_file": authority.file})
    assert ear.wait(1)[0].payload == b"safe"


def test_a_certificate_for_another_name_is_refused(fails, broker, authority):
    known = credential(broker, port=broker.tls_port, tls=True)
    assert fails("a", payload="x", credentials=known, context={"ca_file": authority.file}).permanent


def test_a_broker_that_may_not_be_reached_is_not(fails, broker):
    error = fails("a", payload="x", credentials=credential(broker, host="127.0.0.2"))
    assert "may not be reached" in error.message and error.permanent


def test_no_proxy_of_the_environment_is_used(do, broker, monkeypatch):
    monkeypatch.setenv("mqtt_proxy", "http://127.0.0.2:1")
    do("a", payload="x")


def test_nobody_at_home_passes(fails, broker):
    assert not fails("a", payload="x", credentials=credential(broker, port=free_port())).permanent


@pytest.mark.parametrize("tls", [False, True])
def test_a_broker_that_says_nothing_holds_nobody(fails, broker, tls):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        began = time.monotonic()
        known = credential(broker, port=listener.getsockname()[1], tls=tls)
        error = fails("a", payload="x", credentials=known, timeout=0.4)
        assert time.monotonic() - began < 15
        assert not error.permanent and "in time" in error.message


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\x02\x00\x03", b"\xff" * 100])
def test_a_server_of_another_kind_is_an_error(fails, broker, answer):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        known = credential(broker, port=listener.getsockname()[1])
        assert not fails("a", payload="x", credentials=known, timeout=3).permanent
        thread.join(60)


def test_a_host_that_the_credential_is_not_bound_to_is_told_nothing(fails, broker):
    type_, data = credential(broker)["plant"]
    error = fails("a", payload="x", credentials={"plant": (type_, data, ("a.example",))})
    assert "may not be sent to" in error.message


@pytest.mark.parametrize("key", ["topic", "payload"])
def test_a_secret_goes_to_no_broker_that_may_not_have_it(make_ctx, broker, key):
    other = ("http_bearer", {"token": "s3cret!"}, ("a.example",))
    ctx, _ = make_ctx(credentials={**credential(broker), "other": other})
    config = {"credential": "plant", "topic": "a", "payload": "b", key: f"x {ctx.keyring['other']}"}
    with pytest.raises(NodeError) as caught:
        REGISTRY["mqtt"].run(REGISTRY["mqtt"].Config().load(config), None, ctx)
    assert "'other' may not be sent to 127.0.0.1" in caught.value.message


def check(make_ctx, credentials):
    ctx, _ = make_ctx(credentials=credentials)
    return mqtt.check(ctx.credential("plant"), ctx, {})


def test_a_credential_that_works_says_so(make_ctx, broker):
    assert check(make_ctx, credential(broker)) == "127.0.0.1 accepts the connection of zoe"


def test_a_credential_that_does_not_work_says_why(make_ctx, broker):
    with pytest.raises(NodeError) as caught:
        check(make_ctx, credential(broker, password="falsch"))
    assert "rejected the connection" in caught.value.message


@pytest.fixture
def case_mqtt(broker, ear):
    def count():
        # What comes after all that was published before.
        last = f"last/{secrets.token_hex(8)}"
        ear.client.publish(last, qos=1).wait_for_publish(10)
        return len([message for message in ear.wait(1, last) if message.topic == f"a/{PASSWORD}"])

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
