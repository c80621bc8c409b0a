"""The last output of a start: the server's address and, at the first start, the login."""

import json
import os
import re
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from children import child
from test_readme import free_port

import server_log
from config import Config

ROOT = Path(__file__).parents[2]
LOGIN = re.compile(r"First login: +admin@localhost  /  (\S{16})\n")


@contextmanager
def starting(data_dir, port, command=("workflow_server.py",), **settings):
    """Start a server with a readable stderr."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("HEADRACE")}
    env |= {"PORT": str(port), "HEADRACE_DATA_DIR": str(data_dir), "WEB_CONCURRENCY": "3", **settings}
    command = [sys.executable, *command]
    with child(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True) as process:
        yield process


def said_until_ready(process, port):
    """Return the output up to the line that the server is ready."""
    said = ""
    for line in process.stderr:
        said += line
        if line == f"Headrace is ready:  http://127.0.0.1:{port}\n":
            return said
    raise AssertionError(f"it never was ready: {said}")


def log_in(port, password):
    body = json.dumps({"email": "admin@localhost", "password": password}).encode()
    url = f"http://127.0.0.1:{port}/api/auth/login"
    return urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": "application/json"}), timeout=30)


@pytest.mark.slow
@pytest.mark.parametrize("command", [("workflow_server.py",), ("-m", "gunicorn", "-c", "gunicorn.conf.py")])
def test_the_first_start_ends_with_the_address_and_the_login_and_later_ones_with_the_address(tmp_path, command):
    port = free_port()
    with starting(tmp_path, port, command) as process:
        said = said_until_ready(process, port)
        assert said.count("Booting worker") == 3 and "First login" not in said
        password = LOGIN.fullmatch(process.stderr.readline())[1]
        assert log_in(port, password).status == 200
        process.terminate()
        assert "ready" not in (rest := process.stderr.read()) and password not in rest
    with starting(tmp_path, port, command) as process:
        said_until_ready(process, port)
        process.terminate()
        assert "First login" not in process.stderr.read()


@pytest.mark.slow
def test_a_password_from_the_settings_is_not_shown(tmp_path):
    port = free_port()
    with starting(tmp_path, port, HEADRACE_ADMIN_PASSWORD="my own secret") as process:
        said = said_until_ready(process, port)
        process.terminate()
        said += process.stderr.read()
    assert "First login" not in said and "my own secret" not in said


@pytest.mark.slow
def test_a_start_that_fails_after_creating_the_owner_still_prints_the_password(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with starting(tmp_path, port) as process:
            said = process.stderr.read()
    assert process.returncode != 0 and len(LOGIN.findall(said)) == 1 and "is ready" not in said
    assert f"cannot listen on port {port} of 127.0.0.1" in said and f"PORT={port + 1} make run" in said


def test_a_free_port_is_no_problem():
    assert server_log.find_problem(Config(port=free_port())) is None


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        ({}, "http://127.0.0.1:8000"),
        ({"host": "0.0.0.0", "port": 80}, "http://127.0.0.1:80"),
        ({"host": "::"}, "http://[::1]:8000"),
        ({"host": "flows.lan"}, "http://flows.lan:8000"),
        ({"host": "0.0.0.0", "public_url": "https://flows.example.org"}, "https://flows.example.org"),
    ],
)
def test_a_browser_can_open_the_address(settings, address):
    assert Config(**settings).base_url == address


@pytest.mark.parametrize("host", ["0.0.0.0", "0", "::", "0:0::0"])
def test_the_start_warns_of_links_that_work_only_on_this_machine(host):
    told = server_log.warn_local_links(Config(host=host))
    assert "HEADRACE_PUBLIC_URL" in told and host in told
    assert Config(host=host).base_url.startswith(("http://127.0.0.1:", "http://[::1]:"))
    assert server_log.warn_local_links(Config(host=host, public_url="https://flows.example.org")) == ""


@pytest.mark.parametrize(
    ("url", "proxies", "warned"),
    [
        ("https://flows.example.org", 0, True),
        ("https://flows.example.org", 1, False),
        ("http://flows.example.org", 0, False),
        ("", 0, False),
    ],
)
def test_the_start_warns_of_a_proxy_that_is_not_trusted(url, proxies, warned):
    told = server_log.warn_hidden_clients(Config(public_url=url, trusted_proxies=proxies))
    assert ("HEADRACE_TRUSTED_PROXIES" in told) == warned and (told.strip().count("\n"), bool(told)) == (0, warned)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "flows.lan", "192.0.2.1"])
def test_other_addresses_are_used_for_links_unchanged(host):
    assert server_log.warn_local_links(Config(host=host)) == ""


@pytest.mark.slow
def test_the_app_prints_the_login_if_another_server_than_gunicorn_creates_it(tmp_path):
    program = "import sys, workflow_server; from config import Config; from pathlib import Path\n"
    program += "workflow_server.create_app(Config(data_dir=Path(sys.argv[1])))"
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert LOGIN.search(done.stderr)
