"""A stub of the services of connectors: it records what a node sends, and answers as an example in a file says.

Requests to `https://slack.com/api/x` come to `http://127.0.0.1:<port>/https/slack.com/api/x`: `aim` rewrites the
addresses of a connector so. All else is as in production.
"""

import json
import re
from urllib.parse import parse_qsl

import orjson
from werkzeug import Request, Response

HOST = "127.0.0.1"
# Values of a credential of each type that has fixed ones.
VALUES = {
    "http_bearer": {"token": "tok-3c9f1e"},
    "http_basic": {"username": "ada@example.com", "password": "pass-3c9f1e"},
    "secret": {"value": "123:ABC"},
    "llm": {"api_key": "key-3c9f1e"},
}


def aim(data, port):
    """Return the data with all addresses of services leading to the stub."""
    text = orjson.dumps(data).decode().replace("https://", f"http://{HOST}:{port}/https/")
    return orjson.loads(text.replace("host.example.com", HOST))


def aim_back(data, port):
    """Return the data with the addresses of the services, as in the file."""
    text = orjson.dumps(data, default=str).decode().replace(f"http://{HOST}:{port}/https/", "https://")
    return orjson.loads(text.replace(f"https://{HOST}", "https://host.example.com"))


def values_of(way):
    """Return the values of a credential for this way to authenticate; None if it needs a person or a server."""
    if way["type"] == "http_header":
        return {"name": way.get("header", "X-Api-Key"), "value": "val-3c9f1e"}
    if way["type"] in ("http_headers", "http_query"):
        return None
    return VALUES.get(way["type"])


def read_body(request: Request):
    """Return the body of a request as its example writes it: JSON, the fields of a form, or text."""
    media = request.mimetype
    if media == "multipart/form-data":
        sent = {name: found if len(found) > 1 else found[0] for name, found in request.form.lists()}
        return sent | {name: f"file:{file.filename}" for name, file in request.files.items()}
    raw = request.get_data()
    if not raw:
        return None
    if media == "application/json" or media.endswith("+json"):
        return json.loads(raw)
    if media == "application/x-www-form-urlencoded":
        return collect(parse_qsl(raw.decode(), keep_blank_values=True))
    return raw.decode("utf-8", "replace")


def collect(pairs):
    """Return pairs as an object; a repeated name has a list."""
    found = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {name: values if len(values) > 1 else values[0] for name, values in found.items()}


def answer(body, status=200, **headers):
    """Return an answer of the stub."""
    return {"response": body, "status": status, "response_headers": headers}


class Stub:
    """Answers the requests in turn with the answers of `exchanges`, and keeps what came in `seen`."""

    def __init__(self, httpserver, exchanges):
        self.port, self.left, self.seen = httpserver.port, list(exchanges), []
        httpserver.clear_all_handlers()
        httpserver.expect_request(re.compile("/https/.*")).respond_with_handler(self.answer)

    def answer(self, request):
        path = request.full_path.partition("?")[0]
        raw_path = request.environ.get("RAW_URI", request.environ.get("REQUEST_URI", path)).partition("?")[0]
        self.seen.append(
            {
                "method": request.method,
                "url": "https://" + raw_path.removeprefix("/https/").replace(HOST, "host.example.com"),
                "query": aim_back(collect(parse_qsl(request.query_string.decode(), keep_blank_values=True)), self.port),
                "headers": {name.lower(): value for name, value in request.headers.items()},
                "body": aim_back(read_body(request), self.port),
            }
        )
        if not self.left:
            return Response('{"error": "no further request is expected"}', 418, content_type="application/json")
        told = self.left.pop(0)
        body, headers = aim(told.get("response"), self.port), aim(told.get("response_headers", {}), self.port)
        status = told.get("status", 204 if body is None else 200)
        if isinstance(body, str) and "content-type" in {name.lower() for name in headers}:
            return Response(body, status, headers)
        return Response(b"" if body is None else orjson.dumps(body), status, headers, content_type="application/json")
