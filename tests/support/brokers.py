"""MQTT brokers for tests: Mosquitto if it is installed, else aMQTT. The user is `zoe` with PASSWORD."""

import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from children import start_child

PASSWORD = "Pa'ss wörd"


def started(folder, pem=None):
    """Start a broker on `port`, and on `tls_port` if `pem` is given, a file with a certificate and its key."""
    kind = Mosquitto if shutil.which("mosquitto") and shutil.which("mosquitto_passwd") else Amqtt
    broker = kind(folder, pem)
    end = time.monotonic() + 30
    while not all(map(listening, broker.ports)):
        assert time.monotonic() < end
        time.sleep(0.02)
    return broker


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def listening(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class _Broker:
    def __init__(self, folder, pem):
        self.port, self.tls_port = free_port(), free_port()
        self.ports = (self.port, self.tls_port) if pem else (self.port,)
        self.process = self.start(folder, pem)


class Mosquitto(_Broker):
    quality = 2

    def start(self, folder, pem):
        passwords, settings = folder / "passwords", folder / "mosquitto.conf"
        command = ["mosquitto_passwd", "-b", "-c", passwords, "zoe", PASSWORD]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        secured = f"listener {self.tls_port} 127.0.0.1\ncertfile {pem}\nkeyfile {pem}\n" if pem else ""
        # With settings for each listener, it would keep no messages for sessions without a connection.
        settings.write_text(
            f"user root\nallow_anonymous false\npassword_file {passwords}\nlistener {self.port} 127.0.0.1\n{secured}"
        )
        return start_child(["mosquitto", "-c", settings], seconds=None, stderr=subprocess.DEVNULL)

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


class Amqtt(_Broker):
    """aMQTT runs in a separate process because it leaves connections open. It delivers with the subscriber's QoS."""

    quality = 0

    def start(self, folder, pem):
        from pwdlib import PasswordHash
        from pwdlib.hashers.argon2 import Argon2Hasher

        passwords, settings = folder / "passwords", folder / "amqtt.yaml"
        passwords.write_text(f"zoe:{PasswordHash((Argon2Hasher(),)).hash(PASSWORD)}\n", "utf-8")
        listeners = {"default": {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}}
        if pem:
            files = {"certfile": str(pem), "keyfile": str(pem)}
            listeners["tls"] = {"bind": f"127.0.0.1:{self.tls_port}", "ssl": True, **files}
        plugin = {"amqtt.plugins.authentication.FileAuthPlugin": {"password_file": str(passwords)}}
        settings.write_text(json.dumps({"listeners": listeners, "plugins": plugin}))  # JSON is valid YAML
        command = [Path(sys.executable).with_name("amqtt"), "-c", settings]
        return start_child(command, seconds=None, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        self.process.kill()
        self.process.wait(60)
