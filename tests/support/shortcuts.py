"""The app behind its shortcut, like in the server's loop, but without sockets."""

import threading
from contextlib import contextmanager
from io import BytesIO
from types import SimpleNamespace

from gunicorn.config import Config
from gunicorn.http.errors import ParseException

from net.http_worker.connection import parse_head
from parsers.process import refuse_to_wait

PATIENCE = 30
PEER = SimpleNamespace(client=("127.0.0.1", 50_000), requests=0)


class BehindShortcut:
    """A WSGI app: the shortcut answers the requests that it takes, the app all others. `taken` counts the former."""

    def __init__(self, app):
        self.app, self.wsgi_app = app, app.wsgi_app
        self.config = Config()
        self.loop = threading.Lock()  # a worker has one loop
        self.taken = 0

    def __call__(self, environ, start_response):
        shortcut = self.app.extensions["headrace"].shortcut
        try:
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        except ConnectionError:
            return self.wsgi_app(environ, start_response)
        environ["wsgi.input"] = BytesIO(body + environ["wsgi.input"].read())
        answered, got = threading.Event(), []

        def reply(*answer):
            got.append(answer)
            answered.set()

        try:
            peer = SimpleNamespace(client=(environ["REMOTE_ADDR"], 50_000), requests=0)
            request = parse_head(self.config, head_of(environ), peer)
        except ParseException:
            request = None  # the server rejects such a request earlier
        with self.loop, in_the_loop(shortcut.runs):
            taken = request is not None and shortcut.take(request, body, reply)
            self.taken += taken
            shortcut.end_turn()
        if not taken:
            return self.wsgi_app(environ, start_response)
        assert answered.wait(PATIENCE)
        ((status, headers, data),) = got
        start_response(status, [*headers, *([("Content-Length", str(len(data)))] if data else [])])
        return [data]


@contextmanager
def in_the_loop(quick):
    """Make this thread that of the worker's loop, in which `quick` executes runs."""
    quick.own_thread()
    try:
        yield
    finally:
        refuse_to_wait(None)


def head_of(environ):
    """Return the head of the request with this WSGI environment."""
    lines = [f"{environ['REQUEST_METHOD']} {environ['REQUEST_URI']} HTTP/1.1"]
    for name, value in environ.items():
        if name.startswith("HTTP_") or (name in ("CONTENT_TYPE", "CONTENT_LENGTH") and value not in ("", None)):
            lines.append(f"{name.removeprefix('HTTP_').replace('_', '-')}: {value}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
