"""Parts of gunicorn that are replaced, since they take long, do what gunicorn's own do."""

from types import SimpleNamespace

import pytest
from gunicorn.config import Config
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader
from gunicorn.http.wsgi import Response

from net.http_worker.connection import DatedResponse, format_date, parse_head

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\n\r\n"


@pytest.mark.parametrize(
    ("headers", "version"),
    [([], (1, 1)), ([("Connection", "close")], (1, 1)), ([], (1, 0)), ([("Content-Length", "2")], (1, 1))],
)
def test_the_head_of_a_response_is_that_of_gunicorn(headers, version):
    request = SimpleNamespace(method="GET", version=version, should_close=lambda: version == (1, 0))
    heads = []
    for type_ in (Response, DatedResponse):
        response = type_(request, None, SimpleNamespace(protocol="http"))
        response.start_response("200 OK", headers)
        heads.append("".join(response.default_headers()))
    lines = [[line for line in head.split("\r\n") if not line.startswith("Date:")] for head in heads]
    assert lines[0] == lines[1] and all("\r\nDate: " in head for head in heads)


def test_the_date_is_made_anew_each_second():
    assert [format_date(0), format_date(1)] == ["Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:01 GMT"]


@pytest.mark.parametrize("trusted", ["127.0.0.1", "10.0.0.0/8", "*", ""])
@pytest.mark.parametrize("peer", [("127.0.0.1", 5), ("10.1.2.3", 5), ("::1", 5), ("", 0), ""])
def test_the_same_clients_as_with_gunicorn_are_trusted_proxies(trusted, peer):
    config = Config()
    config.set("forwarded_allow_ips", trusted)
    ours = [parse_head(config, HEAD, SimpleNamespace(client=peer, requests=0)) for _ in range(2)]
    assert {one.scheme for one in ours} == {Request(config, IterUnreader([HEAD]), peer, 1).scheme}


def test_each_config_has_its_own_trusted_proxies():
    schemes = []
    for trusted in ("127.0.0.1", "10.0.0.1"):
        config = Config()
        config.set("forwarded_allow_ips", trusted)
        schemes.append(parse_head(config, HEAD, SimpleNamespace(client=("127.0.0.1", 1), requests=0)).scheme)
    assert schemes == ["https", "http"]
