"""Steps that a crash leaves in doubt, and runs that cause the crash."""

import http.client
from contextlib import suppress

import pytest
from effects import http_node
from record import ask, settled, steps

from dispatch import MAX_DEATHS

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

INNOCENT = 4  # runs in progress at each crash
# A server with an additional node type that ends the process that executes it.
WITH_A_DEADLY_NODE = """
import os, signal
import workflow_server
from nodes.sdk import Node

class Deadly(Node):
    "Ends its process."
    type = "deadly"
    category = "logic"
    pure = False

    def run(self, config, input, ctx):
        os.kill(os.getpid(), signal.SIGKILL)

workflow_server.main()
"""


def run_of(server, id_):
    return server.call("GET", f"/api/runs/{id_}")


def test_a_step_in_doubt_that_must_not_be_repeated_fails_its_run(serve, effects):
    server = serve()
    flow = server.add_flow({"nodes": [http_node("held", effects.held, on_interrupt="fail")], "edges": []})
    ids = [server.run(flow)["id"] for _ in range(8)]
    effects.wait_for(8)
    server.kill()
    server.start()
    settled(server.database)
    for id_ in ids:
        run = run_of(server, id_)
        assert (run["status"], run["error_node_id"]) == ("failed", "held")
        assert "interrupted" in run["error_text"] and "on_interrupt" in run["error_text"]
        assert effects.seen()[f"{id_}:held:0"] == 1
        assert [step.status for step in steps(server.database, id_)] == ["failed"]


def test_a_run_that_kills_every_process_is_abandoned_and_the_others_end(serve, effects):
    server = serve(command=("-c", WITH_A_DEADLY_NODE))
    innocent = server.add_flow({"nodes": [http_node("held", effects.held)], "edges": []})
    deadly = server.add_flow({"nodes": [{"id": "a", "type": "deadly"}], "edges": []})
    ids = [server.run(innocent)["id"] for _ in range(INNOCENT)]
    effects.wait_for(INNOCENT)
    with suppress(http.client.HTTPException, OSError):
        server.run(deadly)  # the response may be lost with the worker
    (run,) = ask(server.database, "SELECT id FROM runs WHERE workflow_id = ?", deadly)
    settled(server.database, run.id)
    effects.opened.set()
    settled(server.database)
    (run,) = ask(server.database, "SELECT * FROM runs WHERE id = ?", run.id)
    assert (run.status, run.deaths) == ("failed", MAX_DEATHS) and f"{MAX_DEATHS} processes died" in run.error_text
    assert [run_of(server, id_)["status"] for id_ in ids] == ["success"] * INNOCENT
    assert server.run(innocent, wait=10)["status"] == "success"
    assert len(server.workers()) == 2
