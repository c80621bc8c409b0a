"""Servers and workers in a tenth of the time: forks of a process that has imported all that a server imports.

Importing takes most of a start. A fork is as a new process otherwise: it has a session, an environment and an output of
its own, executes `workflow_server.main()`, and ends as Python does. Its parent, a fork too, waits for its end alone.
"""

import atexit
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from children import LIVING, start_child

ROOT = Path(__file__).parents[2]
MAX_MESSAGE = 1_000_000
STARTING_SECONDS = 120
# The only variables, besides settings, of a server that may be a fork: Python and libraries look at others at a start.
USUAL = {"PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH"}
_starting = threading.Lock()


class ForkedProcess:
    """A started server, with the part of subprocess.Popen that tests use. `stdout` is the text of both its outputs."""

    def __init__(self, answers, stdout):
        self._answers, self.stdout = answers, stdout
        self.stdin = self.stderr = self.returncode = None
        self._lock = threading.Lock()
        self._answers.settimeout(STARTING_SECONDS)
        self.pid = self._receive()

    def _receive(self):
        answer = self._answers.recv(MAX_MESSAGE)
        assert answer, "the process that starts servers has ended"
        return json.loads(answer)

    def poll(self):
        """Return the exit code, a signal as a negative number, or None while the process runs."""
        return self._look(0)

    def wait(self, timeout=None):
        """Return the exit code at the end of the process. Raises: TimeoutExpired after `timeout` seconds."""
        if self._look(timeout) is None:
            raise subprocess.TimeoutExpired("workflow_server.py", timeout)
        return self.returncode

    def _look(self, seconds):
        with self._lock:
            if self.returncode is None:
                self._answers.settimeout(seconds)
                try:
                    self.returncode = self._receive()
                    self._answers.close()
                except (TimeoutError, BlockingIOError):
                    return None
            return self.returncode

    def terminate(self):
        """Send SIGTERM to the process, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)


class Starter:
    """The process that is forked, and the way to it."""

    def __init__(self):
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = start_child(
                [sys.executable, __file__, str(theirs.fileno())],
                seconds=None,  # `close` ends it
                pass_fds=[theirs.fileno()],
                cwd=ROOT,
                env={name: os.environ[name] for name in USUAL & os.environ.keys()},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        atexit.register(self.close)

    def start(self, arguments, environment):
        """Start `workflow_server.py` with these arguments and this environment. Return its ForkedProcess."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        output, written = os.pipe()
        try:
            message = json.dumps([arguments, environment]).encode()
            socket.send_fds(self._socket, [message], [theirs.fileno(), written])
        finally:
            theirs.close()
            os.close(written)
        return ForkedProcess(ours, os.fdopen(output, encoding="utf-8", errors="replace"))

    def close(self):
        """End the process; the servers that it started go on."""
        self._socket.close()
        self._process.wait(STARTING_SECONDS)


def can_fork(environment):
    """Return True if a server with this environment may be a fork: with settings alone, and with our own modules."""
    from config import table

    known = USUAL | {setting.env for setting in table()} - {"HEADRACE_PACKS"}
    has_our_modules = environment["PYTHONPATH"] == str(ROOT) and "HEADRACE_PACKS" not in os.environ
    return has_our_modules and environment.keys() <= known


@cache
def starter():
    return Starter()


def start_forked(arguments, environment):
    """Start a server as a fork. Return its ForkedProcess."""
    with _starting:  # two threads would make two starters
        process = starter().start(arguments, environment)
    LIVING.add(process)
    return process


# What the forked process does


def main(number):
    """Fork for each message, until the other side is closed."""
    import_everything()
    channel = socket.socket(fileno=number)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so no child of it becomes a zombie
    while True:
        message, files, _, _ = socket.recv_fds(channel, MAX_MESSAGE, 2)
        if not message:
            return
        if not os.fork():
            channel.close()
            wait_for_a_server(*json.loads(message), socket.socket(fileno=files[0]), files[1])
            return
        for file in files:
            os.close(file)


def import_everything():
    """Import what a server imports until it answers."""
    sys.path[0] = str(ROOT)
    import gunicorn.app.base  # noqa: F401

    import cli  # noqa: F401
    import net.http_worker  # noqa: F401
    import workflow_server  # noqa: F401
    from config import Config
    from registry import registry

    registry.load(Config.from_env({}).packs)
    gc.collect()
    gc.freeze()  # its pages stay shared


def wait_for_a_server(arguments, environment, answers, output):
    """Start a server, and send its process id and then its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if not (pid := os.fork()):
        os.setsid()
        answers.send(json.dumps(os.getpid()).encode())
        answers.close()
        become_server(arguments, environment, output)
        return
    os.close(output)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with suppress(OSError):  # nobody waits for it
        answers.send(json.dumps(code).encode())


def become_server(arguments, environment, output):
    """Run the server until its end, in the environment of a new process."""
    import workflow_server

    for standard in (1, 2):
        os.dup2(output, standard)
    os.close(output)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.argv = ["workflow_server.py", *arguments]
    workflow_server.main()


if __name__ == "__main__":
    main(int(sys.argv[1]))
