"""Tables of a workspace: columns, values, filters, order, indexes and writes that are done once."""

from datetime import UTC, datetime

import pytest
from world import at_once

from database.queries.store import WorkspaceStore
from errors import BadInput, Conflict, NodeError, NotFound, TooLarge
from models import DataKey, DataRow, DataTable, DataWrite
from packs.tables import queries
from packs.tables.columns import MAX_CELLS, SYSTEM, TableColumn, guess_type_of_texts, make_order, to_cell
from packs.tables.queries import MAX_WRITTEN, WorkspaceTables, changing, place_of, select
from registry import registry

pytestmark = [pytest.mark.usefixtures("path"), pytest.mark.postgres]

COLUMNS = [("email", "text"), ("total", "number"), ("vip", "boolean"), ("born", "date"), ("more", "json")]
PEOPLE = [
    {"email": "ada@x.org", "total": 12.5, "vip": True, "born": "1815-12-10", "more": {"a": [1]}},
    {"email": "Bob_1@x.org", "total": 3, "vip": False, "born": "1950-01-01T12:00:00+02:00"},
    {"email": "", "total": -7},
    {"email": "cy@x.org", "total": 100, "vip": True},
]
EVERYTHING = ((), False)


@pytest.fixture
def tables():
    return WorkspaceTables("ws_1", lambda text: text)


@pytest.fixture
def people(tables):
    """A table with four rows."""
    table = queries.make_table("ws_1", "people", COLUMNS)
    tables.insert("people", PEOPLE, None)
    return table


def totals(tables, *conditions, is_any=False, sort="", limit=100):
    return [row["total"] for row in tables.select("people", (conditions, is_any), sort, limit)]


def test_a_row_is_returned_with_its_values_and_times(tables, people):
    (row, *_) = tables.select("people", EVERYTHING, "", 1)
    assert {key: row[key] for key in PEOPLE[0]} == {**PEOPLE[0], "born": "1815-12-10T00:00:00.000Z"}
    assert row["id"].startswith("row_") and row["created_at"] == row["updated_at"]
    (second,) = tables.select("people", ([("total", "eq", 3)], False), "", 5)
    assert (second["born"], second["more"]) == ("1950-01-01T10:00:00.000Z", None)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (("email", "eq", "ada@x.org"), [12.5]),
        (("email", "ne", "ada@x.org"), [3, -7, 100]),
        (("email", "contains", "B_1"), [3]),
        (("email", "contains", "%"), []),
        (("email", "starts_with", "a"), [12.5]),
        (("email", "empty", None), [-7]),
        (("email", "not_empty", None), [12.5, 3, 100]),
        (("total", "gt", 3), [12.5, 100]),
        (("total", "lte", "3"), [3, -7]),
        (("total", "eq", 3.0), [3]),
        (("vip", "eq", True), [12.5, 100]),
        (("vip", "ne", True), [3, -7]),
        (("vip", "eq", None), [-7]),
        (("born", "lt", "1900-01-01"), [12.5]),
        (("born", "empty", None), [-7, 100]),
        (("more", "contains", '"a"'), [12.5]),
        (("created_at", "gt", "2020-01-01"), [12.5, 3, -7, 100]),
        (("created_at", "gt", "9999-01-01"), []),
    ],
)
def test_rows_are_found_by_a_condition(tables, people, condition, expected):
    assert totals(tables, condition) == expected
    assert tables.count("people", ([condition], False)) == len(expected)


def test_all_or_any_of_the_conditions_must_hold(tables, people):
    conditions = [("vip", "eq", True), ("total", "gt", 50)]
    assert totals(tables, *conditions) == [100]
    assert totals(tables, *conditions, is_any=True) == [12.5, 100]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("", [12.5, 3, -7, 100]),
        ("-id", [100, -7, 3, 12.5]),
        ("total", [-7, 3, 12.5, 100]),
        ("-total", [100, 12.5, 3, -7]),
        ("email", [-7, 3, 12.5, 100]),  # by the bytes, on both engines
        ("-born", [3, 12.5, -7, 100]),  # those without a value are always the last
        ("vip", [3, 12.5, 100, -7]),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 10])
def test_pages_follow_one_another_in_every_order(people, sort, expected, size):
    order, after, found = make_order(queries.columns_by_name(people), sort), None, []
    while rows := select(people, order=order, limit=size, after=after):
        found += [row.cells["c2"] for row in rows]
        after = place_of(rows[-1], order)
    assert found == expected


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        ([("e-mail", "eq", 1)], "no column 'e-mail'"),
        ([("total", "near", 1)], "not an operator"),
        ([("total", "eq", "much")], "is not a number"),
        ([("total", "contains", "1")], "for columns with text"),
        ([("born", "gt", None)], "needs a value"),
        ([("more", "gt", 1)], "JSON column"),
        ([("total", "eq", 1)] * 21, "at most 20"),
    ],
)
def test_a_wrong_condition_says_what_is_wrong(tables, people, conditions, words):
    with pytest.raises(BadInput, match=words):
        tables.select("people", (conditions, False), "", 5)


# Columns


def test_columns_are_renamed_moved_and_deleted_without_a_change_of_rows(tables, people):
    with changing(people):
        queries.change_column(people, "c1", "mail", 1)
        queries.drop_column(people, "c2")
        (new,) = queries.add_columns(people, [("total", "text")])
    assert [column.name for column in queries.columns_of(people)] == ["mail", "vip", "born", "more", "total"]
    assert new.id == "c6"  # not the id of the deleted one, whose cells are still there
    assert [row["total"] for row in tables.select("people", EVERYTHING, "", 9)] == [None] * 4
    tables.update("people", ([("mail", "eq", "ada@x.org")], False), {"total": "x"}, None)
    assert "c2" not in select(DataTable.find(people.id))[0].cells


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 61, *SYSTEM, 5])
def test_a_column_needs_a_good_name(people, name):
    with pytest.raises(BadInput), changing(people):
        queries.add_columns(people, [(name, "text")])


def test_names_are_taken_once(people):
    with pytest.raises(Conflict, match="already has a column"), changing(people):
        queries.add_columns(people, [("Email", "text")])
    with pytest.raises(Conflict, match="already has a table"):
        queries.make_table("ws_1", "people")
    assert queries.make_table("ws_2", "people").name == "people"


def test_a_table_has_bounds(tables, people, monkeypatch):
    with pytest.raises(Conflict, match="at most 50 columns"), changing(people):
        queries.add_columns(people, [(f"n{number}", "text") for number in range(46)])
    with pytest.raises(TooLarge, match="bytes"):
        tables.insert("people", [{"email": "x" * MAX_CELLS}], None)
    with pytest.raises(TooLarge, match="1,000 rows"):
        tables.insert("people", [{}] * (MAX_WRITTEN + 1), None)
    monkeypatch.setattr(queries, "MAX_ROWS", 5)
    with pytest.raises(TooLarge, match="more than 5 rows"):
        tables.insert("people", [{}, {}], None)
    assert tables.count("people", EVERYTHING) == DataRow.select().count() == 4


@pytest.mark.parametrize(
    ("type_", "value", "expected"),
    [
        ("text", 12, "12"),
        ("text", True, "true"),
        ("number", 1e300, 1e300),
        ("number", "", None),
        ("boolean", False, False),
        ("date", datetime(2026, 1, 2, 3, tzinfo=UTC), "2026-01-02T03:00:00.000Z"),
        ("date", "2026-01-02", "2026-01-02T00:00:00.000Z"),
        ("json", [{"a": None}], [{"a": None}]),
    ],
)
def test_a_value_is_stored_in_one_form(type_, value, expected):
    assert to_cell(TableColumn("c1", "a", type_), value) == expected


@pytest.mark.parametrize(
    ("type_", "value"),
    [("text", {"a": 1}), ("number", "12"), ("number", True), ("number", float("inf")), ("number", 2**70)]
    + [("boolean", "yes"), ("boolean", 1), ("date", "tomorrow"), ("date", 5)],
)
def test_a_value_of_another_type_is_refused(type_, value):
    with pytest.raises(BadInput, match="^a: "):
        to_cell(TableColumn("c1", "a", type_), value)


@pytest.mark.parametrize(
    ("texts", "type_"),
    [
        (["1", "", "-2.5", "1e3"], "number"),
        (["01067", "10115"], "text"),
        (["yes", "No"], "boolean"),
        (["2026-01-01", "2026-01-02 10:00"], "date"),
        (["2026-01-01", "x"], "text"),
        (["", ""], "text"),
    ],
)
def test_the_type_of_a_column_is_guessed_from_its_texts(texts, type_):
    assert guess_type_of_texts(texts) == type_


# Writes


def test_an_upsert_updates_or_inserts_by_a_column_and_gives_it_an_index(tables, people):
    tables.upsert("people", [{"email": "ada@x.org", "total": 1}, {"email": "new@x.org", "total": 2}], "email", None)
    assert totals(tables) == [1, 3, -7, 100, 2]
    assert tables.select("people", ([("email", "eq", "ada@x.org")], False), "", 5)[0]["vip"] is True
    assert [column.name for column in queries.columns_of(DataTable.find(people.id)) if column.indexed] == ["email"]
    assert DataKey.select().count() == 4  # an empty text has none


def test_an_index_follows_every_change(tables, people):
    by_email = ([("email", "eq", "ada@x.org")], False)
    tables.upsert("people", [{"email": "ada@x.org"}], "email", None)
    tables.update("people", by_email, {"email": "eve@x.org"}, None)
    assert tables.count("people", by_email) == 0
    assert totals(tables, ("email", "eq", "eve@x.org")) == [12.5]
    assert tables.delete("people", ([("email", "eq", "eve@x.org")], False), None) == 1
    tables.insert("people", [{"email": "ada@x.org", "total": 9}], None)
    assert totals(tables, *by_email[0]) == [9]
    assert DataKey.select().count() == 3


def test_a_write_with_a_key_is_done_once(tables, people):
    for _ in range(2):
        (row,) = tables.insert("people", [{"total": 5}], "run_1:a:0")
        assert tables.increment("people", ([("total", "eq", 5)], False), "total", 2, "run_1:b:0") == {
            "updated": 1,
            "value": 7,
        }
        assert tables.delete("people", ([("vip", "eq", False)], False), "run_1:c:0") == 1
        assert tables.update("people", ([("total", "eq", 100)], False), {"total": 101}, "run_1:d:0") == 1
    assert totals(tables) == [12.5, -7, 101, 7]
    assert tables.select("people", ([("id", "eq", row["id"])], False), "", 5)[0]["total"] == 7
    tables.insert("people", [{"total": 5}], "run_2:a:0")
    assert tables.count("people", EVERYTHING) == 5


def test_a_write_that_fails_leaves_nothing_and_may_be_repeated(tables, people):
    with pytest.raises(BadInput):
        tables.insert("people", [{"total": 1}, {"total": "no"}], "run_1:a:0")
    assert DataWrite.select().count() == 0
    assert tables.count("people", EVERYTHING) == 4
    tables.insert("people", [{"total": 1}], "run_1:a:0")
    assert totals(tables)[4:] == [1]


def test_what_is_missing_is_made_if_wanted(tables):
    with pytest.raises(NotFound, match="no table 'visits'"):
        tables.insert("visits", [{"page": "home"}], None)
    tables.insert("visits", [{"page": "home", "n": 1}, {"page": "docs", "at": {"x": 1}}], None, True)
    assert tables.describe() == [
        {
            "name": "visits",
            "columns": [
                {"name": "page", "type": "text"},
                {"name": "n", "type": "number"},
                {"name": "at", "type": "json"},
            ],
            "rows": 2,
        }
    ]


@pytest.mark.parametrize(
    "write",
    [
        lambda tables: tables.update("people", EVERYTHING, {"total": 0}, None),
        lambda tables: tables.delete("people", EVERYTHING, None),
        lambda tables: tables.increment("people", EVERYTHING, "total", 1, None),
    ],
)
def test_a_change_without_conditions_is_refused(tables, people, write):
    with pytest.raises(BadInput, match="where: is required"):
        write(tables)
    assert totals(tables) == [12.5, 3, -7, 100]


def test_writers_at_the_same_time_lose_nothing(tables, people):
    def work(number):
        tables.increment("people", ([("email", "eq", "ada@x.org")], False), "total", 1, None)
        tables.insert("people", [{"total": number}], f"key {number % 3}")
        tables.upsert("people", [{"email": "same@x.org", "total": number}], "email", None)

    at_once(6, work)
    assert totals(tables, ("email", "eq", "ada@x.org")) == [18.5]
    assert tables.count("people", ([("email", "eq", "same@x.org")], False)) == 1
    assert tables.count("people", EVERYTHING) == DataTable.find(people.id).row_count == DataRow.select().count() == 8


def test_secrets_are_redacted_in_cells(people):
    tables = WorkspaceTables("ws_1", lambda text: text.replace(b"s3cret", b"***"))
    for _ in range(2):
        (row,) = tables.upsert("people", [{"email": "s3cret", "total": 1}], "email", None)
        assert row["email"] == "***"
    assert tables.count("people", EVERYTHING) == 5


def test_a_deleted_table_leaves_nothing(tables, people):
    tables.upsert("people", [{"email": "a"}], "email", "k")
    assert queries.remove_table(people)
    assert [model.select().count() for model in (DataTable, DataRow, DataKey, DataWrite)] == [0, 0, 0, 0]
    with pytest.raises(NotFound):
        tables.insert("people", [{}], None)


def test_without_the_pack_the_store_of_a_node_has_no_tables(monkeypatch):
    monkeypatch.setattr(registry, "tables", "")
    with pytest.raises(NodeError, match="tables are not available"):
        WorkspaceStore("ws_1").tables.count("people", EVERYTHING)
