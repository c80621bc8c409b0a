"""PostgreSQL is killed under load and starts again, or its standby is promoted: nothing is lost, nothing is doubled."""

import signal

import pytest
from linked_team import LinkedTeam, outage
from postgres_nodes import Node, need_postgres
from servers import until

import database
from database import DatabaseRefused, execute

pytestmark = pytest.mark.slow

BACK_SECONDS = 15  # until calls are accepted after the database has started again, or a standby was promoted
LONG_SECONDS = 40


@pytest.fixture
def make_node():
    """`make_node(primary)` starts a server; with a primary, its standby."""
    need_postgres()
    made = []

    def make(primary=None):
        made.append(Node(primary))
        return made[-1]

    yield make
    for node in reversed(made):
        node.close()


@pytest.fixture
def make_team(tmp_path, tell):
    """`make_team(url)` starts a web process and two workers on this database, which sync each commit."""
    made = []

    def make(url):
        team = LinkedTeam(tmp_path, url, HEADRACE_DURABILITY="full")
        made.append(team)
        tell("processes", team.last_lines)
        return team.start()

    yield make
    for team in made:
        team.close()


@pytest.mark.soak
@pytest.mark.nightly
def test_the_database_is_killed_and_starts_again(make_node, make_team, effects):
    node = make_node()
    team = make_team(node.url())
    absences = [(number, seconds) for number in (signal.SIGKILL, signal.SIGQUIT) for seconds in (1, LONG_SECONDS)]
    for number, seconds in absences:
        path = f"kill-{number}-{seconds}"
        flow = team.add_flow(effects.url, path)
        seen = outage(team, path, lambda number=number: node.kill(number), node.start, seconds)
        team.check(flow, seen.ids, effects)
        print(path, "refused", seen.callers.refused, "slowest", seen.callers.slowest, "back", seen.back, len(seen.ids))
        assert seen.back < BACK_SECONDS and seen.health < 5


@pytest.mark.soak
@pytest.mark.parametrize("way", [pytest.param("proxy", marks=pytest.mark.nightly), "hosts"])
def test_a_standby_takes_over_and_no_accepted_run_is_lost(make_node, make_team, effects, way):
    """Its address is that of the old primary, or the second one in DATABASE_URL."""
    old = make_node()
    new = make_node(old)
    old.require_standby()
    hosts = f"postgresql://app@127.0.0.1:{old.port},127.0.0.1:{new.port}/app?target_session_attrs=read-write"
    team = make_team(old.url() if way == "proxy" else hosts)
    flow = team.add_flow(effects.url, "failover")

    def heal():
        new.promote()
        if way == "proxy":
            for proxy in team.proxies:
                proxy.target = ("127.0.0.1", new.port)
        team.url = new.url()

    seen = outage(team, "failover", old.kill, heal, 1)
    team.check(flow, seen.ids, effects)
    assert seen.back < BACK_SECONDS
    if way == "hosts":
        check_the_old_primary_is_not_used(team, old, effects)


def check_the_old_primary_is_not_used(team, old, effects):
    """It comes back as a primary, first in the list of hosts: a process that knows the new one refuses it."""
    old.start()
    before = rows(old)
    for process in team.all:  # the connections of the new primary are lost
        process.proxies[1].cut()
        process.proxies[1].heal()
    until(lambda: any("was the primary before a failover" in line for line in list(team.web.lines)), "it is refused")
    assert rows(old) == before
    old.kill(signal.SIGQUIT)
    team.heal()
    flow = team.add_flow(effects.url)
    team.check(flow, team.start_runs(flow, 3), effects)


def rows(node):
    """Return what a write changes: the number of commits, the leases."""
    return node.admin("SELECT count(*), max(number) FROM commit_numbers", "app"), node.admin(
        "SELECT name, until FROM leases ORDER BY name", "app"
    )


def test_a_standby_is_not_used(make_node):
    primary = make_node()
    standby = make_node(primary)
    database.connect(standby.url())
    try:
        with pytest.raises(DatabaseRefused):
            execute("CREATE TABLE t (n INTEGER)")
        standby.promote()
        until(can_write, "the promoted server is used", 10)
    finally:
        database.disconnect()
    assert standby.admin("SELECT count(*) FROM t", "app") == [(0,)]


def can_write():
    try:
        execute("CREATE TABLE t (n INTEGER)")
    except DatabaseRefused:
        return False
    return True
