"""Triggers that listen: each message has its run, with a real broker and a real database, whoever leads and fails."""

import secrets
import shutil
import threading
from types import SimpleNamespace

import brokers
import psycopg
import pytest
from brokers import PASSWORD
from moments import logged
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from servers import until
from sources import active, change, hurry, inputs, listening, row
from tcp_proxy import TcpProxy
from world import flow, fresh_database, node

from database import write
from database.queries.metrics import failing_polls
from models import Poll, PollEntry, Run
from nodes import REGISTRY
from packs.polls import listeners

pytestmark = pytest.mark.usefixtures("path")
MOSQUITTO = pytest.mark.skipif(
    not (shutil.which("mosquitto") and shutil.which("mosquitto_passwd")), reason="Mosquitto is not installed"
)


@pytest.fixture
def path(tmp_path):
    """A migrated database of its own."""
    with fresh_database(tmp_path) as path:
        yield path


def trigger(type_, **config):
    return flow(node("new", type_, config), node("end"), edges=["new end"])


def is_listening(made):
    """Return True if a process listens for the flow, and has reached the source."""
    found = row(made)
    return found.owner is not None and found.last_polled_at is not None and found.last_error is None


# MQTT


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    broker = brokers.started(tmp_path_factory.mktemp("broker"))
    yield broker
    broker.stop()


@pytest.fixture
def plant(broker):
    """A topic of the test; `plant.publish(payload)` publishes with quality of service 1 and waits for the answer."""
    client = Client(CallbackAPIVersion.VERSION2)
    client.username_pw_set("zoe", PASSWORD)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    topic = f"plant/{secrets.token_hex(6)}"

    def publish(payload, name="state", retain=False):
        client.publish(f"{topic}/{name}", payload, 1, retain).wait_for_publish(20)

    data = {"host": "127.0.0.1", "port": broker.port, "tls": False, "username": "zoe", "password": PASSWORD}
    yield SimpleNamespace(topic=topic, publish=publish, credentials={"plant": ("mqtt", data)}, data=data)
    client.disconnect()
    client.loop_stop()


def subscribed(plant, **config):
    return active(trigger("mqtt_trigger", **{"credential": "plant", "topics": [f"{plant.topic}/#"], **config}))


@MOSQUITTO
def test_each_message_starts_a_run_with_topic_and_payload(plant, tmp_path):
    with listening(tmp_path, plant.credentials, runs=True) as process:
        made = subscribed(plant)
        until(lambda: is_listening(made))
        for payload in ('{"id": 7}', "warm", b"\xff\x00"):
            plant.publish(payload)
        until(lambda: Run.select().where(Run.status == "success").count() == 3)
        process.stop()
    topic = f"{plant.topic}/state"
    assert inputs() == [
        {"topic": topic, "payload": payload, "retained": False} for payload in ({"id": 7}, "warm", {"base64": "/wA="})
    ]
    assert {run.trigger_node for run in Run.select()} == {"new"} and logged() == []


@MOSQUITTO
def test_messages_of_the_time_without_a_server_start_runs_later(plant, tmp_path):
    made = subscribed(plant)
    with listening(tmp_path, plant.credentials):
        until(lambda: is_listening(made))
    for number in range(30):
        plant.publish(str(number))
    assert row(made).owner is None
    with listening(tmp_path, plant.credentials):
        until(lambda: len(inputs()) == 30)
    assert [given["payload"] for given in inputs()] == list(range(30))


@MOSQUITTO
def test_without_keep_they_are_lost(plant, tmp_path):
    made = subscribed(plant, keep=False)
    with listening(tmp_path, plant.credentials):
        until(lambda: is_listening(made))
    plant.publish("lost")
    before = row(made).last_polled_at
    with listening(tmp_path, plant.credentials):
        until(lambda: row(made).last_polled_at > before)
        plant.publish("found")
        until(inputs)
    assert [given["payload"] for given in inputs()] == ["found"]


@MOSQUITTO
def test_a_message_with_a_known_key_starts_no_second_run(plant, tmp_path):
    made = subscribed(plant, key="payload.id")
    with listening(tmp_path, plant.credentials):
        until(lambda: is_listening(made))
        for payload in ('{"id": 1}', '{"id": 2}', '{"id": 1, "again": true}', '{"id": "1"}', "no id", "no id"):
            plant.publish(payload)
        until(lambda: len(inputs()) == 5)
    assert [given["payload"] for given in inputs()] == [{"id": 1}, {"id": 2}, {"id": "1"}, "no id", "no id"]
    assert PollEntry.select().count() == 3


@MOSQUITTO
def test_collected_messages_start_one_run_whoever_listens(plant, tmp_path):
    made = trigger("mqtt_trigger", credential="plant", topics=[f"{plant.topic}/#"], key="payload.id")
    made["nodes"][0]["debounce"] = {"seconds": 3600, "key": "{{ input.payload.room }}", "keep": "all"}
    made = active(made)
    for first in (0, 4, 8):
        with listening(tmp_path, plant.credentials):
            until(lambda: is_listening(made))
            for number in range(first, first + 4):
                for _ in range(2):  # the second one is known
                    plant.publish(f'{{"id": {number}, "room": {number % 2}}}')
            until(lambda first=first: PollEntry.select().count() == first + 4)
    found = [[message["payload"]["id"] for message in input] for input in inputs()]
    assert found == [[0, 2, 4, 6, 8, 10], [1, 3, 5, 7, 9, 11]] and logged() == []


@MOSQUITTO
def test_without_room_for_runs_messages_stay_at_the_broker_and_none_is_lost(plant, tmp_path):
    made = subscribed(plant)
    with listening(tmp_path, plant.credentials, max_pending=8) as process:
        until(lambda: is_listening(made))
        for number in range(40):
            plant.publish(str(number))
        until(lambda: len(inputs()) == 4)
        assert process.poller.room() == 0
    with listening(tmp_path, plant.credentials, max_pending=1000):
        until(lambda: len(inputs()) == 40)
    assert [given["payload"] for given in inputs()] == list(range(40))


@MOSQUITTO
@pytest.mark.parametrize(("key", "runs"), [("payload.id", 1), (None, 2)])
def test_a_message_whose_acknowledgement_was_lost_arrives_again(plant, tmp_path, key, runs):
    with TcpProxy(("127.0.0.1", plant.data["port"])) as proxy:
        credentials = {"plant": ("mqtt", {**plant.data, "port": proxy.port})}
        made = subscribed(plant, **({"key": key} if key else {}))
        with listening(tmp_path, credentials):
            until(lambda: is_listening(made))
            proxy.lose_request("@\x02")  # PUBACK
            plant.publish('{"id": 1}')
            assert proxy.lost.wait(20)
            until(lambda: row(made).failures)
            hurry()
            plant.publish('{"id": 2}')
            until(lambda: {"id": 2} in [given["payload"] for given in inputs()])
    assert [given["payload"] for given in inputs()] == [{"id": 1}] * runs + [{"id": 2}]


@MOSQUITTO
def test_topics_that_are_removed_or_added_change_the_session_at_the_broker(plant, tmp_path):
    with listening(tmp_path, plant.credentials):
        made = subscribed(plant, topics=[f"{plant.topic}/a", f"{plant.topic}/b"])
        until(lambda: is_listening(made))
        before = row(made).version
        change(made, trigger("mqtt_trigger", credential="plant", topics=[f"{plant.topic}/b", f"{plant.topic}/c"]))
        until(lambda: row(made).version > before + 1 and is_listening(made))
        # While it changes the session, the state has all three topics.
        until(lambda: f"{plant.topic}/c" in str(row(made).state) and f"{plant.topic}/a" not in str(row(made).state))
        for name in "abc":
            plant.publish(name, name)
        until(lambda: len(inputs()) == 2)
    assert [given["payload"] for given in inputs()] == ["b", "c"]


@MOSQUITTO
@pytest.mark.parametrize("retained", [False, True])
def test_retained_messages_start_runs_only_if_they_are_wanted(plant, tmp_path, retained):
    plant.publish("old", retain=True)
    made = subscribed(plant, retained=retained)
    with listening(tmp_path, plant.credentials):
        until(lambda: is_listening(made))
        plant.publish("new")
        until(lambda: "new" in [given["payload"] for given in inputs()])
    with listening(tmp_path, plant.credentials):  # the session goes on, so the broker does not send them again
        until(lambda: is_listening(made))
        plant.publish("newer")
        until(lambda: "newer" in [given["payload"] for given in inputs()])
    plant.publish("", retain=True)
    assert [(given["payload"], given["retained"]) for given in inputs()] == [
        *([("old", True)] if retained else []),
        ("new", False),
        ("newer", False),
    ]


@MOSQUITTO
def test_a_large_message_starts_no_run_and_does_not_block_the_others(plant, tmp_path):
    made = subscribed(plant)
    with listening(tmp_path, plant.credentials):
        until(lambda: is_listening(made))
        plant.publish(b"x" * (2**20 + 1))
        plant.publish("small")
        until(inputs)
    assert [given["payload"] for given in inputs()] == ["small"]
    assert [line[1] for line in logged() if "1,048,577 bytes is too large" in line[1]]


@MOSQUITTO
def test_a_deactivated_flow_ends_its_listener_and_an_activated_one_begins_again(plant, tmp_path):
    with listening(tmp_path, plant.credentials) as process:
        made = subscribed(plant)
        until(lambda: is_listening(made))
        change(made, status="draft")
        until(lambda: not [one for one in threading.enumerate() if one.name == "listener"])
        plant.publish("meanwhile")
        assert not inputs() and process.poller.listeners is not None
        change(made, status="active")
        until(inputs)


@MOSQUITTO
def test_what_arrives_after_the_claim_was_lost_is_recorded_by_the_next_one_alone(plant, tmp_path):
    made = subscribed(plant)
    with listening(tmp_path, plant.credentials) as process:
        until(lambda: is_listening(made))
        (listener,) = process.poller.listeners._open.values()
        with write():
            Poll.update(version=Poll.version + 1, owner=None, next_at=1).execute()
            plant.publish("once")
        until(inputs)
        assert not listener.thread.is_alive()
        until(lambda: is_listening(made))
    assert [given["payload"] for given in inputs()] == ["once"]


@pytest.mark.parametrize("problem", ["password", "port", "host"])
@MOSQUITTO
def test_a_failure_is_shown_logged_once_and_ends(plant, tmp_path, problem):
    wrong = {"password": "wrong", "port": brokers.free_port(), "host": "127.0.0.2"}
    data = {**plant.data, problem: wrong[problem]}
    made = subscribed(plant)
    with listening(tmp_path, {"plant": ("mqtt", data)}) as process:
        until(lambda: row(made).failures >= 1)
        first = row(made).last_error
        hurry()
        until(lambda: row(made).failures >= 2)
        assert first.startswith("127.0.0.")
        assert len([line for line in logged() if "cannot listen" in line[1]]) == 1
        assert failing_polls() == 1
        process.credentials["plant"] = plant.credentials["plant"]
        hurry()
        until(lambda: is_listening(made))
        until(lambda: any("listens again" in line[1] for line in logged()))
        assert row(made).failures == 0 and failing_polls() == 0


@MOSQUITTO
def test_the_process_that_leads_next_goes_on(plant, tmp_path):
    made = subscribed(plant)
    with listening(tmp_path, plant.credentials) as first:
        until(lambda: is_listening(made))
        owner = row(made).owner
        with listening(tmp_path, plant.credentials):
            first.stop()
            until(lambda: is_listening(made) and row(made).owner != owner)
            plant.publish("next")
            until(inputs)


def test_there_is_a_limit_on_listeners(plant, tmp_path, monkeypatch):
    monkeypatch.setattr(listeners, "MAX_LISTENERS", 0)
    made = subscribed(plant)
    with listening(tmp_path, plant.credentials):
        until(lambda: row(made).failures)
    assert "which is the limit" in row(made).last_error


def test_without_such_a_trigger_nothing_is_loaded(tmp_path):
    with listening(tmp_path, {}) as process:
        active(trigger("rss_trigger", url="http://127.0.0.1:1/"))
        until(lambda: Poll.select().where(Poll.failures > 0).exists())
        assert process.poller.listeners is None


# PostgreSQL


@pytest.fixture
def shop(postgres_server):
    """A database with a channel of the test; `shop.notify(payload)` sends a notification."""
    postgres_server.clear()
    channel = f'Orders "{secrets.token_hex(4)}"'
    url = postgres_server.url()

    def run(statement, *values):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement, values)

    run("CREATE TABLE orders (id int PRIMARY KEY, item text)")
    return SimpleNamespace(
        run=run,
        channel=channel,
        notify=lambda payload: run("SELECT pg_notify(%s, %s)", channel, payload),
        credentials={"shop": ("database_url", {"url": url})},
        server=postgres_server,
    )


def notified(shop, **config):
    return active(trigger("postgres_trigger", credential="shop", channels=[shop.channel], **config))


def test_each_notification_starts_a_run(shop, tmp_path):
    with listening(tmp_path, shop.credentials, runs=True):
        made = notified(shop)
        until(lambda: is_listening(made))
        for payload in ('{"id": 7}', "tea", ""):
            shop.notify(payload)
        until(lambda: Run.select().where(Run.status == "success").count() == 3)
    assert inputs() == [{"channel": shop.channel, "payload": payload} for payload in ({"id": 7}, "tea", "")]


def test_many_notifications_at_once_keep_their_order(shop, tmp_path):
    with listening(tmp_path, shop.credentials):
        made = notified(shop)
        until(lambda: is_listening(made))
        shop.run("SELECT pg_notify(%s, n::text) FROM generate_series(1, 500) AS n", shop.channel)
        until(lambda: len(inputs()) == 500)
    assert [given["payload"] for given in inputs()] == list(range(1, 501))


CATCH_UP = {"key": "payload.id", "catch_up": "SELECT id, item FROM orders ORDER BY id"}


@pytest.mark.parametrize("backlog", [False, True])
def test_the_catch_up_query_finds_what_was_missed(shop, tmp_path, backlog):
    shop.run("INSERT INTO orders VALUES (1, 'old')")
    made = notified(shop, backlog=backlog, **CATCH_UP)
    with listening(tmp_path, shop.credentials):
        until(lambda: is_listening(made))
        shop.run("INSERT INTO orders VALUES (2, 'tea')")
        shop.notify('{"id": 2}')
        until(lambda: {"id": 2} in [given["payload"] for given in inputs()])
    shop.run("INSERT INTO orders VALUES (3, 'cake')")
    shop.notify('{"id": 3}')
    with listening(tmp_path, shop.credentials):
        until(lambda: {"id": 3, "item": "cake"} in [given["payload"] for given in inputs()])
        shop.notify('{"id": 3}')
        shop.notify('{"id": 4}')
        until(lambda: {"id": 4} in [given["payload"] for given in inputs()])
    old = [{"channel": None, "payload": {"id": 1, "item": "old"}}] if backlog else []
    assert inputs() == [
        *old,
        {"channel": shop.channel, "payload": {"id": 2}},
        {"channel": None, "payload": {"id": 3, "item": "cake"}},
        {"channel": shop.channel, "payload": {"id": 4}},
    ]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({**CATCH_UP, "key": "payload.number"}, "catch_up: a row has nothing at payload.number"),
        ({**CATCH_UP, "catch_up": "SELECT nothing FROM nowhere"}, 'relation "nowhere" does not exist'),
        ({**CATCH_UP, "catch_up": "DELETE FROM orders"}, "read-only"),
    ],
)
def test_a_wrong_catch_up_query_is_shown(shop, tmp_path, config, message):
    shop.run("INSERT INTO orders VALUES (1, 'old')")
    with listening(tmp_path, shop.credentials):
        made = notified(shop, **config)
        until(lambda: row(made).failures)
    assert message in row(made).last_error


def test_a_lost_connection_is_made_again(shop, tmp_path):
    with listening(tmp_path, shop.credentials):
        made = notified(shop)
        until(lambda: is_listening(made))
        shop.server.admin("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
        until(lambda: row(made).failures == 1)
        assert row(made).last_error.startswith("PostgreSQL: ")
        until(lambda: is_listening(made))
        shop.notify("again")
        until(inputs)


@pytest.mark.parametrize(
    ("type_", "config"),
    [
        ("postgres_trigger", {"channels": []}),
        ("postgres_trigger", {"channels": ["x" * 64]}),
        ("postgres_trigger", {"channels": ["a"], "catch_up": "SELECT 1"}),
        ("mqtt_trigger", {"topics": ["a\0"]}),
        ("mqtt_trigger", {"topics": ["a"], "qos": 2}),
        ("mqtt_trigger", {"topics": ["a"], "key": "["}),
    ],
)
def test_wrong_settings_are_refused(type_, config):
    schema = REGISTRY[type_].Config()
    assert schema.validate({"credential": "shop", **config})
