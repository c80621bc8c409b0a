import json

import pytest
from contract import Case, Contract
from marshmallow import ValidationError
from sites import answering, failure, silent, unplaced

from nodes import REGISTRY
from nodes.fields import is_literal

QUERY = "query Order($id: ID!) { order(id: $id) { total tags { name } } }"


def ask(run, url, **config):
    return run("graphql", {"url": url, "query": QUERY, **config})


def error_of(run, url, **config):
    return failure(run, {"url": url, "query": QUERY, **config}, "graphql")


@pytest.fixture
def echo(httpserver):
    """The URL of a GraphQL API whose data is the received request."""
    return answering(
        httpserver,
        "/graphql",
        lambda request: {
            "data": {"received": request.get_json(), "headers": {**request.headers}, "method": request.method}
        },
    )


def test_a_query_is_sent_with_its_variables_and_its_data_is_the_output(run, echo):
    seen = ask(run, echo, variables={"id": "7"}, operation_name="Order", headers={"X-Shop": "tea"})
    assert seen["received"] == {"query": QUERY, "variables": {"id": "7"}, "operationName": "Order"}
    assert seen["method"] == "POST" and seen["headers"]["X-Shop"] == "tea"
    assert seen["headers"]["Content-Type"] == "application/json"
    assert seen["headers"]["Accept"] == "application/graphql-response+json, application/json"
    assert seen["headers"]["Idempotency-Key"] == "run:node:0"


def test_unset_options_are_not_sent(run, echo):
    seen = ask(run, echo, headers={"accept": "text/mine"})
    assert seen["received"] == {"query": QUERY} and seen["headers"]["Accept"] == "text/mine"


def test_braces_in_a_query_are_not_an_expression():
    fields = REGISTRY["graphql"].Config().fields
    assert is_literal(fields["query"]) and not is_literal(fields["variables"])


def test_the_credential_is_sent(run, echo):
    credentials = {"key": ("http_header", {"name": "X-Key", "value": "k"}, ["127.0.0.1"])}
    config = {"url": echo, "query": QUERY, "credential": "key"}
    assert run("graphql", config, credentials=credentials)["headers"]["X-Key"] == "k"


@pytest.mark.parametrize(
    ("errors", "words", "permanent"),
    [
        ([{"message": "no such order", "path": ["order", 0, "total"]}], "no such order (order.0.total)", True),
        ([{"message": "a"}, {"message": "b", "path": []}], "a; b", True),
        ([{"message": str(n)} for n in range(5)], "0; 1; 2 (and 2 more)", True),
        ([{"message": "slow down", "extensions": {"code": "THROTTLED"}}], "slow down", False),
        ([{"message": "slow down", "type": "RATE_LIMITED"}], "slow down", False),
        ([{"message": "no", "extensions": {"code": ["THROTTLED"]}}], "no", True),
        (["no"], "no", True),
        ("no", "no", True),
        ([{}], "an error without a message", True),
        ([{"message": "x" * 500}], "x" * 300, True),
    ],
)
def test_errors_in_the_response_fail_the_node_with_their_messages(run, httpserver, errors, words, permanent):
    error = error_of(run, answering(httpserver, "/", {"data": {"order": None}, "errors": errors}))
    assert unplaced(error.message) == f"POST 127.0.0.1 returned errors: {words}" and error.permanent is permanent


@pytest.mark.parametrize("errors", [[], [{"message": "no"}]])
def test_errors_can_be_part_of_the_output(run, httpserver, errors):
    url = answering(httpserver, "/", {"data": {"a": 1}, "errors": errors})
    assert ask(run, url, fail_on_errors=False) == {"data": {"a": 1}, "errors": errors}


def test_the_data_is_null_if_the_response_has_only_errors(run, httpserver):
    url = answering(httpserver, "/", {"errors": [{"message": "no"}]})
    assert ask(run, url, fail_on_errors=False) == {"data": None, "errors": [{"message": "no"}]}


@pytest.mark.parametrize("content", [[], {}, 5, None, {"message": "no"}])
def test_a_response_that_is_not_graphql_is_a_failure(run, httpserver, content):
    error = error_of(run, answering(httpserver, "/", content))
    assert "POST 127.0.0.1 did not return a GraphQL response" in unplaced(error.message) and error.permanent


def test_a_bad_status_is_a_failure_that_shows_the_body(run, httpserver):
    content = json.dumps({"errors": [{"message": "Syntax Error: Expected Name"}]})
    url = answering(httpserver, "/", (400, {"Content-Type": "application/json"}, content))
    assert unplaced(error_of(run, url).message) == f"POST 127.0.0.1 answered 400 BAD REQUEST: {content}"


@pytest.mark.parametrize("config", [{}, {"query": ""}, {"query": "x", "variables": [1]}])
def test_an_invalid_config_is_refused(config):
    with pytest.raises(ValidationError):
        REGISTRY["graphql"].Config().load({"url": "https://a.example", **config})


@pytest.fixture
def case_graphql(httpserver, echo):
    listener, stalled_url = silent()
    with listener:
        yield Case(
            config={"url": echo, "query": QUERY, "variables": {"id": "{{ input }}"}, "credential": "key"},
            input="7",
            credentials={"key": ("http_header", {"name": "X-Key", "value": "hunter2-and-more"}, ["127.0.0.1"])},
            secret="hunter2-and-more",
            stalled={"url": stalled_url},
            count=lambda: len(httpserver.log),
        )


class TestGraphQLKeepsTheContract(Contract):
    type_ = "graphql"
