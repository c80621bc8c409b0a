"""Orders through two web servers and two workers on PostgreSQL and RabbitMQ, while all of these are killed.

`HEADRACE_ORDER_SEEDS` is the number of seeds that are tried. Then, and in a soak, there are more kills, and PostgreSQL
is sometimes gone for 40 seconds.
"""

import os
import time
from contextlib import ExitStack, closing, contextmanager
from random import Random

import pytest
from flaky_service import FlakyService
from order_bench import (
    KINDS,
    MORE_KINDS,
    SETTLE_SECONDS,
    UNFINISHED,
    WAYS,
    DurablePostgres,
    Orders,
    Team,
    check,
    ordering,
    packing,
)
from servers import until
from sql_servers import POSTGRES, serving

pytest.importorskip("celery")

SEEDS = int(os.environ.get("HEADRACE_ORDER_SEEDS") or 0)
IS_LONG = bool(SEEDS or os.environ.get("HEADRACE_SOAK_SECONDS"))
pytestmark = [pytest.mark.slow, pytest.mark.soak, *([pytest.mark.timeout(0)] if IS_LONG else [])]

KILLS = 14 if IS_LONG else len(KINDS)
BATCH = 6 if IS_LONG else 4  # orders placed before each kill
REQUESTS = 10  # of an order, about
LONG_DOWN = 40  # seconds


@pytest.fixture(scope="module")
def postgres(authority):
    yield from serving(DurablePostgres, "initdb", POSTGRES, authority)


@pytest.fixture
def bench(tmp_path, postgres, broker, tell):
    """`with bench(random)` gives the processes, the clients and the service."""

    @contextmanager
    def start(random):
        postgres.clear()
        with ExitStack() as stack:
            service = stack.enter_context(closing(FlakyService(random.random())))
            team = stack.enter_context(closing(Team(tmp_path, postgres, broker, random, tell))).start()
            yield team, stack.enter_context(closing(Orders(team.webs, service, random))), service

    return start


def choose_kills(random):
    """Return the kinds of kills: each kind once, then any."""
    each = MORE_KINDS if IS_LONG else KINDS
    kinds = [*each, *random.choices(each, k=KILLS - len(each))]
    random.shuffle(kinds)
    return kinds


def pass_bench(team, orders, service, random):
    """Place orders and kill; then wait until all orders have ended, and check them."""
    pack = team.webs[0].add_flow(packing(service.url), "pack")
    for way in WAYS:
        team.webs[0].add_flow(ordering(service.url, way, pack), f"order {way}")
    for kind in choose_kills(random):
        orders.place(BATCH)
        service.wait_for(service.count() + random.randint(1, BATCH * REQUESTS // 2))
        team.kill(kind, LONG_DOWN if IS_LONG and random.random() < 0.5 else 1)
        orders.check_answers()
    team.mend()
    orders.finish()
    until(lambda: not team.ask(UNFINISHED), "all runs end", SETTLE_SECONDS)
    orders.finish()
    check(team, orders, service)


def test_each_order_has_one_run_when_everything_is_killed(bench, seeded, tell, rounds):
    seed = seeded.random()
    for number in range(SEEDS) if SEEDS else rounds(1):
        tell("order seed", lambda number=number: f"number {number}")
        began, random = time.monotonic(), Random(f"{seed} {number}")
        with bench(random) as (team, orders, service):
            pass_bench(team, orders, service, random)
        print(f"seed {number}: {orders.last} orders, {service.count()} requests, {time.monotonic() - began:.0f} s")
