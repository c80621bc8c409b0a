"""Effects outside of the server: an HTTP server in the test's process that counts requests by `Idempotency-Key`.

It knows the effects of a flow's `http` nodes, independently of the records of the server under test.
"""

import threading
import time
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from servers import PATIENCE

LOOK_SECONDS = 0.1  # between two checks for more requests
SLOWEST = 0.02  # maximum seconds of a response, so that many are in progress at a kill


def http_node(id_, url, body=1, **more):
    """Return a node that sends a request to one of the addresses below."""
    return {"id": id_, "type": "http", "config": {"method": "POST", "url": url, "body": body}, **more}


class Effects:
    """Two URLs that return the body of the request: `url` after a short delay, `held` once the test sets `opened`.

    `held` delays only the first request of each key; it answers a repeated one like `url`. `host`: the address on which
    they are.
    """

    def __init__(self, random, host="127.0.0.1"):
        self.random = random
        self.opened = threading.Event()
        self._seen = Counter()
        self.arrivals = []  # times of all requests, on the monotonic clock
        self._changed = threading.Condition()
        self._server = _Listener((host, 0), type("Handler", (_Handler,), {"effects": self}))
        self.url = f"http://{host}:{self._server.server_port}/echo"
        self.held = f"http://{host}:{self._server.server_port}/held"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self):
        self.opened.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(PATIENCE)

    def note(self, key):
        """Count a request. Return its number among those with its key, and the delay of its response."""
        with self._changed:
            self._seen[key] += 1
            self.arrivals.append(time.monotonic())
            self._changed.notify_all()
            return self._seen[key], self.random.uniform(0, SLOWEST)

    def seen(self):
        """Return the number of requests, by key."""
        with self._changed:
            return Counter(self._seen)

    def count(self):
        """Return the number of requests."""
        return self.seen().total()

    def wait_for(self, count, is_over=lambda: False):
        """Wait until `count` requests have come, or `is_over()` returns True."""
        ends = time.monotonic() + PATIENCE
        with self._changed:
            while self._seen.total() < count and not is_over():
                said = f"{self._seen.total()} requests came in {PATIENCE} s; {count} were expected"
                assert time.monotonic() < ends, said
                self._changed.wait(LOOK_SECONDS)

    def wait_for_keys(self, *keys, times=1):
        """Wait until `times` requests with each of these keys have come."""
        with self._changed:
            enough = self._changed.wait_for(lambda: all(self._seen[key] >= times for key in keys), PATIENCE)
            assert enough, f"not all of these came {times} times: { ({key: self._seen[key] for key in keys}) }"


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256  # with the default of 5, simultaneous connections are reset


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    effects: Effects

    def handle(self):
        with suppress(ConnectionError):  # the client may have been killed
            super().handle()

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        times, seconds = self.effects.note(self.headers["Idempotency-Key"])
        self.effects.opened.wait(2 * PATIENCE if self.path == "/held" and times == 1 else seconds)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, *args):
        pass
