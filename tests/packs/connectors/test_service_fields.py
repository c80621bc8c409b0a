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
        (lambda first, source, listed: source.update(inputs={"table": "base"}), "unknown input 'base'"),
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


def test_notion_has_the_properties_of_the_data_source(read_fields):
    id_ = "d9824bdc-8445-4327-be8b-5b47500af6ce"
    database = {"object": "database", "id": id_, "data_sources": [{"id": "src1", "name": "Tasks"}]}
    properties = {
        "Task name": {"id": "title", "name": "Task name", "type": "title", "title": {}},
        "Status": {"id": "a", "name": "Status", "type": "status", "status": {
            "options": [{"id": "1", "name": "Not started", "color": "default"}, {"id": "2", "name": "Done"}],
            "groups": [{"id": "g", "name": "To-do", "option_ids": ["1"]}]}},
        "Priority": {"id": "b", "name": "Priority", "type": "select", "select": {"options": [{"name": "High"}]}},
        "Tags": {"id": "c", "name": "Tags", "type": "multi_select", "multi_select": {"options": [{"name": "Tea"}]}},
        "Due date": {"id": "d", "name": "Due date", "type": "date", "date": {}},
        "Points": {"id": "e", "name": "Points", "type": "number", "number": {"format": "number"}},
        "Urgent": {"id": "f", "name": "Urgent", "type": "checkbox", "checkbox": {}},
        "Made": {"id": "g", "name": "Made", "type": "created_time", "created_time": {}},
        "Sum": {"id": "h", "name": "Sum", "type": "formula", "formula": {"expression": "1"}},
        "Owner": {"id": "i", "name": "Owner", "type": "people", "people": {}},
    }  # fmt: skip
    source = {"object": "data_source", "id": "src1", "properties": properties}
    for operation in ("create_database_page", "update_page"):
        answers = answer(database), answer(source)
        found, _, seen = read_fields("notion", operation, "properties", {"database": id_}, *answers)
        assert seen[1]["url"] == "https://api.notion.com/v1/data_sources/src1"
        assert brief(found) == {
            "Task name": ("Task name", "string", []),
            "Status": ("Status", "choice", [("Not started", "Not started"), ("Done", "Done")]),
            "Priority": ("Priority", "choice", [("High", "High")]),
            "Tags": ("Tags", "array", [("Tea", "Tea")]),
            "Due date": ("Due date", "date", []),
            "Points": ("Points", "number", []),
            "Urgent": ("Urgent", "boolean", []),
            "Owner": ("Owner", "array", []),
        }


def test_hubspot_has_the_properties_that_people_may_set(read_fields):
    both = {"groupName": "info", "description": "", "displayOrder": -1, "formField": True, "hidden": False}
    writable = {"modificationMetadata": {"archivable": True, "readOnlyDefinition": True, "readOnlyValue": False}}
    readable = {"modificationMetadata": {"archivable": False, "readOnlyDefinition": True, "readOnlyValue": True}}
    stages = [
        {"label": "Lead", "value": "lead", "displayOrder": 1, "hidden": False},
        {"label": "X", "value": "x", "hidden": True},
    ]
    results = [
        {"name": "email", "label": "Email", "type": "string", "fieldType": "text", "options": [], **both, **writable},
        {"name": "lifecyclestage", "label": "Lifecycle Stage", "type": "enumeration", "fieldType": "radio",
         "options": stages, **both, **writable},
        {"name": "closed", "label": "Closed", "type": "date", "fieldType": "date", "options": [], **both, **writable},
        {"name": "met", "label": "Met", "type": "datetime", "fieldType": "date", "options": [], **both, **writable},
        {"name": "size", "label": "Size", "type": "number", "fieldType": "number", "options": [], **both, **writable},
        {"name": "hs_score", "label": "Score", "type": "number", "fieldType": "calculation_score", **both, **readable},
        {"name": "old", "label": "Old", "type": "string", "fieldType": "text", **both, **writable, "hidden": True},
    ]  # fmt: skip
    for operation, kind_ in (("create_contact", "contacts"), ("update_company", "companies"), ("create_deal", "deals")):
        found, _, seen = read_fields("hubspot", operation, "properties", {}, answer({"results": results}))
        assert seen[0]["url"] == f"https://api.hubapi.com/crm/v3/properties/{kind_}"
        assert brief(found) == {
            "email": ("Email", "string", []),
            "lifecyclestage": ("Lifecycle Stage", "choice", [("lead", "Lead")]),
            "closed": ("Closed", "date", []),
            "met": ("Met", "date-time", []),
            "size": ("Size", "number", []),
        }


def test_salesforce_describes_the_fields_that_may_be_created_or_changed(read_fields):
    free = {"createable": True, "updateable": True, "nillable": True, "defaultedOnCreate": False, "picklistValues": []}
    statuses = [
        {"active": True, "defaultValue": True, "label": "Open", "value": "Open - Not Contacted"},
        {"active": False, "defaultValue": False, "label": "Old", "value": "Old"},
    ]
    fields = [
        {**free, "name": "Id", "label": "Lead ID", "type": "id", "createable": False, "updateable": False},
        {**free, "name": "Status", "label": "Status", "type": "picklist", "picklistValues": statuses,
         "nillable": False, "defaultedOnCreate": True},
        {**free, "name": "LastName", "label": "Last Name", "type": "string", "nillable": False},
        {**free, "name": "AnnualRevenue", "label": "Annual Revenue", "type": "currency", "updateable": False},
        {**free, "name": "Address", "label": "Address", "type": "address"},
        {**free, "name": "HasOptedOutOfEmail", "label": "Email Opt Out", "type": "boolean", "inlineHelpText": "None"},
    ]  # fmt: skip
    body = answer({"name": "Lead", "fields": fields})
    config = {"object": "Lead"}
    created, _, seen = read_fields("salesforce", "create_record", "fields", config, body)
    assert seen[0]["url"].endswith("/sobjects/Lead/describe")
    assert brief(created) == {
        "LastName": ("Last Name", "string", []),
        "Status": ("Status", "choice", [("Open - Not Contacted", "Open")]),
        "AnnualRevenue": ("Annual Revenue", "number", []),
        "HasOptedOutOfEmail": ("Email Opt Out", "boolean", []),
    }
    assert [field["value"] for field in created if field["required"]] == ["LastName"]
    for operation in ("update_record", "upsert_record"):
        changed, _, _ = read_fields("salesforce", operation, "fields", config, body)
        assert [field["value"] for field in changed] == ["Status", "LastName", "HasOptedOutOfEmail"]
        assert not any(field["required"] for field in changed)


def test_jira_has_the_further_fields_of_the_issue_type(read_fields):
    types = {"issueTypes": [{"id": "10001", "name": "Task"}, {"id": "10002", "name": "Bug"}], "total": 2}
    custom = "com.atlassian.jira.plugin.system.customfieldtypes:"
    fields = [
        {"fieldId": "summary", "name": "Summary", "required": True, "schema": {"type": "string"}},
        {"fieldId": "components", "name": "Components", "required": True, "hasDefaultValue": False,
         "schema": {"type": "array", "items": "component", "system": "components"},
         "allowedValues": [{"self": "https://x", "id": "10000", "name": "Shop"}]},
        {"fieldId": "customfield_1", "name": "Size", "required": False,
         "schema": {"type": "option", "custom": f"{custom}select", "customId": 1},
         "allowedValues": [{"self": "https://x", "value": "Large", "id": "10010"}]},
        {"fieldId": "customfield_2", "name": "Notes", "required": False,
         "schema": {"type": "string", "custom": f"{custom}textarea", "customId": 2}},
        {"fieldId": "customfield_3", "name": "Team", "required": True, "hasDefaultValue": True,
         "schema": {"type": "string", "custom": f"{custom}textfield", "customId": 3}},
        {"fieldId": "duedate", "name": "Due date", "required": False, "schema": {"type": "date", "system": "duedate"}},
        {"fieldId": "customfield_4", "name": "Points", "required": False, "schema": {"type": "number", "customId": 4}},
        {"fieldId": "customfield_5", "name": "Words", "schema": {"type": "array", "items": "string"}},
    ]  # fmt: skip
    config = {"project": "SHOP", "type": "bug"}
    answers = answer(types), answer({"fields": fields, "total": 8})
    found, _, seen = read_fields("jira", "create_issue", "fields", config, *answers)
    assert [one["url"].rpartition("/rest/api/3")[2] for one in seen] == [
        "/issue/createmeta/SHOP/issuetypes", "/issue/createmeta/SHOP/issuetypes/10002",
    ]  # fmt: skip
    assert brief(found) == {
        "components": ("Components", "array", [({"id": "10000"}, "Shop")]),
        "customfield_1": ("Size", "choice", [({"id": "10010"}, "Large")]),
        "customfield_2": ("Notes", "object", []),
        "customfield_3": ("Team", "string", []),
        "duedate": ("Due date", "date", []),
        "customfield_4": ("Points", "number", []),
        "customfield_5": ("Words", "array", []),
    }
    assert [field["value"] for field in found if field["required"]] == ["components"]
    with pytest.raises(NodeError, match="the project has no issue type 'Epic'; it has Task, Bug"):
        read_fields("jira", "update_issue", "fields", {**config, "type": "Epic"}, answer(types))


def test_pipedrive_has_the_custom_fields_with_the_ids_of_choices(read_fields):
    code = "dcf558aac1ae4e8c4f849ba5e668430d8df9be12"
    own = {"description": "", "is_custom_field": True, "is_optional_response_field": False, "subfields": None}
    data = [
        {"field_name": "Title", "field_code": "title", "field_type": "varchar", "is_custom_field": False},
        {"field_name": "Tea", "field_code": code, "field_type": "enum", "options": [{"id": 27, "label": "Pu"}], **own},
        {"field_name": "Teas", "field_code": "a1", "field_type": "set", "options": [{"id": 28, "label": "Oo"}], **own},
        {"field_name": "Budget", "field_code": "b2", "field_type": "monetary", "options": None, **own},
        {"field_name": "Next", "field_code": "c3", "field_type": "date", "options": None, **own},
        {"field_name": "Cups", "field_code": "d4", "field_type": "double", "options": None, **own},
    ]  # fmt: skip
    body = answer({"success": True, "data": data, "additional_data": {"next_cursor": None}})
    for operation, path in (("create_deal", "dealFields"), ("update_person", "personFields")):
        found, _, seen = read_fields("pipedrive", operation, "custom_fields", {}, body)
        assert seen[0]["url"] == f"https://api.pipedrive.com/api/v2/{path}"
        assert brief(found) == {
            code: ("Tea", "choice", [(27, "Pu")]),
            "a1": ("Teas", "array", [(28, "Oo")]),
            "b2": ("Budget", "object", []),
            "c3": ("Next", "date", []),
            "d4": ("Cups", "number", []),
        }


def test_pipedrive_gets_custom_fields_by_their_codes(call_service):
    config = {"title": "Tea", "custom_fields": {"a1": [28], "b2": {"value": 5, "currency": "EUR"}}}
    _, seen = call_service("pipedrive", "create_deal", config, answer({"success": True, "data": {"id": 7}}))
    assert seen[0]["body"] == config


def test_clickup_has_the_custom_fields_of_the_list_and_gets_their_ids(read_fields, call_service):
    fields = [
        {"id": "f1", "name": "Text Field", "type": "text", "type_config": {}, "date_created": "1577378759142"},
        {"id": "f2", "name": "Stage", "type": "drop_down", "required": True, "type_config": {
            "default": 0, "placeholder": None, "options": [{"id": "o1", "name": "Ready", "orderindex": 0}]}},
        {"id": "f3", "name": "Tags", "type": "labels", "type_config": {"options": [{"id": "l1", "label": "Tea"}]}},
        {"id": "f4", "name": "Paid", "type": "checkbox", "type_config": {}},
        {"id": "f5", "name": "Sum", "type": "formula", "type_config": {}},
        {"id": "f6", "name": "Price", "type": "currency", "type_config": {"precision": 2, "currency_type": "EUR"}},
    ]  # fmt: skip
    for operation in ("create_task", "set_custom_fields"):
        found, _, seen = read_fields(
            "clickup", operation, "custom_fields", {"list_id": "90"}, answer({"fields": fields})
        )
        assert seen[0]["url"] == "https://api.clickup.com/api/v2/list/90/field"
        assert brief(found) == {
            "f2": ("Stage", "choice", [("o1", "Ready")]),
            "f1": ("Text Field", "string", []),
            "f3": ("Tags", "array", [("l1", "Tea")]),
            "f4": ("Paid", "boolean", []),
            "f6": ("Price", "number", []),
        }
    config = {"list_id": "90", "name": "Call", "custom_fields": {"f1": "x", "f3": ["l1"]}}
    _, seen = call_service("clickup", "create_task", config, answer({"id": "t"}))
    assert seen[0]["body"]["custom_fields"] == [{"id": "f1", "value": "x"}, {"id": "f3", "value": ["l1"]}]
    config = {"task_id": "t", "custom_fields": {"f1": "x", "f/2": "o1"}}
    _, seen = call_service("clickup", "set_custom_fields", config, answer({}), answer({}))
    assert [(one["url"].rpartition("/task/")[2], one["body"]) for one in seen] == [
        ("t/field/f1", {"value": "x"}), ("t/field/f%2F2", {"value": "o1"}),
    ]  # fmt: skip


def test_baserow_has_the_fields_of_the_table_that_can_be_set(read_fields):
    fields = [
        {"id": 1, "table_id": 12, "name": "Name", "order": 0, "type": "text", "primary": True, "read_only": False},
        {"id": 2, "name": "Kind", "type": "single_select", "read_only": False,
         "select_options": [{"id": 1, "value": "Green", "color": "blue"}]},
        {"id": 3, "name": "Tags", "type": "multiple_select", "select_options": [{"id": 2, "value": "A"}]},
        {"id": 4, "name": "Due", "type": "date", "date_include_time": False, "read_only": False},
        {"id": 5, "name": "Call at", "type": "date", "date_include_time": True, "read_only": False},
        {"id": 6, "name": "Total", "type": "formula", "formula": "1", "read_only": True},
        {"id": 7, "name": "Paid", "type": "boolean", "read_only": False},
    ]  # fmt: skip
    config = {"table": 12}
    found, _, seen = read_fields("baserow", "create_row", "fields", config, answer(fields))
    assert seen[0]["url"].endswith("/api/database/fields/table/12/")
    assert brief(found) == {
        "Name": ("Name", "string", []),
        "Kind": ("Kind", "choice", [("Green", "Green")]),
        "Tags": ("Tags", "array", [("A", "A")]),
        "Due": ("Due", "date", []),
        "Call at": ("Call at", "date-time", []),
        "Paid": ("Paid", "boolean", []),
    }


def test_nocodb_has_the_columns_of_the_table_that_can_be_set(read_fields):
    columns = [
        {"id": "c1", "title": "Id", "column_name": "id", "uidt": "ID", "pk": True, "rqd": True, "ai": True},
        {"id": "c2", "title": "Name", "column_name": "name", "uidt": "SingleLineText", "rqd": True, "cdf": None},
        {"id": "c3", "title": "Kind", "uidt": "SingleSelect", "rqd": 0, "colOptions": {"options": [
            {"id": "s1", "title": "Green", "color": "#cfdffe", "order": 1}]}},
        {"id": "c4", "title": "Sent", "uidt": "Checkbox", "rqd": False, "cdf": "0"},
        {"id": "c5", "title": "CreatedAt", "uidt": "CreatedTime", "system": True},
        {"id": "c6", "title": "nc_order", "uidt": "SingleLineText", "system": 1},
        {"id": "c7", "title": "Orders", "uidt": "Links", "virtual": True},
        {"id": "c8", "title": "Price", "uidt": "Decimal", "rqd": False, "system": 0},
    ]  # fmt: skip
    config = {"table": "m1"}
    found, _, seen = read_fields("nocodb", "create_record", "fields", config, answer({"id": "m1", "columns": columns}))
    assert seen[0]["url"].endswith("/api/v2/meta/tables/m1")
    assert brief(found) == {
        "Name": ("Name", "string", []),
        "Kind": ("Kind", "choice", [("Green", "Green")]),
        "Sent": ("Sent", "boolean", []),
        "Price": ("Price", "number", []),
    }
    assert [field["required"] for field in found] == [True, False, False, False]


def test_supabase_has_the_columns_that_the_api_describes(read_fields):
    table = {
        "required": ["id", "name", "state"], "type": "object",
        "properties": {
            "id": {"description": "Note:\nThis is a Primary Key.<pk/>", "format": "bigint", "type": "integer"},
            "state": {"default": "new", "enum": ["new", "done"], "format": "public.state", "type": "string"},
            "name": {"format": "text", "type": "string"},
            "tags": {"format": "text[]", "items": {"type": "string"}, "type": "array"},
            "paid_at": {"format": "timestamp with time zone", "type": "string"},
            "price": {"format": "numeric", "type": "number"},
            "more": {"format": "jsonb"},
        },
    }  # fmt: skip
    document = {"swagger": "2.0", "definitions": {"orders": table}, "paths": {}}
    config = {"table": "orders"}
    found, _, seen = read_fields("supabase", "create_rows", "rows", config, answer(document))
    assert seen[0]["url"].endswith("/rest/v1/")
    assert brief(found) == {
        "name": ("name", "string", []),
        "id": ("id", "integer", []),
        "state": ("state", "choice", [("new", "new"), ("done", "done")]),
        "tags": ("tags", "array", []),
        "paid_at": ("paid_at", "date-time", []),
        "price": ("price", "number", []),
        "more": ("more", "any", []),
    }
    assert [field["value"] for field in found if field["required"]] == ["name"]
    with pytest.raises(NodeError, match="the project has no table 'x'; it has orders"):
        read_fields("supabase", "update_rows", "values", {**config, "table": "x"}, answer(document))


def test_monday_has_the_columns_of_the_board_with_their_labels(read_fields):
    labels = [
        {"id": 0, "color": 0, "label": "Working on it", "index": 0, "is_done": False, "is_deactivated": False},
        {"id": 1, "color": 1, "label": "Old", "index": 2, "is_done": False, "is_deactivated": True},
    ]
    columns = [
        {"id": "name", "title": "Name", "type": "name", "settings": {}},
        {"id": "status", "title": "Status", "type": "status", "description": "How far", "settings": {"labels": labels}},
        {"id": "date4", "title": "Due", "type": "date", "settings": {}},
        {"id": "numbers", "title": "Price", "type": "numbers", "settings": {}},
        {"id": "person", "title": "Owner", "type": "people", "settings": {}},
        {"id": "f1", "title": "Sum", "type": "formula", "settings": {}},
    ]
    for operation in ("create_item", "update_item"):
        body = answer({"data": {"boards": [{"columns": columns}]}})
        found, _, seen = read_fields("monday", operation, "values", {"board": "12"}, body)
        assert seen[0]["body"]["variables"] == {"board": "12"}
        assert brief(found) == {
            "status": ("Status", "choice", [("Working on it", "Working on it")]),
            "date4": ("Due", "date", []),
            "numbers": ("Price", "number", []),
            "person": ("Owner", "object", []),
        }
