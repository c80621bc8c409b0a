"""Rate limits across servers and kills, as the service sees them."""

import pytest
from effects import http_node
from record import ask, settled

# A property in tests/database/test_rate_limits.py holds the rule; here real servers wait for real windows.
pytestmark = [pytest.mark.slow, pytest.mark.postgres, pytest.mark.nightly]

CALLS, SECONDS, ITEMS = 5, 2, 10
SEEN = 1.5  # seconds; requests take different times to arrive from a busy machine


def test_a_service_sees_no_more_calls_in_any_window_than_the_limit_allows(serve, effects):
    servers = [serve(), serve(WEB_CONCURRENCY=1)]
    rate = {"calls": CALLS, "per": SECONDS, "key": "service"}
    call = http_node("act", effects.url, foreach=list(range(ITEMS)), concurrency=4, rate=rate)
    runs = [server.run(server.add_flow({"nodes": [call], "edges": []}))["id"] for server in servers]
    effects.wait_for(CALLS + 2)
    servers[1].kill()
    servers[1].start()
    settled(servers[0].database, *runs)
    assert not ask(servers[0].database, "SELECT * FROM runs WHERE status <> 'success'")
    seen = sorted(effects.arrivals)
    assert len(effects.seen()) == len(servers) * ITEMS
    most = max(sum(at <= other < at + SEEN for other in seen) for at in seen)
    assert most <= CALLS, [round(at - seen[0], 2) for at in seen]
