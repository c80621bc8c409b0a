"""Webhooks that the server's loop answers itself: which calls it takes, and that it answers as the view does.

What webhooks do in general is in test_webhooks.py and its neighbours, which run both ways.
"""

import pytest
from children import end_child
from test_webhooks import ADD, definition
from world import start_python

from database import execute, write


@pytest.fixture
def hook(make_flow):
    """`hook(*nodes, **config)` makes an active flow of them behind /api/webhooks/orders."""
    return lambda *nodes, **config: make_flow(definition(*nodes, **config), status="active", name="Orders")


# Changes by other processes


OTHER_PROCESS = """
import pathlib, sys, workflow_server
from config import Config
from shortcuts import BehindShortcut
app = workflow_server.create_app(Config(data_dir=pathlib.Path(sys.argv[1]), durability="normal"))
server = app.extensions["headrace"]
server.start()
app.wsgi_app = behind = BehindShortcut(app)
client = app.test_client()
print("ready", flush=True)
for line in sys.stdin:
    answer = client.post("/api/webhooks/" + line.strip(), json={"a": 2, "b": 3})
    print(answer.status_code, behind.taken, answer.get_data(as_text=True), flush=True)
server.stop()
"""


@pytest.fixture
def elsewhere(config):
    """`elsewhere(path)` calls a webhook in another process: status, how many the shortcut took, and body."""
    process = start_python(OTHER_PROCESS, config.data_dir)

    def call(path):
        process.stdin.write(f"{path}\n")
        process.stdin.flush()
        status, taken, body = process.stdout.readline().strip().split(" ", 2)
        return int(status), int(taken), body

    assert process.stdout.readline() == "ready\n"
    yield call
    process.communicate(timeout=30)
    assert process.returncode == 0
    end_child(process)


@pytest.mark.slow
def test_another_process_sees_every_change_at_once(owner, hook, elsewhere):
    assert elsewhere("orders")[:2] == (404, 0)
    flow = f"/api/workflows/{hook(ADD, respond='last')['id']}"
    assert elsewhere("orders") == (200, 1, '{"sum":5}')
    twice = {**ADD, "config": {"values": {"sum": "{{ input.body.a * 2 }}"}}}
    owner.put(flow, {"definition": definition(twice, respond="last")})
    assert elsewhere("orders") == (200, 2, '{"sum":4}')
    owner.put(flow, {"status": "draft"})
    assert elsewhere("orders")[:2] == (404, 2)


@pytest.mark.slow
def test_a_flow_that_was_switched_off_does_not_answer_once_more(hook, elsewhere):
    """Thousands of switches in this process, each seen by the other one at its next call."""
    flow = hook(ADD, respond="last")["id"]
    for _ in range(2_000):
        with write():
            execute("UPDATE workflows SET status = 'draft' WHERE id = ?", (flow,))
        assert elsewhere("orders")[0] == 404
        with write():
            execute("UPDATE workflows SET status = 'active' WHERE id = ?", (flow,))
        status, taken, body = elsewhere("orders")
        assert (status, body) == (200, '{"sum":5}')
    assert taken > 1_800  # now and then Python's collector makes a run a slow one
