"""PostgreSQL is lost during runs: their writes wait for it, and after a long time the runs are continued later."""

import time
from contextlib import suppress

import pytest
from servers import until
from tcp_proxy import TcpProxy
from world import PATIENCE, add_flow, chain, node, process, run_of, steps_of

import database
from database import ConnectionLost
from database.queries import runs
from dispatch import Start, recorder
from dispatch.recorder import LoopTurn, Recorder, WholeRun
from packs.postgres import engine as postgres

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def path(proxy):
    """Replace the database of the other tests."""


class Proxy(TcpProxy):
    """While it is cut, threads of this process wait only for a moment for a connection."""

    def cut(self):
        postgres._pool().timeout = 0.3
        super().cut()

    def heal(self):
        if postgres._shared is not None:
            postgres._shared.timeout = postgres.POOL_SECONDS
        super().heal()


@pytest.fixture
def proxy(fresh_url, postgres_server):
    """A proxy to a new database, through which this process is connected by `proxy.url`."""
    with Proxy(("127.0.0.1", postgres_server.port)) as proxy:
        proxy.url = f"{fresh_url()}?sslmode=disable".replace(f":{postgres_server.port}/", f":{proxy.port}/")
        database.connect(proxy.url, "normal")
        yield proxy
        proxy.heal()
        database.disconnect()


@pytest.fixture
def mine(tmp_path, proxy):
    """A process with the database behind the proxy."""
    with process(tmp_path, database_url=proxy.url) as dispatcher:
        yield dispatcher
        proxy.heal()


def heal(proxy):
    """Return when this process has reached the database again."""
    proxy.heal()

    def is_reached():
        with suppress(ConnectionLost):
            return database.execute("SELECT 1").fetchone()

    until(is_reached)


def submit(mine, *nodes):
    return mine.submit(Start(add_flow(chain(*nodes)), {"n": 1}, "manual", None)).run.id


def test_writes_wait_for_a_lost_database(proxy):
    run = runs.accept(add_flow(chain(node("a"))), triggered_by="manual")
    writer = Recorder()
    writer.start()
    try:
        proxy.cut()
        done = [writer.submit([runs.insertion(run)]), writer.submit([])]
        until(lambda: writer._lost_at is not None)
        assert not done[0].done()
        proxy.heal()
        assert done[0].result(PATIENCE) == [1] and writer._lost_at is None
    finally:
        writer.stop()


def test_writes_fail_if_the_database_is_lost_for_long(proxy):
    times = [0.0]
    writer = Recorder(clock=lambda: times[0])
    writer.start()
    try:
        proxy.cut()
        done = [writer.submit([]) for _ in range(3)]
        until(lambda: writer._lost_at is not None)
        times[0] += recorder.LOST_SECONDS
        assert {type(each.exception(PATIENCE)) for each in done} == {ConnectionLost}
    finally:
        writer.stop()


def test_a_recorder_that_stops_does_not_wait_for_a_lost_database(proxy):
    writer = Recorder()
    writer.start()
    proxy.cut()
    done = writer.submit([])
    until(lambda: writer._lost_at is not None)
    writer.stop()
    assert isinstance(done.exception(PATIENCE), ConnectionLost)


def test_the_runs_of_a_turn_fail_together_if_the_database_is_lost(proxy):
    made, told = add_flow(chain(node("a"))), []
    writer = Recorder()
    writer.start()
    turn = LoopTurn(writer)
    for _ in range(3):
        run = runs.accept(made, triggered_by="manual")
        runs.end_unsaved(run, "success", 1.0)
        turn.add(WholeRun(run, [], []), told.append)
    proxy.cut()
    writer.stop_waiting()
    turn.submit()
    writer.stop()
    assert [type(error) for error in told] == [ConnectionLost] * 3


def test_a_process_that_stops_does_not_wait_for_a_lost_database(mine, proxy, types):
    def cut(config, input, ctx):
        proxy.cut()
        return input

    types.offer("cut", cut, pure=False)
    submit(mine, node("a", "cut"), node("b", "act"))
    until(lambda: mine.recorder._lost_at is not None)
    began = time.monotonic()
    mine.stop()
    assert time.monotonic() - began < recorder.LOST_SECONDS / 2 and not mine.active_count()


def test_a_run_goes_on_once_the_database_is_there_again(mine, proxy, types):
    def cut(config, input, ctx):
        types.effects.append(ctx.idempotency_key)
        proxy.cut()
        return input

    types.offer("cut", cut, pure=False)
    run_id = submit(mine, node("a", "cut"), node("b", "act"))
    until(lambda: mine.recorder._lost_at is not None)
    heal(proxy)
    until(lambda: run_of(run_id).status == "success")
    assert run_of(run_id).claims == 1 and types.effects == [f"{run_id}:a:0", f"{run_id}:b:0"]


def test_a_run_that_cannot_be_recorded_for_long_is_continued_later(mine, proxy, types, monkeypatch):
    monkeypatch.setattr(recorder, "LOST_SECONDS", 0.2)
    is_first = [True]

    def cut(config, input, ctx):
        types.effects.append(ctx.idempotency_key)
        if is_first.pop():
            proxy.cut()
        is_first.append(False)
        return input

    types.offer("cut", cut, pure=False)
    run_id = submit(mine, node("a", "cut"), node("b", "act"))
    until(lambda: not mine.active_count())
    heal(proxy)
    assert run_of(run_id).status == "running"
    mine.sweep()
    until(lambda: run_of(run_id).status == "success")
    run = run_of(run_id)
    assert (run.claims, run.deaths, mine.executor.unrecorded) == (2, 0, {})
    # The node in doubt is repeated with its key.
    assert types.effects == [f"{run_id}:a:0"] * 2 + [f"{run_id}:b:0"]
    assert [step.status for step in steps_of(run_id)] == ["failed", "success", "success"]


def test_a_node_that_needs_the_lost_database_is_not_at_fault(mine, proxy, types):
    tries = []

    def read(config, input, ctx):
        tries.append(ctx.idempotency_key)
        if len(tries) == 1:
            proxy.cut()
        return ctx.store.get("a")

    types.offer("read", read)
    run_id = submit(mine, node("first", "act"), node("a", "read"))
    until(lambda: tries and not mine.active_count())
    heal(proxy)
    mine.sweep()
    until(lambda: run_of(run_id).status == "success")
    assert len(tries) == 2 and run_of(run_id).error_text is None
