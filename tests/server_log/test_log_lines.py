"""The server's log as JSON: fields, bounds, and lines that nothing breaks."""

import json
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from children import child
from test_readme import free_port
from world import PATIENCE, Types, chain, node, run

import server_log
from config import Config
from server_log import (
    CURRENT,
    FORMAT,
    MAX_ERROR,
    MAX_MESSAGE,
    JsonFormatter,
    JsonHandler,
    TextFormatter,
    copy_work,
    read_ids,
    set_work,
)


def record(message, *args, level=logging.INFO, exc_info=None, **extra):
    made = logging.LogRecord("headrace.tests", level, "tests.py", 1, message, args, exc_info)
    made.__dict__.update(extra)
    return made


def line(*args, **options):
    return JsonFormatter().format(record(*args, **options))


def test_a_line_has_time_level_logger_message_and_process():
    made = record("%d runs", 3, level=logging.WARNING)
    made.created = 0.0625
    assert json.loads(JsonFormatter().format(made)) == {
        "time": "1970-01-01T00:00:00.062Z",
        "level": "warning",
        "logger": "headrace.tests",
        "message": "3 runs",
        "process": os.getpid(),
    }


@pytest.mark.parametrize("text", ["two\nlines", "\r\n\0\x1b[31m", "\x85 \u2028 \u2029", "half a pair: \ud800", "é 🙂"])
def test_no_text_breaks_a_line(text):
    written = line("%s", text)
    assert len(written.splitlines()) == 1
    assert json.loads(written)["message"] == text.replace("\ud800", "?")


def test_arguments_that_do_not_fit_the_message_are_logged_all_the_same():
    assert json.loads(line("%d runs", "three"))["message"] == "%d runs ('three',)"


def test_a_long_message_is_cut():
    assert len(json.loads(line("x" * 100_000))["message"]) < MAX_MESSAGE + 20


def test_an_exception_is_one_string_that_keeps_its_start_and_its_end():
    try:
        raise ValueError("x" * 100_000 + " the end")
    except ValueError:
        error = json.loads(line("it failed", exc_info=sys.exc_info()))["error"]
    assert error.startswith("Traceback (most recent call last):\n") and error.endswith(" the end")
    assert len(error) < MAX_ERROR + 20


def test_a_traceback_that_is_a_part_of_the_message_becomes_the_error():
    entry = json.loads(line("node a raised\n%s", "Traceback…", traceback="Traceback…"))
    assert (entry["message"], entry["error"]) == ("node a raised", "Traceback…")


def test_a_record_may_name_its_run():
    assert json.loads(line("lost", run_id="run_1"))["run_id"] == "run_1"


def test_a_handler_writes_whole_lines_and_survives_the_end_of_its_reader():
    reading, writing = os.pipe()
    handler = JsonHandler(writing)
    handler.handle(record("one\ntwo"))
    handler.handle(record("three"))
    assert [json.loads(part)["message"] for part in os.read(reading, 65_536).splitlines()] == ["one\ntwo", "three"]
    os.close(reading)
    handler.handle(record("nobody reads this"))
    os.close(writing)


# The ids of the work


@pytest.mark.parametrize("quick", [True, False])
def test_lines_of_a_node_have_the_ids_of_its_run_and_flow(quick):
    seen = []
    with Types() as types:
        types.offer("look", lambda config, input, ctx: seen.append(read_ids()), quick=quick)
        definition = chain(node("a", "look"), node("b", "look"))
        run(definition, scope={"workflow": {"id": "wf_1"}}, workspace_id="ws_1")
    ids = {"run_id": "run_1", "workflow_id": "wf_1", "workspace_id": "ws_1"}
    assert seen == [{**ids, "node_id": "a"}, {**ids, "node_id": "b"}]
    assert read_ids() == {}


def test_another_thread_has_the_ids_only_if_it_is_given_them(monkeypatch):
    monkeypatch.setattr(CURRENT, "request_id", "request-1")
    work, found = copy_work(), []

    def look():
        found.append(read_ids())
        set_work(work)
        found.append(read_ids())

    thread = threading.Thread(target=look)
    thread.start()
    thread.join(PATIENCE)
    assert found == [{}, {"request_id": "request-1"}]


# The server's log as text: outside text stays in its text_line


FAKE = "2026-12-01 19:00:00,000 INFO headrace: FAKE"


def text_line(message, *args, exc_info=None, **extra):
    record = logging.LogRecord("headrace.tests", logging.INFO, "tests.py", 1, message, args, exc_info)
    record.__dict__.update(extra)
    return TextFormatter(FORMAT).format(record)


@pytest.mark.parametrize(
    ("end", "shown"),
    [
        *[("\r", r"\r"), ("\n", r"\n"), ("\r\n", r"\r\n"), ("\v", r"\x0b"), ("\f", r"\x0c"), ("\x1c", r"\x1c")],
        *[("\x85", r"\x85"), ("\u2028", r"\u2028"), ("\u2029", r"\u2029"), ("\x1b[2K", r"\x1b[2K"), ("\0", r"\x00")],
        *[("\u202e", r"\u202e"), ("\ud800", r"\ud800")],
    ],
)
def test_outside_text_stays_in_its_line(end, shown):
    written = text_line("webhook %s: a caller was refused", f"lp/{end}{FAKE}")
    assert written.endswith(f" INFO headrace.tests: webhook lp/{shown}{FAKE}: a caller was refused")
    assert written.isprintable()


def test_other_text_is_as_it_was():
    assert text_line("flow %s", "Übung – é 🙂 'quoted' C:\\path").endswith("flow Übung – é 🙂 'quoted' C:\\path")


def test_a_traceback_keeps_its_lines():
    try:
        raise ValueError(f"bad\r{FAKE}\u2028")
    except ValueError:
        written = text_line("it failed", exc_info=sys.exc_info())
    check_traceback(written)


def test_a_traceback_in_the_message_keeps_its_lines():
    trace = f"Traceback (most recent call last):\n  File\nValueError: bad\r{FAKE}\u2028"
    check_traceback(text_line("node %s: it failed\n%s", "a\rb", trace, traceback=trace))


def check_traceback(written):
    first, *trace = written.split("\n")
    assert first.isprintable()
    assert first.endswith("it failed") and trace[0] == "Traceback (most recent call last):"
    assert trace[-1] == rf"ValueError: bad\r{FAKE}\u2028" and all(one.isprintable() for one in trace)


# The last output of a start: the server's address and, at the first start, the login


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
