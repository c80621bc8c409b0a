"""A flow with a draft whose publishing is scheduled, for tests of every route."""

from database.base import now_ms
from fields import iso

DEFINITION = {"nodes": [{"id": "a", "type": "noop"}], "edges": []}


def with_draft(client, flow):
    """Give the flow a draft whose publishing is scheduled. Return its id."""
    body = {"definition": DEFINITION, "base_version": 1, "revision": 0}
    assert client.put(f"/api/workflows/{flow['id']}/draft", body).status_code == 200
    at = {"at": iso(now_ms() + 86_400_000)}
    assert client.post(f"/api/workflows/{flow['id']}/publish", at).status_code == 202
    return flow["id"]
