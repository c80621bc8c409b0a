"""Google Docs: text of documents, and changes to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nodes.fields import text_of
from packs.connectors.operation import ConnectorExchange

LINK = "https://docs.google.com/document/d/{}/edit"


def create_document(x: ConnectorExchange) -> dict[str, Any]:
    """Create a document, in a folder if one is given. Return `{"id", "title", "url"}`."""
    given = x.inputs
    if "folder" in given:
        about = {
            "name": given["title"],
            "mimeType": "application/vnd.google-apps.document",
            "parents": [given["folder"]],
        }
        query = {"supportsAllDrives": "true", "fields": "id"}
        id_ = x.read(x.send("POST", x.operation["url"], query=query, body=about))["id"]
    else:
        id_ = x.read(x.send("POST", "/documents", body={"title": given["title"]}))["documentId"]
    if "text" in given:
        _change(x, id_, {"insertText": {"endOfSegmentLocation": {}, "text": given["text"]}})
    return {"id": id_, "title": given["title"], "url": LINK.format(id_)}


def get_document(x: ConnectorExchange) -> dict[str, Any]:
    """Return the document, or `{"id", "title", "text", "url"}`."""
    found = x.read(x.send("GET", "/documents/{document}", query={"includeTabsContent": "true"}))
    if x.inputs["give"] == "full":
        return dict(found)
    text = "".join(text for tab in found.get("tabs", []) for text in _tab_texts(tab))
    id_ = found["documentId"]
    return {"id": id_, "title": found.get("title", ""), "text": text, "url": LINK.format(id_)}


def _tab_texts(tab: Mapping[str, Any]) -> Iterator[str]:
    yield from _texts(tab.get("documentTab", {}).get("body", {}).get("content", []))
    for inner in tab.get("childTabs", []):
        yield from _tab_texts(inner)


def _texts(content: list[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the texts of a document's content; cells of tables are divided by tabs."""
    for part in content:
        for element in part.get("paragraph", {}).get("elements", []):
            yield element.get("textRun", {}).get("content", "")
        for row in part.get("table", {}).get("tableRows", []):
            cells = ["".join(_texts(cell.get("content", []))).strip() for cell in row.get("tableCells", [])]
            yield "\t".join(cells) + "\n"
        yield from _texts(part.get("tableOfContents", {}).get("content", []))


def append_text(x: ConnectorExchange) -> dict[str, Any]:
    """Add text at the end. Return `{"id", "url"}`."""
    start = "\n" if x.inputs["new_paragraph"] else ""
    place = {"tabId": x.inputs["tab"]} if "tab" in x.inputs else {}
    id_ = x.inputs["document"]
    _change(x, id_, {"insertText": {"endOfSegmentLocation": place, "text": start + x.inputs["text"]}})
    return {"id": id_, "url": LINK.format(id_)}


def insert_text(x: ConnectorExchange) -> dict[str, Any]:
    """Put text at a position. Return `{"id", "url"}`."""
    place = {"index": x.inputs["index"], **({"tabId": x.inputs["tab"]} if "tab" in x.inputs else {})}
    id_ = x.inputs["document"]
    _change(x, id_, {"insertText": {"location": place, "text": x.inputs["text"]}})
    return {"id": id_, "url": LINK.format(id_)}


def replace_text(x: ConnectorExchange) -> dict[str, Any]:
    """Replace texts everywhere. Return `{"id", "url", "replaced"}`, with the number of replaced places."""
    id_, case = x.inputs["document"], x.inputs["match_case"]
    changes = [
        {"replaceAllText": {"containsText": {"text": old, "matchCase": case}, "replaceText": text_of(new)}}
        for old, new in x.inputs["values"].items()
    ]
    replies = _change(x, id_, *changes).get("replies", [])
    replaced = sum(reply.get("replaceAllText", {}).get("occurrencesChanged", 0) for reply in replies)
    return {"id": id_, "url": LINK.format(id_), "replaced": replaced}


def _change(x: ConnectorExchange, id_: str, *changes: Mapping[str, Any]) -> dict[str, Any]:
    path = x.url("/documents/{document}:batchUpdate", {"document": id_})
    return dict(x.read(x.send("POST", path, body={"requests": list(changes)}, part=":change")))
