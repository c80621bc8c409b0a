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
def asked(httpserver):
    """A page that hands back what it was asked."""
    return answering(
        httpserver,
        "/graphql",
        lambda request: {
            "data": {"asked": request.get_json(), "headers": {**request.headers}, "method": request.method}
        },
    )


def test_a_query_goes_out_with_its_variables_and_its_data_is_the_output(run, asked):
    seen = ask(run, asked, variables={"id": "7"}, operation_name="Order", headers={"X-Shop": "tea"})
    assert seen["asked"] == {"query": QUERY, "variables": {"id": "7"}, "operationName": "Order"}
    assert seen["method"] == "POST" and seen["headers"]["X-Shop"] == "tea"
    assert seen["headers"]["Content-Type"] == "application/json"
    assert seen["headers"]["Accept"] == "application/graphql-response+json, application/json"
    assert seen["headers"]["Idempotency-Key"] == "run:node:0"


def test_what_is_not_given_is_not_sent(run, asked):
    seen = ask(run, asked, headers={"accept": "text/mine"})
    assert seen["asked"] == {"query": QUERY} and seen["headers"]["Accept"] == "text/mine"


def test_braces_of_a_query_are_no_expression():
    fields = REGISTRY["graphql"].Config().fields
    assert is_literal(fields["query"]) and not is_literal(fields["variables"])


def test_a_credential_goes_along(run, asked):
    credentials = {"key": ("http_header", {"name": "X-Key", "value": "k"}, ["127.0.0.1"])}
    config = {"url": asked, "query": QUERY, "credential": "key"}
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
def test_errors_in_the_answer_are_a_failure_that_says_them(run, httpserver, errors, words, permanent):
    error = error_of(run, answering(httpserver, "/", {"data": {"order": None}, "errors": errors}))
    assert unplaced(error.message) == f"POST 127.0.0.1 returned errors: {words}" and error.permanent is permanent


@pytest.mark.parametrize("errors", [[], [{"message": "no"}]])
def test_errors_can_be_a_part_of_the_output(run, httpserver, errors):
    url = answering(httpserver, "/", {"data": {"a": 1}, "errors": errors})
    assert ask(run, url, fail_on_errors=False) == {"data": {"a": 1}, "errors": errors}


def test_an_answer_of_errors_alone_has_no_data(run, httpserver):
    url = answering(httpserver, "/", {"errors": [{"message": "no"}]})
    assert ask(run, url, fail_on_errors=False) == {"data": None, "errors": [{"message": "no"}]}


@pytest.mark.parametrize("said", [[], {}, 5, None, {"message": "no"}])
def test_an_answer_that_is_none_of_graphql_is_a_failure(run, httpserver, said):
    error = error_of(run, answering(httpserver, "/", said))
    assert "POST 127.0.0.1 did not return a GraphQL response" in unplaced(error.message) and error.permanent


def test_a_bad_status_is_a_failure_that_shows_what_is_said(run, httpserver):
    said = json.dumps({"errors": [{"message": "Syntax Error: Expected Name"}]})
    url = answering(httpserver, "/", (400, {"Content-Type": "application/json"}, said))
    assert unplaced(error_of(run, url).message) == f"POST 127.0.0.1 answered 400 BAD REQUEST: {said}"


@pytest.mark.parametrize("config", [{}, {"query": ""}, {"query": "x", "variables": [1]}])
def test_a_config_that_cannot_be_is_refused(config):
    with pytest.raises(ValidationError):
        REGISTRY["graphql"].Config().load({"url": "https://a.example", **config})


@pytest.fixture
def case_graphql(httpserver, asked):
    listener, nobody = silent()
    with listener:
        yield Case(
            config={"url": asked, "query": QUERY, "variables": {"id": "{{ input }}"}, "credential": "key"},
            input="7",
            credentials={"key": ("http_header", {"name": "X-Key", "value": "hunter2-and-more"}, ["127.0.0.1"])},
            secret="hunter2-and-more",
            stalled={"url": nobody},
            count=lambda: len(httpserver.log),
        )


class TestGraphQLKeepsTheContract(Contract):
    type_ = "graphql"
