"""Who may use which route: the table is the specification, and a route that is not in it fails.

The routes come from the app's own URL map, so none can be forgotten.
"""

import pytest

from constants import ROLES
from database.queries import sessions
from registry import registry

pytestmark = pytest.mark.usefixtures("shared_server")

# Everything that answers without a session: nothing else may.
OPEN = {
    "GET /api/health",
    "GET /api/ready",
    "POST /api/auth/login",
    # What they ask for is the token of the invitation: see test_people.py.
    "POST /api/invitations/look",
    "POST /api/invitations/redeem",
    "GET /api/openapi.json",
    "GET /api/docs",
    "GET /api/docs/",
    "GET /api/docs/<path:path>",
    # The page to which services send people back; it checks the session itself: see test_connecting.py.
    "GET /api/oauth/callback",
    # The documentation, which says the same to everybody.
    "GET /docs",
    "GET /docs/",
    "GET /docs/style.css",
    "GET /docs/<name>",
    "GET /docs/adr/<name>",
    "GET /docs/connectors/<name>",
    "GET /docs/img/<name>",
    # The browser app, which shows no data before one has logged in.
    "GET /",
    "GET /assets/<path:name>",
    # What a webhook asks of its callers, its node says: see test_webhooks.py.
    *(f"{method} /api/webhooks-test/<flow>/<slashes:path>" for method in ("GET", "POST", "PUT", "PATCH", "DELETE")),
    # Of a form, its node says who may open it, and of a test, its view: see tests/packs/forms.
    *(f"{method} /forms/<slashes:path>" for method in ("GET", "POST")),
    *(f"{method} /forms-test/<flow>/<slashes:path>" for method in ("GET", "POST")),
    *(f"{method} /api/webhooks/<slashes:path>" for method in ("GET", "POST", "PUT", "PATCH", "DELETE")),
}

LEAST_ROLE = {
    "GET /api/auth/session": "viewer",
    "PATCH /api/auth/session": "viewer",
    "DELETE /api/auth/session": "viewer",
    "GET /api/profile": "viewer",
    "PATCH /api/profile": "viewer",
    "GET /api/profile/sessions": "viewer",
    "DELETE /api/profile/sessions/<session_id>": "viewer",
    "GET /api/audit": "owner",
    "GET /api/workspaces": "viewer",
    "POST /api/workspaces": "viewer",
    "PATCH /api/workspaces/<workspace>": "owner",
    "GET /api/registered-webhooks": "viewer",
    "DELETE /api/registered-webhooks/<hook_id>": "editor",
    "GET /api/members": "viewer",
    "POST /api/members": "owner",
    "PATCH /api/members": "owner",
    "POST /api/members/password": "viewer",
    "DELETE /api/members": "owner",
    "GET /api/invitations": "owner",
    "POST /api/invitations": "owner",
    "DELETE /api/invitations/<invitation>": "owner",
    "GET /api/tokens": "viewer",
    "POST /api/tokens": "viewer",
    "DELETE /api/tokens/<token>": "viewer",
    "GET /api/flows": "viewer",
    "POST /api/flows": "editor",
    "GET /api/workflows/<flow>": "viewer",
    "PUT /api/workflows/<flow>": "editor",
    "DELETE /api/workflows/<flow>": "editor",
    "POST /api/workflows/<flow>/run": "operator",
    "POST /api/workflows/<flow>/test-call": "editor",
    "GET /api/workflows/<flow>/test-call": "editor",
    "DELETE /api/workflows/<flow>/test-call": "editor",
    "GET /api/workflows/<flow>/versions": "viewer",
    "GET /api/workflows/<flow>/versions/<int(max=999999999):number>": "viewer",
    "PATCH /api/workflows/<flow>/versions/<int(max=999999999):number>": "editor",
    "POST /api/workflows/<flow>/restore": "editor",
    "GET /api/workflows/<flow>/draft": "editor",
    "PUT /api/workflows/<flow>/draft": "editor",
    "DELETE /api/workflows/<flow>/draft": "editor",
    "POST /api/workflows/<flow>/publish": "editor",
    "DELETE /api/workflows/<flow>/publish": "editor",
    "PUT /api/workflows/<flow>/presence": "viewer",
    "DELETE /api/workflows/<flow>/presence": "viewer",
    "PUT /api/workflows/<flow>/favourite": "viewer",
    "DELETE /api/workflows/<flow>/favourite": "viewer",
    "POST /api/flows/labels": "editor",
    "GET /api/folders": "viewer",
    "POST /api/folders/move": "editor",
    "GET /api/tags": "viewer",
    "GET /api/saved-filters": "viewer",
    "POST /api/saved-filters": "viewer",
    "PATCH /api/saved-filters/<filter_id>": "viewer",
    "DELETE /api/saved-filters/<filter_id>": "viewer",
    "POST /api/workflows/validate": "viewer",
    "GET /api/runs": "viewer",
    "POST /api/runs": "operator",
    "GET /api/runs/<run>": "viewer",
    "DELETE /api/runs/<run>": "editor",
    "POST /api/runs/<run>/cancel": "operator",
    "POST /api/runs/<run>/retry": "operator",
    "GET /api/runs/<run>/resume": "operator",
    "POST /api/runs/<run>/resume": "operator",
    "GET /api/runs/<run>/steps": "viewer",
    "GET /api/runs/<run>/<any(input, output):name>": "viewer",
    "GET /api/runs/<run>/definition": "viewer",
    "GET /api/runs/<run>/children": "viewer",
    "GET /api/runs/<run>/counts": "viewer",
    "GET /api/runs/<run>/steps/<int(max=999999999):number>": "viewer",
    "GET /api/runs/<run>/steps/<int(max=999999999):number>/output": "viewer",
    "GET /api/runs/<run>/steps/<int(max=999999999):number>/settings": "viewer",
    "GET /api/dashboard/runs/latest": "viewer",
    "GET /api/schedules": "viewer",
    "GET /api/logs": "viewer",
    "POST /api/logs": "operator",
    "GET /api/logs/<run>": "viewer",
    "GET /api/nodes": "viewer",
    "GET /api/templates": "viewer",
    "POST /api/templates/<name>/use": "editor",
    "GET /api/credentials": "viewer",
    "GET /api/credential-types": "viewer",
    "GET /api/connectors/<connector>": "viewer",
    "POST /api/connectors/<connector>/options": "editor",
    "POST /api/credentials": "editor",
    "PUT /api/credentials/<credential>": "editor",
    "GET /api/credentials/<credential>": "viewer",
    "DELETE /api/credentials/<credential>": "editor",
    "POST /api/credentials/<credential>/test": "editor",
    "POST /api/credentials/test": "editor",
    "POST /api/credentials/<credential>/connect": "editor",
    "POST /api/credentials/<credential>/disconnect": "editor",
    "GET /api/oauth-providers": "viewer",
    "POST /api/expressions/preview": "editor",
    "POST /api/import/curl": "editor",
    "POST /api/import/openapi": "editor",
    "GET /api/files": "viewer",
    "POST /api/files": "editor",
    "GET /api/files/<path:path>": "operator",
    "DELETE /api/files/<path:path>": "editor",
    "GET /api/files-usage": "viewer",
    "POST /api/files-move": "editor",
    "POST /api/files-delete": "editor",
    "GET /api/tables": "viewer",
    "POST /api/tables": "editor",
    "GET /api/tables/<table>": "viewer",
    "PATCH /api/tables/<table>": "editor",
    "DELETE /api/tables/<table>": "editor",
    "POST /api/tables/<table>/columns": "editor",
    "PATCH /api/tables/<table>/columns/<column_id>": "editor",
    "DELETE /api/tables/<table>/columns/<column_id>": "editor",
    "GET /api/tables/<table>/rows": "operator",
    "POST /api/tables/<table>/rows": "operator",
    "POST /api/tables/<table>/rows/delete": "operator",
    "GET /api/tables/<table>/rows/<row_id>": "operator",
    "PATCH /api/tables/<table>/rows/<row_id>": "operator",
    "DELETE /api/tables/<table>/rows/<row_id>": "operator",
    "POST /api/tables/<table>/import": "editor",
    "GET /api/tables/<table>/export": "operator",
    "GET /api/variables": "viewer",
    "PUT /api/variables/<variable>": "editor",
    "DELETE /api/variables/<variable>": "editor",
    "GET /api/store": "operator",
    "PUT /api/store/<path:key>": "operator",
    "DELETE /api/store/<path:key>": "operator",
    "GET /api/presets": "viewer",
    "DELETE /api/presets/<source>": "editor",
    "GET /api/agents": "viewer",
    "POST /api/agents": "editor",
    "POST /api/agents/validate": "viewer",
    "GET /api/agents/<name>": "viewer",
    "PUT /api/agents/<name>": "editor",
    "DELETE /api/agents/<name>": "editor",
    "POST /api/agent/run": "operator",
    "GET /api/agent/logs": "viewer",
    "GET /api/agent/runs/<agent_run>": "viewer",
    "POST /api/agent/runs/<agent_run>/cancel": "operator",
    "GET /api/agent/memory": "viewer",
    "POST /api/agent/memory": "operator",
    "DELETE /api/agent/memory": "operator",
    "GET /api/agent/memory/<memory>": "viewer",
    "DELETE /api/agent/memory/<memory>": "operator",
    "GET /api/metrics": "viewer",
    "GET /metrics": "viewer",
}

# Beginnings of the paths that packs add: without its pack, there is no such route.
OF_PACKS = {
    "/forms": "forms",
    "/api/tables": "tables",
    "/api/import/": "importing",
    "/api/presets": "importing",
    "/docs": "reference",
    "/api/connectors": "connectors",
    "/api/registered-webhooks": "connectors",
    "/docs/connectors": "connectors",
    "/api/oauth": "oauth",
    "/api/credentials/<credential>/connect": "oauth",
    "/api/credentials/<credential>/disconnect": "oauth",
    "/mcp": "mcp",
    "/metrics": "prometheus",
    "/api/agent": "agents",
}
# What the core answers of a pack that is off: see api/catalogue.py.
WITHOUT_PACK = {
    *("GET /api/agents", "GET /api/agent/logs", "GET /api/agent/memory"),
    *("POST /api/agent/run", "POST /api/agent/memory"),
}


def has_pack(route):
    """Return True if the packs of this process have the route, or it is one of the core."""
    path = route.partition(" ")[2]
    return all(pack in registry.packs for start, pack in OF_PACKS.items() if path.startswith(start))


def is_on(route):
    """Return True if something answers the route."""
    return route in WITHOUT_PACK or has_pack(route)


OPEN = {route for route in OPEN if is_on(route)}
LEAST_ROLE = {route: role for route, role in LEAST_ROLE.items() if is_on(route)}

# What programs use with an API token alone: no session counts there. They have tests of their own.
BY_TOKEN = {route: "viewer" for route in ("POST /mcp",) if is_on(route)}
# What only admins of the server may do, whatever their role.
BY_ADMIN = ("POST /api/workspaces", "POST /api/members/password", *(["GET /metrics"] if is_on("GET /metrics") else []))
# What people do for themselves and for others: no API token counts there.
CONNECT = "POST /api/credentials/<credential>/connect"
BY_SESSION = [
    *([CONNECT] if is_on(CONNECT) else []),
    "POST /api/workspaces",
    "PATCH /api/workspaces/<workspace>",
    "GET /api/members",
    "POST /api/members",
    "PATCH /api/members",
    "DELETE /api/members",
    "POST /api/members/password",
    "GET /api/invitations",
    "POST /api/invitations",
    "DELETE /api/invitations/<invitation>",
    "GET /api/tokens",
    "POST /api/tokens",
    "PATCH /api/auth/session",
    "DELETE /api/auth/session",
    "GET /api/profile",
    "PATCH /api/profile",
    "GET /api/profile/sessions",
    "DELETE /api/profile/sessions/<session_id>",
]

# What changes only what the user alone sees.
OWN_THINGS = (
    *("PUT /api/workflows/<flow>/favourite", "DELETE /api/workflows/<flow>/favourite", "POST /api/saved-filters"),
    *("PATCH /api/saved-filters/<filter_id>", "DELETE /api/saved-filters/<filter_id>"),
)

# What stands in a path for a row of a workspace; such a row decides by itself which workspace is meant.
ROWS = (
    "<flow>",
    "<run>",
    "<token>",
    "<memory>",
    "<agent_run>",
    "<credential>",
    "<workspace>",
    "<invitation>",
    "<table>",
)
OTHER_PARTS = {
    "<int(max=999999999):number>": "1",
    "<any(input, output):name>": "output",
    "<path:path>": "index.css",
    "<source>": "pet-store",
    "<connector>": "clickup",
    "<session_id>": "ses_1",
    "<filter_id>": "sf_1",
    "<hook_id>": "hk_1",
    "<column_id>": "c1",
    "<row_id>": "row_1",
    "<path:key>": "rates/eur",
    "<variable>": "rate",
    "<slashes:path>": "orders",
}
# With these, what is refused for the role alone would be done.
BODIES = {
    "POST /api/workspaces": {"name": "Mine"},
    "POST /api/members": {"email": "another@example.org", "role": "owner"},
    "POST /api/invitations": {"email": "another@example.org", "role": "owner"},
    "POST /api/tokens": {"name": "more", "role": "viewer"},
}
WITH_ROW = [route for route in LEAST_ROLE if any(row in route for row in ROWS)]
WITHOUT_ROW = [route for route in LEAST_ROLE if route not in WITH_ROW]


def routes_of(app):
    """Return every route as `METHOD rule`, without the methods that Flask adds."""
    found = {}
    for rule in app.url_map.iter_rules():
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            found[f"{method} {rule.rule}"] = rule
    return found


def ask(client, route, ids, body=None, **options):
    """Use the route with these ids in its path and this body; default: an empty one."""
    method, path = route.split(" ", 1)
    for part, text in {"<name>": "researcher", **OTHER_PARTS, **ids}.items():
        path = path.replace(part, text)
    if method in ("POST", "PUT", "PATCH"):
        options["body"] = body or {}
    return client.open(path, method=method, **options)


def test_every_route_is_in_the_table(first_app):
    routes = set(routes_of(first_app))
    assert routes - OPEN - set(LEAST_ROLE) - set(BY_TOKEN) == set(), (
        "say in tests/api/test_every_route.py who may use these"
    )


def test_every_row_of_the_table_is_a_route(first_app):
    assert (OPEN | set(LEAST_ROLE) | set(BY_TOKEN)) - set(routes_of(first_app)) == set()


def test_every_part_of_a_path_is_known_here(first_app):
    known = {part.strip("<>").split(":")[-1] for part in (*ROWS, *OTHER_PARTS, "<name>")}
    assert {name for rule in routes_of(first_app).values() for name in rule.arguments} <= known


def is_error(answer, status):
    """Return True if the response is an error with this status and the shape of all errors."""
    return answer.status_code == status and answer.is_json and set(answer.json) == {"error"}


@pytest.fixture
def check_refusals(count_rows):
    """`check_refusals(routes, use)` fails if `use(route)` is not refused with this status, or if rows change."""

    def check(routes, use, status=403, message=""):
        wrong = []
        for route in routes:
            before = count_rows()
            answer = use(route)
            if not is_error(answer, status) or message not in answer.json["error"]:
                wrong.append(f"{route}: {answer.status_code} {answer.text[:200]}")
            elif count_rows() != before:
                wrong.append(f"{route}: {answer.status_code}, but it changed the database")
        assert not wrong, "\n".join(wrong)

    return check


@pytest.fixture
def check_permissions(shared_server, count_rows):
    """`check_permissions(routes, client, ids, may)` fails if a route is not allowed or refused as `may(route)` says.

    Every route finds the rows with which the check began, and the same session.
    """

    def check(routes, client, ids, may):
        wrong = []
        for route in shared_server.each(routes, client):
            before = count_rows()
            answer = ask(client, route, ids, BODIES.get(route))
            if may(route):
                is_right = answer.status_code not in (401, 403)
            else:
                is_right = is_error(answer, 403) and count_rows() == before
            if not is_right:
                wrong.append(f"{route}: {answer.status_code} {answer.text[:200]}")
        assert not wrong, "\n".join(wrong)

    return check


def test_an_open_route_asks_for_no_session(client):
    statuses = {route: ask(client, route, {}).status_code for route in sorted(OPEN)}
    assert {route: status for route, status in statuses.items() if status in (401, 403)} == {}


def test_without_a_session_every_other_route_is_401(client, ids, check_refusals):
    check_refusals(LEAST_ROLE, lambda route: ask(client, route, ids), 401)


def test_without_a_session_existing_ids_are_not_revealed(client, check_refusals):
    check_refusals(WITH_ROW, lambda route: ask(client, route, dict.fromkeys(ROWS, "nothing")), 401)


@pytest.mark.parametrize("is_admin", [False, True], ids=["", "admin"])
@pytest.mark.parametrize("role", ROLES)
def test_a_session_may_use_only_the_routes_of_its_role(member, ids, check_permissions, role, is_admin):
    client = member(role, is_admin=is_admin)
    values = {"user_id": client.user.id, "workspace_id": client.workspace.id}
    ids["<token>"] = sessions.issue_token(name="own", role="viewer", **values)[0].id

    def may(route):
        return ROLES.index(role) >= ROLES.index(LEAST_ROLE[route]) and (is_admin or route not in BY_ADMIN)

    check_permissions(LEAST_ROLE, client, ids, may)


@pytest.mark.parametrize("role", ROLES)
def test_an_owners_api_token_may_use_only_the_routes_of_its_own_role(token_client, ids, check_permissions, role):
    client = token_client(role)
    ids["<token>"] = client.token.id  # a token withdraws itself alone: see test_people.py
    routes = [route for route in LEAST_ROLE if route not in BY_SESSION]
    check_permissions(routes, client, ids, lambda route: ROLES.index(role) >= ROLES.index(LEAST_ROLE[route]))


@pytest.mark.parametrize("role", ROLES)
def test_routes_for_sessions_refuse_tokens(token_client, ids, check_refusals, role):
    client = token_client(role)
    check_refusals(BY_SESSION, lambda route: ask(client, route, ids, BODIES.get(route)), message="API token")


@pytest.mark.parametrize("route", BY_TOKEN)
def test_routes_for_programs_refuse_sessions(owner, client, route):
    assert ask(owner, route, {}).status_code == ask(client, route, {}).status_code == 401


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("route", BY_TOKEN)
def test_routes_for_programs_accept_tokens_by_role(token_client, route, role):
    allowed = ROLES.index(role) >= ROLES.index(BY_TOKEN[route])
    assert (ask(token_client(role), route, {}).status_code in (401, 403)) != allowed


@pytest.mark.parametrize("route", BY_TOKEN)
def test_routes_for_programs_refuse_pages_and_foreign_workspaces(other, token_client, route):
    for name, value in (("Origin", "https://evil.example"), ("X-Workspace-Id", other.workspace.id)):
        assert ask(token_client("owner"), route, {}, headers={name: value}).status_code == 403


def test_a_row_of_a_foreign_workspace_is_403(other, ids, check_refusals):
    check_refusals(WITH_ROW, lambda route: ask(other, route, ids))


def test_a_row_of_a_foreign_workspace_is_403_to_a_token(other, token_client, ids, check_refusals):
    client = token_client("owner", other.user, other.workspace)
    check_refusals(WITH_ROW, lambda route: ask(client, route, ids))


@pytest.mark.parametrize("select", ["header", "query"])
def test_naming_a_foreign_workspace_is_403(owner, other, ids, check_refusals, select):
    foreign = other.workspace.id
    choice = (
        {"headers": {"X-Workspace-Id": foreign}} if select == "header" else {"query_string": {"workspace_id": foreign}}
    )
    check_refusals(LEAST_ROLE, lambda route: ask(owner, route, ids, **choice))


@pytest.mark.parametrize("is_admin", [False, True], ids=["", "admin"])
def test_an_admin_is_not_a_member_of_foreign_workspaces(member, other, check_refusals, is_admin):
    client = member("owner", is_admin=is_admin)
    foreign = {"X-Workspace-Id": other.workspace.id}
    check_refusals(WITHOUT_ROW, lambda route: ask(client, route, {}, headers=foreign))


def test_a_token_of_one_workspace_opens_no_other_of_the_same_user(owner, token_client, check_refusals):
    second = {"X-Workspace-Id": owner.post("/api/workspaces", {"name": "Second"}).json["id"]}
    client = token_client("owner")
    check_refusals(WITHOUT_ROW, lambda route: ask(client, route, {}, headers=second))


def test_an_id_that_exists_nowhere_is_404(owner, check_refusals):
    check_refusals(WITH_ROW, lambda route: ask(owner, route, dict.fromkeys(ROWS, "nothing")), 404)


def test_a_write_from_another_sites_page_is_403(owner, ids, check_refusals):
    writes = [route for route in LEAST_ROLE if not route.startswith("GET")]
    headers = {"Origin": "https://evil.example"}
    check_refusals(writes, lambda route: ask(owner, route, ids, headers=headers), message="Origin")


def test_head_asks_for_a_session_as_get_does(client, ids):
    routes = [route.replace("GET", "HEAD") for route in LEAST_ROLE if route.startswith("GET")]
    statuses = {route: ask(client, route, ids).status_code for route in routes}
    assert {route: status for route, status in statuses.items() if status != 401} == {}
