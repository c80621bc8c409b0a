"""Markup in names and content is shown as text, and never becomes part of the page."""

import pytest
from playwright.sync_api import expect

LINK = "javascript:window.planted=1"
MARKUP = f'"><img src=x onerror=window.planted=1 class=planted><a href="{LINK}" class=planted>planted</a><script>'
PLANTED = """() => [...document.querySelectorAll("[href], [src], .planted")]
  .filter((one) => one.matches(".planted, [href^='javascript' i], [src^='data:text' i]")).map((one) => one.outerHTML)
  .concat(window.planted ? ["it ran"] : [])"""
SCHEMA = {
    "type": "object",
    "title": MARKUP,
    "properties": {"a": {"title": MARKUP, "description": MARKUP, "format": "uri"}},
}
NODES = [
    {"id": "begin", "type": "called", "name": MARKUP, "notes": MARKUP, "config": {"input_schema": SCHEMA}},
    {"id": "make", "type": "set", "name": MARKUP, "config": {"values": {"$ref": LINK, "bytes": 3, "html": MARKUP}}},
    {"id": "point", "type": "set", "config": {"values": {"$ref": LINK, "bytes": 3}}},
    {"id": "tell", "type": "log", "config": {"message": MARKUP, "data": {MARKUP: LINK}}},
    {"id": "ask", "type": "approval", "name": MARKUP, "config": {"message": MARKUP}},
    {"id": "end", "type": "stop", "config": {"message": MARKUP}},
]
IDS = [node["id"] for node in NODES]
FLOW = {"nodes": NODES, "edges": [*zip(IDS, IDS[1:-1], strict=False), ("ask", "end", "approved")]}
PAGES = [
    *("/flows", "/flows/:flow?node=make&run=:failed", "/flows/:flow/versions", "/runs/:waiting"),
    *("/runs/:failed?node=point", "/agents/planted", "/logs", "/audit"),
]


@pytest.fixture(scope="module")
def ids(server):
    """Fill a workspace with objects that have markup as name and content. Return their ids by name."""
    call = server.call
    flow = call("POST", "/api/flows", {"name": MARKUP, "definition": FLOW})["id"]
    begin = f"/api/workflows/{flow}/run?wait=30"
    waiting, failed = (call("POST", begin, {"input": {"a": LINK, "b": MARKUP}})["id"] for _ in range(2))
    call("POST", f"/api/runs/{failed}/resume", {"answer": "approved", "comment": MARKUP})
    call("POST", "/api/agents", {"id": "planted", "name": MARKUP, "description": MARKUP, "instructions": MARKUP})
    call("POST", "/api/credentials", {"name": MARKUP, "type": "secret", "data": {"value": "x"}})
    session = server.session()
    call("POST", "/api/tokens", {"name": MARKUP}, headers=session)
    member = {"email": "planted@example.com", "role": "viewer", "password": "long enough", "name": MARKUP}
    call("POST", "/api/members", member, headers=session)
    return {"flow": flow, "waiting": waiting, "failed": failed}


def test_markup_is_shown_as_text(page, log_in, ids):
    log_in(page)
    for path in PAGES:
        for name, id_ in ids.items():
            path = path.replace(f":{name}", id_)
        page.goto(path)
        expect(page.locator("body")).to_contain_text("onerror=")
        assert page.evaluate(PLANTED) == [], path
