"""No test waits without a deadline: for a process, a thread, a lock, a queue or a connection.

The table says which calls can wait for good, and what has to be given to them. Besides, every test is ended after the
time that `timeout` in pyproject.toml gives it.
"""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from test_layers import parsed

ROOT = Path(__file__).parent.parent
# Functions by their last name, and which of their arguments is the deadline: its name, and its place if it has one.
FUNCTIONS = {
    "run": ("timeout", None),  # of subprocess
    "call": ("timeout", None),
    "check_call": ("timeout", None),
    "check_output": ("timeout", None),
    "communicate": ("timeout", 1),
    "urlopen": ("timeout", 2),
    "HTTPConnection": ("timeout", 2),
    "HTTPSConnection": ("timeout", 2),
    "create_connection": ("timeout", 1),
    "select": ("timeout", 3),
}
OF_SUBPROCESS = {"run", "call", "check_call", "check_output"}
# Methods that wait for good if nothing is given to them: an Event, a process, a thread, a lock, a queue.
METHODS = {"wait", "join", "acquire", "get"}
LOOKED_AT = {"Popen", "waitpid", *FUNCTIONS, *METHODS}
# These have a deadline of their own, but for `_left`, for which only threads wait that nobody waits for.
OWN_DEADLINE = {"load", "answers", "callers", "threads", "_left"}


def waits(source, path="test.py"):
    """The calls that may wait for good, a line each."""
    for node in ast.walk(parsed(source, path)):
        if isinstance(node, ast.Call) and (name := endless(node)):
            yield f"{path}:{node.lineno}: {name} needs a deadline"


def endless(call):
    """What the call is, if it can wait for good; else None."""
    last = getattr(call.func, "attr", None) or getattr(call.func, "id", "")
    if last not in LOOKED_AT:
        return None
    name = ast.unparse(call.func)
    receiver = name.rpartition(".")[0]
    given = {keyword.arg for keyword in call.keywords}
    if last == "Popen":
        return f"{name} (use tests/support/children.py)"
    if name in ("os.wait", "os.waitpid"):
        return name
    if last in OF_SUBPROCESS and receiver != "subprocess":
        return None
    if last == "select" and receiver != "select":
        return None
    if last in FUNCTIONS:
        keyword, place = FUNCTIONS[last]
        has_one = keyword in given or None in given or (place is not None and len(call.args) > place)
        return None if has_one else name
    if last in METHODS and receiver and not call.args and not call.keywords and waits_on(last, call.func.value):
        return name
    return None


def waits_on(method, receiver):
    """Whether the method of this receiver waits, as far as names tell: models and queries have a `get` too."""
    if isinstance(receiver, ast.Name | ast.Attribute):
        name = ast.unparse(receiver).rpartition(".")[2]
        return name not in OWN_DEADLINE and not (method == "get" and name[0].isupper())
    return method != "get"


def test_no_test_waits_without_a_deadline():
    starting = {"tests/support/children.py", "tests/support/forked_servers.py"}
    paths = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("tests/**/*.py")} - starting
    found = [line for path in sorted(paths) for line in waits((ROOT / path).read_text(encoding="utf-8"), path)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        "subprocess.run(['true'])", "subprocess.check_output('x', shell=True)", "subprocess.Popen(['x'])",
        "process.communicate()", "process.communicate('x')", "process.wait()", "thread.join()", "event.wait()",
        "lock.acquire()", "queue.get()", "process._queue.get()", "os.waitpid(1, 0)", "urlopen(url)",
        "urllib.request.urlopen(url, data)", "http.client.HTTPConnection('h', 1)", "socket.create_connection(at)",
        "select.select([fd], [], [])", "await asyncio.Event().wait()",
    ],
)  # fmt: skip
def test_a_wait_without_a_deadline_is_found(source):
    assert len(list(waits(f"async def f():\n    {source}"))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "subprocess.run(['true'], timeout=1)", "process.communicate(timeout=1)", "process.communicate('x', 1)",
        "process.wait(1)", "process.wait(timeout=1)", "thread.join(PATIENCE)", "', '.join(names)", "event.wait(1)",
        "lock.acquire(timeout=1)", "lock.acquire(blocking=False)", "queue.get(timeout=1)", "User.get()",
        "RunDay.select().get()", "client.get('/x')", "urlopen(url, timeout=1)", "select.select([fd], [], [], 1)",
        "socket.create_connection(at, 1)", "load.join()", "cli.run('x')", "Run.select('id')",
    ],
)  # fmt: skip
def test_what_has_a_deadline_or_does_not_wait_passes(source):
    assert list(waits(source)) == []


def test_every_test_is_ended_after_a_time():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert 0 < settings["timeout"] < settings["faulthandler_timeout"] and settings["faulthandler_exit_on_timeout"]


HANGING = """
import subprocess, sys, threading

def test_hangs():
    threading.Event().wait(100)

def test_goes_on_after_it():
    pass
"""
IGNORING = """
import signal, time

def test_ignores_its_timeout():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    time.sleep(100)
"""
INTERRUPTED = """
import signal, subprocess, sys

SOURCE = "import time; print('up', flush=True); time.sleep(100)"

def test_a_child_is_interrupted():
    with subprocess.Popen([sys.executable, "-c", SOURCE], stdout=subprocess.PIPE) as process:
        try:
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait(20) in (1, 130, -signal.SIGINT)
        finally:
            process.kill()
"""


def run_tests(folder, source, *options):
    """Run these tests as ours are run, in the background of a shell, where SIGINT is ignored; what that says."""
    (folder / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    shutil.copy(ROOT / "tests/conftest.py", folder)
    (folder / "test_it.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, "test_it.py"]
    background = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command]
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'support'}"}
    return subprocess.run(background, cwd=folder, env=env, text=True, capture_output=True, timeout=120)


@pytest.mark.slow
def test_a_test_that_hangs_fails_at_its_deadline_and_the_others_go_on(tmp_path):
    done = run_tests(tmp_path, HANGING, "-o", "timeout=1")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Timeout" in done.stdout and "1 failed, 1 passed" in done.stdout


@pytest.mark.slow
def test_a_test_that_ignores_its_deadline_ends_the_process_which_prints_where_it_is(tmp_path):
    done = run_tests(tmp_path, IGNORING, "-o", "timeout=1", "-o", "faulthandler_timeout=2")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Timeout (0:00:02)!" in done.stderr and "in test_ignores_its_timeout" in done.stderr


@pytest.mark.slow
def test_processes_of_tests_can_be_interrupted_where_the_tests_ignore_it(tmp_path):
    done = run_tests(tmp_path, INTERRUPTED)
    assert done.returncode == 0, done.stdout + done.stderr
