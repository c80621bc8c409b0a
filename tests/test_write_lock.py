"""Who writes, writes alone, also while the process opens another database or closes the one it has."""

import threading

import pytest

import database
from database import write


@pytest.fixture
def path(tmp_path):
    """A database that is open."""
    path = tmp_path / "one.sqlite3"
    database.connect(path, "normal")
    yield path
    database.disconnect()


@pytest.fixture
def writer(path):
    """A thread in the middle of a write; `writer.end()` lets it end and gives what it failed of, None for nothing."""
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
