"""Large values in rows of PostgreSQL, in parts."""

import pytest
from postgres import create
from world import add_flow, flow, process

import database
from config import Config
from database import execute, fetch_value, write
from database.base import first_id, new_id, now_ms
from database.queries import large_values, runs
from dispatch import Start
from dispatch.payloads import Kept, PayloadRows
from models import Run
from packs.postgres import engine as postgres
from scheduler.retention import DAY_MS, Retention

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def connected(postgres_server, postgres_template):
    """Connect this process to a database for all tests of the file."""
    create(postgres_server, "values_test", postgres_template)
    database.connect(postgres_server.url(database="values_test"), "normal")
    yield
    database.disconnect()
    postgres_server.admin("DROP DATABASE values_test WITH (FORCE)", database="postgres")


@pytest.fixture
def payloads(connected):
    return PayloadRows(inline_bytes=10)


def count(where="1 = 1"):
    return fetch_value(f"SELECT COUNT(*) FROM payloads WHERE {where}")


def test_a_small_value_stays_in_its_row(payloads):
    before = count()
    assert payloads.keep("run_1", "input", b'"12345678"') == Kept('"12345678"', None) and count() == before


@pytest.mark.parametrize("size", [11, large_values.PART_BYTES, large_values.PART_BYTES + 1, 3 * 10**6])
def test_a_large_value_is_in_parts(payloads, size):
    run_id, value = new_id("run"), bytes(range(32, 112)) * (size // 80 + 1)
    kept = payloads.keep(run_id, "input", value[:size])
    assert kept == Kept(None, size) and payloads.load(run_id, "input", kept) == value[:size]
    assert count(f"run_id = '{run_id}'") == -(-size // large_values.PART_BYTES)
    assert payloads.beginning(run_id, "input", 5) == value[:5]
    assert payloads.beginning(run_id, "input", 100) == value[: min(size, 100)]


def test_the_value_of_the_latest_claim_counts(payloads):
    run_id = new_id("run")
    for claims in (1, 12, 9):
        kept = payloads.keep(run_id, "output", b'"the claim %03d"' % claims, claims)
    assert payloads.load(run_id, "output", kept) == b'"the claim 012"'
    payloads.keep(run_id, "output", b'"the claim 012, again"', 12)
    assert payloads.load(run_id, "output", kept) == b'"the claim 012, again"'


def test_a_deleted_value_is_a_missing_file(payloads):
    run_id = new_id("run")
    kept = payloads.keep(run_id, "input", b'"123456789"')
    payloads.remove(run_id)
    for read in (lambda: payloads.load(run_id, "input", kept), lambda: payloads.beginning(run_id, "input", 5)):
        with pytest.raises(FileNotFoundError):
            read()
    assert payloads.changed_at(run_id) is None


def test_a_retry_has_the_values_of_its_run_but_keeps_its_own(payloads):
    first, second = new_id("run"), new_id("run")
    for name, claims in (("input", 1), ("step_1", 1), ("step_1", 2), ("step_2", 1), ("step_3", 1)):
        payloads.keep(first, name, f'"{name} of claim {claims}"'.encode(), claims)
    payloads.keep(second, "step_2", b'"its own value"')
    payloads.share(first, second, ["step_1", "step_2", "step_9"])
    kept = Kept(None, 99)
    found = {name: payloads.load(second, name, kept) for name in ("input", "step_1", "step_2")}
    assert found == {
        "input": b'"input of claim 1"', "step_1": b'"step_1 of claim 2"', "step_2": b'"its own value"',
    }  # fmt: skip
    assert count(f"run_id = '{second}' AND name = 'step_3'") == 0
    payloads.remove(first)
    assert payloads.load(second, "input", kept) == b'"input of claim 1"'


def test_the_runs_with_values_are_found_by_pages(payloads, monkeypatch):
    monkeypatch.setattr(large_values, "IDS_AT_ONCE", 2)
    execute("DELETE FROM payloads")
    ids = [new_id("run") for _ in range(5)]
    for id_ in ids:
        payloads.keep(id_, "input", b'"123456789"')
        payloads.keep(id_, "output", b'"123456789"')
    assert list(payloads.run_ids()) == ids and payloads.changed_at(ids[0]) is not None


def test_a_value_within_a_transaction_is_a_part_of_it(payloads):
    run_id = new_id("run")
    with pytest.raises(ZeroDivisionError), write():
        payloads.keep(run_id, "answer_a", b'"123456789"')
        raise ZeroDivisionError
    assert count(f"run_id = '{run_id}'") == 0


def test_old_values_are_deleted_with_their_runs_and_without(payloads):
    execute("DELETE FROM payloads")
    with write():
        made = add_flow(flow("a"))
    now = now_ms()
    old, lost, fresh = (first_id("run", now - days * DAY_MS) for days in (40, 2, 0))
    for id_ in (old, lost, fresh):
        payloads.keep(id_, "input", b'"123456789"')
    runs.record(made, id=old, status="success", triggered_by="manual", finished_at=now - 40 * DAY_MS, input_bytes=11)
    config = Config(retention_days=30, retention_bytes=1, database_url=postgres._url)
    assert Retention(config, payloads, pause=lambda seconds: False).work()
    assert Run.find(old) is None and list(payloads.run_ids()) == [fresh]


def test_a_run_has_large_values_in_rows(connected, tmp_path):
    database_url = postgres._url
    with process(tmp_path, inline=True, inline_value_bytes=10, database_url=database_url) as dispatcher:
        with write():
            made = add_flow(flow("a"))
        run = dispatcher.submit(Start(made, {"a": "x" * 100}, "manual")).run
        kept = Kept(run.output, run.output_bytes)
        assert run.status == "success" and run.output is None
        assert dispatcher.resources.value(run.id, "output", kept) == {"a": "x" * 100}
    assert not (tmp_path / "values").exists()
