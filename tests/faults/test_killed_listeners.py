"""Servers that listen to a broker are killed while messages arrive: none is lost, and with a key none has two runs."""

import json
import shutil
import threading
from collections import Counter

import brokers
import pytest
from brokers import PASSWORD
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from record import ask, settled
from servers import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.postgres,
    pytest.mark.skipif(
        not (shutil.which("mosquitto") and shutil.which("mosquitto_passwd")), reason="Mosquitto is not installed"
    ),
]
KILLS, MESSAGES = 3, 60


@pytest.fixture
def broker(tmp_path):
    made = brokers.started(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def publish(broker):
    """`publish(payload)` publishes a message, which the broker has acknowledged afterwards."""
    client = Client(CallbackAPIVersion.VERSION2)
    client.username_pw_set("zoe", PASSWORD)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    yield lambda payload: client.publish("orders", payload, 1).wait_for_publish(30)
    client.disconnect()
    client.loop_stop()


def payloads(path):
    return [json.loads(run.input)["payload"]["id"] for run in ask(path, "SELECT input FROM runs ORDER BY id")]


def test_no_message_is_lost_or_has_two_runs_when_the_servers_are_killed(serve, broker, publish):
    servers = [serve(WEB_CONCURRENCY=2), serve(WEB_CONCURRENCY=1)]
    path = servers[0].database
    data = {"host": "127.0.0.1", "port": broker.port, "tls": False, "username": "zoe", "password": PASSWORD}
    servers[0].call("POST", "/api/credentials", {"name": "plant", "type": "mqtt", "data": data})
    config = {"credential": "plant", "topics": ["orders"], "key": "payload.id"}
    nodes = [{"id": "new", "type": "mqtt_trigger", "config": config}, {"id": "end", "type": "noop"}]
    servers[0].add_flow({"nodes": nodes, "edges": [["new", "end"]]})
    until(lambda: ask(path, "SELECT 1 FROM polls WHERE last_polled_at > 0 AND last_error IS NULL"), "somebody listens")

    def send(first):
        for number in range(first, first + MESSAGES):
            publish(json.dumps({"id": number}))

    for kill in range(KILLS):
        known = len(payloads(path))
        sender = threading.Thread(target=send, args=(kill * MESSAGES,))
        sender.start()
        until(lambda known=known: len(payloads(path)) > known, "runs are made")
        for server in servers:  # one of their processes listens
            server.kill()
        sender.join(60)
        for server in servers:
            server.start()
    total = KILLS * MESSAGES
    until(lambda: len(set(payloads(path))) == total, "each message has a run")
    settled(path)
    assert Counter(payloads(path)) == dict.fromkeys(range(total), 1)
    assert {run.status for run in ask(path, "SELECT status FROM runs")} == {"success"}
