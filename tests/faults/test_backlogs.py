"""Many runs that wait before the first worker starts: each is executed once, and the broker is not flooded.

`HEADRACE_BACKLOG` is their number.
"""

import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from effects import http_node
from servers import PATIENCE, until

pytest.importorskip("celery")
from test_workers import count_messages

from dispatch.queues import MAX_NEW, MAX_REPEATED, REPEAT_SECONDS

pytestmark = pytest.mark.slow

BACKLOG = int(os.environ.get("HEADRACE_BACKLOG") or 400)
CLIENTS = 8


@pytest.mark.soak
@pytest.mark.nightly
def test_a_backlog_is_worked_off_once_and_floods_no_broker(team, effects, broker, record_property):
    found = team(workers=0)
    flow = found.web.add_flow({"nodes": [http_node("act", effects.url, {"n": "{{ trigger.n }}"})], "edges": []})
    began = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as pool:
        ids = list(pool.map(lambda number: found.web.run(flow, {"n": number})["id"], range(BACKLOG)))
    accepted = time.monotonic() - began
    rounds = 1 + accepted // REPEAT_SECONDS
    assert 0 < count_messages(broker) <= BACKLOG + rounds * (MAX_REPEATED + MAX_NEW)
    began = time.monotonic()
    for _ in range(2):
        found.add_worker()
    left = "SELECT 1 FROM runs WHERE finished_at IS NULL LIMIT 1"
    until(lambda: not found.ask(left), "all runs end", PATIENCE + BACKLOG / 10)
    worked = time.monotonic() - began
    runs = found.ask("SELECT id, status, claims, deaths FROM runs")
    assert Counter(run.id for run in runs) == Counter(ids)
    assert {(run.status, run.claims, run.deaths) for run in runs} == {("success", 1, 0)}
    assert effects.seen() == Counter(f"{id_}:act:0" for id_ in ids)
    until(lambda: count_messages(broker) == 0, "the messages of ended runs are received")
    rates = f"accepted {BACKLOG / accepted:.0f} a second, worked off {BACKLOG / worked:.0f} a second (with two starts)"
    record_property("rates", rates)
    print(rates)
