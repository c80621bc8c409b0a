"""Two servers with one data folder behind a real nginx: they restart in turns, and no request fails."""

import http.client
import json
import ssl
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
from nginx import PROGRAM, Nginx
from record import ask
from world import chain, node

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="nginx is not installed (on Debian: apt install nginx-light)"),
]

CLIENTS, REQUESTS, RESTARTS = 12, 2_000, 4
HOOKS = {"now": "immediately", "end": "last"}  # paths, and when they answer
PAUSE = 0.05  # seconds between two requests of a client: below the limit of its address


def hook(path, respond):
    return node("hook", "webhook", {"path": path, "respond": respond})


class Caller:
    """A client with an address of its own, which sends requests until `ended` is set. `answers` has their results."""

    KINDS = (
        ("GET", "/api/health"),
        ("POST", "/api/webhooks/now"),
        ("GET", "/api/flows"),
        ("POST", "/api/webhooks/end"),
    )

    def __init__(self, nginx, number, token, answers, ended):
        self.nginx, self.source, self.ended, self.answers = nginx, (f"127.0.4.{number + 1}", 0), ended, answers
        self.tls = ssl.create_default_context(cafile=nginx.certificate)
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def call(self):
        connection = http.client.HTTPSConnection(
            "localhost", self.nginx.https, timeout=60, source_address=self.source, context=self.tls
        )
        for number in count():
            if self.ended.wait(PAUSE):
                break
            method, path = self.KINDS[number % len(self.KINDS)]
            connection.request(method, path, "{}" if method == "POST" else None, self.headers)
            answer = connection.getresponse()
            self.answers.append((method, path, answer.status, json.loads(answer.read())))
        connection.close()


def restart(server):
    """Stop the server as an update does, and start it again."""
    server.terminate()
    assert server.ended() == 0
    server.start()


def test_two_servers_restart_in_turns_and_no_request_fails(serve, tmp_path, tell):
    servers = [serve(HEADRACE_GRACE=10, HEADRACE_TRUSTED_PROXIES=1) for _ in range(2)]
    flows = [servers[0].add_flow(chain(hook(path, respond), "after"), path) for path, respond in HOOKS.items()]
    (tmp_path / "nginx").mkdir()
    nginx, ended, answers = Nginx(tmp_path / "nginx", *[server.port for server in servers]), threading.Event(), []
    tell("nginx", nginx.said)
    callers = [Caller(nginx, number, servers[0].token, answers, ended) for number in range(CLIENTS)]
    try:
        nginx.start()
        with ThreadPoolExecutor(CLIENTS) as pool:
            calls = [pool.submit(caller.call) for caller in callers]
            try:
                for number in range(RESTARTS):
                    before = len(answers)
                    restart(servers[number % 2])
                    assert len(answers) > before
                while len(answers) < REQUESTS and not any(call.done() for call in calls):
                    ended.wait(PAUSE)
            finally:
                ended.set()
            for call in calls:
                call.result()
    finally:
        nginx.close()
    found = Counter(answer[:3] for answer in answers)
    assert {(path, status) for _, path, status in found} == {
        ("/api/health", 200), ("/api/flows", 200), ("/api/webhooks/now", 202), ("/api/webhooks/end", 200)
    }, found  # fmt: skip
    assert len(answers) >= REQUESTS
    posts = Counter(path for method, path, _, _ in answers if method == "POST")
    runs = {row.id: row.workflow_id for row in ask(servers[0].database, "SELECT id, workflow_id FROM runs")}
    expected = [posts[f"/api/webhooks/{path}"] for path in HOOKS]
    assert Counter(runs.values()) == dict(zip(flows, expected, strict=True))
    assert {body["run_id"] for *_, status, body in answers if status == 202} <= runs.keys()
