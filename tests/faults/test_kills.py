"""Processes are killed at random moments, with hundreds of runs under way: none is lost, none stuck, none doubled."""

import pytest
from record import Flow, check, completed, left_on_disk, settled

pytestmark = [pytest.mark.slow, pytest.mark.soak]

RUNS = 80  # that are started between two kills
REQUESTS = 4  # that each of them makes at least
KILLS = 2  # that a run may meet: one that was under way at three is given up as the one to blame


@pytest.fixture
def at_random(effects, seeded):
    """`at_random()` returns at a random moment of the load that has just begun."""

    def wait():
        effects.wait_for(effects.count() + seeded.randint(1, RUNS * REQUESTS * 2 // 3))

    return wait


@pytest.mark.parametrize("durability", ["full", "normal"])
def test_a_server_is_killed_again_and_again(tmp_path, serve, start_load, effects, at_random, rounds, durability):
    server = serve(HEADRACE_DURABILITY=durability)
    load = start_load(server.add_flow(Flow(effects.url).definition), server)
    for number in rounds(2 * KILLS if durability == "normal" else KILLS):
        load.start(RUNS)
        at_random()
        server.kill()
        done = completed(left_on_disk(server.database, tmp_path))
        before = effects.seen()
        server.start()
        if number % KILLS == KILLS - 1:
            load.join()
            settled(server.database)
        after = effects.seen()
        again = {key for key in done if after[key] != before[key]}
        assert not again, f"done again, though it was on record: {again}"
    load.join()
    settled(server.database)
    check(server.database, load, effects)
