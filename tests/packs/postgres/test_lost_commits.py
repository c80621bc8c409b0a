"""A COMMIT whose answer is lost: the process asks whether it has happened, and neither repeats nor denies it."""

import peewee
import psycopg
import pytest
from races import outcome, until_waiting
from sources import Source, active, definition, polling, watched
from world import PATIENCE, Background, add_flow, flow, started_recorder

from database import OutcomeUnknown, execute, fetch_value, write, write_runs
from database.base import Write
from database.queries import runs as run_queries
from errors import Conflict
from models import Run
from packs.postgres import commit_numbers
from packs.postgres import engine as postgres

pytestmark = pytest.mark.slow

ADD = "INSERT INTO workspaces (id, name, created_at) VALUES (?, 'x', 0)"


def ids():
    return {id_ for (id_,) in execute("SELECT id FROM workspaces").fetchall()}


@pytest.mark.parametrize("begin", [write, write_runs], ids=["write", "write_runs"])
def test_a_commit_whose_answer_is_lost_has_succeeded(proxy, begin):
    proxy.lose_answer("COMMIT")
    with begin():
        execute(ADD, ("ws_a",))
    assert proxy.lost.is_set() and ids() == {"ws_a"}
    with begin():
        execute(ADD, ("ws_b",))
    assert ids() == {"ws_a", "ws_b"}


@pytest.mark.parametrize("begin", [write, write_runs], ids=["write", "write_runs"])
def test_a_commit_that_never_arrived_has_failed(proxy, begin):
    proxy.lose_request("COMMIT")
    with pytest.raises(peewee.OperationalError), begin():
        execute(ADD, ("ws_a",))
    assert proxy.lost.is_set() and ids() == set()


def test_a_commit_that_arrives_late_fails(proxy):
    """The first connection is frozen with its COMMIT on the way; over another one, its number is void by then."""
    number = postgres._numbers.take()
    late = psycopg.connect(proxy.direct, autocommit=True)
    late.execute("BEGIN; INSERT INTO workspaces (id, name, created_at) VALUES ('ws_a', 'x', 0)", prepare=False)
    assert not number.has_committed(proxy.connect)
    with pytest.raises(psycopg.errors.UniqueViolation):
        late.execute(f"{number.insertion()}COMMIT", prepare=False)
    late.close()
    assert ids() == set() and not number.has_committed(proxy.connect), "asked twice, the answer is the same"


def test_an_open_commit_is_waited_for(proxy):
    number = postgres._numbers.take()
    with psycopg.connect(proxy.direct, autocommit=True) as slow:
        slow.execute(f"BEGIN; {number.insertion()}", prepare=False)
        asking = Background(number.has_committed, proxy.connect)
        until_waiting(proxy.direct, asking)
        slow.execute("COMMIT")
    assert asking.result() is True


def test_without_the_database_the_outcome_is_unknown(proxy, monkeypatch):
    monkeypatch.setattr(commit_numbers, "ASK_SECONDS", 0.2)
    proxy.lose_answer("COMMIT", then_cut=True)
    with pytest.raises(OutcomeUnknown), write():
        execute(ADD, ("ws_a",))
    proxy.heal()
    assert ids() == {"ws_a"}


def test_the_recorder_neither_repeats_nor_denies_a_group(proxy):
    made = add_flow(flow("a"))
    runs = [run_queries.accept(made, triggered_by="manual") for _ in range(3)]
    with started_recorder() as recorder:
        proxy.lose_answer("COMMIT")
        done = [recorder.submit([run_queries.insertion(run)]) for run in runs]
        assert [each.result(PATIENCE) for each in done] == [[1]] * 3
        again = outcome(Background(lambda: recorder.submit([run_queries.insertion(runs[0])]).result(PATIENCE)))
        assert isinstance(again, Conflict)
    assert proxy.lost.is_set() and fetch_value("SELECT COUNT(*) FROM runs") == 3


def test_the_recorder_writes_a_group_again_whose_commit_never_arrived(proxy):
    made = add_flow(flow("a"))
    runs = [run_queries.accept(made, triggered_by="manual") for _ in range(2)]
    with started_recorder() as recorder:
        proxy.lose_request("COMMIT")
        done = [recorder.submit([run_queries.insertion(run)]) for run in runs]
        assert [each.result(PATIENCE) for each in done] == [[1]] * 2
    assert proxy.lost.is_set() and fetch_value("SELECT COUNT(*) FROM runs") == 2


def test_the_recorder_fails_a_group_whose_outcome_is_unknown(proxy, monkeypatch):
    monkeypatch.setattr(commit_numbers, "ASK_SECONDS", 0.2)
    run = run_queries.accept(add_flow(flow("a")), triggered_by="manual")
    with started_recorder() as recorder:
        proxy.lose_answer("COMMIT", then_cut=True)
        error = outcome(Background(lambda: recorder.submit([run_queries.insertion(run)]).result(PATIENCE)))
        assert isinstance(error, OutcomeUnknown)
        proxy.heal()
        assert recorder.commit([Write("UPDATE runs SET status = status WHERE id = ?", (run.id,))]) == [1]


def test_old_numbers_are_deleted(proxy, monkeypatch):
    monkeypatch.setattr(commit_numbers, "KEPT_SECONDS", -1.0)
    for number in range(5):
        with write():
            execute(ADD, (f"ws_{number}",))
    assert fetch_value("SELECT COUNT(*) FROM commit_numbers") <= 2


def test_a_poll_whose_commit_gets_no_answer_keeps_the_value_of_its_run(proxy, tmp_path, monkeypatch):
    monkeypatch.setattr(commit_numbers, "ASK_SECONDS", 0.2)
    source = Source("entry")
    source.value = lambda key: {"text": "x" * 200_000}
    source.during = lambda ctx: proxy.lose_answer("INSERT INTO commit_numbers", times=10_000)
    with watched(source), polling(tmp_path, database_url=proxy.url) as polls:
        made = active(definition(backlog=True))
        polls.look()
        assert proxy.lost.is_set()
        proxy.heal()
        [run] = Run.select().where(Run.workflow_id == made.id)
        assert execute("SELECT DISTINCT run_id FROM payloads").fetchall() == [(run.id,)]
