"""Servers that are killed while they renew the token of an account: the account stays connected.

Between the server and a real authorization server is a proxy that kills the server at one point of a refresh. If the
service gives up the old refresh token at once, and its answer was lost, nobody has the new one: these tests say what
happens then, too.
"""

import http.client
import threading
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from authorization_server import authorization_server
from chosen_engine import ON_POSTGRES
from engines import other_connection
from races import another_writer
from record import ask, settled
from servers import PATIENCE

pytestmark = [pytest.mark.slow, pytest.mark.postgres, pytest.mark.pack("oauth")]

# The points of a refresh, in order. At `given up`, the service has given up the token before the present one.
ASKED, ROTATED, ARRIVED, USED, GIVEN_UP = "asked", "rotated", "arrived", "used", "given up"


class Between:
    """An HTTP proxy before the authorization server and its API.

    `on` maps a point to a function that is called there, once. If it returns True, the request or the answer is lost:
    its sender or its receiver is dead.
    """

    def __init__(self, there):
        self.there, self.on = there, {}
        handler = type("Handler", (_Handler,), {"between": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def loses(self, point):
        """Call the function of this point, if there is one. Return True if the message is lost."""
        return self.on.pop(point, lambda: False)()


class _Handler(BaseHTTPRequestHandler):
    between: Between

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        is_refresh = b"grant_type=refresh_token" in body
        if self.between.loses(ASKED if is_refresh else USED):
            return
        status, headers, answer = self.between.there.send(self.command, self.path, body, dict(self.headers))
        if is_refresh and self.between.loses(ROTATED):
            return
        self.send_response(status)
        for name in ("Content-Type", "Content-Length"):
            self.send_header(name, headers[name])
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.encode())
        if is_refresh:
            self.wfile.flush()
            self.rfile.read(1)  # returns when the client has read the answer, and closes the connection
            self.between.loses(ARRIVED)

    do_GET = do_POST

    def log_message(self, *args):
        pass


@contextmanager
def nobody_stores(path):
    """Keep every process from storing a grant: another one holds the lock for that."""
    if not ON_POSTGRES:
        with another_writer(path):
            yield
        return
    with other_connection(path) as connection:
        connection.execute("LOCK TABLE oauth_grants IN EXCLUSIVE MODE")
        yield


@pytest.fixture
def there():
    with authorization_server() as there:
        yield there


@pytest.fixture
def world(serve, there):
    between = Between(there)
    yield World(serve(), there, between)
    between.close()


class World:
    """A server with a connected account, and a flow that uses it. Each use refreshes the token."""

    def __init__(self, server, there, between):
        self.server, self.there, self.between = server, there, between
        there.life = 0
        data = there.credential(token_url=f"{between.url}/token")
        body = {"name": "account", "type": "oauth2", "data": data, "hosts": ["127.0.0.1"]}
        self.account = server.call("POST", "/api/credentials", body)["id"]
        self.connect()
        me = {"url": f"{between.url}/api/me", "credential": "account"}
        nodes = [{"id": "start", "type": "manual"}, {"id": "me", "type": "http", "config": me}]
        self.flow = server.add_flow({"nodes": nodes, "edges": [["start", "me"]]})

    def connect(self):
        """Give consent, as a person does in a browser."""
        session = self.server.session()
        begun = self.server.call("POST", f"/api/credentials/{self.account}/connect", headers=session)
        parts = urlsplit(self.there.consent(begun["authorization_url"]))
        browser = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE)
        browser.request("GET", f"{parts.path}?{parts.query}", headers={"Cookie": session["Cookie"]})
        answer = browser.getresponse()
        assert answer.status == 200, answer.read()
        browser.close()

    def use(self):
        """Return a new run that uses the account."""
        return self.server.run(self.flow, wait=30)

    def kill_at(self, point):
        """Kill the server when the refresh of a run is at this point, and start it again. Return the run."""
        if point == GIVEN_UP:
            assert self.use()["status"] == "success"
        refreshes, version, killed = self.there.refreshes, self.grant().version, threading.Event()

        def kill():
            self.server.kill()
            killed.set()
            return True

        with ExitStack() as stack:
            if point == ARRIVED:
                self.between.on[ROTATED] = lambda: stack.enter_context(nobody_stores(self.server.database))
            self.between.on[ROTATED if point == GIVEN_UP else point] = kill
            run = self.server.run(self.flow)["id"]
            assert killed.wait(PATIENCE), f"no refresh was at the point {point!r}"
        is_stored = point == USED
        grant = self.grant()
        assert (grant.version, grant.lease_id is None) == (version + is_stored, is_stored)
        assert self.there.refreshes == refreshes + (point != ASKED)
        self.server.start()
        settled(self.server.database, run)
        return self.server.call("GET", f"/api/runs/{run}")

    def grant(self):
        (row,) = ask(self.server.database, "SELECT * FROM oauth_grants")
        return row

    def connection(self):
        return self.server.call("GET", f"/api/credentials/{self.account}")["connection"]


@pytest.mark.parametrize("point", [ASKED, ROTATED, ARRIVED, USED, GIVEN_UP])
def test_a_server_that_is_killed_in_a_refresh_stays_connected(world, point):
    """The service accepts a refresh token until its successor is used, as the recommendations for OAuth2 have it."""
    run = world.kill_at(point)
    assert run["status"] == "success", run
    assert [world.use()["status"] for _ in range(2)] == ["success"] * 2
    assert world.connection()["status"] == "connected"


@pytest.mark.parametrize("point", [ASKED, USED])
def test_a_strict_service_costs_nothing_before_and_after_its_answer_is_open(world, point):
    """The service gives up a refresh token at its first use."""
    world.there.is_strict = True
    run = world.kill_at(point)
    assert run["status"] == "success", run
    assert world.use()["status"] == "success" and world.connection()["status"] == "connected"


@pytest.mark.parametrize("point", [ROTATED, ARRIVED])
def test_an_answer_of_a_strict_service_that_was_lost_is_told_and_a_new_consent_heals_it(world, point):
    """Nobody has the new refresh token, and the service takes the second use of the old one for a theft."""
    world.there.is_strict = True
    run = world.kill_at(point)
    assert run["status"] == "failed" and run["error_kind"] == "credential", run
    assert "connect the account again" in run["error_text"]
    connection = world.connection()
    assert connection["status"] == "revoked" and "invalid_grant" in connection["reason"]
    told = "SELECT message FROM log_entries WHERE message LIKE '%is not connected any more%'"
    (entry,) = ask(world.server.database, told)
    assert "'account'" in entry.message and "It is used by 'Flow'" in entry.message
    world.there.is_strict = False
    world.connect()
    assert world.use()["status"] == "success" and world.connection()["status"] == "connected"
