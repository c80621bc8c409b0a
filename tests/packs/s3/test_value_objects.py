"""Large values in objects of an S3 store, which rows of PostgreSQL name. The store is moto's, behind a proxy."""

import logging
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from command_line import refused
from object_stores import BUCKET, KEY, KEY_ID, refuse, serving
from postgres import create
from tcp_proxy import TcpProxy
from world import Types, add_flow, chain, flow, node, process

import database
import packs.s3.value_store as value_store
from config import Config
from database import execute, fetch_value, write
from database.base import first_id, new_id, now_ms
from database.queries import large_values, runs
from dispatch import Start
from dispatch.payloads import Kept, PayloadRows, ValueGone
from errors import ConfigError, Conflict, Unavailable
from models import Run
from packs.moving import archives
from packs.postgres import engine as postgres
from packs.s3.value_store import PayloadObjects, Recent, StoreDown, ValueStore, check_values
from scheduler.retention import DAY_MS, Retention

pytestmark = pytest.mark.slow
VALUE = b'"123456789"'


@pytest.fixture(scope="module")
def connected(postgres_server, postgres_template):
    """Connect this process to a database for all tests of the file."""
    create(postgres_server, "objects_test", postgres_template)
    database.connect(postgres_server.url(database="objects_test"), "normal")
    yield
    database.disconnect()
    postgres_server.admin("DROP DATABASE objects_test WITH (FORCE)", database="postgres")


@pytest.fixture(scope="module")
def moto():
    with serving() as store:
        yield store


@pytest.fixture
def proxy(moto):
    with TcpProxy(("127.0.0.1", moto.port)) as proxy:
        yield proxy


@pytest.fixture
def settings(connected, proxy, moto, tmp_path):
    """The settings of a server whose values are below the prefix `here`. It begins without any."""
    moto.requests.answer = None
    moto.requests.seen.clear()
    moto.clear()
    for table in ("payloads", "value_objects"):
        execute(f"DELETE FROM {table}")
    return {
        "data_dir": tmp_path, "database_url": postgres._url, "inline_value_bytes": 10,
        "values_url": f"s3://{BUCKET}/here", "values_endpoint": f"http://127.0.0.1:{proxy.port}",
        "values_region": "eu-central-1", "values_key_id": KEY_ID, "values_key": KEY,
    }  # fmt: skip


@pytest.fixture
def payloads(make_payloads):
    return make_payloads()


@pytest.fixture
def make_payloads(settings):
    """`make_payloads()` returns the payloads of a process that has just started."""
    with ExitStack() as stack:

        def make():
            store = ValueStore(Config(**settings), pause=lambda seconds: None)
            stack.callback(store.close)
            return PayloadObjects(10, store)

        yield make


@contextmanager
def running(settings, **more):
    settings = {"inline": True, **settings, **more}
    with process(settings.pop("data_dir"), **settings) as dispatcher:
        yield dispatcher


def rows(table="payloads"):
    return fetch_value(f"SELECT COUNT(*) FROM {table}")


# Values


def test_a_small_value_stays_in_its_row(payloads, moto):
    assert payloads.keep("run_1", "input", b'"12345678"') == Kept('"12345678"', None)
    assert moto.list() == [] and rows() == 0


def test_a_large_value_is_an_object_that_a_row_names(payloads, moto, make_payloads):
    kept = payloads.keep("run_1", "input", VALUE)
    assert kept == Kept(None, len(VALUE))
    (key,) = moto.list()
    assert key.startswith("here/run_1/") and fetch_value("SELECT octet_length(data) FROM payloads") == 0
    for each in (payloads, make_payloads()):
        assert each.load("run_1", "input", kept) == VALUE and each.beginning("run_1", "input", 4) == VALUE[:4]


def test_a_value_of_many_parts_is_read_as_a_whole(payloads, make_payloads):
    value = bytes(range(32, 112)) * 200_000
    kept = payloads.keep("run_1", "input", value)
    assert make_payloads().load("run_1", "input", kept) == value


def test_equal_values_of_a_run_are_one_object(payloads, moto):
    for name in ("input", "step_1", "output"):
        payloads.keep("run_1", name, VALUE)
    payloads.keep("run_2", "input", VALUE)
    assert len(moto.list()) == 2
    assert [seen.method for seen in moto.requests.seen] == ["PUT", "PUT"]


def test_the_value_of_the_latest_claim_counts_and_replaced_ones_are_deleted_with_the_run(payloads, moto, make_payloads):
    for claims in (1, 12, 9):
        kept = payloads.keep("run_1", "output", b'"the claim %03d"' % claims, claims)
    payloads.keep("run_1", "output", b'"the claim 012, again"', 12)
    assert make_payloads().load("run_1", "output", kept) == b'"the claim 012, again"'
    assert len(moto.list()) == 4
    payloads.remove("run_1")
    assert moto.list() == [] and rows() == rows("value_objects") == 0


def test_a_retry_names_the_objects_of_its_run_which_are_deleted_with_the_last_of_both(payloads, moto, make_payloads):
    for gone, left in (("run_1", "run_2"), ("run_2", "run_1")):
        kept = payloads.keep("run_1", "input", VALUE)
        payloads.keep("run_1", "step_1", b'"the value of a step"')
        payloads.keep("run_2", "step_1", b'"its own value"')
        moto.requests.seen.clear()
        payloads.share("run_1", "run_2", ["step_1"])
        assert moto.requests.seen == [] and len(moto.list()) == 3
        payloads.remove(gone)
        assert make_payloads().load(left, "input", kept) == VALUE
        payloads.remove(left)
        assert moto.list() == [] and rows("value_objects") == 0


def test_a_value_in_a_transaction_is_written_to_the_store_before(payloads, moto):
    payloads.prepare("run_1", VALUE)
    moto.requests.seen.clear()
    with pytest.raises(ZeroDivisionError), write():
        payloads.keep("run_1", "answer_a", VALUE)
        raise ZeroDivisionError
    assert moto.requests.seen == [] and rows() == 0 and len(moto.list()) == 1
    payloads.remove("run_1")
    assert moto.list() == []


def test_the_cache_of_contents_is_bounded():
    recent = Recent(max_bytes=10)
    for name in "abcd":
        recent.add(name, b"1234")
        recent.add(name, b"1234")
    assert [recent.get(name) for name in "abcd"] == [None, None, b"1234", b"1234"]
    recent.add("e", b"x" * 11)
    assert all(recent.get(name) is None for name in "abcde")


# Failures


def test_a_store_that_is_down_is_said_without_its_address_and_logged_once(payloads, proxy, caplog):
    proxy.cut()
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            with pytest.raises(StoreDown) as error:
                payloads.keep("run_1", "input", VALUE)
            assert "127.0.0.1" not in error.value.message and error.value.status == 503 and error.value.retry_after
        proxy.heal()
        payloads.keep("run_1", "input", VALUE)
    said = [record.message for record in caplog.records if "store of large values" in record.message]
    assert len(said) == 2 and "127.0.0.1" in said[0] and "answers again" in said[1]


@pytest.mark.parametrize("lose", ["lose_answer", "lose_request"])
def test_a_connection_that_is_cut_while_writing_is_tried_again(payloads, proxy, moto, lose, make_payloads):
    getattr(proxy, lose)("PUT /")
    kept = payloads.keep("run_1", "input", VALUE)
    assert proxy.lost.is_set() and make_payloads().load("run_1", "input", kept) == VALUE


def test_a_connection_that_is_cut_while_reading_is_tried_again(payloads, proxy, make_payloads):
    kept = payloads.keep("run_1", "input", VALUE)
    proxy.lose_answer("GET /")
    assert make_payloads().load("run_1", "input", kept) == VALUE and proxy.lost.is_set()


def test_a_silent_store_is_given_up(payloads, proxy, monkeypatch):
    monkeypatch.setattr(value_store, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(value_store, "TRY_SECONDS", 0.1)
    proxy.freeze()
    with pytest.raises(StoreDown):
        payloads.store.get("run_1/x", patience=0.1)


@pytest.mark.parametrize(("code", "status"), [("SlowDown", 503), ("AccessDenied", 403)])
def test_an_error_of_the_store_is_one_of_the_server(payloads, moto, code, status):
    moto.requests.answer = refuse(code, status)
    with pytest.raises(StoreDown):
        payloads.store.put("run_1/x", VALUE, patience=1)
    assert (len(moto.requests.seen) == 1) == (code == "AccessDenied")


def test_a_missing_or_changed_object_is_said(payloads, moto, caplog, make_payloads):
    kept = payloads.keep("run_1", "input", VALUE)
    (key,) = moto.list()
    moto.change(key, b'"something else"')
    for reason in ("has changed", "not in the bucket"):
        with pytest.raises(ValueGone, match="value input of the run run_1 is no longer stored"):
            make_payloads().load("run_1", "input", kept)
        assert reason in caplog.text
        moto.clear()


def test_objects_that_cannot_be_deleted_are_deleted_by_retention_later(payloads, settings, proxy, moto):
    lost, fresh = (first_id("run", now_ms() - days * DAY_MS) for days in (2, 0))
    for id_ in (lost, fresh):
        payloads.keep(id_, "input", VALUE)
    proxy.cut()
    for id_ in (lost, fresh):
        payloads.remove(id_)
    assert rows() == 0 and rows("value_objects") == len(moto.list()) == 2
    proxy.heal()
    assert Retention(Config(**settings), payloads, pause=lambda seconds: False).work()
    assert [key.split("/")[1] for key in moto.list()] == [fresh] and rows("value_objects") == 1
    assert not [seen for seen in moto.requests.seen if "list-type" in seen.path]


def test_objects_whose_upload_was_cut_off_are_deleted_by_retention(payloads, settings, proxy, moto):
    """The store has the object, and nobody was told: no run was accepted."""
    old = first_id("run", now_ms() - 2 * DAY_MS)
    proxy.lose_answer("PUT /", then_cut=True)
    with pytest.raises(StoreDown):
        payloads.keep(old, "input", VALUE)
    proxy.heal()
    assert len(moto.list()) == 1
    assert Retention(Config(**settings), payloads, pause=lambda seconds: False).work()
    assert moto.list() == [] and rows() == rows("value_objects") == 0


def test_retention_leaves_objects_that_a_retry_of_a_deleted_run_needs(payloads, settings, moto, caplog, make_payloads):
    old, new = first_id("run", now_ms() - 2 * DAY_MS), new_id("run")
    payloads.keep(old, "input", VALUE)
    payloads.share(old, new, [])
    with write():
        made = add_flow(flow("a"))
    runs.record(made, id=new, status="success", triggered_by="manual", finished_at=now_ms(), input_bytes=len(VALUE))
    payloads.remove(old)
    with caplog.at_level(logging.INFO):
        assert Retention(Config(**settings), payloads, pause=lambda seconds: False).work()
    assert len(moto.list()) == 1 and "does not exist" not in caplog.text
    assert make_payloads().load(new, "input", Kept(None, len(VALUE))) == VALUE


# Runs


def test_a_run_has_its_large_values_in_the_store(settings, moto):
    with running(settings) as dispatcher:
        with write():
            made = add_flow(flow("a"))
        run = dispatcher.submit(Start(made, {"a": "x" * 100}, "manual")).run
        assert run.status == "success" and run.output is None
        assert dispatcher.resources.value(run.id, "output", Kept(None, run.output_bytes)) == {"a": "x" * 100}
    assert len(moto.list()) == 1  # input, step and output are equal


def test_while_the_store_is_down_runs_with_large_inputs_are_refused_and_others_accepted(settings, proxy):
    with running(settings) as dispatcher:
        with write():
            made = add_flow(flow("a"))
        dispatcher.resources.payloads.store.pause = lambda seconds: None
        before = Run.select().count()
        proxy.cut()
        with pytest.raises(Unavailable):
            dispatcher.submit(Start(made, {"a": "x" * 100}, "manual"))
        assert Run.select().count() == before and dispatcher.active_count() == 0
        assert dispatcher.submit(Start(made, 1, "manual")).run.status == "success"
        proxy.heal()
        assert dispatcher.submit(Start(made, {"a": "x" * 100}, "manual")).run.status == "success"


def test_a_run_in_progress_waits_for_the_store(settings, proxy):
    with Types() as types, running(settings) as dispatcher:
        types.offer("large", lambda config, input, ctx: (proxy.cut(), "x" * 100)[1])
        pauses = []
        store = dispatcher.resources.payloads.store
        store.pause = lambda seconds: (pauses.append(seconds), proxy.heal() if len(pauses) == 8 else None)
        with write():
            made = add_flow(flow(node("a", "large")))
        run = dispatcher.submit(Start(made, 1, "manual")).run
        assert run.status == "success" and len(pauses) == 8 and max(pauses) == value_store.MAX_PAUSE


def pending(payloads):
    """Return a pending run whose input is in the store."""
    with write():
        made = add_flow(flow("a"))
    run = runs.accept(made, id=new_id("run"), triggered_by="manual", input_bytes=len(VALUE))
    payloads.keep(run.id, "input", VALUE)
    with write():
        execute(*runs.insertion(run))
    return run


def test_a_run_whose_input_cannot_be_read_at_the_moment_is_put_off(settings, proxy, make_payloads):
    run = pending(make_payloads())
    with running(settings) as dispatcher:
        dispatcher.resources.payloads.store.pause = lambda seconds: None
        proxy.cut()
        dispatcher.pick_up()
        assert Run.find(run.id).status == "pending" and Run.find(run.id).deaths == 0
        dispatcher.pick_up()
        assert Run.find(run.id).claims == 1, "it is put off, and tried again by a sweep"
        proxy.heal()
        dispatcher.sweep()
        assert Run.find(run.id).status == "success"


def test_a_run_whose_input_is_missing_fails_with_the_reason(settings, moto, make_payloads):
    run = pending(make_payloads())
    moto.clear()
    with running(settings) as dispatcher:
        dispatcher.pick_up()
    ended = Run.find(run.id)
    assert (ended.status, ended.error_kind) == ("failed", "storage")
    assert f"value input of the run {run.id} is no longer stored" in ended.error_text


def test_a_large_answer_is_written_before_the_transaction(settings, moto, monkeypatch):
    with running(settings) as dispatcher:
        with write():
            made = add_flow(chain(node("ask", "callback")))
        run = dispatcher.submit(Start(made, 1, "manual")).run
        in_transaction = []
        put = ValueStore.put
        monkeypatch.setattr(
            ValueStore, "put", lambda *args: (in_transaction.append(database.db.in_transaction()), put(*args))[1]
        )
        dispatcher.answer(run, "ask", "received", {"body": "x" * 100}, None)
        assert in_transaction and not any(in_transaction)
        assert Run.find(run.id).status == "success"


# Settings


def test_values_in_rows_are_still_read_with_a_store_and_those_in_a_store_ask_for_it_without(payloads):
    kept = PayloadRows(10).keep("run_1", "input", VALUE)
    payloads.keep("run_1", "output", VALUE)
    assert payloads.load("run_1", "input", kept) == VALUE
    for read in (
        lambda: PayloadRows(10).load("run_1", "output", kept),
        lambda: PayloadRows(10).beginning("run_1", "output", 3),
    ):
        with pytest.raises(Unavailable, match="HEADRACE_VALUES_URL"):
            read()


def test_a_usable_store_is_checked_without_leaving_anything(settings, moto):
    check_values(Config(**settings))
    assert [seen.method for seen in moto.requests.seen] == ["PUT", "GET", "POST"] and moto.list() == []


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"values_key_id": "AKIAWRONG"}, "InvalidAccessKeyId"),
        ({"values_url": "s3://nowhere/here"}, "NoSuchBucket"),
        ({"values_url": "s3://a..b"}, ""),
    ],
)
def test_a_store_that_refuses_the_key_or_lacks_the_bucket_is_refused_by_name(settings, changed, reason):
    with pytest.raises(ConfigError) as error:
        check_values(Config(**settings | changed))
    said = str(error.value)
    assert reason in said and "HEADRACE_VALUES_URL" in said and "AWS_SECRET_ACCESS_KEY" in said and KEY not in said


@pytest.mark.parametrize("words", [["worker"], ["export", "--all", "--out", "all.zip"]])
def test_a_command_is_refused_in_one_line(settings, monkeypatch, tmp_path, words):
    for name, value in {
        "DATABASE_URL": settings["database_url"], "HEADRACE_SECRET_KEY": "k" * 16, "HEADRACE_DATA_DIR": str(tmp_path),
        "HEADRACE_PUBLIC_URL": "https://flows.example.org", "HEADRACE_VALUES_URL": settings["values_url"],
        "AWS_ENDPOINT_URL_S3": settings["values_endpoint"], "AWS_ACCESS_KEY_ID": "AKIAWRONG",
        "AWS_SECRET_ACCESS_KEY": KEY, "AWS_REGION": "",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    assert "HEADRACE_VALUES_URL" in refused(*words)
    assert not Path("all.zip").exists()


def test_a_store_that_is_down_at_the_start_is_logged(settings, proxy, caplog):
    proxy.cut()
    check_values(Config(**settings))
    assert "cannot be reached yet" in caplog.text


def test_without_its_package_the_store_is_refused(settings, monkeypatch):
    monkeypatch.setattr(value_store, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="EXTRAS=s3"):
        check_values(Config(**settings))
    check_values(Config())


# Archives


def test_an_archive_has_the_values_of_the_store(settings, payloads, moto, tmp_path, make_payloads):
    with running(settings) as dispatcher:
        with write():
            made = add_flow(flow("a"))
        run = dispatcher.submit(Start(made, {"a": "x" * 100}, "manual")).run
    PayloadRows(10).keep(run.id, "step_9", VALUE)
    config = Config(**settings)
    with pytest.raises(Conflict, match="HEADRACE_VALUES_URL"):
        archives.write_file(tmp_path / "refused", config, lambda *told: None)
    read = make_payloads().read_object
    made = archives.write_file(tmp_path / "all", config, lambda *told: None, read)
    with archives.open_archive(tmp_path / "all") as archive:
        archive.check()
        found = {(value.run_id, value.name): value.data for value in archive.values()}
    assert found[run.id, "input"] == b'{"a":"' + b"x" * 100 + b'"}' and found[run.id, "step_9"] == VALUE
    assert made.values.rows == len(found)


def test_a_value_that_the_store_lost_is_left_out_of_an_archive_and_said(
    settings, payloads, moto, tmp_path, caplog, make_payloads
):
    payloads.keep("run_1", "input", VALUE)
    moto.clear()
    made = archives.write_file(tmp_path / "all", Config(**settings), lambda *told: None, make_payloads().read_object)
    assert made.values.rows == 0 and "value input of run_1 is left out" in caplog.text


def test_pages_of_runs_with_values_have_both_kinds(payloads, monkeypatch):
    monkeypatch.setattr(large_values, "IDS_AT_ONCE", 2)
    ids = [new_id("run") for _ in range(5)]
    for number, id_ in enumerate(ids):
        (payloads if number % 2 else PayloadRows(10)).keep(id_, "input", VALUE)
    large_values.note_object(ids[0], "x")
    assert list(payloads.run_ids()) == ids
