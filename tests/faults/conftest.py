"""Servers that end with their test, effects that they can have, and output of both for a failed test.

A test's random choices follow from its name, and are new ones each night and in a soak; `HEADRACE_FAULTS_SEED` repeats
them. `HEADRACE_SOAK_SECONDS` is the approximate total duration of the tests that are marked `soak`.
"""

import os
import random
import time
import zlib
from types import SimpleNamespace

import on_postgres
import psycopg
import pytest
from effects import Effects
from load import Load
from message_brokers import RabbitMQ, serving
from properties import tries_all
from psycopg.rows import namedtuple_row
from servers import Server, Worker

SHOWN = 30


def pytest_configure(config):
    config.addinivalue_line("markers", "soak: goes on for as long as HEADRACE_SOAK_SECONDS says")


def pytest_collection_modifyitems(config, items):
    soaking = [item for item in items if item.get_closest_marker("soak")]
    config.stash[SOAKING] = len(soaking)
    if os.environ.get("HEADRACE_SOAK_SECONDS"):
        for item in soaking:
            item.add_marker(pytest.mark.timeout(0))  # tests that ask for their duration


SOAKING = pytest.StashKey[int]()
TOLD = pytest.StashKey[list]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        report.sections += [(title, tell()) for title, tell in item.stash.get(TOLD, [])]
    return report


@pytest.fixture
def tell(request):
    """`tell(title, function)` prints the function's result if the test fails."""
    told = request.node.stash.setdefault(TOLD, [])
    return lambda title, function: told.append((title, function))


@pytest.fixture
def seeded(request, tell):
    """The random generator for all choices of the test."""
    is_new = tries_all() or os.environ.get("HEADRACE_SOAK_SECONDS")
    usual = random.randrange(2**32) if is_new else zlib.crc32(request.node.name.encode())
    seed = int(os.environ.get("HEADRACE_FAULTS_SEED") or usual)
    tell("seed", lambda: f"repeat with HEADRACE_FAULTS_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def rounds(request):
    """`rounds(n)` yields 0 to n-1, or more numbers for this test's share of the time of a soak."""
    seconds = float(os.environ.get("HEADRACE_SOAK_SECONDS") or 0) / max(1, request.config.stash[SOAKING])
    ends = time.monotonic() + seconds

    def go_on(count):
        number = 0
        while number < count or time.monotonic() < ends:
            yield number
            number += 1

    return go_on


@pytest.fixture
def effects(seeded):
    """The effects of flows outside of the server."""
    made = Effects(seeded)
    yield made
    made.close()


@pytest.fixture
def serve(tmp_path, tell):
    """`serve(NAME=value…)` returns a ready server; `data_dir` is its data folder."""
    made = []

    def begin(data_dir=tmp_path / "data", **options):
        server = Server(data_dir, **options)
        made.append(server)
        tell(f"server {len(made)}", lambda: "".join(list(server.lines)[-SHOWN:]))
        server.start()
        if len(made) == 1:
            server.log_in()
        server.token = made[0].token
        return server

    yield begin
    for server in made:
        server.close()
    for path in {server.database for server in made}:
        on_postgres.release_database(path)


@pytest.fixture
def start_load(effects, seeded):
    """`start_load(flow, *servers)` returns clients that start runs of the flow."""
    made = []

    def begin(flow, *servers):
        made.append(Load(flow, *servers))
        return made[-1]

    yield begin
    for load in made:
        load.close()


@pytest.fixture(scope="module")
def broker():
    """A running RabbitMQ. Without its programs, the tests are skipped."""
    yield from serving(RabbitMQ)


@pytest.fixture
def team(tmp_path, fresh_url, broker, tell):
    """`team(workers=2, NAME=value…)` returns a web server, logged in, and `workers` on one database and broker.

    `add_worker(NAME=value…)` starts one more, and `ask(sql, *params)` returns the rows of a query.
    """
    url, made = fresh_url(empty=True), []

    def begin(kind, **more):
        settings = {
            "DATABASE_URL": url, "CELERY_BROKER_URL": broker.url, "HEADRACE_SECRET_KEY": "the key of all processes",
            "HEADRACE_PUBLIC_URL": "http://127.0.0.1:8000", "HEADRACE_MAX_PENDING": "100000", **more,
        }  # fmt: skip
        server = kind(tmp_path / f"data{len(made)}", **settings)
        made.append(server)
        tell(f"{kind.__name__} {len(made)}", lambda: "".join(list(server.lines)[-SHOWN:]))
        return server.start()

    def start(workers=2, **more):
        web = begin(Server, HEADRACE_ROLE="web", WEB_CONCURRENCY="1", **more)
        web.log_in()
        found = [begin(Worker, **more) for _ in range(workers)]

        def add_worker(**other):
            found.append(begin(Worker, **{**more, **other}))
            return found[-1]

        return SimpleNamespace(web=web, workers=found, add_worker=add_worker, ask=ask)

    def ask(sql, *params):
        with psycopg.connect(url, row_factory=namedtuple_row) as connection:
            return connection.execute(sql, params).fetchall()

    yield start
    for server in made:
        server.close()
    if broker.process is None:
        broker.start()
