"""Tables over HTTP: columns, rows, pages, CSV."""

import csv
import io
import json
from io import BytesIO
from urllib.parse import quote

import pytest
from strict_answers import check_shape

from packs.tables import api

pytestmark = pytest.mark.usefixtures("shared_server")

COLUMNS = [
    {"name": "email"},
    {"name": "total", "type": "number"},
    {"name": "paid", "type": "boolean"},
    {"name": "due", "type": "date"},
]


@pytest.fixture
def table(owner):
    """The address of a table without rows."""
    return f"/api/tables/{owner.post('/api/tables', {'name': 'orders', 'columns': COLUMNS}).json['id']}"


def add(client, table, *rows):
    answer = client.post(f"{table}/rows", {"rows": list(rows)})
    assert answer.status_code == 201, answer.text
    return answer.json["items"]


def rows_of(client, table, *conditions, **query):
    if conditions:
        query["filter"] = json.dumps(
            [dict(zip(("column", "operator", "value"), one, strict=False)) for one in conditions]
        )
    text = "&".join(f"{name}={quote(str(value))}" for name, value in query.items())
    return client.get(f"{table}/rows?{text}")


def totals(answer):
    return [row["values"]["total"] for row in answer.json["items"]]


def send_csv(client, table, text, **form):
    content = text if isinstance(text, bytes) else text.encode()
    return client.post(f"{table}/import", data={"file": (BytesIO(content), "may.csv"), **form})


# Tables and columns


def test_a_table_is_made_shown_renamed_and_deleted(owner):
    made = owner.post("/api/tables", {"name": " orders ", "columns": COLUMNS})
    assert made.status_code == 201, made.text
    address = f"/api/tables/{made.json['id']}"
    assert [(column["id"], column["type"]) for column in made.json["columns"]] == [
        ("c1", "text"),
        ("c2", "number"),
        ("c3", "boolean"),
        ("c4", "date"),
    ]
    assert owner.get("/api/tables").json["items"] == [owner.get(address).json] == [made.json]
    assert (made.json["name"], made.json["row_count"]) == ("orders", 0)
    check_shape(owner.post("/api/tables", {"name": "orders"}), 409)
    assert owner.patch(address, {"name": "sales"}).json["name"] == "sales"
    assert owner.delete(address).status_code == 204
    check_shape(owner.get(address), 404)


def test_columns_are_added_renamed_moved_and_deleted(owner, table):
    added = owner.post(f"{table}/columns", {"name": "note", "type": "json"})
    assert added.status_code == 201
    owner.patch(f"{table}/columns/c5", {"name": "notes", "position": 0})
    left = owner.delete(f"{table}/columns/c3").json
    assert [column["name"] for column in left["columns"]] == ["notes", "email", "total", "due"]
    check_shape(owner.post(f"{table}/columns", {"name": "Total"}), 409)
    check_shape(owner.post(f"{table}/columns", {"name": "id"}), 400)
    check_shape(owner.post(f"{table}/columns", {"name": "x", "type": "money"}), 400)
    check_shape(owner.patch(f"{table}/columns/c9", {"name": "x"}), 404)


def test_a_foreign_table_is_403(owner, other, table):
    check_shape(other.get(table), 403)
    check_shape(other.get(f"{table}/rows"), 403)


# Rows


def test_rows_are_added_changed_and_deleted(owner, table):
    (row,) = add(owner, table, {"email": "ada@x.org", "total": "12.5", "paid": "yes", "due": "2026-01-02"})
    assert row["values"] == {"email": "ada@x.org", "total": 12.5, "paid": True, "due": "2026-01-02T00:00:00.000Z"}
    changed = owner.patch(f"{table}/rows/{row['id']}", {"values": {"total": None, "email": "eve@x.org"}})
    assert changed.json["values"] == {**row["values"], "total": None, "email": "eve@x.org"}
    assert owner.get(f"{table}/rows/{row['id']}").json == changed.json
    assert owner.get(table).json["row_count"] == 1
    assert owner.delete(f"{table}/rows/{row['id']}").status_code == 204
    check_shape(owner.patch(f"{table}/rows/{row['id']}", {"values": {}}), 404)
    ids = [row["id"] for row in add(owner, table, *[{"total": n} for n in range(3)])]
    assert owner.post(f"{table}/rows/delete", {"ids": [*ids[:2], "row_none"]}).json == {"deleted": 2}
    assert totals(rows_of(owner, table)) == [2]


def test_a_wrong_value_adds_no_row_and_is_named(owner, table):
    answer = owner.post(f"{table}/rows", {"rows": [{"total": 1}, {"total": "much"}]})
    assert check_shape(answer, 400) == 'total: "much" is not a number'
    assert "no column 'sum'" in check_shape(owner.post(f"{table}/rows", {"rows": [{"sum": 1}]}), 400)
    assert rows_of(owner, table).json["total"] == 0


def test_pages_filters_and_orders(owner, table):
    add(owner, table, *[{"total": n, "email": f"u{n % 2}@x.org"} for n in (3, 1, 2)], {"email": "u1@x.org"})
    found, cursor = [], ""
    while cursor is not None:
        answer = rows_of(owner, table, sort="-total", limit=2, cursor=cursor)
        assert answer.status_code == 200, answer.text
        found, cursor = [*found, *totals(answer)], answer.json["next_cursor"]
        assert answer.json["total"] == 4
    assert found == [3, 2, 1, None]
    assert totals(rows_of(owner, table, ("email", "eq", "u1@x.org"), ("total", "gte", 2))) == [3]
    assert totals(rows_of(owner, table, ("total", "empty"), ("total", "lt", 2), match="any")) == [1, None]


@pytest.mark.parametrize(
    "query", ["filter=x", "filter=[1]", 'filter=[{"column":"no"}]', "sort=no", "cursor=bm8", "cursor=W10", "limit=0"]
)
def test_a_query_that_cannot_be_is_400(owner, table, query):
    check_shape(owner.get(f"{table}/rows?{query}"), 400)


def test_viewers_see_tables_but_no_rows_and_operators_edit_rows_but_no_columns(member, owner, table):
    viewer, operator = member("viewer"), member("operator")
    assert viewer.get("/api/tables").json["items"][0]["row_count"] == 0
    check_shape(viewer.get(f"{table}/rows"), 403)
    check_shape(viewer.get(f"{table}/export"), 403)
    add(operator, table, {"total": 1})
    check_shape(operator.post(f"{table}/columns", {"name": "x"}), 403)
    check_shape(send_csv(operator, table, "total\n1\n"), 403)


# CSV


def test_a_csv_file_is_imported_by_its_headers(owner, table):
    text = '\ufeffEMAIL;Total;paid;due;unknown\r\nada@x.org;12.5;yes;2026-01-02;x\r\n"b;\n1";;no;;\r\n'
    answer = send_csv(owner, table, text)
    assert answer.json == {"imported": 2, "skipped": 0, "columns_added": [], "issues": []}
    first, second = rows_of(owner, table).json["items"]
    assert first["values"] == {"email": "ada@x.org", "total": 12.5, "paid": True, "due": "2026-01-02T00:00:00.000Z"}
    assert second["values"] == {"email": "b;\n1", "total": None, "paid": False, "due": None}
    assert owner.get(table).json["row_count"] == 2


def test_an_invalid_row_imports_nothing_and_is_named_by_its_line(owner, table):
    text = 'email,total\nada,1\n"two\nlines",x\nc,2,3\n'
    answer = send_csv(owner, table, text)
    assert check_shape(answer, 400).startswith('Nothing was imported. Line 4: total: "x" is not a number (and 1 more')
    assert [detail["path"] for detail in answer.json["details"]] == ["line 4", "line 5"]
    assert rows_of(owner, table).json["total"] == 0
    answer = send_csv(owner, table, text, skip_invalid="true")
    assert (answer.json["imported"], answer.json["skipped"]) == (1, 2)
    assert answer.json["issues"][1] == {"line": 5, "message": "has 3 values, but there are 2 headers"}


def test_headers_are_mapped_and_missing_columns_made_with_guessed_types(owner, table):
    text = "E-mail,Stock,Ordered,Notes,Zip\na@x.org,5,2026-02-01,x,01067\nb@x.org,2.5,2026-02-02,y,\n"
    mapping = json.dumps({"E-mail": "email", "Notes": None})
    check_shape(send_csv(owner, table, text, mapping=json.dumps({"E-mail": "mail"})), 400)
    answer = send_csv(owner, table, text, mapping=mapping, create_columns="true")
    assert answer.json["columns_added"] == ["Stock", "Ordered", "Zip"], answer.text
    made = {column["name"]: column["type"] for column in owner.get(table).json["columns"][4:]}
    assert made == {"Stock": "number", "Ordered": "date", "Zip": "text"}
    values = rows_of(owner, table).json["items"][0]["values"]
    assert (values["email"], values["Stock"], values["Zip"]) == ("a@x.org", 5, "01067")


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        ("", 400, "empty"),
        ("a,b\n1,2\n", 400, "none of the headers"),
        ("total,TOTAL\n1,2\n", 400, "two headers"),
        (b"email\n\xff\n", 400, "UTF-8"),
        ('email\n"a', 400, "not CSV"),
        ("email\n" + "x" * 200_000, 400, "not CSV"),
        ("email\n" + "a\n" * 6, 413, "more than 5 rows"),
        ("email\n" + "a" * 2_000, 413, "more than 1,000 bytes"),
    ],
)
def test_a_file_that_cannot_be_imported(owner, table, monkeypatch, content, status, words):
    monkeypatch.setattr(api, "MAX_ROWS", 5)
    if "1,000" in words:
        monkeypatch.setattr(api, "MAX_BYTES", 1_000)
    assert words in check_shape(send_csv(owner, table, content), status)
    assert rows_of(owner, table).json["total"] == 0


def test_an_export_guards_formulas_and_is_imported_again_as_it_was(owner, table):
    rows = [{"email": "=1+1", "total": -5}, {"email": 'a,"b"\n', "paid": True, "due": "2026-01-02"}, {"email": "'x"}]
    kept = [row["values"] for row in add(owner, table, *rows)]
    answer = owner.get(f"{table}/export")
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''orders.csv"
    assert answer.mimetype == "text/csv"
    assert "'=1+1,-5," in answer.text
    assert owner.get(f'{table}/export?filter=[{{"column":"total","operator":"lt","value":0}}]').text.count("\r\n") == 2
    copy = f"/api/tables/{owner.post('/api/tables', {'name': 'copy', 'columns': COLUMNS}).json['id']}"
    assert send_csv(owner, copy, answer.data).json["imported"] == 3
    assert [row["values"] for row in rows_of(owner, copy).json["items"]] == kept


STARTS = ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"]


def test_no_exported_cell_is_a_formula_and_an_import_restores_each_text(owner, table):
    texts = [f"{mark}{start}1+1" for start in STARTS for mark in ("", "'", "''")] + ["'x", "''", "'"]
    kept = [row["values"] for row in add(owner, table, *({"email": text} for text in texts))]
    exported = owner.get(f"{table}/export").data
    first, *rows = csv.DictReader(io.StringIO(exported.decode(), newline=""))
    assert not [cell for row in (first, *rows) for cell in row.values() if cell.startswith(tuple(STARTS))]
    copy = f"/api/tables/{owner.post('/api/tables', {'name': 'copy', 'columns': COLUMNS}).json['id']}"
    assert send_csv(owner, copy, exported).json["imported"] == len(texts)
    assert [row["values"] for row in rows_of(owner, copy).json["items"]] == kept


def test_a_column_named_like_a_formula_is_found_again(owner):
    columns = [{"name": "=1+1"}]
    tables = [owner.post("/api/tables", {"name": name, "columns": columns}).json["id"] for name in ("one", "two")]
    add(owner, f"/api/tables/{tables[0]}", {"=1+1": "a"})
    exported = owner.get(f"/api/tables/{tables[0]}/export").data
    assert b"'=1+1" in exported and send_csv(owner, f"/api/tables/{tables[1]}", exported).json["imported"] == 1
    assert rows_of(owner, f"/api/tables/{tables[1]}").json["items"][0]["values"] == {"=1+1": "a"}
