"""The key-value store over HTTP."""

import pytest
from error_shape import check_shape

from database.queries.store import WorkspaceStore

pytestmark = pytest.mark.usefixtures("shared_server")


def test_entries_of_the_store_are_listed_set_and_deleted(owner):
    store = WorkspaceStore(owner.workspace.id)
    for key in ("rates/chf", "rates/usd", "visits"):
        store.set(key, {"n": 1})
    answer = owner.put("/api/store/rates/eur", {"value": [1, None], "ttl": 60})
    assert answer.status_code == 200 and answer.json["value"] == [1, None] and answer.json["expires_at"]
    assert store.get("rates/eur") == [1, None]
    page = owner.get("/api/store?prefix=rates/&limit=2").json
    assert [entry["key"] for entry in page["items"]] == ["rates/chf", "rates/eur"]
    page = owner.get(f"/api/store?prefix=rates/&limit=2&cursor={page['next_cursor']}").json
    assert ([entry["key"] for entry in page["items"]], page["next_cursor"]) == (["rates/usd"], None)
    assert owner.delete("/api/store/visits").status_code == 204
    check_shape(owner.delete("/api/store/visits"), 404)
    check_shape(owner.put("/api/store/big", {"value": "x" * 100_000}), 413)
