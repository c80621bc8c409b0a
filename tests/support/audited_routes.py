"""Which entry each route leaves in the audit log, and the routes that leave none."""

from test_every_route import OWN_THINGS, is_on

APPROVAL = {"nodes": [{"id": "ask", "type": "approval", "config": {"message": "Pay?"}}], "edges": []}
FAILS = {"nodes": [{"id": "a", "type": "stop", "config": {"message": "no"}}], "edges": []}
HOOK = {"nodes": [{"id": "hook", "type": "webhook", "config": {"path": "tried"}}], "edges": []}
DOCUMENT = {"openapi": "3.1.0", "info": {"title": "Pet store"}, "paths": {"/pets": {"get": {}}}}
AGENT = {"id": "mine", "name": "Mine", "instructions": "Do.", "model": "test"}
BEARER = {"name": "shop", "type": "http_bearer", "data": {"token": "t"}}
PASSWORD = "correct horse battery"

# Unsafe routes that leave no entry, and why.
WITHOUT_ENTRY = {
    "POST /api/logs": "the log entry is the record; programs write many",
    "POST /api/credentials/<credential>/connect": "changes nothing yet; the answer of the service has an entry",
    **{f"POST /api/{path}": "changes nothing" for path in ("workflows/validate", "agents/validate", "import/curl")},
    **dict.fromkeys(("POST /api/expressions/preview", "POST /api/invitations/look"), "changes nothing"),
    "PUT /api/workflows/<flow>/draft": "changes no flow, and the editor saves often; publishing has an entry",
    **{f"{method} /api/workflows/<flow>/presence": "changes nothing that lasts" for method in ("PUT", "DELETE")},
    **dict.fromkeys(OWN_THINGS, "is seen by the user alone"),
    "POST /api/connectors/<connector>/options": "changes nothing",
    "POST /forms/<slashes:path>": "visitors send them in any number; the run is the record",
    "POST /forms-test/<flow>/<slashes:path>": "is a test call, which its listener has an entry for",
    "POST /mcp": "programs run flows by it in any number; what it cancels has an entry, see below",
    **{
        f"{method} /api/{path}<slashes:path>": "programs call them in any number; the run is the record"
        for method in ("POST", "PUT", "PATCH", "DELETE")
        for path in ("webhooks/", "webhooks-test/<flow>/")
    },
}
# What each of the others leaves, with a body for which it does its work.
LEAVES = {
    "POST /api/auth/login": ("session.opened", {"email": "owner@example.org", "password": PASSWORD}),
    "PATCH /api/auth/session": ("session.moved", {"workspace_id": "<workspace>"}),
    "DELETE /api/auth/session": ("session.closed", None),
    "PATCH /api/profile": ("profile.changed", {"name": "Ada"}),
    "DELETE /api/profile/sessions/<session_id>": ("session.closed", None),
    "POST /api/workspaces": ("workspace.created", {"name": "Second"}),
    "PATCH /api/workspaces/<workspace>": ("workspace.renamed", {"name": "Renamed"}),
    "POST /api/members": ("member.added", {"email": "new@example.org", "role": "viewer", "password": PASSWORD}),
    "PATCH /api/members": ("member.changed", {"user_id": "<member>", "role": "editor"}),
    "POST /api/members/password": ("password.reset", {"user_id": "<member>", "password": PASSWORD}),
    "DELETE /api/members": ("member.removed", {"user_id": "<member>"}),
    "POST /api/invitations": ("invitation.created", {"email": "ada@example.org", "role": "viewer"}),
    "POST /api/invitations/redeem": ("invitation.accepted", {"token": "<invited>", "password": PASSWORD}),
    "DELETE /api/invitations/<invitation>": ("invitation.withdrawn", None),
    "POST /api/tokens": ("token.created", {"name": "t"}),
    "DELETE /api/tokens/<token>": ("token.withdrawn", None),
    "POST /api/flows": ("flow.created", {"name": "A"}),
    "PUT /api/workflows/<flow>": ("flow.updated", {"name": "B"}),
    "DELETE /api/workflows/<flow>": ("flow.deleted", None),
    "POST /api/flows/labels": ("flow.updated", {"ids": ["<flow>"], "folder": "Shop"}),
    "POST /api/folders/move": ("folder.moved", {"folder": "Billing", "to": "Finance"}),
    "POST /api/workflows/<flow>/run": ("run.started", {}),
    "POST /api/workflows/<flow>/restore": ("flow.restored", {"version": 1}),
    "PATCH /api/workflows/<flow>/versions/<int(max=999999999):number>": ("flow.version_named", {"name": "Easter"}),
    "DELETE /api/workflows/<flow>/draft": ("flow.draft_discarded", None),
    "POST /api/workflows/<flow>/publish": ("flow.published", {}),
    "DELETE /api/workflows/<flow>/publish": ("flow.publish_cancelled", None),
    "POST /api/workflows/<flow>/test-call": ("flow.listened", {"definition": HOOK}),
    "DELETE /api/workflows/<flow>/test-call": ("flow.unlistened", None),
    "POST /api/templates/<name>/use": ("flow.created", {}),
    "POST /api/runs": ("run.recorded", {"workflow_id": "<flow>"}),
    "DELETE /api/runs/<run>": ("run.deleted", None),
    "POST /api/runs/<run>/cancel": ("run.cancelled", {}),
    "POST /api/runs/<run>/retry": ("run.retried", {"from": "start"}),
    "POST /api/runs/<run>/resume": ("run.answered", {"answer": "approved"}),
    "POST /api/credentials": ("credential.created", {**BEARER, "name": "new"}),
    "PUT /api/credentials/<credential>": ("credential.updated", {"name": "renamed"}),
    "DELETE /api/credentials/<credential>": ("credential.deleted", None),
    "POST /api/credentials/<credential>/disconnect": ("credential.disconnected", None),
    "POST /api/credentials/<credential>/test": ("credential.tested", {}),
    "POST /api/credentials/test": ("credential.tested", {"type": "http_bearer", "data": {"token": "t"}}),
    "POST /api/import/openapi": ("preset.imported", {"document": DOCUMENT}),
    "DELETE /api/presets/<source>": ("preset.deleted", None),
    "POST /api/files": ("file.uploaded", {"path": "reports/may.csv"}),
    "DELETE /api/files/<path:path>": ("file.deleted", None),
    "POST /api/files-move": ("file.moved", {"path": "moving/a.css", "to": "moved/b.css"}),
    "POST /api/files-delete": ("file.deleted", {"paths": ["<path:path>"]}),
    "POST /api/tables": ("table.created", {"name": "visits"}),
    "PATCH /api/tables/<table>": ("table.changed", {"name": "sales"}),
    "DELETE /api/tables/<table>": ("table.deleted", None),
    "POST /api/tables/<table>/columns": ("table.changed", {"name": "paid", "type": "boolean"}),
    "PATCH /api/tables/<table>/columns/<column_id>": ("table.changed", {"name": "sum"}),
    "DELETE /api/tables/<table>/columns/<column_id>": ("table.changed", None),
    "POST /api/tables/<table>/rows": ("table.edited", {"rows": [{"total": 1}]}),
    "POST /api/tables/<table>/rows/delete": ("table.edited", {"ids": ["<row_id>"]}),
    "PATCH /api/tables/<table>/rows/<row_id>": ("table.edited", {"values": {"total": 2}}),
    "DELETE /api/tables/<table>/rows/<row_id>": ("table.edited", None),
    "POST /api/tables/<table>/import": ("table.imported", {}),
    "PUT /api/variables/<variable>": ("variable.set", {"value": 1}),
    "DELETE /api/variables/<variable>": ("variable.deleted", None),
    "DELETE /api/registered-webhooks/<hook_id>": ("webhook.forgotten", None),
    "PUT /api/store/<path:key>": ("store.written", {"value": 1}),
    "DELETE /api/store/<path:key>": ("store.deleted", None),
    "POST /api/agents": ("agent.created", {**AGENT, "id": "other"}),
    "PUT /api/agents/<name>": ("agent.updated", {**AGENT, "instructions": "Do it."}),
    "DELETE /api/agents/<name>": ("agent.deleted", None),
    "POST /api/agent/run": ("run.started", {"agent_id": "mine", "task": "x"}),
    "POST /api/agent/runs/<agent_run>/cancel": ("run.cancelled", {}),
    "POST /api/agent/memory": ("memory.written", {"agent_id": "a", "key": "k2", "content": "c"}),
    "DELETE /api/agent/memory": ("memory.cleared", None),
    "DELETE /api/agent/memory/<memory>": ("memory.deleted", None),
}
WITHOUT_ENTRY = {route: reason for route, reason in WITHOUT_ENTRY.items() if is_on(route)}
LEAVES = {route: entry for route, entry in LEAVES.items() if is_on(route)}
