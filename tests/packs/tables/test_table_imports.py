"""Imports of many rows: in short transactions, and nevertheless all or none."""

from io import BytesIO

import pytest

from database import write
from errors import Conflict
from models import AuditEntry, DataKey, DataRow, DataTable, DataWrite
from packs.tables import queries
from packs.tables.queries import RowImport, changing, undo_interrupted

pytestmark = pytest.mark.usefixtures("shared_server")
ROWS = 25


@pytest.fixture
def table(owner, monkeypatch):
    """A table with an indexed column; imports have ten rows in a transaction."""
    monkeypatch.setattr(queries, "BATCH", 10)
    made = queries.make_table(owner.workspace.id, "orders", [("number", "number")])
    with write():
        queries.lock_table(made)
        queries.index_column(made, "c1")
    return made


def send(client, table, rows=ROWS, **form):
    text = "number,more\n" + "".join(f"{number},x\n" for number in range(rows))
    return client.post(f"/api/tables/{table.id}/import", data={"file": (BytesIO(text.encode()), "may.csv"), **form})


def is_untouched(table, rows=0):
    """Return True if the table has this number of rows and keys, and no import is on record."""
    counted = DataTable.get_by_id(table.id).row_count
    keys = DataKey.select().count()
    return DataRow.select().count() == keys == counted == rows and DataWrite.select().count() == 0


class Killed(BaseException):
    """Stands for the end of the process."""


def stop_at(monkeypatch, number, error):
    """Raise the error instead of the transaction of this number."""
    insert, calls = queries.insert_rows, []

    def fail(*args, **more):
        calls.append(1)
        if len(calls) == number:
            raise error
        return insert(*args, **more)

    monkeypatch.setattr(queries, "insert_rows", fail)


def test_many_rows_are_added_in_their_order_by_several_transactions(owner, table):
    answer = send(owner, table)
    assert answer.json["imported"] == ROWS and is_untouched(table, ROWS)
    listed = owner.get(f"/api/tables/{table.id}/rows?limit=100").json["items"]
    assert sorted(row["values"]["number"] for row in listed) == list(range(ROWS))
    entry = AuditEntry.select().order_by(AuditEntry.id.desc()).get()
    assert entry.action == "table.imported" and '"rows_added":25' in entry.changes.replace(" ", "")


@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_import_that_fails_adds_nothing(owner, table, monkeypatch, number):
    stop_at(monkeypatch, number, OSError("the disk is full"))
    assert send(owner, table).status_code >= 500 and is_untouched(table)
    assert not AuditEntry.select().where(AuditEntry.action == "table.imported").exists()


@pytest.mark.parametrize("number", [1, 2, 3])
def test_what_a_dead_process_has_added_is_removed(table, monkeypatch, number):
    texts = ['{"c1":1}'] * ROWS
    stop_at(monkeypatch, number, Killed())
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(queries, "undo", lambda *args: None)  # a process that is killed does nothing more
        RowImport(table, texts).run(lambda: None, write())
    assert DataRow.select().count() == 10 * (number - 1)
    undo_interrupted()
    assert DataRow.select().count() == 10 * (number - 1), "the process is still there"
    monkeypatch.setattr(queries, "is_there", lambda process: False)
    undo_interrupted()
    assert is_untouched(table)


def test_rows_of_others_stay_when_an_import_is_undone(owner, table, monkeypatch):
    assert send(owner, table, 5).status_code == 200
    stop_at(monkeypatch, 2, OSError("the disk is full"))
    send(owner, table)
    assert is_untouched(table, 5)


def test_a_table_without_room_for_all_takes_none(owner, table, monkeypatch):
    monkeypatch.setattr("packs.tables.queries.MAX_ROWS", ROWS - 1)
    assert send(owner, table).status_code == 413 and is_untouched(table)


def test_columns_that_are_changed_meanwhile_stop_the_import(table):
    def change(seconds):
        found = DataTable.get_by_id(table.id)
        with changing(found):
            queries.add_columns(found, [("later", "text")])

    with pytest.raises(Conflict, match="columns of the table were changed"):
        RowImport(table, ['{"c1":1}'] * ROWS, change).run(lambda: None, write())
    assert is_untouched(table)
