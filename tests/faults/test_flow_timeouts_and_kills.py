"""Waits end at the timeout of their flow when the server is killed meanwhile."""

import pytest
from record import ask, settled
from servers import until

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

TIMEOUT = 4


@pytest.mark.parametrize("restarts", [True, False])
def test_a_run_ends_at_the_timeout_of_its_flow_over_a_restart(serve, restarts):
    server = serve()
    config = {"message": "Go?", "timeout": 86_400}
    asks = {"nodes": [{"id": "ask", "type": "approval", "config": config}], "edges": []}
    repeats = {"nodes": [{"id": "draw", "type": "noop", "repeat": {"until": "{{ false }}", "every": 1}}], "edges": []}
    flows = [server.add_flow({**made, "settings": {"timeout": TIMEOUT}}) for made in (asks, repeats)]
    runs = [server.run(flow)["id"] for flow in flows]
    if restarts:
        until(
            lambda: ask(server.database, "SELECT * FROM runs WHERE id = ? AND waiting IS NOT NULL", runs[0]), "it waits"
        )
        server.kill()
        server.start()
    settled(server.database, *runs)
    for run in ask(server.database, "SELECT * FROM runs"):
        assert (run.status, run.error_kind) == ("failed", "timeout"), run.error_text
        assert run.finished_at - run.started_at >= TIMEOUT * 1000
        assert restarts or run.finished_at - run.started_at < (TIMEOUT + 20) * 1000
    assert not ask(server.database, "SELECT * FROM waits")
