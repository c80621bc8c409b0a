"""Schedules fire exactly once at each of their instants when the firing processes are killed."""

import json
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from effects import http_node
from engines import other_connection
from record import UNFINISHED, ask, settled
from servers import until

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

FLOWS = 24
SECOND, MINUTE = 1_000, 60_000


def scheduled(url=None, **config):
    """Return a flow with one schedule, and a request to the address, if given."""
    act = http_node("act", url) if url else {"id": "act", "type": "noop"}
    return {"nodes": [{"id": "tick", "type": "schedule", "config": config}, act], "edges": [["tick", "act"]]}


def now():
    return time.time_ns() // 1_000_000


def fires(path):
    """Return the instants of each flow in order, with their rows."""
    found = defaultdict(list)
    for fire in ask(path, "SELECT * FROM schedule_fires ORDER BY instant"):
        found[fire.workflow_id].append(fire)
    return found


def go_on(path, flows, since, times):
    """Return when each of these flows has fired so often at instants later than this."""

    def enough():
        found = fires(path)
        return all(sum(fire.instant > since for fire in found[flow]) >= times for flow in flows)

    until(enough, "the schedules go on")


def recovered(path):
    """Return when all present runs have ended: a run with three kills is abandoned."""
    if under_way := [run.id for run in ask(path, UNFINISHED)]:
        settled(path, *under_way)


def start_again(servers):
    """Start these together."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda server: server.start(), servers))


def archive(server, flows):
    """Stop these flows. Return the time."""
    for flow in flows:
        server.call("PUT", f"/api/workflows/{flow}", {"status": "archived"})
    return now()


def check_runs(path):
    """Check that each fire has exactly one successful run with its instant, and each scheduled run a fire."""
    rows = [fire for of_it in fires(path).values() for fire in of_it]
    runs = {run.id: run for run in ask(path, "SELECT * FROM runs WHERE triggered_by = 'schedule'")}
    assert sorted(fire.run_id for fire in rows) == sorted(runs)
    for fire in rows:
        run = runs[fire.run_id]
        told = datetime.fromisoformat(json.loads(run.input)["scheduled_for"]).timestamp() * 1000
        assert run.status == "success", (run.id, run.deaths, run.error_text)
        assert (run.workflow_id, round(told)) == (fire.workflow_id, fire.instant)


def check_gapless(path, anchors):
    """Check that there is one instant for every second from the anchor to the last."""
    found = fires(path)
    for flow, anchor in anchors.items():
        instants = [fire.instant for fire in found[flow]]
        assert instants == list(range(anchor + SECOND, instants[-1] + 1, SECOND)), flow


@pytest.mark.soak
def test_no_instant_is_lost_or_repeated_when_firing_processes_are_killed(serve, effects, seeded, rounds):
    servers = [serve(), serve(WEB_CONCURRENCY=1)]
    path = servers[0].database
    flows = [servers[0].add_flow(scheduled(effects.url, every=1, catch_up="all")) for _ in range(FLOWS)]
    flows_by_cron = [servers[1].add_flow(scheduled(cron="* * * * *", catch_up="all")) for _ in range(FLOWS // 4)]
    anchors = {row.workflow_id: row.anchor_ms for row in ask(path, "SELECT * FROM schedules WHERE every IS NOT NULL")}
    assert set(anchors) == set(flows)

    def at_random():
        effects.wait_for(effects.count() + seeded.randint(1, 2 * FLOWS))

    for _ in rounds(1):
        # One of three processes fires, and is killed at some point.
        for pid in servers[0].workers():
            at_random()
            servers[0].kill_worker(pid)
        recovered(path)
        at_random()
        for each in reversed(servers):
            each.kill()
        start_again(servers)
        recovered(path)
    go_on(path, flows, now(), 1)
    archive(servers[0], flows + flows_by_cron)
    settled(path)
    check_gapless(path, anchors)
    for of_it in (fires(path)[flow] for flow in flows_by_cron):
        assert [fire.instant % MINUTE for fire in of_it] == [0] * len(of_it)
        assert [fire.instant for fire in of_it] == [of_it[0].instant + at * MINUTE for at in range(len(of_it))]
    check_runs(path)
    seen = effects.seen()
    for run in ask(path, "SELECT * FROM runs"):
        assert run.workflow_id not in anchors or 1 <= seen[f"{run.id}:act:0"] <= run.claims


def set_back(path, ms):
    """Move all schedules back, as if none had fired for that time."""
    with other_connection(path) as connection:
        connection.execute("UPDATE schedules SET next_at = next_at - ?1, anchor_ms = anchor_ms - ?1", (ms,))
        connection.execute("UPDATE leases SET until = 0")


def expected(policy, instants, fired_at):
    """Return the instants to fire after a downtime: with "none", the latest one if it is at most a minute old."""
    if policy == "all":
        return instants
    return [instants[-1]] if policy == "last" or fired_at - instants[-1] <= MINUTE else []


# No multiple of the intervals: an instant that has fired before does not fire again.
@pytest.mark.parametrize("missed_ms", [15 * SECOND, 30 * MINUTE + SECOND])
def test_missed_instants_are_caught_up_by_the_setting_of_each_schedule(serve, missed_ms):
    server = serve()
    policies = {}
    for policy in ("none", "last", "all"):
        for rhythm in ({"every": 2}, {"every": 7}, {"every": 90}, {"cron": "* * * * *"}, {"cron": "*/7 * * * *"}):
            policies[server.add_flow(scheduled(catch_up=policy, **rhythm))] = policy
    # Each has computed its first instant by then.
    until(lambda: not ask(server.database, "SELECT * FROM schedules WHERE next_at <= anchor_ms"), "all are scheduled")
    server.kill()
    set_back(server.database, missed_ms)
    present = {row.workflow_id: row for row in ask(server.database, "SELECT * FROM schedules")}
    server.start()
    until(lambda: not ask(server.database, "SELECT * FROM schedules WHERE next_at < ?", now()), "all have gone on")
    archive(server, policies)
    settled(server.database)
    check_runs(server.database)
    caught_up = fires(server.database)
    # The first tick decides for all of them, also for schedules that missed nothing.
    fired_at = min(fire.fired_at for of_it in caught_up.values() for fire in of_it)
    for flow, policy in policies.items():
        schedule = present[flow]
        length = round((schedule.every or 0) * SECOND) or {"* * * * *": 1, "*/7 * * * *": 7}[schedule.cron] * MINUTE
        came = [at for at in range(schedule.next_at, fired_at + 1, length)]
        if schedule.cron is not None:
            first = -(-schedule.next_at // MINUTE) * MINUTE
            every = length // MINUTE
            came = [at for at in range(first, fired_at + 1, MINUTE) if at // MINUTE % 60 % every == 0]
        got = [fire.instant for fire in caught_up[flow] if fire.fired_at == fired_at]
        assert got == (expected(policy, came, fired_at) if came else []), (policy, schedule)
        assert len(came) > 3 or missed_ms < 30 * MINUTE


def test_a_change_through_one_server_applies_to_both(serve):
    servers = [serve(WEB_CONCURRENCY=1), serve(WEB_CONCURRENCY=1)]
    path = servers[0].database
    stopped, changed = ([each.add_flow(scheduled(every=1)) for each in servers] for _ in range(2))
    control = servers[0].add_flow(scheduled(every=1))
    go_on(path, [*stopped, *changed, control], now(), 1)
    stopped_at, changed_at = {}, {}
    for each, flow, other in zip(servers, stopped, changed, strict=True):
        stopped_at[flow] = archive(each, [flow])
        each.call("PUT", f"/api/workflows/{other}", {"definition": scheduled(every=2)})
        changed_at[other] = now()
    anchors = {row.workflow_id: row.anchor_ms for row in ask(path, "SELECT * FROM schedules")}
    go_on(path, [control], now(), 3)
    archive(servers[0], [*changed, control])
    settled(path)
    found = fires(path)
    for flow, at in stopped_at.items():
        assert all(fire.fired_at <= at for fire in found[flow]), flow
    for flow, at in changed_at.items():
        later = [fire.instant for fire in found[flow] if fire.fired_at > at]
        anchor = anchors[flow]
        assert later and later == list(range(anchor + 2 * SECOND, later[-1] + 1, 2 * SECOND)), flow
    check_runs(path)
