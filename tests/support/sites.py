"""Pages of a real server for tests of the nodes that speak HTTP, all at 127.0.0.1."""

import json
import re
import socket

import pytest
from werkzeug import Response

from errors import NodeError


def address(httpserver, path="/"):
    """The address of a page of the server."""
    return f"http://127.0.0.1:{httpserver.port}{path}"


def unplaced(message):
    """An error of a request to 127.0.0.1 without its port and path, which change from test to test."""
    return re.sub(r"(127\.0\.0\.1):\d+(/[^\s:]*)?", r"\1", message)


def echoing(httpserver, path="/echo"):
    """The address of a page that answers with what it was asked."""

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
    """The address of a page with one answer after the other, the last again and again.

    An answer is what is said as JSON, or `(status, headers, text)`.
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
    """A socket at `127.0.0.1` that takes connections and says nothing; its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}/"


def failure(run, config, type_="http", **context):
    """The error of the node."""
    with pytest.raises(NodeError) as caught:
        run(type_, config, **context)
    return caught.value


def paths(httpserver):
    """The paths that were asked for, in their order."""
    return [request.path for request, _ in httpserver.log]
