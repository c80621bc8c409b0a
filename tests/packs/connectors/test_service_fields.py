"""The fields of an object that a service describes, with answers as the services document them."""

import pytest
from connector_stub import HOST, Stub, aim, answer
from test_exchange import shop

from errors import NodeError
from packs.connectors import connector_files
from packs.connectors.file_schema import check
from packs.connectors.forms import MAX_CHOICES, MAX_OPTIONS, list_options
from packs.connectors.node import make

BEARER = ("http_bearer", {"token": "tok-1"})


@pytest.fixture
def read_fields(httpserver, make_ctx):
    """`read_fields(connector, operation, input, config, *answers)` returns the fields, whether there are more, and the
    requests. The connector is a file, or the type of one of ours.
    """

    def read(connector, operation, input_, config, *answers):
        type_, file = (
            (connector, connector_files.read(connector)) if isinstance(connector, str) else ("shop", connector)
        )
        stub = Stub(httpserver, answers)
        aimed = aim(file, stub.port)
        if BEARER[0] not in {way["type"] for way in aimed["auth"]}:
            aimed["auth"].append({"type": BEARER[0]})
        ctx, _ = make_ctx(credentials={"mine": (*BEARER, [HOST])})
        given = {"credential": "mine", **config}
        found, more = list_options(make(type_, aimed), operation, input_, given, ctx)
        return found, more, stub.seen

    return read


def brief(fields):
    """Return the fields in short: name, label, type, and the labels of choices by their values."""
    return {field["value"]: (field["label"], kind(field["schema"]), choices(field["schema"])) for field in fields}


def kind(schema):
    return schema.get("format") or ("choice" if "enum" in schema else schema.get("type", "any"))


def choices(schema):
    listed = schema.get("items", schema)
    return list(zip(listed.get("enum", []), listed.get("x-enum-labels", {}).values(), strict=True))


def lister(parts, **more):
    """Return a connector whose input `values` has the fields that `list_fields` returns."""
    source = {"operation": "list_fields", "inputs": {"table": "table"}, "of": "table", **more}
    table = {"table": {"title": "Table", "required": True}}
    values = {"values": {"title": "Values", "type": "object", "fields_from": source}}
    listed = {
        "id": "list_fields", "path": "/tables/{table}/fields", "list": True, "inputs": table,
        **({"fields": parts} if parts else {}),
    }  # fmt: skip
    return shop({"method": "POST", "path": "/tables/{table}", "inputs": {**table, **values}}, listed)


PARTS = {
    "name": "key", "also": "id", "label": "title", "help": "hint", "type": "kind", "required": "must",
    "choices": "choices[].{value: id, label: text}", "types": {"pick": "choice", "picks": "list", "sum": None},
}  # fmt: skip


def test_fields_have_labels_types_and_choices_and_required_ones_come_first(read_fields):
    described = [
        {"key": "a", "kind": "line"},
        {"key": "b", "title": "Bee", "kind": "pick", "choices": [{"id": 1, "text": "One"}, {"id": {"n": 2}}]},
        {"key": "c", "kind": "picks", "must": True, "choices": [{"id": "x", "text": "X"}]},
        {"key": "total", "kind": "sum"},
        {"key": "a", "kind": "again"},
        {"key": None}, {"key": "n" * 501}, "odd",
    ]  # fmt: skip
    connector = lister(PARTS)
    check(connector)
    found, more, seen = read_fields(connector, "do_it", "values", {"table": "t 1"}, answer(described))
    assert seen[0]["url"].endswith("/tables/t%201/fields") and not more
    assert [field["value"] for field in found] == ["c", "a", "b"]
    assert [field["required"] for field in found] == [True, False, False]
    assert brief(found) == {
        "c": ("c", "array", [("x", "X")]),
        "a": ("a", "string", []),
        "b": ("Bee", "choice", [(1, "One"), ({"n": 2}, '{"n": 2}')]),
    }
    assert list(found[2]["schema"]["x-enum-labels"]) == ["1", '{"n":2}']


def test_only_fields_that_fit_are_shown_and_none_is_required_for_a_change(read_fields):
    described = [{"key": "a", "must": True, "open": True}, {"key": "b", "must": True}]
    connector = lister({"name": "key", "required": "must"}, where="open", optional=True)
    check(connector)
    found, _, _ = read_fields(connector, "do_it", "values", {"table": "1"}, answer(described))
    assert [(field["value"], field["required"]) for field in found] == [("a", False)]


def test_fields_and_their_choices_are_bounded(read_fields):
    many = [{"id": number} for number in range(MAX_CHOICES + 1)]
    described = [{"key": f"f{number}"} for number in range(MAX_OPTIONS + 1)]
    described[0] |= {"kind": "pick", "choices": many, "title": "t" * 500, "hint": "h" * 500}
    found, more, _ = read_fields(lister(PARTS), "do_it", "values", {"table": "1"}, answer(described))
    assert len(found) == MAX_OPTIONS and more
    assert len(found[0]["label"]) == 200 and len(found[0]["schema"]["description"]) == 300
    assert "enum" not in found[0]["schema"]


def test_an_answer_of_another_form_has_no_fields(read_fields):
    connector = lister({"name": "key", "items": "fields", "choices": "kind", "type": "kind", "types": {"x": "choice"}})
    for body in ({"other": 1}, {"fields": "text"}, {"fields": [1, None, [2]]}):
        assert read_fields(connector, "do_it", "values", {"table": "1"}, answer([body]))[0] == []
    odd = shop(*connector["operations"])
    odd["operations"][1]["list"] = False
    found, _, _ = read_fields(
        odd, "do_it", "values", {"table": "1"}, answer({"fields": [{"key": {"a": 1}, "kind": "x"}]})
    )
    assert brief(found) == {'{"a": 1}': ('{"a": 1}', "string", [])}


def test_a_missing_setting_and_a_refusal_are_told(read_fields):
    with pytest.raises(NodeError, match="Fill in first: Table"):
        read_fields(lister(PARTS), "do_it", "values", {})
    with pytest.raises(NodeError, match="Google Sheets gave an answer of another form"):
        read_fields("google_sheets", "append_rows", "row", {"spreadsheet": "1"}, answer({"sheets": []}))
    with pytest.raises(NodeError, match="403"):
        read_fields(lister(PARTS), "do_it", "values", {"table": "1"}, answer({"message": "no"}, 403))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda first, source, listed: source.update(operation="gone"), "fields_from: there is no operation 'gone'"),
        (lambda first, source, listed: listed.pop("fields"), "the operation 'list_fields' has no fields"),
        (lambda first, source, listed: source.update(inputs={"base": "table"}), "has no input 'base'"),
        (lambda first, source, listed: source.update(inputs={"table": "base"}), "there is no input 'base'"),
        (lambda first, source, listed: source.update(inputs={}), "needs its input 'table'"),
        (lambda first, source, listed: source.update(where="a["), "fields_from.where"),
        (lambda first, source, listed: source.pop("of"), "fields_from.of: missing data"),
        (lambda first, source, listed: listed.update(fields={"label": "b"}), "fields.name: missing data"),
        (
            lambda first, source, listed: listed["fields"].update(types={"a": "colour"}),
            "fields.types.a: must be one of",
        ),
        (
            lambda first, source, listed: first.update(type="string"),
            "only an input of the type object or any has fields",
        ),
    ],
)
def test_a_mistake_in_a_file_is_told_with_its_place(change, said):
    connector = lister(PARTS)
    first = connector["operations"][0]["inputs"]["values"]
    first["fields_from"] = source = dict(first["fields_from"])
    listed = connector["operations"][1]
    listed["fields"] = dict(PARTS)
    change(first, source, listed)
    with pytest.raises(ValueError) as caught:
        check(connector)
    assert said in str(caught.value)


def test_google_sheets_have_the_names_in_the_header_row(read_fields):
    header = {"range": "Orders!A2:Z2", "majorDimension": "ROWS", "values": [["Name", "E-Mail", "", 2026]]}
    config = {"spreadsheet": "https://docs.google.com/spreadsheets/d/1AbC/edit", "sheet": "Orders", "header_row": 2}
    found, _, seen = read_fields("google_sheets", "append_rows", "row", config, answer(header))
    assert seen[0]["url"].endswith("/spreadsheets/1AbC/values/%27Orders%27%212%3A2")
    assert brief(found) == {name: (name, "string", []) for name in ("Name", "E-Mail", "column 3", "2026")}
    found, _, _ = read_fields("google_sheets", "update_rows", "row", config, answer(header))
    assert [field["value"] for field in found][:2] == ["row_number", "Name"]
    empty = {"range": "Orders!A1:Z1", "majorDimension": "ROWS"}
    assert read_fields("google_sheets", "update_rows", "row", config, answer(empty))[0] == []


def test_airtable_has_the_fields_of_the_table_that_can_be_set(read_fields):
    fields = [
        {"id": "fld1", "name": "Name", "type": "singleLineText", "description": "Of the task"},
        {"id": "fld2", "name": "Status", "type": "singleSelect",
         "options": {"choices": [{"id": "sel1", "name": "New", "color": "blueLight2"}, {"id": "s2", "name": "Done"}]}},
        {"id": "fld3", "name": "Tags", "type": "multipleSelects", "options": {"choices": [{"id": "s3", "name": "A"}]}},
        {"id": "fld4", "name": "Due", "type": "date", "options": {"dateFormat": {"name": "local", "format": "l"}}},
        {"id": "fld5", "name": "Done", "type": "checkbox", "options": {"icon": "check", "color": "greenBright"}},
        {"id": "fld6", "name": "Price", "type": "currency", "options": {"precision": 2, "symbol": "$"}},
        {"id": "fld7", "name": "Age", "type": "formula", "options": {"isValid": True, "formula": "NOW()"}},
        {"id": "fld8", "name": "Notes", "type": "multilineText"},
        {"id": "fld9", "name": "Number", "type": "autoNumber"},
    ]  # fmt: skip
    tables = {
        "tables": [{"id": "tbl0", "name": "Other", "fields": []}, {"id": "tbl1", "name": "Tasks", "fields": fields}]
    }
    for table in ("tbl1", "Tasks"):
        found, _, seen = read_fields(
            "airtable", "create_record", "fields", {"base": "app1", "table": table}, answer(tables)
        )
        assert seen[0]["url"] == "https://api.airtable.com/v0/meta/bases/app1/tables"
        assert brief(found) == {
            "Name": ("Name", "string", []),
            "Status": ("Status", "choice", [("New", "New"), ("Done", "Done")]),
            "Tags": ("Tags", "array", [("A", "A")]),
            "Due": ("Due", "date", []),
            "Done": ("Done", "boolean", []),
            "Price": ("Price", "number", []),
            "Notes": ("Notes", "string", []),
        }
        assert found[0]["also"] == "fld1" and found[0]["schema"]["description"] == "Of the task"
    with pytest.raises(NodeError, match="the base has no table 'Gone'; it has Other, Tasks"):
        read_fields("airtable", "update_record", "fields", {"base": "app1", "table": "Gone"}, answer(tables))
