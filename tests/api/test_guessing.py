"""Guesses at a running server: no header of the client lifts a limit, and the worker processes count together."""

import base64
from concurrent.futures import ThreadPoolExecutor

import pytest
from form_pages import make_definition
from servers import PATIENCE, Server
from world import node

from api.webhooks.rate_limit import MAX_OF_ADDRESS
from packs.forms.access import PAGES_PER_MINUTE
from security import login_throttle

pytestmark = pytest.mark.slow
AT_ONCE = 8  # requests

CREDENTIALS = {
    "pin": ("http_header", {"name": "X-Key", "value": "4711"}),
    "word": ("http_basic", {"username": "u", "password": "word"}),
}


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path).start()
    try:
        server.log_in()
        for name, (type_, data) in CREDENTIALS.items():
            server.call("POST", "/api/credentials", {"name": name, "type": type_, "data": data})
        hook = {"path": "safe", "auth": "header", "credential": "pin", "respond": "last"}
        definitions = [
            {"nodes": [node("hook", "webhook", hook)], "edges": []},
            make_definition(path="secret", access="password", credential="word"),
            make_definition(path="open"),
        ]
        for definition in definitions:
            server.add_flow(definition)
        server.token = None
        yield server
    finally:
        server.close()


def ask_all(ask, count):
    """Return the statuses of these requests, several at once, each with a header that names another address."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        headers = (
            {"X-Forwarded-For": f"198.51.{n >> 8}.{n & 255}", "Forwarded": f"for=10.0.0.{n & 255}"}
            for n in range(count)
        )
        return list(pool.map(ask, range(count), headers, timeout=PATIENCE))


def test_no_header_lifts_a_limit_in_any_process(server):
    def send(method, path, body=None, headers=None):
        return server._exchange(method, path, body, headers)[0].status

    def call(key, headers):
        return send("POST", "/api/webhooks/safe", {}, {**headers, "X-Key": f"{key:04}"})

    def open_form(number, headers):
        pair = base64.b64encode(b"u:%d" % number).decode()
        return send("GET", "/forms/secret", headers={**headers, "Authorization": f"Basic {pair}"})

    def open_link(number, headers):
        return send("POST", "/api/invitations/look", {"token": f"x{number}"}, headers)

    def log_in(number, headers):
        body = {"email": f"user-{number}@example.org", "password": "password of nobody"}
        return send("POST", "/api/auth/login", body, headers)

    def send_page(number, headers):
        return send("POST", "/forms/open", {}, headers)

    # A limit a minute has twice its number within the first one, and requests at the same time are counted afterwards.
    rows = [
        (call, 1500, 401, MAX_OF_ADDRESS, 3),
        (open_form, 400, 401, MAX_OF_ADDRESS, 3),
        (open_link, 60, 404, login_throttle.MAX_BAD_LINKS, 1),
        (log_in, 80, 401, login_throttle.MAX_FAILURES["address"], 1),
    ]
    for ask, count, refused, most, factor in rows:
        statuses = ask_all(ask, count)
        assert set(statuses) == {refused, 429}, ask.__name__
        assert most <= statuses.count(refused) < most * factor + AT_ONCE, ask.__name__
    # The right secret is refused too, until the next guess is allowed.
    ask_all(call, 40)
    assert call(4711, {"X-Forwarded-For": "203.0.113.1"}) == 429
    pages = ask_all(send_page, 200)
    assert PAGES_PER_MINUTE <= len(pages) - pages.count(429) <= 2 * PAGES_PER_MINUTE
