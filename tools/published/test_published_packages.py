"""Requests of connectors fit the types that services publish for JavaScript, with each choice of each input."""

import re
from urllib.parse import urlsplit

import published_graphql as graphql
import published_packages as published
import pytest
from connector_requests import operations_of, requests_of, responses_of

from packs.connectors.app_triggers import app_trigger


@pytest.mark.parametrize(("type_", "id_"), operations_of("github"))
def test_github_knows_what_is_sent(type_, id_):
    for request in requests_of(type_, id_, all_choices=True):
        assert published.github_problems(*request) == [], request
    for response in responses_of(type_, id_):
        assert published.github_answer_problems(*response) == [], response


@pytest.mark.parametrize("scope", ["repos/octocat/hello-world", "orgs/octocat"])
def test_github_knows_how_its_trigger_registers_webhooks(scope):
    trigger = app_trigger.read("github")
    register, url = trigger["register"], f"https://api.github.com/{scope}/hooks"
    assert {register[call]["path"].partition("?")[0] for call in ("find", "create")} == {"/{scope}/hooks"}
    body = {**register["create"]["body"], "events": list(trigger["events"])}
    assert published.github_problems("POST", url, {}, body) == []
    assert published.github_problems("GET", url, {"per_page": "100"}, None) == []
    assert published.github_problems("DELETE", f"{url}/7", {}, None) == []
    known = published.github_webhooks()
    assert [event for event in trigger["events"] if event.replace("_", "-") not in known] == []


@pytest.mark.parametrize(("type_", "id_"), operations_of("notion"))
def test_notion_knows_what_is_sent(type_, id_):
    for request in requests_of(type_, id_, all_choices=True):
        assert published.notion_problems(*request) == [], request
    for response in responses_of(type_, id_):
        assert published.notion_answer_problems(*response) == [], response


GRAPHQL = {"linear": published.linear_types, "monday": published.monday_types}


# Fields that a service has added since its package: monday.com in version 2025-10 of its API; its connector names a
# later one in each request.
NEWER = {"Query.boards.columns.settings is not known", "boards.columns.settings is not known"}


@pytest.mark.parametrize(("type_", "id_"), operations_of(*GRAPHQL))
def test_graphql_schemas_know_what_is_sent(type_, id_):
    types = GRAPHQL[type_]()
    for _, _, _, body in requests_of(type_, id_, all_choices=True):
        assert set(graphql.Checker(types, body["query"], body["variables"]).run()) <= NEWER, body
        for _, _, response in responses_of(type_, id_):
            assert set(graphql.answer_problems(types, body["query"], response)) <= NEWER, response


@pytest.mark.parametrize(("type_", "id_"), operations_of("jira"))
def test_jira_knows_what_is_sent(type_, id_):
    calls = published.atlassian_calls("jira.js", "src/cloud/api/*.ts")
    login = published.file_of("jira.js", "src/core/oauth/helpers.ts")
    sites = re.search(r"ACCESSIBLE_RESOURCES_URL = '(.+)'", login)[1]
    for method, url, query, body in requests_of(type_, id_, all_choices=True):
        if id_ == "list_sites":
            assert (method, url, query, body) == ("GET", sites, {}, None)
            continue
        assert published.atlassian_problems(calls, method, urlsplit(url).path, query, body) == [], url


@pytest.mark.parametrize(("type_", "id_"), operations_of("trello"))
def test_trello_knows_what_is_sent(type_, id_):
    calls = published.atlassian_calls("trello.js", "dist/api/*.js")
    for method, url, query, body in requests_of(type_, id_, all_choices=True):
        path = url.removeprefix("https://api.trello.com/1")
        assert published.atlassian_problems(calls, method, path, query, body) == [], url


MICROSOFT = ["microsoft_outlook", "microsoft_onedrive", "microsoft_excel", "microsoft_teams"]


@pytest.mark.parametrize(("type_", "id_"), operations_of(*MICROSOFT))
def test_microsoft_knows_what_is_sent(type_, id_):
    for method, url, query, body in requests_of(type_, id_, all_choices=True):
        assert published.graph_problems(method, url, query, body if isinstance(body, dict) else None) == [], url


@pytest.mark.parametrize(("type_", "id_"), operations_of("nocodb"))
def test_nocodb_knows_what_is_sent(type_, id_):
    calls = published.nocodb_calls()
    for method, url, query, _ in requests_of(type_, id_, all_choices=True):
        # Of metadata the package names version 1 alone; version 2 has the same paths below another root.
        path = urlsplit(url).path.replace("/api/v2/meta/", "/api/v1/db/meta/")
        found = [names for verb, pattern, names in calls if verb == method and pattern.match(path)]
        assert found, (method, url)
        assert {*query} - set().union(*found) == set(), url
