import pytest
from marshmallow import ValidationError

from nodes import REGISTRY


def test_respond_returns_the_input_with_status_200(run):
    assert run("respond", {}, {"a": 1}) == {"status": 200, "headers": {}, "body": {"a": 1}}


def test_respond_accepts_a_status_headers_and_a_body(run):
    config = {"status": 201, "headers": {"X-Count": 3}, "body": None}
    assert run("respond", config, "in") == {"status": 201, "headers": {"X-Count": "3"}, "body": None}


@pytest.mark.parametrize("status", [100, 199, 600, "many", None])
def test_respond_refuses_an_invalid_status(status):
    with pytest.raises(ValidationError, match="status"):
        REGISTRY["respond"].Config().load({"status": status})


@pytest.mark.parametrize(
    "headers", [{"X-A": "1\r\nSet-Cookie: a=b"}, {"X A": "1"}, {"X:": "1"}, {"": "1"}, {"X\n": "1"}, {"X-A": "\0"}]
)
def test_respond_refuses_headers_that_would_inject_others(headers):
    with pytest.raises(ValidationError, match="headers"):
        REGISTRY["respond"].Config().load({"headers": headers})


def test_log_writes_an_entry_and_passes_its_input_on(run):
    given = {"a": 1}
    assert run("log", {"level": "warning", "message": "low", "data": [1]}, given) is given
    assert run.lines == [("warning", "low", [1])]


def test_log_converts_values_to_text(run):
    run("log", {"message": {"a": [1, True]}})
    assert run.lines == [("info", '{"a": [1, true]}', None)]
