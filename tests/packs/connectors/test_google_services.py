"""What the connectors of Google's other services do beyond their files."""

import pytest
from connector_stub import answer

from errors import NodeError

DRIVE = "https://www.googleapis.com/drive/v3"


def test_a_search_in_drive_escapes_what_is_searched(call_service):
    config = {"name": "Ann's \\ file", "folder": "1F", "kind": "image", "changed_after": "2026-01-01T00:00:00Z"}
    _, seen = call_service("google_drive", "search_files", config, answer({"files": []}))
    assert seen[0]["query"]["q"] == (
        r"name contains 'Ann\'s \\ file' and '1F' in parents and mimeType contains 'image/' "
        "and modifiedTime > '2026-01-01T00:00:00Z' and trashed = false"
    )


def test_a_search_in_drive_reads_its_pages(call_service):
    pages = answer({"files": [{"id": "1"}], "nextPageToken": "p2"}), answer({"files": [{"id": "2"}]})
    output, seen = call_service("google_drive", "search_files", {"query": "fullText contains 'x'"}, *pages)
    assert [each["id"] for each in output] == ["1", "2"]
    assert seen[1]["query"]["pageToken"] == "p2"
    assert "orderBy" not in seen[0]["query"]


@pytest.mark.parametrize(
    ("kind", "wanted", "name", "type_"),
    [("document", "pdf", "Notes.pdf", "application/pdf"), ("spreadsheet", None, "Notes.xlsx", "spreadsheetml.sheet")],
)
def test_documents_of_google_are_exported(call_service, kind, wanted, name, type_):
    about = answer({"id": "1F", "name": "Notes", "mimeType": f"application/vnd.google-apps.{kind}"})
    content = answer("content", **{"Content-Type": "application/pdf"})
    config = {"file": "1F", **({"export_as": wanted} if wanted else {})}
    output, seen = call_service("google_drive", "download_file", config, about, content)
    assert seen[1]["url"] == f"{DRIVE}/files/1F/export"
    assert seen[1]["query"]["mimeType"].endswith(type_)
    assert output["path"] == f"downloads/{name}"


def test_what_cannot_be_exported_is_an_error(call_service):
    about = answer({"id": "1F", "name": "Site", "mimeType": "application/vnd.google-apps.site"})
    with pytest.raises(NodeError, match="a site of Google cannot be downloaded"):
        call_service("google_drive", "download_file", {"file": "1F"}, about)


def test_an_upload_without_an_address_is_an_error(call_service):
    with pytest.raises(NodeError, match="no address for the upload"):
        call_service("google_drive", "create_from_text", {"name": "a.txt", "text": "x"}, answer(""))


def test_the_text_of_a_document_has_its_tables_and_tabs(call_service):
    def paragraph(text):
        return {"paragraph": {"elements": [{"textRun": {"content": text}}, {"inlineObjectElement": {}}]}}

    cells = [{"content": [paragraph("a\n")]}, {"content": [paragraph("b\n")]}]
    table = {"table": {"tableRows": [{"tableCells": cells}]}}
    inner = {"documentTab": {"body": {"content": [paragraph("Below\n")]}}}
    first = {"documentTab": {"body": {"content": [paragraph("Title\n"), table]}}, "childTabs": [inner]}
    output, _ = call_service(
        "google_docs", "get_document", {"document": "1D"}, answer({"documentId": "1D", "tabs": [first]})
    )
    assert output["text"] == "Title\na\tb\nBelow\n"


def test_a_document_in_a_folder_is_made_by_drive(call_service):
    config = {"title": "Notes", "folder": "https://drive.google.com/drive/folders/1Dir?usp=sharing"}
    output, seen = call_service("google_docs", "create_document", config, answer({"id": "1D"}))
    assert seen[0]["body"]["parents"] == ["1Dir"]
    assert output["id"] == "1D"


def test_a_query_that_takes_long_is_waited_for(call_service):
    job = {"projectId": "acme", "jobId": "j1", "location": "EU"}
    inner = [{"name": "name", "type": "STRING"}, {"name": "size", "type": "FLOAT"}]
    columns = [
        {"name": "id", "type": "INTEGER"}, {"name": "ok", "type": "BOOLEAN"},
        {"name": "tags", "type": "STRING", "mode": "REPEATED"},
        {"name": "who", "type": "RECORD", "fields": inner},
    ]  # fmt: skip
    row = {
        "f": [{"v": "1"}, {"v": "true"}, {"v": [{"v": "a"}, {"v": "b"}]}, {"v": {"f": [{"v": "Ann"}, {"v": "1.5"}]}}]
    }
    last = {"f": [{"v": "2"}, {"v": None}, {"v": []}, {"v": None}]}
    done = {"jobReference": job, "jobComplete": True, "schema": {"fields": columns}}
    answers = (
        answer({"jobReference": job, "jobComplete": False}), answer({**done, "rows": [row], "pageToken": "p2"}),
        answer({**done, "rows": [last]}),
    )  # fmt: skip
    config = {"project": "acme", "query": "SELECT 1", "parameters": {"ids": [1, 2]}}
    output, seen = call_service("google_bigquery", "run_query", config, *answers)
    assert output == [
        {"id": 1, "ok": True, "tags": ["a", "b"], "who": {"name": "Ann", "size": 1.5}},
        {"id": 2, "ok": None, "tags": [], "who": None},
    ]
    assert seen[0]["body"]["queryParameters"] == [
        {
            "name": "ids",
            "parameterType": {"type": "ARRAY", "arrayType": {"type": "INT64"}},
            "parameterValue": {"arrayValues": [{"value": "1"}, {"value": "2"}]},
        }
    ]
    assert [each["query"].get("pageToken") for each in seen[1:]] == [None, "p2"]


def test_a_report_is_read_page_by_page_and_sorted(call_service, monkeypatch):
    monkeypatch.setattr("packs.connectors.services.google_analytics.PAGE", 3)

    def page(count):
        values = [{"dimensionValues": [{"value": "Japan"}], "metricValues": [{"value": "2.5"}]}] * count
        return answer(
            {"dimensionHeaders": [{"name": "country"}], "metricHeaders": [{"name": "revenue"}], "rows": values}
        )

    config = {
        "property": "properties/123", "metrics": ["revenue"], "dimensions": ["country"], "order": "-revenue",
        "max_items": 4,
    }  # fmt: skip
    output, seen = call_service("google_analytics", "run_report", config, page(3), page(1))
    assert (len(output), output[0]) == (4, {"country": "Japan", "revenue": 2.5})
    assert [(each["body"]["offset"], each["body"]["limit"]) for each in seen] == [("0", "3"), ("3", "1")]
    assert seen[0]["body"]["orderBys"] == [{"metric": {"metricName": "revenue"}, "desc": True}]


def test_own_playlists_are_listed_without_a_channel(call_service):
    output, seen = call_service("youtube", "list_playlists", {}, answer({"items": [{"id": "PL1"}]}))
    assert (seen[0]["query"]["mine"], output) == ("true", [{"id": "PL1"}])
