"""Free disk space: the space that calls leave free, and the server's behaviour with a nearly full disk."""

import pytest

from dispatch.dispatcher import FreeSpace
from models import Run
from scheduler import Scheduler

PATH = "/api/webhooks/orders"


@pytest.fixture
def hook(make_flow):
    """`hook(**config)` makes an active flow that responds to its calls."""

    def make(**config):
        node = {"id": "hook", "type": "webhook", "config": {"path": "orders", **config}}
        return make_flow({"nodes": [node], "edges": []}, status="active")

    return make


@pytest.mark.sqlite_only("PostgreSQL has values in rows")
def test_a_large_call_is_on_the_disk_once(client, hook, server):
    hook(respond="last")
    # Each character takes six as JSON: the input, the output of the trigger and the output of the run are 1.8 MB each.
    answer = client.open(PATH, method="POST", data="\x01" * 300_000)
    assert answer.status_code == 200 and answer.json["body"] == "\x01" * 300_000
    (run,) = Run.select()
    files = [path.stat() for path in (server.config.data_dir / "values" / run.id).iterdir()]
    assert len(files) == 3 and len({file.st_ino for file in files}) == 1
    assert 1_800_000 < server.dispatcher.resources.payloads.size_of(run.id) < 1_900_000


@pytest.fixture
def nearly_full(server, monkeypatch):
    """Require more free space than any disk has."""
    monkeypatch.setattr(server.dispatcher, "free_space", FreeSpace([server.config.data_dir], 2**62))


def test_with_a_nearly_full_disk_calls_are_refused_and_the_server_is_not_ready(client, owner, flow, hook, nearly_full):
    hook()
    answer = client.post(PATH)
    assert answer.status_code == 503 and int(answer.headers["Retry-After"]) > 0
    told = owner.post(f"/api/workflows/{flow['id']}/run", {})
    assert told.status_code == 503 and "HEADRACE_MIN_FREE_BYTES" in told.json["error"]
    ready = client.get("/api/ready")
    assert ready.status_code == 503 and "HEADRACE_MIN_FREE_BYTES" in ready.json["error"]
    assert client.get("/api/health").status_code == 200 and Run.select().count() == 0


def test_a_run_under_way_ends_though_the_disk_is_nearly_full(owner, make_flow, gate, server, monkeypatch):
    flow = make_flow({"nodes": [{"id": "a", "type": "gate"}, {"id": "b", "type": "noop"}], "edges": [["a", "b"]]})
    run = owner.post(f"/api/workflows/{flow['id']}/run?wait=0", {}).json
    monkeypatch.setattr(server.dispatcher, "free_space", FreeSpace([server.config.data_dir], 2**62))
    gate.set()
    ticket = server.dispatcher.ticket_of(Run.get_by_id(run["id"]))
    assert server.dispatcher.waiting.wait(ticket, 10).status == "success"


def test_the_disk_is_looked_at_once_a_second(tmp_path):
    now = [0.0]
    space = FreeSpace([tmp_path], 2**62, lambda: now[0])
    assert space.is_low()
    space.floor = 0
    assert space.is_low()
    now[0] = 1.0
    assert not space.is_low()


def test_an_unreadable_folder_does_not_count_as_a_full_disk(tmp_path):
    assert not FreeSpace([tmp_path / "gone"], 2**62).is_low()


def test_nothing_that_is_due_starts_until_there_is_room_again(server):
    scheduler, ticks = Scheduler(server.dispatcher), []
    tick = scheduler._with_room(lambda: ticks.append(1))
    now = [0.0]
    server.dispatcher.free_space = FreeSpace([server.config.data_dir], 2**62, lambda: now[0])
    tick()
    server.dispatcher.free_space.floor, now[0] = 0, 1.0
    assert not ticks
    tick()
    assert ticks == [1]
