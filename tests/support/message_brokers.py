"""RabbitMQ and Redis for tests, each in its own folder and on its own ports, if their programs are installed."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest
from children import end_child, start_child
from ports import free_port

FOLDERS = ("/usr/lib/rabbitmq/bin", "/usr/local/sbin", "/opt/homebrew/sbin")
RABBITMQ = tuple(f"{folder}/rabbitmq-server" for folder in FOLDERS)
START_SECONDS = 90
NOTED_SECONDS = 5


def listens(port):
    """Return True if something listens on this port."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


class Broker:
    """A broker as a child process. `kill` and `start` again keep its port and its data."""

    name = ""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="headrace-broker-"))
        self.port, self.process = free_port(), None

    def start(self):
        """Start the broker and return when it answers."""
        log = (self.folder / "log").open("ab")
        with log:
            self.process = start_child(
                self.command(), seconds=None, cwd=self.folder, env=self.environment(), stdin=subprocess.DEVNULL,
                stdout=log, stderr=log,
            )  # fmt: skip
        end = time.monotonic() + START_SECONDS
        while not self.answers():
            said = (self.folder / "log").read_text(errors="replace")[-2000:]
            assert self.process.poll() is None and time.monotonic() < end, f"{self.name} does not start: {said}"
            time.sleep(0.1)
        return self

    def environment(self):
        return {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}

    def answers(self):
        """Return True if a client can connect."""
        from kombu import Connection

        connection = Connection(self.url, connect_timeout=2, transport_options={"max_retries": 0})
        try:
            connection.connect()
        except Exception:
            return False
        connection.release()
        return True

    def kill(self):
        """Send SIGKILL to all of its processes."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            end_child(self.process)
            self.process = None

    def signal(self, number):
        """Send a signal to all of its processes, such as SIGSTOP to make it silent."""
        os.killpg(self.process.pid, number)

    def close(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class RabbitMQ(Broker):
    """A node of its own, with its own port mapper (epmd), so that it does not meet another one of the machine."""

    name = "RabbitMQ"

    def __init__(self):
        super().__init__()
        self.mapper, self.distribution = free_port(), free_port()
        self.map = None

    @property
    def url(self):
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    @classmethod
    def find(cls):
        return shutil.which("epmd") and next((path for path in RABBITMQ if Path(path).exists()), None)

    def start(self):
        if self.map is None:  # else the node would start one that outlives it
            self.map = start_child(
                ["epmd", "-port", str(self.mapper), "-address", "127.0.0.1"], seconds=None, env=self.environment(),
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            end = time.monotonic() + START_SECONDS
            while not listens(self.mapper):
                assert time.monotonic() < end, "the port mapper does not start"
                time.sleep(0.02)
        return super().start()

    def command(self):
        return [self.find()]

    def environment(self):
        (self.folder / "plugins").write_text("[].\n", "ascii")
        return super().environment() | {
            "HOME": str(self.folder),
            "ERL_EPMD_PORT": str(self.mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"headrace{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.distribution),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "logs"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
        }

    def kill(self):
        """Send SIGKILL once its queues are noted: one that was declared half a second before never works again."""
        names = list(self.folder.glob("data/*/quorum/*/names.dets"))
        end = time.monotonic() + NOTED_SECONDS
        while self.process is not None and not all(map(_has_noted, names)) and time.monotonic() < end:
            time.sleep(0.05)
        super().kill()

    def close(self):
        if self.map is not None:
            end_child(self.map)
        Broker.kill(self)
        super().close()


def _has_noted(names):
    """Return True if this file has all queues, which have a folder each beside it."""
    noted = names.read_bytes()
    return all(folder.name.encode() in noted for folder in names.parent.iterdir() if folder.is_dir())


class Redis(Broker):
    name = "Redis"

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    @classmethod
    def find(cls):
        return shutil.which("redis-server")

    def command(self):
        return [self.find(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", ""]


def serving(kind):
    """Start a broker of this kind, and close it at the end. Without its program, skip the tests."""
    if kind.find() is None:
        pytest.skip(f"this machine has no {kind.name}")
    pytest.importorskip("celery")
    broker = kind()
    try:
        yield broker.start()
    finally:
        broker.close()
