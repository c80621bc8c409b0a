"""Local servers for trials (stage.py) of templates that use SSH, MQTT, S3 or a language model. Each is a fixture
`stage_<kind>`.

A trial refers to its attributes as `{<kind>_<attribute>}`, prepares its content (`put`, the trial's key `<kind>`), and
checks the data sent to it afterwards (`sent`, a list of objects):

- `ssh`: `{ssh_port}`, `{ssh_key}`; user `headrace`, password `open sesame`. Before: its answers to commands, in turn;
  the last one is repeated: `{"stdout"?, "stderr"?, "status"?}`. Sent: `{"command"}`
- `mqtt`: `{mqtt_port}`, user `zoe`, `{mqtt_password}`. Before: retained messages, `{topic: payload}`. Sent: all others,
  `{"topic", "payload", "retained"}`
- `s3`: `{s3_url}`; any key. Before: a list of its buckets. Sent: its objects, `{"bucket", "key", "text"}`
- `llm`: the server's own model. Before: its answers, in turn: `{"say": text}`, `{"data": JSON}`, `{"call": name of a
  tool, "arguments": {…}}` or `{"status": of an error}`; all of them must be used. Sent: its requests,
  `{"instructions", "prompt", "last", "tools"}`: the task with its input, the last message, and the names of the tools
"""

import json
import threading
from urllib.request import Request, urlopen

import brokers
import llm_server
import pytest
from ssh_servers import SshServer
from stage import joined
from werkzeug.serving import make_server


class Machine(SshServer):
    """A real SSH server with scripted results of commands."""

    def __init__(self):
        import asyncssh

        class Login(asyncssh.SSHServer):
            def password_auth_supported(self):
                return True

            def validate_password(self, username, password):
                return (username, password) == ("headrace", "open sesame")

        host_key = asyncssh.generate_private_key("ssh-ed25519")
        self.answers, self.commands = [], []
        self.key = host_key.export_public_key().decode().strip()
        super().__init__(Login, [host_key])

    async def handle(self, process):
        self.commands.append({"command": process.command})
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        process.stdout.write(joined(answer.get("stdout", "")))
        process.stderr.write(answer.get("stderr", ""))
        process.exit(answer.get("status", 0))

    def put(self, answers):
        self.answers = list(answers)

    def sent(self):
        return self.commands


class Plant:
    """A real MQTT broker, and a subscriber of all topics."""

    password = brokers.PASSWORD

    def __init__(self, broker):
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.port, self.heard, self.news = broker.port, [], threading.Condition()
        subscribed = threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2)
        self.client.username_pw_set("zoe", self.password)
        self.client.on_connect = lambda *args: self.client.subscribe("#", broker.quality)
        self.client.on_subscribe = lambda *args: subscribed.set()
        self.client.on_message = self.hear
        self.client.connect("127.0.0.1", self.port)
        self.client.loop_start()
        assert subscribed.wait(60)

    def hear(self, client, userdata, message):
        with self.news:
            payload = message.payload.decode()
            self.heard.append({"topic": message.topic, "payload": payload, "retained": message.retain})
            self.news.notify_all()

    def put(self, messages):
        for topic, payload in messages.items():
            text = payload if isinstance(payload, str) else json.dumps(payload)
            self.client.publish(topic, text, qos=1, retain=True).wait_for_publish(10)
        self.sent()
        self.heard.clear()

    def sent(self):
        """Return the messages so far: a message of our own arrives after all earlier ones."""
        self.client.publish("stage/now", "", qos=1).wait_for_publish(10)
        with self.news:
            assert self.news.wait_for(lambda: self.heard and self.heard[-1]["topic"] == "stage/now", 10)
        return [message for message in self.heard if message["topic"] != "stage/now"]

    def stop(self):
        self.client.disconnect()
        self.client.loop_stop()


class Objects:
    """Moto's store behind a real HTTP server."""

    def __init__(self):
        from moto.s3.models import s3_backends
        from moto.server import DomainDispatcherApplication, create_backend_app

        for account in s3_backends.values():
            for backend in account.values():
                backend.reset()
        self.backends = s3_backends
        self.server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.port}"

    def put(self, buckets):
        for bucket in buckets:
            urlopen(Request(f"{self.url}/{bucket}", method="PUT"), timeout=60).close()

    def sent(self):
        found = []
        for account in self.backends.values():
            for bucket in account["aws"].buckets.values():
                for key, item in bucket.keys.items():
                    found.append({"bucket": bucket.name, "key": key, "text": item.value.decode("utf-8", "replace")})
        return sorted(found, key=lambda item: item["key"])

    def stop(self):
        self.server.shutdown()
        self.thread.join(60)
        self.server.server_close()


class Oracle:
    """A language model with scripted answers (llm_server.py)."""

    def __init__(self, server):
        self.server, self.url = server, server.openai_url

    def put(self, turns):
        self.server.then(*map(self.turn, turns))

    def turn(self, turn):
        if "call" in turn:
            return llm_server.call(turn["call"], turn.get("arguments"))
        if "status" in turn:
            return llm_server.status(turn["status"])
        return llm_server.data(turn["data"]) if "data" in turn else llm_server.say(joined(turn["say"]))

    def sent(self):
        assert self.server.turns_left == 0, f"{self.server.turns_left} turns of the model were not asked for"
        return [self.asked(request) for request in self.server.requests]

    def asked(self, request):
        said = [(message["role"], message["content"]) for message in request.messages]
        return {
            "instructions": next(text for role, text in said if role == "system"),
            "prompt": [text for role, text in said if role == "user"][-1],
            "last": said[-1][1],
            "tools": request.tools,
        }


@pytest.fixture
def stage_llm():
    with llm_server.LlmServer() as server:
        yield Oracle(server)


@pytest.fixture
def stage_ssh():
    machine = Machine()
    yield machine
    machine.stop()


@pytest.fixture
def stage_mqtt(tmp_path):
    folder = tmp_path / "broker"
    folder.mkdir()
    broker = brokers.started(folder)
    plant = Plant(broker)
    yield plant
    plant.stop()
    broker.stop()


@pytest.fixture
def stage_s3():
    store = Objects()
    yield store
    store.stop()
