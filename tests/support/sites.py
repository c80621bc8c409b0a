"""Pages of a real server at 127.0.0.1 for tests of nodes that send HTTP requests."""

import json
import re
import socket

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from errors import NodeError


class Site(HTTPServer):
    """A server that stops at once: one of pytest-httpserver looks every half a second whether it should stop."""

    def thread_target(self):
        self.server.serve_forever(0.01)


def address(httpserver, path="/"):
    """Return the URL of a page of the server."""
    return f"http://127.0.0.1:{httpserver.port}{path}"


def unplaced(message):
    """Return an error message without the port and path after 127.0.0.1, which differ between tests."""
    return re.sub(r"(127\.0\.0\.1):\d+(/[^\s:]*)?", r"\1", message)


def echoing(httpserver, path="/echo"):
    """Add a page that responds with its request as JSON. Return its URL."""

    def answer(request):
        seen = {
            "method": request.method,
            "query": request.query_string.decode(),
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "body": request.get_data(as_text=True),
        }
        return Response(json.dumps(seen), content_type="application/json")

    httpserver.expect_request(path).respond_with_handler(answer)
    return address(httpserver, path)


def answering(httpserver, path, *answers):
    """Add a page that gives these answers in turn and repeats the last one. Return its URL.

    An answer is a JSON value, `(status, headers, text)`, or a function of the request that returns one of them.
    """
    left = list(answers)

    def answer(request):
        found = left.pop(0) if len(left) > 1 else left[0]
        if callable(found):
            found = found(request)
        if not isinstance(found, tuple):
            return Response(json.dumps(found), content_type="application/json")
        status, headers, text = found
        return Response(text, status, headers)

    httpserver.expect_request(path).respond_with_handler(answer)
    return address(httpserver, path)


def silent():
    """Return a socket at `127.0.0.1` that accepts connections and never responds, and its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}/"


def failure(run, config, type_="http", **context):
    """Run the node and return its error."""
    with pytest.raises(NodeError) as caught:
        run(type_, config, **context)
    return caught.value


def paths(httpserver):
    """Return the requested paths in order."""
    return [request.path for request, _ in httpserver.log]
