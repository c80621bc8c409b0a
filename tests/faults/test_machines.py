"""Workers on two machines, each with its own network, process ids and boot id: links are down, or lose packets."""

import time

import pytest
from effects import Effects
from linked_team import IS_SOAK, LEASE_SECONDS, LinkedTeam
from machines import NETWORK, Machine, RemoteWorker, command, need_namespaces
from postgres_nodes import Node, need_postgres
from servers import until

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

# In a soak, longer than TCP waits for a confirmation of what it has sent.
DOWN_SECONDS = 30 if IS_SOAK else 0
BACK_SECONDS = 20  # until a machine has its lease again


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A web process on this machine, and a worker on each of two others."""
    need_postgres()
    need_namespaces()
    folder = tmp_path_factory.mktemp("machines")
    node = Node()
    machines, team = [], None
    try:
        node.admit(NETWORK)
        node.admin("SELECT pg_reload_conf()")
        machines += [Machine(number, folder) for number in (1, 2)]
        team = LinkedTeam(folder, node.url(), workers=0, HEADRACE_EGRESS_ALLOW=NETWORK)
        for machine in machines:
            settings = {**team.shared, "DATABASE_URL": node.url(machine.gateway), "CELERY_BROKER_URL": ""}
            team.workers.append(RemoteWorker(machine, folder / machine.name, **settings))
        team.all += team.workers
        yield team.start()
    finally:
        if team is not None:
            team.close()
        for machine in machines:
            machine.close()
        node.close()


@pytest.fixture
def team(running, tell):
    tell("processes", running.last_lines)
    return running


@pytest.fixture
def effects(seeded, running):
    """Effects at an address that all machines reach."""
    made = Effects(seeded, running.workers[0].machine.gateway)
    yield made
    made.close()


def test_machines_share_nothing_but_the_database(team, effects):
    flow = team.add_flow(effects.url)
    runs = team.check(flow, team.start_runs(flow, 20), effects)
    assert {run.claims for run in runs} == {1}
    places = [row.process.split() for row in team.ask("SELECT process FROM leases WHERE process IS NOT NULL")]
    assert len({place.partition(":")[0] for place, *_ in places}) == 3, "each has its own boot id"
    assert len({place for place, *_ in places}) == 3, places


@pytest.mark.soak
def test_a_machine_whose_link_is_down_for_longer_than_a_lease_writes_nothing(team, effects):
    flow = team.add_flow(effects.held, second=effects.url)
    (run,) = team.start_runs(flow, 1)
    effects.wait_for(1)
    (row,) = team.ask("SELECT lease_owner FROM runs WHERE id = %s", run)
    (cut_off,) = [worker for worker in team.workers if row.lease_owner == team.owner_of(worker)]
    began = time.monotonic()
    cut_off.machine.unplug()
    try:
        team.ended(flow, 1)
        assert time.monotonic() - began > LEASE_SECONDS * 0.6
        time.sleep(DOWN_SECONDS)
        record, seen = team.snapshot(run), effects.seen()
        assert seen[f"{run}:one:0"] == 2 and seen[f"{run}:two:0"] == 1, "in doubt, with the same key"
        effects.opened.set()
    finally:
        cut_off.machine.plug()
    cut_off.said(f"run {run} no longer belongs to this process", seconds=60)
    assert team.snapshot(run) == record and effects.seen() == seen
    renewed = "SELECT 1 FROM leases WHERE name = %s AND until > extract(epoch FROM now()) * 1000"
    until(lambda: team.ask(renewed, team.owner_of(cut_off)), "the machine is back", BACK_SECONDS)
    team.check(flow, [run, *team.start_runs(flow, 10, first=1)], effects)


def test_lost_packets_delay_runs_and_nothing_else(team, effects):
    flow = team.add_flow(effects.url)
    try:
        if not all([worker.machine.lose_packets(10) for worker in team.workers]):
            pytest.skip("this kernel cannot lose packets (netem)")
        team.check(flow, team.start_runs(flow, 20), effects)
    finally:
        for worker in team.workers:
            command("tc", "qdisc", "delete", "dev", worker.machine.link, "root", is_needed=False)
