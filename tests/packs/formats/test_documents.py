"""Spreadsheets and PDF files: real files are read, broken and hostile files are refused."""

import io
import time
import tracemalloc
import zipfile
import zlib
from datetime import date, datetime

import openpyxl
import pytest
from contract import Case, Contract
from pypdf import PdfReader, PdfWriter

from errors import NodeError
from packs.formats import spreadsheet

SHEET = "xl/worksheets/sheet1.xml"


@pytest.fixture
def ctx(make_ctx):
    return make_ctx()[0]


@pytest.fixture
def put(ctx):
    """Return a function that writes a file of the workspace and returns its path."""

    def write(content, path="in/file"):
        ctx.files.max_bytes = 20 * 2**20
        ctx.files.write(path, content)
        return path

    return write


def book(*rows, title="Sheet1"):
    """Return a real xlsx file with these rows."""
    made = openpyxl.Workbook()
    made.active.title = title
    for row in rows:
        made.active.append(row)
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


def with_part(content, name, part):
    """Return the zip with one of its parts replaced."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for item in old.namelist():
            new.writestr(item, part if item == name else old.read(item))
    return file.getvalue()


# Reading spreadsheets


def test_rows_become_objects_with_the_header_names_as_keys(run, put, ctx):
    put(
        book(["id", "total", "at", "paid"], [1, 9.5, date(2026, 5, 1), True], [2, None, datetime(2026, 5, 2, 8), False])
    )
    assert run("spreadsheet", {"operation": "read", "file": "in/file"}, ctx=ctx) == [
        {"id": 1, "total": 9.5, "at": "2026-05-01T00:00:00", "paid": True},
        {"id": 2, "total": None, "at": "2026-05-02T08:00:00", "paid": False},
    ]


def test_unnamed_and_duplicate_columns_get_unique_names(run, put, ctx):
    put(book(["a", None, "a"], [1, 2, 3]))
    assert run("spreadsheet", {"operation": "read", "file": "in/file"}, ctx=ctx) == [{"a": 1, "column 2": 2, "a 2": 3}]


def test_without_a_header_rows_are_lists_and_empty_rows_are_dropped(run, put, ctx):
    put(book(["a", 1], [None, None], ["b", 2]))
    config = {"operation": "read", "file": {"path": "in/file"}, "header": False}
    assert run("spreadsheet", config, ctx=ctx) == [["a", 1], ["b", 2]]


def test_a_sheet_is_selected_by_name(run, put, ctx):
    put(book(["a"], [1], title="May"))
    assert run("spreadsheet", {"operation": "read", "file": "in/file", "sheet": "May"}, ctx=ctx) == [{"a": 1}]
    with pytest.raises(NodeError, match="has no sheet 'June'; its sheets are: May"):
        run("spreadsheet", {"operation": "read", "file": "in/file", "sheet": "June"}, ctx=ctx)


# Writing spreadsheets


def test_written_items_can_be_read_again(run, ctx):
    items = [{"id": 1, "name": "Ü"}, {"id": 2, "tags": ["a", "b"]}]
    done = run("spreadsheet", {"operation": "write", "file": "out/a.xlsx"}, items, ctx=ctx)
    assert done["name"] == "a.xlsx" and done["content_type"].endswith("spreadsheetml.sheet")
    assert run("spreadsheet", {"operation": "read", "file": done}, ctx=ctx) == [
        {"id": 1, "name": "Ü", "tags": None},
        {"id": 2, "name": None, "tags": '["a", "b"]'},
    ]


def test_text_is_never_a_formula(run, ctx):
    run("spreadsheet", {"operation": "write", "file": "a.xlsx", "items": [{"a": '=HYPERLINK("http://x")'}]}, ctx=ctx)
    sheet = openpyxl.load_workbook(io.BytesIO(ctx.files.read("a.xlsx"))).active
    assert (sheet["A2"].value, sheet["A2"].data_type) == ('=HYPERLINK("http://x")', "s")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"items": "text"}, "items: must be a list"),
        ({"items": [1]}, r"items\[0\]: must be an object or a list"),
        ({"items": [], "sheet": "a/b"}, "must not contain /"),
        ({"items": [[0] * 1_001], "header": False}, "more than 1000 columns"),
        ({"items": [], "file": 7}, "file: must be a path"),
    ],
)
def test_invalid_items_are_refused_and_no_file_is_written(run, ctx, config, message):
    with pytest.raises(NodeError, match=message):
        run("spreadsheet", {"operation": "write", "file": "a.xlsx", **config}, ctx=ctx)
    assert ctx.files.list() == []


# Hostile spreadsheets


def refused(run, ctx, message, type_="spreadsheet", **config):
    """Assert that reading fails quickly and permanently with this message."""
    began = time.monotonic()
    if type_ == "spreadsheet":
        config = {"operation": "read", **config}
    with pytest.raises(NodeError, match=message) as caught:
        run(type_, {"file": "in/file", **config}, ctx=ctx)
    assert caught.value.permanent and time.monotonic() - began < 15


def test_a_file_that_is_not_a_spreadsheet_is_refused(run, put, ctx):
    put(b"a,b\n1,2\n")
    refused(run, ctx, "is not a readable xlsx file")
    put(with_part(book(["a"]), "[Content_Types].xml", b"nonsense"))
    refused(run, ctx, "not a readable xlsx file")


def test_a_zip_bomb_is_refused_before_it_is_unzipped(run, put, ctx):
    put(with_part(book(["a"]), SHEET, b"0" * (65 * 2**20)))
    refused(run, ctx, "when unzipped")


def test_a_zip_with_a_false_size_is_refused(run, put, ctx):
    bomb = with_part(book(["a"]), SHEET, b"<worksheet>" + b" " * (40 * 2**20))
    size = (40 * 2**20 + 11).to_bytes(4, "little")
    assert bomb.count(size) == 2
    put(bomb.replace(size, (100).to_bytes(4, "little")))
    refused(run, ctx, "not a readable xlsx file")


@pytest.mark.slow
def test_a_part_with_a_false_size_is_read_only_to_the_declared_size(run, put, ctx):
    """Libraries read whole parts, and Python unzips a whole part before it checks the declared size."""
    content, name = book(["a"], ["b"]), "[Content_Types].xml"
    part = zipfile.ZipFile(io.BytesIO(content)).read(name)
    true = len(part).to_bytes(4, "little"), zlib.crc32(part).to_bytes(4, "little")
    bomb = with_part(content, name, part + b" " * (200 * 2**20))
    info = zipfile.ZipFile(io.BytesIO(bomb)).getinfo(name)
    bomb = bomb.replace(info.file_size.to_bytes(4, "little"), true[0]).replace(info.CRC.to_bytes(4, "little"), true[1])
    put(bomb)
    tracemalloc.start()
    try:
        # Call the reader in this process: tracemalloc does not see the memory of another process.
        options = {"sheet": None, "max_rows": 10, "max_columns": 10}
        assert spreadsheet.read(options, bomb) == ({"rows": [["a"], ["b"]]}, ())
        assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    finally:
        tracemalloc.stop()
    assert run("spreadsheet", {"operation": "read", "file": "in/file"}, ctx=ctx) == [{"a": "b"}]


def test_a_part_with_another_compression_is_refused(run, put, ctx):
    """bzip2 can unzip a few bytes to an unlimited size in one step."""
    file = io.BytesIO(book(["a"]))
    with zipfile.ZipFile(file, "a", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("more.xml", b"0" * 1000)
    put(file.getvalue())
    refused(run, ctx, "uses a compression")


def test_an_xml_bomb_is_refused(run, put, ctx):
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "ha">{entities}]><worksheet>&a9;</worksheet>'
    put(with_part(book(["a"]), SHEET, bomb.encode()))
    refused(run, ctx, "not a readable xlsx file")


def test_a_cell_at_the_last_row_is_refused_by_the_row_limit(run, put, ctx):
    far = (
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><dimension ref="A1:XFD1048576"/>'
        '<sheetData><row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData></worksheet>'
    )
    put(with_part(book(["a"]), SHEET, far.encode()))
    refused(run, ctx, "more than 100000 rows")


def test_the_deadline_holds_while_reading(run, put, make_ctx):
    ctx, _ = make_ctx(seconds=0)
    put(book(["a"]))
    ctx.files.write("in/file", book(["a"], [1]))
    with pytest.raises(NodeError, match="timed out"):
        run("spreadsheet", {"operation": "read", "file": "in/file"}, ctx=ctx)


def slow_book():
    """Return a file of some KB with one row that takes the library many seconds to read."""
    start = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1">'
    return with_part(book(["a"]), SHEET, start + b"<c><v>1</v></c>" * 3_000_000 + b"</row></sheetData></worksheet>")


@pytest.mark.slow
def test_a_slow_file_ends_at_the_timeout_without_using_the_servers_processor_time(run, put, make_ctx):
    content = slow_book()
    assert len(content) < 100_000
    ctx, _ = make_ctx(seconds=2)
    ctx.files.write("in/file", content)
    begun, used = time.monotonic(), time.process_time()
    with pytest.raises(NodeError, match="takes longer than"):
        run("spreadsheet", {"operation": "read", "file": "in/file"}, ctx=ctx)
    assert time.monotonic() - begun < 30
    assert time.process_time() - used < 1


# PDF

TEXT = b"BT /F1 18 Tf 20 100 Td (Invoice 2026-17) Tj ET"
OBJECTS = (
    b"<</Type/Catalog/Pages 2 0 R>>",
    b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
    b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]/Contents 5 0 R/Resources<</Font<</F1 4 0 R>>>>>>",
    b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
)


def page(content=TEXT, more=b""):
    """Return a PDF of one page, written by hand: its objects and their offsets."""
    stream = b"<</Length %d%s>> stream\n%s\nendstream" % (len(content), more, content)
    made, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate((*OBJECTS, stream), 1):
        offsets.append(len(made))
        made += b"%d 0 obj %s endobj\n" % (number, body)
    rows = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    table = b"xref\n0 6\n0000000000 65535 f \n" + rows
    return made + table + b"trailer <</Root 1 0 R/Size 6>>\nstartxref\n%d\n%%%%EOF\n" % len(made)


PDF = page()


def pdf(pages=1, password=None, **info):
    writer = PdfWriter()
    for _ in range(pages):
        writer.append(PdfReader(io.BytesIO(PDF)))
    writer.add_metadata({f"/{name.capitalize()}": value for name, value in info.items()})
    if password:
        writer.encrypt(password, algorithm="AES-256")
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


def test_a_pdf_is_read_as_text_by_page(run, put, ctx):
    put(pdf(pages=2, title="Invoice", author="Shop"))
    assert run("pdf", {"file": "in/file"}, ctx=ctx) == {
        "text": "Invoice 2026-17\n\nInvoice 2026-17",
        "pages": ["Invoice 2026-17", "Invoice 2026-17"],
        "page_count": 2,
        "info": {"title": "Invoice", "author": "Shop", "producer": "pypdf"},
    }
    assert len(run("pdf", {"file": "in/file", "max_pages": 1}, ctx=ctx)["pages"]) == 1


def test_a_locked_pdf_opens_with_its_password(run, put, ctx):
    put(pdf(password="hunter2"))
    assert run("pdf", {"file": "in/file", "password": "hunter2"}, ctx=ctx)["text"] == "Invoice 2026-17"
    for wrong in ({}, {"password": "other"}):
        refused(run, ctx, "protected by a password", "pdf", **wrong)


@pytest.mark.parametrize(
    "content",
    [
        b"hello",
        b"",
        b"%PDF-1.4\n" + b"x" * 10_000,
        PDF.replace(b"/Kids[3 0 R]", b"/Kids[2 0 R]"),
    ],
)
def test_a_file_that_is_not_a_pdf_is_refused(run, put, ctx, content):
    put(content)
    refused(run, ctx, "is not a readable PDF", "pdf")


@pytest.mark.slow
def test_a_pdf_with_a_stream_that_unzips_too_large_is_refused(run, put, ctx):
    put(page(zlib.compress(b" " * (200 * 2**20), 9), b"/Filter/FlateDecode"))
    refused(run, ctx, "is not a readable PDF: Limit reached", "pdf")


@pytest.mark.parametrize("name", ["a.csv", "A.CSV", "a.xls"])
def test_a_spreadsheet_is_written_only_to_an_xlsx_file_name(run, make_ctx, name):
    ctx, _ = make_ctx()
    with pytest.raises(NodeError, match=r"must end in \.xlsx"):
        run("spreadsheet", {"operation": "write", "file": name, "items": [{"a": 1}]}, ctx=ctx)
    assert ctx.need_files().list() == []


def test_a_secret_from_an_expression_is_not_written_to_a_spreadsheet(run, make_ctx):
    ctx, _ = make_ctx(credentials={"key": ("secret", {"value": "hunter2"}, ["example.com"])})
    assert ctx.keyring["key"] == "hunter2"
    with pytest.raises(NodeError, match="the credential 'key' may not be sent to a file of the workspace") as caught:
        run("spreadsheet", {"operation": "write", "file": "a.xlsx", "items": [{"key": "hunter2"}]}, ctx=ctx)
    assert caught.value.permanent and ctx.files.list() == []


@pytest.fixture
def case_spreadsheet():
    return Case(config={"operation": "write", "file": "a.xlsx", "items": [{"a": 1}]})


class TestTheSpreadsheetKeepsTheContract(Contract):
    type_ = "spreadsheet"
