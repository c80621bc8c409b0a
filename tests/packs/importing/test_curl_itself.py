"""A cURL command is parsed as curl parses it."""

import json
import re
import shutil
import subprocess
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import examples
from test_curl import CHROME, CHROME_CMD, GITHUB, POSTMAN, POSTMAN_FORM, STRIPE
from werkzeug import Response
from world import flow, run

import engine
from config import Config
from dispatch import make_services
from nodes.files.files import WorkspaceFiles
from packs.importing.curl import make_node

FIREFOX = r"""curl 'https://shop.example/login' --compressed -X POST -H 'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0)' -H 'Accept-Encoding: gzip, deflate, br, zstd' -H 'Content-Type: application/x-www-form-urlencoded' -H 'Connection: keep-alive' --data-raw 'user=ada+l&remember=on&tag=a&tag=b'"""  # noqa: E501


# Against curl itself


@pytest.fixture
def services():
    services = make_services(Config(egress_allow=("127.0.0.1",)))
    yield services
    services.close()


@pytest.fixture
def seen(httpserver):
    """Return the request that the server received, in comparable form."""
    requests = []

    def note(request):
        content_type = request.headers.get("Content-Type")
        media, body = (content_type or "").partition(";")[0], request.get_data()
        pairs = parse_qsl(request.query_string.decode(), keep_blank_values=True)
        if media == "multipart/form-data" and request.form | request.files:
            found = request.files.items(multi=True)
            files = [(name, file.filename, file.content_type, file.read()) for name, file in found]
            content_type, body = media, (list(request.form.items(multi=True)), files)
        else:
            body = read_as_meant(body)
        requests.append((request.method, request.path, pairs, content_type, body))
        return Response("ok")

    httpserver.expect_request(re.compile(".*")).respond_with_handler(note)
    return requests


def read_as_meant(body):
    try:
        return json.loads(body)
    except ValueError:
        pass
    pairs = parse_qsl(body.decode(), keep_blank_values=True)
    return pairs if b"=" in body else body


CURL = shutil.which("curl")
LIKE_CURL = [
    CHROME,
    FIREFOX,
    POSTMAN,
    STRIPE,
    GITHUB,
    POSTMAN_FORM.replace("/C:/Users/Ada/", ""),
    "curl https://a.example -F 'f=@a.json;type=application/json;filename=\"b c.json\"' -F 'f=@a.txt' -F a=1 -F a=2",
    "curl https://a.example/up --json @a.json",
    "curl https://a.example/up -H 'Content-Type: image/png' --data-binary @a.txt",
    "curl https://a.example/up/ -H 'Content-Type: text/plain' -T a.txt",
    "curl 'https://a.example/a/b?x=1&y=%20%2B+&z='",
    "curl 'https://a.example/search?flag&x=1'",
    "curl https://a.example/?q=%C3%A9 -I",
    "curl https://a.example -G --data-urlencode 'q=a b&c' -d 'sort=up'",
    "curl https://a.example --url-query 'q=ü' --url-query +x=%41",
    "curl https://a.example -d plain",
    "curl https://a.example -d ''",
    "curl https://a.example -d 'a=1&b=2&a=3'",
    "curl https://a.example --data-urlencode 'a=x y+z/é'",
    "curl https://a.example -d '{{ not.ours }} {% if x %}={#c#}' -H 'Content-Type: text/plain'",
    'curl \'https://a.example/x\' --json \'{"a": "{{ b }}", "c": ["{%", "{", null, 1.50, -0, true]}\'',
    "curl https://a.example --json '{\"a\":' --json '1}'",
    "curl -X DELETE https://a.example/things/5",
    "curl -X PUT https://a.example -H 'Content-Type: application/xml' --data-binary $'<a>\\n<b/></a>'",
    "curl -X GET https://a.example/_search -H 'Content-Type: application/json' -d '{\"query\":{\"match_all\":{}}}'",
    "curl https://a.example -F 'f=@\"a.txt\";filename=\"q;r,s\"' -F 'g=@ a.txt ;type=text/x;charset=utf-8'",
    "curl https://a.example -F 'a=\"b\\\"\\\\\"; type=text/x' -F 'b=  ' -F 'c= @d,e' -F $'d=\\n e \\n' -F 'h=\"q\"x'",
    "curl https://a.example -F a=1 -F 'b=\"x;y\"' --form-string 'c=@z;q' -F 'd= e '",
    "curl -g 'https://a.example/?f[a]=1&f[b]=2'",
    r"curl 'https://a.example/?f\[a\]=1'",
    "curl https://a.example/#there",
]


@pytest.mark.skipif(CURL is None, reason="there is no curl to compare with")
@pytest.mark.parametrize("command", LIKE_CURL)
def test_the_node_sends_the_same_request_as_curl(command, httpserver, seen, services, tmp_path):
    here = f"http://127.0.0.1:{httpserver.port}"
    command = re.sub(r"https://[a-z.]+", here, command, count=1)
    for name, text in (("a.txt", "plain\n\ntext"), ("a.json", '{"a": 1}'), ("invoice 5.pdf", "%PDF")):
        (tmp_path / name).write_text(text)
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True, capture_output=True, timeout=20)
    node = make_node(command).node
    node["config"].pop("credential", None)  # curl is not installed here
    outcome = run(flow(node), services=services, files=WorkspaceFiles(tmp_path, 2**20))
    assert outcome.status == "success", outcome.error_text
    by_curl, by_node = seen
    assert by_node == by_curl


@pytest.mark.parametrize("command", [CHROME, CHROME_CMD, FIREFOX, POSTMAN, POSTMAN_FORM, STRIPE, GITHUB])
def test_a_node_can_be_planned(command):
    engine.plan(flow(make_node(command).node))


@given(st.text(st.sampled_from("{}%#\"'\\ \r\né\0ab\u2028"), max_size=40), st.integers(0, 3_000))
@settings(max_examples=examples(300), deadline=None)
def test_imported_text_is_never_an_expression(text, padding):
    body = "x" * padding + text
    command = "curl https://a.example -H 'Content-Type: text/plain' --data-raw '" + body.replace("'", "'\\''") + "'"
    node = make_node(command).node
    plan = engine.plan(flow(node))
    assert plan.nodes[0].config.evaluate({})["body"] == body.replace("\0", " ")
