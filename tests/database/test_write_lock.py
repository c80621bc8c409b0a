"""Only one thread writes at a time, also while the process opens another database or closes its own."""

import threading

import pytest
from races import HOLD, another_writer
from world import PATIENCE, Background, said, start_python

import database
from database import LockTimeout, lock_wait, shared, write

pytestmark = pytest.mark.sqlite_only("the lock is a file; test_postgres.py tests the lock of PostgreSQL")


@pytest.fixture
def path(tmp_path):
    """A database that is open."""
    path = tmp_path / "one.sqlite3"
    database.connect(path, "normal")
    yield path
    database.disconnect()


@pytest.fixture
def writer(path):
    """A thread in the middle of a write; `writer.end()` lets it end and returns its error, or None."""
    inside, go_on = threading.Event(), threading.Event()
    failed = []

    def work():
        try:
            with write():
                inside.set()
                assert go_on.wait(20)
        except BaseException as error:
            failed.append(error)
        finally:
            database.disconnect_thread()

    def end():
        go_on.set()
        thread.join(20)
        return failed[0] if failed else None

    thread = threading.Thread(target=work, daemon=True)
    thread.end = end
    thread.start()
    assert inside.wait(20)
    yield thread
    thread.end()


def test_a_writer_ends_its_work_though_the_process_disconnects(writer):
    database.disconnect()
    assert writer.end() is None
    with write():
        pass


def test_a_writer_keeps_its_lock_though_another_database_is_opened(writer, path):
    other = path.with_name("two.sqlite3")
    database.connect(other, "normal")
    with write():
        assert database.db.database == str(other)
    assert writer.end() is None
    with write():
        pass


def test_a_second_writer_waits_for_the_first_though_the_process_disconnected(writer):
    database.disconnect()
    second = threading.Event()

    def work():
        with write():
            second.set()
        database.disconnect_thread()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert not second.wait(0.2)
    assert writer.end() is None and second.wait(20)
    thread.join(20)


# Other processes that hold it up


def hasty():
    """Whether this thread, which may wait for a moment only, could write."""
    lock_wait.limit(0.01)
    try:
        with write():
            return True
    except LockTimeout:
        return False
    finally:
        lock_wait.limit(None)


def test_a_thread_with_a_limited_wait_gives_up(path):
    with another_writer(path):
        assert [Background(hasty).result() for _ in range(3)] == [False] * 3
        following = Background(write_once)  # which waits for as long as it takes
        assert not hasty()
    following.result()
    assert hasty()


def write_once():
    with write():
        pass


def test_a_thread_that_gave_up_blocks_no_writer(path):
    """The waiting thread gets the lock later, and releases it if no thread of the process wants it."""
    with another_writer(path):
        assert not hasty()
        database.disconnect()
    assert said(start_python("import sys\n" + HOLD.replace("sys.stdin.readline()", "pass"), path)) == ["writing"]
    assert hasty()


def test_only_some_threads_wait_for_long_and_the_others_until_the_block_is_known(path, monkeypatch):
    monkeypatch.setattr(shared, "STALL_SECONDS", 0.05)
    lock_wait.limit_threads(1)
    with another_writer(path):
        assert not hasty() and not database.is_write_blocked()

        def patient():
            lock_wait.limit(PATIENCE)
            write_once()

        waiting = [Background(patient) for _ in range(3)]
        while sum(one.thread.is_alive() for one in waiting) > 1:
            continue
        assert database.is_write_blocked()
        with pytest.raises(LockTimeout):
            Background(patient).result()
    for one in waiting:
        one.thread.join(PATIENCE)
    assert [type(one.error) for one in waiting].count(LockTimeout) == 2
    assert not database.is_write_blocked()


def test_all_threads_wait_their_full_time_for_a_writer_of_this_process(writer, monkeypatch):
    """The cause may be a slow disk, not another process, so no thread is refused early."""
    monkeypatch.setattr(shared, "STALL_SECONDS", 0.0)
    monkeypatch.setattr(shared, "LOOK_SECONDS", 0.01)
    lock_wait.limit_threads(1)

    def patient():
        lock_wait.limit(PATIENCE)
        write_once()

    waiting = [Background(patient) for _ in range(3)]
    assert [Background(hasty).result() for _ in range(5)] == [False] * 5
    assert all(one.thread.is_alive() for one in waiting) and writer.end() is None
    for one in waiting:
        one.result()
