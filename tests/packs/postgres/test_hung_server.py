"""A PostgreSQL server that hangs: it answers nothing, while its machine still acknowledges all packets."""

import pytest
from servers import until
from world import PATIENCE, add_flow, flow, started_recorder

from database import ANSWER_SECONDS, ConnectionLost, execute, fetch_value, write
from database.queries import runs
from packs.postgres import engine as postgres

pytestmark = pytest.mark.slow


@pytest.fixture
def waits(proxy):
    """Threads wait for a moment for each answer, and for each connection."""
    postgres.limit_all_waits(0.3)
    postgres._pool().timeout = 0.3
    yield proxy
    proxy.heal()
    postgres.limit_all_waits(None)


def test_a_thread_waits_for_an_answer_only_for_a_time(waits):
    assert fetch_value("SELECT 1") == 1
    waits.freeze()
    with pytest.raises(ConnectionLost, match=r"PostgreSQL has not answered within 0\.3 s"):
        fetch_value("SELECT 2")
    waits.heal()
    until(lambda: fetch_value("SELECT 3") == 3)


def test_a_query_is_not_repeated_on_each_connection_of_the_pool(waits):
    """With the hung server, each of them would have the thread wait for as long as the first."""
    pool = postgres._pool()
    connections = [pool.getconn() for _ in range(4)]
    for one in connections:
        pool.putconn(one)
    waits.freeze()
    with pytest.raises(ConnectionLost):
        fetch_value("SELECT 2")
    assert sum(one.closed for one in connections) == 1


def test_a_transaction_fails(waits):
    with pytest.raises(ConnectionLost, match="has not answered"), write():
        waits.freeze()
        execute("SELECT 1")


def test_the_recorder_writes_once_what_the_server_did_not_confirm(waits, caplog):
    caplog.set_level("INFO")
    run = runs.accept(add_flow(flow("a")), triggered_by="manual")
    with started_recorder() as recorder:
        recorder.commit([])
        waits.freeze()
        done = recorder.submit([runs.insertion(run)])
        until(lambda: "reading its outcome" in caplog.text or "writes wait for it" in caplog.text)
        waits.heal()
        assert done.result(PATIENCE) == [1]
    assert fetch_value("SELECT COUNT(*) FROM runs") == 1


def test_a_server_waits_longer_than_statements_wait_for_locks():
    assert ANSWER_SECONDS > 10 * postgres.LOCK_SECONDS
