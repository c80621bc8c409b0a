"""An outside service that often fails: an HTTP server in the test's process, which records every request by its key."""

import json
import threading
import time
from collections import defaultdict
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import NamedTuple

from servers import PATIENCE

LOOK_SECONDS = 0.1  # between two checks for more requests
SLOWEST = 0.1  # maximum seconds of an answer, so that many are in progress at a kill
FAILURES = ("error", "cut")  # instead of an answer: status 500, or the end of the connection
MAX_FAILURES = 2  # of the first requests with one key
SHARE = 0.25  # of the keys have failures


class Request(NamedTuple):
    """A received request: its path, its body, and what happened to it (`ok` or one of FAILURES)."""

    path: str
    body: dict
    answer: str


class FlakyService:
    """`url` answers with the body of the request. Requests with the same key, repeated often enough, succeed.

    `heard(path, body)` is called for each request.
    """

    def __init__(self, seed):
        self.seed = seed
        self.heard = lambda path, body: None
        self._requests = defaultdict(list)
        self._count = 0
        self._changed = threading.Condition()
        self._server = _Listener(("127.0.0.1", 0), type("Handler", (_Handler,), {"service": self}))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(PATIENCE)

    def note(self, key, path, body):
        """Record a request. Return what happens to it, and after how many seconds."""
        random = Random(f"{self.seed} {key.partition(':')[2]} {body.get('order')}")  # not of the run's id
        failures = random.choices(FAILURES, k=random.randint(1, MAX_FAILURES)) if random.random() < SHARE else []
        with self._changed:
            number = len(self._requests[key])
            answer = failures[number] if number < len(failures) else "ok"
            self._requests[key].append(Request(path, body, answer))
            self._count += 1
            self._changed.notify_all()
        self.heard(path, body)
        return answer, random.uniform(0, SLOWEST)

    def requests(self):
        """Return the requests, by key."""
        with self._changed:
            return {key: list(found) for key, found in self._requests.items()}

    def count(self):
        """Return the number of requests."""
        with self._changed:
            return self._count

    def wait_for(self, count, is_over=lambda: False):
        """Wait until `count` requests have come, or `is_over()` returns True."""
        ends = time.monotonic() + PATIENCE
        with self._changed:
            while self._count < count and not is_over():
                assert time.monotonic() < ends, f"{self._count} requests came in {PATIENCE} s; {count} were expected"
                self._changed.wait(LOOK_SECONDS)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    service: FlakyService

    def handle(self):
        with suppress(ConnectionError):  # the client may have been killed
            super().handle()

    def do_POST(self):
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer, seconds = self.service.note(self.headers["Idempotency-Key"], self.path, json.loads(sent))
        threading.Event().wait(seconds)
        if answer == "cut":
            self.close_connection = True
            return
        self.send_response(200 if answer == "ok" else 500)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *args):
        pass
