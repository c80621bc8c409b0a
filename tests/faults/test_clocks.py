"""The system clock is set while a server works: by libfaketime, with an offset that the test writes."""

from pathlib import Path

import pytest
from effects import http_node
from record import ask, settled
from servers import until
from test_killed_schedules import archive, check_runs, fires, now, scheduled

pytestmark = pytest.mark.slow

HOUR = 3_600_000
RUNS = 8
# Seconds. Long enough that a busy machine renews it in time; an hour is over at once, whatever it is.
LEASE = 20
FIRED = 3  # times after a jump, once a second: meanwhile all processes look for leases that have expired
SOON = 60  # seconds within which everything continues after a jump: much less than its hour


@pytest.fixture
def clock(tmp_path):
    """`clock.set(ms)` moves the server's clock ahead by so much; `clock.settings` are for the server."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        pytest.skip("the clock cannot be set for one process here: there is no libfaketime (package faketime)")
    return Clock(found[0], tmp_path / "clock")


class Clock:
    def __init__(self, library, file):
        self.file = file
        self.settings = {
            "LD_PRELOAD": library,
            "FAKETIME_TIMESTAMP_FILE": file,
            "FAKETIME_CACHE_DURATION": 1,
            "FAKETIME_DONT_FAKE_MONOTONIC": 1,
            "NO_FAKE_STAT": 1,
        }
        self.set(0)

    def set(self, ms):
        """Write atomically, so that no reader sees half of it."""
        new = self.file.with_suffix(".new")
        new.write_text(f"{ms / 1000:+f}\n")
        new.replace(self.file)
        self.ahead = ms

    def now(self):
        """Return the server's time."""
        return now() + self.ahead


def test_a_set_clock_takes_over_no_run_and_schedules_continue(serve, effects, clock):
    server = serve(**clock.settings, HEADRACE_LEASE_SECONDS=LEASE)
    holding = server.add_flow({"nodes": [http_node("held", effects.held)], "edges": []})
    waiting = server.add_flow({"nodes": [{"id": "a", "type": "wait", "config": {"seconds": 0.2}}], "edges": []})
    held = [server.run(holding)["id"] for _ in range(RUNS)]
    effects.wait_for(RUNS)
    flows = [server.add_flow(scheduled(every=1, catch_up=how)) for how in ("none", "last")]
    by_cron = [server.add_flow(scheduled(cron="* * * * *", catch_up=how)) for how in ("none", "last", "all")]
    workers = server.workers()

    def leases():
        return {row.name: row.until for row in ask(server.database, "SELECT * FROM leases WHERE process IS NOT NULL")}

    def go_on(times):
        since, before = clock.now(), leases()

        def have_fired():
            found = fires(server.database)
            fired = [sum(since < fire.instant <= clock.now() + 1 for fire in found[flow]) for flow in flows]
            return min(fired) >= times

        def are_renewed():
            now = leases()
            return all(now[name] > before[name] for name in before)

        until(have_fired, "the schedules go on", SOON)
        until(are_renewed, "all processes renew their leases", SOON)

    def check_present():
        for schedule in ask(server.database, "SELECT * FROM schedules"):
            assert schedule.next_at <= clock.now() + 60_000 + 1, schedule
        assert server.run(waiting, wait=60)["status"] == "success"

    go_on(1)
    for ahead in (HOUR, 0):
        clock.set(ahead)
        go_on(FIRED)
        check_present()
    assert server.workers() == workers
    archive(server, flows + by_cron)
    effects.opened.set()
    settled(server.database)
    check_runs(server.database)
    taken = ask(server.database, "SELECT * FROM runs WHERE claims <> 1 AND workflow_id <> ?", waiting)
    assert not taken, taken[:3]
    assert all(effects.seen()[f"{id_}:held:0"] == 1 for id_ in held)
