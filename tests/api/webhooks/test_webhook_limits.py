"""Limits of webhooks: the size of bodies, and calls a minute."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.webhooks.rate_limit import MINUTE, SLOT, SLOTS, RateLimits
from models import Run

pytestmark = pytest.mark.usefixtures("shared_server", "way")

PATH = "/api/webhooks/orders"


@pytest.fixture
def hook(make_flow):
    """`hook(**config)` makes an active flow that responds at once."""

    def make(path="orders", **config):
        node = {"id": "hook", "type": "webhook", "config": {"path": path, **config}}
        return make_flow({"nodes": [node], "edges": []}, status="active")

    return make


class Clock:
    """A clock that stands still until it is moved; nanoseconds."""

    def __init__(self, now=1_000 * MINUTE):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def rates(tmp_path, clock):
    return RateLimits(tmp_path / "rates", clock)


# The size of a body


def test_a_body_beyond_the_bound_of_the_webhook_is_413_and_starts_no_run(client, hook):
    hook(max_body_bytes=10)
    assert client.open(PATH, method="POST", data="x" * 10).status_code == 202
    answer = client.open(PATH, method="POST", data="x" * 11)
    assert answer.status_code == 413 and answer.json["error"]
    assert Run.select().count() == 1


def test_the_bound_of_one_webhook_is_not_that_of_another(client, hook):
    hook(max_body_bytes=10)
    hook(path="open")
    assert client.open("/api/webhooks/open", method="POST", data="x" * 11).status_code == 202


def test_a_webhook_takes_no_larger_bodies_than_the_server(client, hook, server):
    hook(max_body_bytes=2**30)
    most = server.config.max_body_bytes
    assert client.open(PATH, method="POST", data=b"x" * (most + 1)).status_code == 413


# Calls a minute


def test_calls_beyond_the_limit_are_429_with_retry_after_and_start_no_run(client, hook, server, clock):
    hook(rate_limit=2)
    server.rates.clock = clock
    statuses = [client.post(PATH).status_code for _ in range(3)]
    answer = client.post(PATH)
    assert statuses == [202, 202, 429] and Run.select().count() == 2
    assert answer.status_code == 429 and answer.headers["Retry-After"] == "30" and "2 calls a minute" in answer.text
    clock.now += MINUTE // 2
    assert [client.post(PATH).status_code for _ in range(2)] == [202, 429]


def test_each_webhook_has_its_own_calls(client, hook):
    hook(rate_limit=1)
    hook(path="other", rate_limit=1)
    assert [client.post(path).status_code for path in (PATH, "/api/webhooks/other", PATH)] == [202, 202, 429]


def test_refused_callers_do_not_use_up_the_rate_limit(client, owner, hook):
    data = {"username": "shop", "password": "secret"}
    owner.post("/api/credentials", {"name": "shop", "type": "http_basic", "data": data})
    hook(rate_limit=1, auth="basic", credential="shop")
    assert client.post(PATH).status_code == 401
    assert client.post(PATH, auth=("shop", "secret")).status_code == 202


def test_webhooks_without_a_limit_count_nothing(client, hook, server):
    hook()
    assert client.post(PATH).status_code == 202 and not server.rates.path.exists()


@pytest.mark.parametrize(("key", "value"), [("rate_limit", 0), ("rate_limit", 1.5), ("max_body_bytes", 0)])
def test_a_limit_that_cannot_be_is_400(owner, key, value):
    node = {"id": "hook", "type": "webhook", "config": {"path": "orders", key: value}}
    body = {"name": "Orders", "status": "active", "definition": {"nodes": [node], "edges": []}}
    answer = owner.post("/api/flows", body)
    assert answer.status_code == 400 and key in answer.text


# The count, which processes share


def test_processes_share_the_count_exactly(tmp_path, clock):
    processes = [RateLimits(tmp_path / "rates", clock) for _ in range(2)]
    together = threading.Barrier(8)

    def call(number):
        together.wait(60)
        return sum(processes[number % 2].take("flow hook", 100) == 0 for _ in range(50))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(call, range(8))) == 100


def test_calls_become_available_one_by_one(rates, clock):
    assert [rates.take("a", 60) for _ in range(60)] == [0.0] * 60
    assert rates.take("a", 60) == 1.0
    clock.now += MINUTE // 60
    assert (rates.take("a", 60), rates.take("a", 60)) == (0.0, 1.0)
    clock.now += 10 * MINUTE
    assert [rates.take("a", 60) for _ in range(60)] == [0.0] * 60


def test_calls_before_a_restart_of_the_machine_do_not_count(rates, clock):
    assert rates.take("a", 1) == 0 and rates.take("a", 1) > 0
    clock.now = MINUTE
    assert rates.take("a", 1) == 0 and rates.take("a", 1) > 0


def test_a_full_file_makes_room_for_new_limits_and_stays_as_large_as_it_is(rates, clock):
    for number in range(SLOTS):
        assert rates.take(f"flow {number}", 1) == 0
    clock.now += 2 * MINUTE
    assert [rates.take("new", 2) for _ in range(3)] == [0, 0, pytest.approx(30)]
    assert rates.path.stat().st_size == SLOTS * SLOT.size
