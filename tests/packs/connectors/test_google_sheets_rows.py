"""Google Sheets: rows by the names in the header row."""

import pytest
from connector_stub import answer

from errors import NodeError

BOOK = "https://sheets.googleapis.com/v4/spreadsheets/1AbC"
ORDERS = {"spreadsheet": "1AbC", "sheet": "Orders"}
VALUES = [["Name", "Amount", "State"], ["Ann", 5], ["", "", ""], ["Bob", 7, "new"]]


def values(lines=VALUES, start="A1"):
    return answer({"range": f"Orders!{start}:Z1000", "majorDimension": "ROWS", "values": lines})


def sheets(*properties):
    return answer({"sheets": [{"properties": each} for each in properties]})


def grid(title="Orders", columns=26, rows=1000):
    return {"sheetId": 4, "title": title, "index": 0, "gridProperties": {"rowCount": rows, "columnCount": columns}}


@pytest.fixture
def sheet(call_service):
    """`sheet(operation, config, *answers)` calls an operation of Google Sheets."""
    return lambda operation, config, *answers: call_service("google_sheets", operation, {**ORDERS, **config}, *answers)


def test_rows_have_their_numbers_and_empty_rows_are_left_out(sheet):
    output, _ = sheet("read_rows", {}, values())
    assert output == [
        {"row_number": 2, "Name": "Ann", "Amount": 5, "State": ""},
        {"row_number": 4, "Name": "Bob", "Amount": 7, "State": "new"},
    ]


def test_rows_of_a_range_have_the_numbers_of_the_sheet(sheet):
    output, seen = sheet("read_rows", {"range": "B10:D20"}, values(VALUES[:2], "B10"))
    assert seen[0]["url"] == f"{BOOK}/values/%27Orders%27%21B10%3AD20"
    assert [row["row_number"] for row in output] == [11]


def test_the_header_may_be_in_another_row(sheet):
    output, _ = sheet("read_rows", {"header_row": 3}, values([["Report"], [], ["Name"], ["Ann"]]))
    assert output == [{"row_number": 4, "Name": "Ann"}]


@pytest.mark.parametrize("where", [{"Amount": 7}, {"Amount": "7"}, {"Name": "Bob", "State": "new"}])
def test_rows_are_found_by_values(sheet, where):
    output, _ = sheet("read_rows", {"where": where}, values())
    assert [row["Name"] for row in output] == ["Bob"]


def test_only_rows_below_a_row_are_read(sheet):
    output, _ = sheet("read_rows", {"after_row": 2}, values())
    assert [row["row_number"] for row in output] == [4]


def test_an_unknown_column_is_named_with_those_that_exist(sheet):
    with pytest.raises(NodeError, match="no column 'Colour'; it has Name, Amount, State"):
        sheet("read_rows", {"where": {"Colour": "red"}}, values())


def test_an_empty_sheet_has_no_rows(sheet):
    assert sheet("read_rows", {"where": {"Name": "Ann"}}, answer({"range": "Orders!A1:Z1000"}))[0] == []


def test_the_first_sheet_is_read_if_none_is_named(call_service):
    answers = sheets(grid("It's new")), values()
    _, seen = call_service("google_sheets", "read_rows", {"spreadsheet": "1AbC"}, *answers)
    assert seen[1]["url"] == f"{BOOK}/values/%27It%27%27s%20new%27"


def test_new_columns_are_added_to_the_header(sheet):
    header, done = values([["Name"]]), answer({})
    output, seen = sheet("append_rows", {"rows": [{"Name": "Ann", "Tags": ["a"]}, {"Due": None}]}, header, done, done)
    assert (seen[1]["method"], seen[1]["url"]) == ("PUT", f"{BOOK}/values/%27Orders%27%21B1")
    assert seen[1]["body"]["values"] == [["Tags", "Due"]]
    assert seen[2]["body"]["values"] == [["Ann", '["a"]', None], [None, None, None]]
    assert output["rows"] == 2


@pytest.mark.parametrize(
    ("how", "sent"),
    [
        ("typed", ["'=IMPORTXML(A1)", "'+49 170 1", "-1.5", "'@x", 5]),
        ("formulas", ["=IMPORTXML(A1)", "+49 170 1", "-1.5", "@x", 5]),
        ("raw", ["=IMPORTXML(A1)", "+49 170 1", "-1.5", "@x", 5]),
    ],
)
def test_text_is_no_formula_unless_the_flow_says_so(sheet, how, sent):
    row = dict(zip("abcde", ["=IMPORTXML(A1)", "+49 170 1", "-1.5", "@x", 5], strict=True))
    _, seen = sheet("append_rows", {"rows": row, "values": how}, values([list("abcde")]), answer({}))
    assert seen[1]["body"]["values"] == [sent]
    assert seen[1]["query"]["valueInputOption"] == ("RAW" if how == "raw" else "USER_ENTERED")


def test_a_sheet_that_is_too_narrow_gets_more_columns(sheet):
    names = [f"c{number}" for number in range(26)]
    answers = values([names]), sheets(grid()), answer({"replies": [{}]}), answer({}), answer({})
    _, seen = sheet("append_rows", {"rows": {"c26": 1}}, *answers)
    assert seen[2]["body"] == {"requests": [{"appendDimension": {"sheetId": 4, "dimension": "COLUMNS", "length": 1}}]}
    assert seen[3]["url"].endswith("/values/%27Orders%27%21AA1")


@pytest.mark.parametrize(("how", "sent"), [("ignore", [["Ann", None, None]]), ("error", None)])
def test_columns_that_do_not_exist_can_be_left_out_or_refused(sheet, how, sent):
    config = {"rows": {"Name": "Ann", "Colour": "red"}, "new_columns": how}
    if sent is None:
        with pytest.raises(NodeError, match="no column 'Colour'"):
            sheet("append_rows", config, values())
    else:
        assert sheet("append_rows", config, values(), answer({}))[1][1]["body"]["values"] == sent


def test_rows_of_one_call_with_the_same_key_become_one_row(sheet):
    rows = [{"Name": "Cid", "Amount": 1}, {"Name": "Cid", "State": "old"}]
    appended = answer({"updates": {"updatedRange": "Orders!A5:C5"}})
    output, seen = sheet("append_or_update_rows", {"match": "Name", "rows": rows}, values(), appended)
    assert seen[1]["body"]["values"] == [["Cid", 1, "old"]]
    assert output == {"updated": 0, "appended": 1, "rows": [5]}


def test_every_row_that_matches_is_updated_and_the_rest_is_told(sheet):
    rows = [{"Amount": 7, "State": "sent"}, {"Amount": 99}]
    lines = [*VALUES, ["Cid", 7]]
    output, seen = sheet("update_rows", {"match": "Amount", "rows": rows}, values(lines), answer({}))
    assert [each["range"] for each in seen[1]["body"]["data"]] == ["'Orders'!A4:C4", "'Orders'!A5:C5"]
    assert seen[1]["body"]["data"][0]["values"] == [[None, 7, "sent"]]
    assert output == {"updated": 2, "not_found": 1, "rows": [4, 5]}


def test_a_row_is_updated_by_its_number(sheet):
    rows = {"row_number": 2, "State": ""}
    _, seen = sheet("update_rows", {"match": "row_number", "rows": rows}, values(), answer({}))
    assert seen[1]["body"]["data"] == [
        {"range": "'Orders'!A2:C2", "majorDimension": "ROWS", "values": [[None, None, ""]]}
    ]


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"match": "Name", "rows": [{"Amount": 1}]}, r"rows\[0\]: has no 'Name'"),
        ({"match": "Name", "rows": ["Ann"]}, r"rows\[0\]: must be an object"),
        ({"match": "Colour", "rows": [{"Colour": "red"}]}, "match: the sheet has no column 'Colour'"),
    ],
)
def test_rows_that_cannot_be_matched_are_refused(sheet, config, says):
    with pytest.raises(NodeError, match=says):
        sheet("update_rows", config, values())


def test_columns_are_deleted_by_their_letter(sheet):
    config = {"what": "columns", "start": "AB", "count": 2}
    _, seen = sheet("delete_rows", config, sheets(grid("Other"), grid()), answer({"replies": [{}]}))
    span = seen[1]["body"]["requests"][0]["deleteDimension"]["range"]
    assert span == {"sheetId": 4, "dimension": "COLUMNS", "startIndex": 27, "endIndex": 29}


def test_a_sheet_that_does_not_exist_is_told_with_those_that_do(sheet):
    with pytest.raises(NodeError, match="no sheet 'Orders'; it has 'March'"):
        sheet("delete_rows", {"start": "2"}, sheets(grid("March")))


@pytest.mark.parametrize("start", ["0", "A", "x1"])
def test_a_row_to_delete_must_be_a_number(sheet, start):
    with pytest.raises(NodeError, match="start:"):
        sheet("delete_rows", {"start": start})


def test_a_sheet_that_exists_may_be_used(call_service):
    config = {"spreadsheet": "1AbC", "title": "Orders", "if_exists": "use"}
    assert call_service("google_sheets", "create_sheet", config, sheets(grid()))[0] == {
        "id": 4,
        "title": "Orders",
        "index": 0,
    }
