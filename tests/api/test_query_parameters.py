"""Query parameters of every route: an unknown one is refused, an empty one counts as not given."""

import pytest
from test_every_route import LEAST_ROLE, ask, routes_of

from api.http import json_io
from models import AgentMemory

pytestmark = pytest.mark.usefixtures("shared_server")

# Their callers, or whoever counts clicks on links, choose the parameters.
FREE = {
    *(f"{method} /api/webhooks/<slashes:path>" for method in ("GET", "POST", "PUT", "PATCH", "DELETE")),
    *(f"{method} /api/webhooks-test/<flow>/<slashes:path>" for method in ("GET", "POST", "PUT", "PATCH", "DELETE")),
    *(f"{method} /api/runs/<run>/resume" for method in ("GET", "POST")),
}
STRICT = [route for route in LEAST_ROLE if "/api/" in route and route not in FREE]
READS = [route for route in STRICT if route.startswith("GET")]


@pytest.fixture
def parameters(first_app):
    """`parameters(route)` returns the names of the query parameters that the route accepts."""
    rules = routes_of(first_app)
    return lambda route: json_io.get_names(first_app.view_functions[rules[route].endpoint])


def is_about(answer, name):
    return answer.status_code == 400 and f"unknown query parameter {name!r}" in answer.json["error"]


def test_a_misspelt_parameter_is_refused_with_the_nearest_known_name(owner, ids, parameters, count_rows):
    before, wrong = count_rows(), []
    cases = [(route, name) for route in STRICT for name in parameters(route)]
    for route, name in cases:
        answer = ask(owner, route, ids, query_string={f"{name}x": "1"})
        is_right = is_about(answer, f"{name}x") and f"did you mean {name!r}?" in answer.json["error"]
        if not is_right or [detail["path"] for detail in answer.json["details"]] != [f"{name}x"]:
            wrong.append(f"{route} with {name}x: {answer.status_code} {answer.text[:200]}")
    assert not wrong, "\n".join(wrong)
    assert count_rows() == before


def test_an_empty_parameter_counts_as_not_given(owner, ids, parameters):
    wrong = []
    for route in READS:
        usual = ask(owner, route, ids)
        empty = ask(owner, route, ids, query_string=dict.fromkeys(parameters(route), ""))
        if usual.status_code not in (200, 404) or empty.status_code != usual.status_code:
            wrong.append(f"{route}: {usual.status_code}, with empty parameters {empty.status_code} {empty.text[:200]}")
    assert not wrong, "\n".join(wrong)


def test_every_route_takes_the_workspace_as_a_parameter(shared_server, owner, ids):
    wrong = []
    for route in shared_server.each(STRICT, owner):
        answer = ask(owner, route, ids, query_string={"workspace_id": owner.workspace.id})
        if answer.status_code in (401, 403) or "unknown query parameter" in answer.text:
            wrong.append(f"{route}: {answer.status_code} {answer.text[:200]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "path",
    ["/api/logs?run_id=&limit=", "/api/agent/logs?agent_id=", "/api/nodes?search=&category=", "/api/runs?limit="],
)
def test_the_contracts_queries_may_be_left_empty(owner, run, path):
    answer = owner.get(path)
    assert answer.status_code == 200 and answer.json == owner.get(path.split("?")[0]).json


def test_an_unknown_name_without_a_similar_one_lists_all_names(owner):
    answer = owner.get("/api/runs?flow=wf_1")
    assert is_about(answer, "flow") and all(name in answer.json["error"] for name in ("workflow_id", "workspace_id"))


def test_several_unknown_parameters_are_listed_up_to_a_limit(owner):
    answer = owner.get("/api/runs?" + "&".join(f"x{number}=1" for number in range(500)))
    assert len(answer.json["details"]) == json_io.MAX_LISTED and len(answer.data) < 5_000


def test_an_unknown_parameter_beside_known_ones_is_refused(owner):
    assert is_about(owner.get("/api/runs?limit=5&stauts=failed"), "stauts")


def test_a_parameter_that_is_given_empty_and_again_counts_by_its_value(owner, run):
    assert len(owner.get("/api/runs?limit=&limit=1").json["items"]) == 1


def test_a_required_parameter_that_is_empty_is_missing(owner):
    answer = owner.delete("/api/agent/memory?agent_id=")
    assert answer.status_code == 400 and "agent_id: is required" in answer.json["error"]


def test_an_empty_session_selects_only_entries_without_a_session(owner):
    for session in ("", "ada"):
        memory = {"agent_id": "money", "key": "k", "content": "c", "session": session}
        assert owner.post("/api/agent/memory", memory).status_code == 201
    assert owner.delete("/api/agent/memory?agent_id=money&session=").json == {"deleted": 1}
    assert [row.session for row in AgentMemory.select()] == ["ada"]


def test_without_a_login_the_parameters_are_not_revealed(client):
    assert client.get("/api/runs?flow=wf_1").status_code == 401


def test_the_description_of_the_api_takes_no_parameter(client):
    assert is_about(client.get("/api/openapi.json?pretty=1"), "pretty")


def test_a_signed_link_ignores_parameters_of_mail_programs(owner, run):
    answer = owner.get(f"/api/runs/{run['id']}/resume?utm_source=mail")
    assert "query parameter" not in answer.text


def test_cached_query_strings_give_the_same_result_each_time(owner, make_run):
    runs = [make_run(input=number) for number in range(3)]
    for _ in range(3):
        page = owner.get("/api/runs?limit=2").json
        assert [run["id"] for run in page["items"]] == [run["id"] for run in runs[:0:-1]]
        rest = owner.get(f"/api/runs?limit=2&cursor={page['next_cursor']}").json
        assert [run["id"] for run in rest["items"]] == [runs[0]["id"]]
        for wrong in ("limit=0", "limit=2&flow=wf_1"):
            assert owner.get(f"/api/runs?{wrong}").status_code == 400
        assert owner.get("/api/logs?limit=2").json["items"] == []


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/api/health", "/api/ready"])
def test_a_probe_may_add_any_parameters(client, method, path):
    for query in ("_=1", "limit=x&workspace_id=ws_x&a[]=1", "%FF=%00", "="):
        answer = client.open(f"{path}?{query}", method=method)
        assert answer.status_code == 200 and (method == "HEAD" or answer.json["ok"] is True)
