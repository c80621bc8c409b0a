"""Real servers as child processes: start, every kind of end, stop and continue.

A `Server` ends every process that it has started, even if the test fails.
"""

import fcntl
import http.client
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from pathlib import Path

from children import start_child
from chosen_engine import ON_POSTGRES
from forked_servers import can_fork, start_forked
from ports import free_port as free_port
from world import ROOT, on_postgres

EMAIL, PASSWORD = "owner@localhost", "only-for-the-tests"
PATIENCE = 120  # seconds after which a missing event fails the test
POLL = 0.02
LINES_KEPT = 2_000
COMMAND = ("workflow_server.py",)


def until(holds, what="it holds", seconds=PATIENCE):
    """Return the first true value of `holds()`: waits for an event in another process by polling."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(POLL)
    return found


def processes():
    """Return the living processes of this machine: id, id of the parent, session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name, in parentheses, may contain anything. State, parent, group and session follow it.
            state, parent, _, session, *_ = stat.read_text().rpartition(")")[2].split()
            if state not in "ZX":
                found.append((int(stat.parent.name), int(parent), int(session)))
    return found


class Refused(Exception):
    """The server answered with an unexpected status."""

    def __init__(self, method, path, status, body):
        super().__init__(f"{method} {path}: {status} {body}")
        self.status, self.body = status, body


def states_of(pid):
    """Return the state of each thread of a process: T for stopped."""
    states = []
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(OSError):  # the thread has just ended
            states.append(stat.read_text().rpartition(")")[2].split()[0])
    return states


def _stop(*pids):
    """Send SIGSTOP to these processes. Return when all their threads are stopped."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    for pid in pids:
        until(lambda pid=pid: set(states_of(pid)) <= {"T"}, "all threads of the process are stopped")


class Server:
    """`python workflow_server.py` on a data folder: a master and its workers, in a session of their own.

    `answering` is set while the server runs. `lines` has its output.
    """

    def __init__(self, data_dir, command=COMMAND, **settings):
        self.data_dir, self.command = Path(data_dir), command
        self.port = free_port()
        self.environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ},
            "PYTHONPATH": str(ROOT),
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "WEB_CONCURRENCY": "2",
            "HEADRACE_DATA_DIR": str(data_dir),
            "HEADRACE_ADMIN_EMAIL": EMAIL,
            "HEADRACE_ADMIN_PASSWORD": PASSWORD,
            "HEADRACE_EGRESS_ALLOW": "127.0.0.1",
            "HEADRACE_DURABILITY": "normal",
            "HEADRACE_GRACE": "1",
            "HEADRACE_LEASE_SECONDS": "3",
            **(on_postgres().server_settings(self.database, self.port) if ON_POSTGRES else {}),
            **{name: str(value) for name, value in settings.items()},
        }
        self.answering = threading.Event()
        self.lines = deque(maxlen=LINES_KEPT)
        self.token = None
        self._process = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def database(self):
        return self.data_dir / "headrace.sqlite3"

    # Start and end

    @property
    def program(self):
        return [sys.executable, *self.command]

    def start(self):
        """Start the server and return when it answers."""
        self._process = self._begin()
        # Read from a pipe, not from a file: the output must be readable even if the disk is full.
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()
        until(self._is_up, "the server answers")
        self.answering.set()
        return self

    def _begin(self):
        """Start the program; `close` ends it."""
        python, script, *arguments = self.program
        if (python, script) == (sys.executable, *COMMAND) and can_fork(self.environment):
            return start_forked(arguments, self.environment)
        return start_child(
            self.program,
            seconds=None,
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _read(self, pipe):
        with pipe:
            self.lines.extend(iter(pipe.readline, ""))

    def _is_up(self):
        assert self._process.poll() is None, f"the server ended with code {self._process.returncode}"
        try:
            return self.request("GET", "/api/health")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def kill(self, note=None):
        """Send SIGKILL to all processes of the server at once. Return when all have ended.

        `note()` is called when they are stopped, before other processes can see that they have ended.
        """
        self.answering.clear()
        if self._process is None:
            return
        if note is not None:
            _stop(*self._pids())
            note()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self.ended()

    def terminate(self):
        """Send SIGTERM to the master."""
        self.answering.clear()
        self._process.terminate()

    def ended(self, seconds=PATIENCE):
        """Return the exit code of the master, after all processes of the session have ended."""
        code = self._process.wait(seconds)
        until(lambda: not self._pids(), "the server's processes end", seconds)
        self._reader.join(PATIENCE)
        return code

    def close(self):
        """Kill all remaining processes."""
        if self._process is not None:
            for pid in self._pids():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.kill()

    # Its processes

    @property
    def master(self):
        return self._process.pid

    def _pids(self):
        return [pid for pid, _, session in processes() if session == self._process.pid]

    def workers(self):
        """Return the ids of the living workers, oldest first."""
        return sorted(pid for pid, parent, _ in processes() if parent == self._process.pid)

    def kill_worker(self, pid, note=None):
        """Send SIGKILL to one worker. Return when the master has replaced it.

        `note()` is called when the worker is stopped, before its sibling can see that it has ended: by the time that
        this returns, the sibling may have claimed and finished its runs.
        """
        before = self.workers()
        if note is not None:
            _stop(pid)
            note()
        os.kill(pid, signal.SIGKILL)
        until(lambda: pid not in self.workers() and len(self.workers()) == len(before), "the worker is replaced")

    def freeze(self, pid):
        """Send SIGSTOP to one worker outside of a write: with the lock it would block all others."""

        def stopped():
            os.kill(pid, signal.SIGSTOP)
            # Its threads stop one by one, and the last may still get the lock.
            until(lambda: all(state == "T" for state in states_of(pid)), "all threads of the worker are stopped")
            if self._is_written():
                os.kill(pid, signal.SIGCONT)
                return False
            return True

        until(stopped, "the worker is stopped between two writes")

    def _is_written(self):
        """Return True if a process, which may have stopped, writes to the database."""
        if ON_POSTGRES:
            return on_postgres().has_open_transaction(self.database)
        with Path(f"{self.database}.lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def thaw(self, pid):
        """Send SIGCONT to one worker."""
        os.kill(pid, signal.SIGCONT)

    def limit_files(self, size):
        """Limit the size of files that the server's processes write; None lifts the limit."""
        for pid in self._pids():
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard if size is None else size, hard))

    def said(self, words, times=1, seconds=PATIENCE):
        """Wait until the server has printed `times` lines with these words."""
        until(lambda: sum(words in line for line in list(self.lines)) >= times, f"the server says {words!r}", seconds)

    # Requests

    def request(self, method, path, body=None, headers=None):
        """Return the status and JSON of one request. Raises: OSError or HTTPException without a complete response."""
        answer, text = self._exchange(method, path, body, headers or {})
        return answer.status, json.loads(text) if text else None

    def _exchange(self, method, path, body, headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            token = {"Authorization": f"Bearer {self.token}"} if self.token else {}
            sent = {"Content-Type": "application/json", **token, **headers}
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def call(self, method, path, body=None, status=(200, 201, 202), **options):
        """Return the JSON of one request. Raises: Refused for another status."""
        got, answer = self.request(method, path, body, **options)
        if got not in status:
            raise Refused(method, path, got, answer)
        return answer

    def session(self, email=EMAIL, password=PASSWORD):
        """Return the headers of a logged-in user, for requests that an API token cannot make."""
        answer, _ = self._exchange("POST", "/api/auth/login", {"email": email, "password": password}, {})
        return {"Cookie": answer.getheader("Set-Cookie").partition(";")[0], "Authorization": ""}

    def log_in(self, email=EMAIL, password=PASSWORD):
        """Create an API token for the following requests; it is valid for every server on the same database."""
        session = self.session(email, password)
        made = self.call("POST", "/api/tokens", {"name": "tests", "role": "owner"}, headers=session)
        self.token = made["token"]

    def add_member(self, email, role, name):
        """Add a member who has chosen PASSWORD; an existing member is not changed."""
        given = "set by an owner"
        body = {"email": email, "role": role, "name": name, "password": given}
        status, _ = self.request("POST", "/api/members", body, headers=self.session())
        if status != 409:
            own = {"password": PASSWORD, "current_password": given}
            self.call("PATCH", "/api/profile", own, headers=self.session(email, given))

    def add_flow(self, definition, name="Flow"):
        """Add an active flow. Return its id."""
        body = {"name": name, "status": "active", "definition": definition}
        return self.call("POST", "/api/flows", body)["id"]

    def run(self, flow, input=None, wait=0):
        """Start a run. Return its JSON."""
        return self.call("POST", f"/api/workflows/{flow}/run?wait={wait}", {"input": input})


# A real server with the built app


@contextmanager
def serving(data_dir, **settings):
    """Start a server with an owner on this folder; `settings` are environment variables."""
    server = Server(data_dir, **{"WEB_CONCURRENCY": 1, **settings})
    try:
        server.start()
        server.log_in()
        yield server
    finally:
        server.close()


# Worker processes: they execute runs, and answer no requests


class Worker(Server):
    """A worker process. It answers no requests, so its output says that it is ready."""

    def __init__(self, data_dir, concurrency=4, **settings):
        super().__init__(data_dir, ("workflow_server.py", "worker", "--concurrency", str(concurrency)), **settings)

    def _is_up(self):
        assert self._process.poll() is None, f"the worker ended: {''.join(self.lines)}"
        return any("This worker executes" in line for line in list(self.lines))

    def start(self):
        self.lines.clear()
        return super().start()

    def signal(self, number):
        """Send a signal to the process, such as SIGSTOP to make it silent."""
        os.kill(self.master, number)

    def stop(self):
        """Send SIGTERM and return the exit code."""
        self.terminate()
        return self.ended()


# A client that retries until it gets an answer, because the server may be killed at any time


TRIES = 500


def insist(servers, method, path, body, done, headers=None, number=0, tries=TRIES):
    """Send a request to these servers in turn, starting at `number`, until a status is in `done`; retry after 503.

    `body(attempt)` is the body. Return the status, the JSON and the number of attempts. If `tries` is 1 and there is
    no answer, the status and the JSON are None.
    """
    for attempt in range(tries):
        server = answering(servers, number + attempt)
        try:
            status, answer = server.request(method, path, body(attempt), headers)
        except (OSError, http.client.HTTPException, json.JSONDecodeError):
            continue
        if status in done:
            return status, answer, attempt + 1
        assert status == 503, f"{method} {path}: {status} {answer}"
    assert tries == 1, f"{method} {path}: no answer in {tries} tries"
    return None, None, tries


def answering(servers, number):
    """Return one of the running servers. If none is running, wait for the first one."""
    found = [server for server in servers if server.answering.is_set()]
    if found:
        return found[number % len(found)]
    assert servers[0].answering.wait(PATIENCE), "no server came back"
    return servers[0]
