"""Servers that are killed while they add or remove the webhook of a service: none is left behind, none is missing."""

import hashlib
import hmac
import http.client
import threading
import time

import pytest
from hook_service import HookService
from servers import PATIENCE, serving

pytestmark = [pytest.mark.slow, pytest.mark.postgres]
PUBLIC = "https://flows.example.com"
URL = f"{PUBLIC}/api/webhooks/apps/hook"


def until(is_true, what):
    ends = time.monotonic() + PATIENCE
    while not is_true():
        assert time.monotonic() < ends, what
        threading.Event().wait(0.1)


def kill_at(service, server, moment, word):
    """Kill the server at the next request with this word, before or after the service has done it."""
    killed = threading.Event()

    def kill(text):
        if word in text and not killed.is_set():
            killed.set()
            server.kill()

    setattr(service, moment, kill)
    return killed


@pytest.fixture
def service():
    found = HookService()
    yield found
    found.close()


class World:
    """A server with a flow whose trigger registers itself at the service."""

    def __init__(self, server, service, name, **config):
        self.server, self.service = server, service
        account = {"name": "account", "type": "http_bearer", "data": {"token": "t"}, "hosts": ["127.0.0.1"]}
        server.call("POST", "/api/credentials", account)
        config = {"path": "apps/hook", "account": "account", "api_url": service.url, **config}
        node = {"id": "event", "type": f"{name}_trigger", "config": config}
        flow = server.call("POST", "/api/flows", {"name": "Events", "definition": {"nodes": [node], "edges": []}})
        self.address = f"/api/workflows/{flow['id']}"

    def set(self, status, moment=None, word=""):
        """Change the flow; with a moment, the server is killed then, and started again."""
        killed = moment and kill_at(self.service, self.server, moment, word)
        self.server.call("PUT", self.address, {"status": status})
        if moment:
            assert killed.wait(PATIENCE)
            self.service.before = self.service.after = lambda text: None
            self.server.ended()
            self.server.start()
            self.server.log_in()

    def becomes(self, urls):
        until(lambda: self.service.urls == urls, f"the service has {urls}")


def test_a_server_that_is_killed_at_any_point_leaves_no_webhook_behind(tmp_path, service):
    with serving(tmp_path, HEADRACE_PUBLIC_URL=PUBLIC) as server:
        world = World(server, service, "github", repository="a/b")
        for moment in ("before", "after"):
            world.set("active", moment, "POST")
            world.becomes([URL])
            world.set("draft", moment, "DELETE")
            world.becomes([])
        # Deactivated before anybody could know what the service did.
        world.set("active", "after", "POST")
        server.call("PUT", world.address, {"status": "draft"})
        world.becomes([])
        settled = len(service.asked)
        threading.Event().wait(2.5)
        assert service.urls == [] and len(service.asked) <= settled + 2


def test_a_secret_that_was_lost_with_the_server_is_made_anew(tmp_path, service):
    with serving(tmp_path, HEADRACE_PUBLIC_URL=PUBLIC) as server:
        world = World(server, service, "stripe")
        world.set("active", "after", "POST")
        until(lambda: any(text.startswith("DELETE") for text in service.asked), "the first webhook is replaced")
        world.becomes([URL])
        (hook,) = service.hooks.values()
        at, body = int(time.time()), b'{"id": "evt_1", "type": "charge.failed"}'
        digest = hmac.new(hook["secret"].encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
        headers = {"Stripe-Signature": f"t={at},v1={digest}", "Content-Type": "application/json"}
        until(lambda: post(server, body, headers) == 200, "an event is accepted")


def post(server, body, headers):
    caller = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    caller.request("POST", "/api/webhooks/apps/hook", body=body, headers=headers)
    status = caller.getresponse().status
    caller.close()
    return status
