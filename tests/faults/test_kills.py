"""Processes are killed at random moments with hundreds of runs in progress: none is lost, stuck or repeated."""

import pytest
from record import Crashes, Flow, check, left_on_disk, owner_with_expired_lease, settled

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.postgres]

RUNS = 80  # started between two kills
REQUESTS = 4  # minimum made by each of them
KILLS = 2  # that a run may survive: a run in progress at three is abandoned as their cause


@pytest.fixture
def at_random(effects, seeded):
    """`at_random()` returns at a random moment of the load that has just started."""

    def wait():
        effects.wait_for(effects.count() + seeded.randint(1, RUNS * REQUESTS * 2 // 3))

    return wait


@pytest.fixture
def crashes(effects):
    """The recorded state at each kill."""
    return Crashes(effects)


@pytest.mark.parametrize("durability", [pytest.param("full", marks=pytest.mark.nightly), "normal"])
def test_a_server_is_killed_repeatedly(tmp_path, serve, start_load, effects, crashes, at_random, rounds, durability):
    server = serve(HEADRACE_DURABILITY=durability)
    load = start_load(server.add_flow(Flow(effects.url).definition), server)
    for _ in rounds(1 if durability == "full" else 2):
        for _ in range(KILLS):
            load.start(RUNS)
            at_random()
            server.kill()
            crashes.note(left_on_disk(server.database, tmp_path))
            server.start()
            load.join()
        settled(server.database)
    check(server.database, load, effects, crashes)


def test_workers_are_killed_while_others_continue(serve, start_load, effects, crashes, at_random, seeded, rounds):
    server = serve()
    load = start_load(server.add_flow(Flow(effects.url).definition), server)
    for _ in rounds(2):
        for _ in range(KILLS):
            load.start(RUNS)
            at_random()
            server.kill_worker(seeded.choice(server.workers()), lambda: crashes.note(server.database))
            load.join()
        settled(server.database)
    check(server.database, load, effects, crashes)


def test_a_server_takes_over_the_runs_of_another_on_the_same_database(
    serve, start_load, effects, crashes, at_random, rounds
):
    servers = [serve(), serve()]
    load = start_load(servers[0].add_flow(Flow(effects.url).definition), *servers)
    for number in rounds(2):
        load.start(2 * RUNS)
        at_random()
        killed, other = servers[number % 2], servers[1 - number % 2]
        killed.kill(lambda path=other.database: crashes.note(path))
        load.join()
        settled(other.database)
        killed.start()
    check(other.database, load, effects, crashes)


def test_a_worker_that_slept_longer_than_its_lease_does_no_damage(
    serve, start_load, effects, crashes, at_random, rounds
):
    server = serve()
    load = start_load(server.add_flow(Flow(effects.url).definition), server)
    sleeper = server.workers()[0]
    for _ in rounds(2):
        load.start(RUNS)
        at_random()
        server.freeze(sleeper)
        crashes.note(server.database)
        owner_with_expired_lease(server.database)
        server.thaw(sleeper)
        load.join()
        settled(server.database)
    check(server.database, load, effects, crashes)
    assert sleeper in server.workers()
