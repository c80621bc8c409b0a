"""Later pages and results of forms for members, and of forms with a password: the same check as on the first page."""

import base64
import http.client
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
from form_pages import NAME, fill, inputs_of, make_definition, only_run
from servers import serving
from test_forms_in_runs import DAY, ended
from world import node

from models import Run

pytestmark = pytest.mark.usefixtures("shared_server")

PAGE = node("more", "form_page", {"title": "Delivery", "fields": [DAY]})
END = node("end", "set", {"values": {"by": "{{ input._form.by }}", "day": "{{ input.day }}"}})
PASSWORD = {"name": "p", "type": "http_basic", "data": {"username": "u", "password": "pass word"}}


def make_two_pages(**config):
    """Return a form with a second page, and a result that shows the answers."""
    made = make_definition(fields=[NAME], respond="last", thanks_text="On {{ output.day }}", **config)
    return {"nodes": [*made["nodes"], PAGE, END], "edges": [["form", "more"], ["more", "end", "received"]]}


def send(client, path, **texts):
    """Fill in the page at this path, and return the answer."""
    return fill(client, client.get(path), path=path, **texts)


def test_later_pages_and_results_of_a_form_for_members_need_a_login(owner, client, make_flow):
    make_flow(make_two_pages(access="members"), status="active")
    address = send(owner, "/forms/contact", name="Ada").headers["Location"]
    page = owner.get(address)
    assert "Delivery" in page.text
    refused = client.get(address)
    assert refused.status_code == 401 and "For members only" in refused.text and "Delivery" not in refused.text
    assert fill(client, page, path=address, go="received", day="2026-01-09").status_code == 401
    assert Run.get().finished_at is None, "nothing was answered"
    hostile = owner.post(address, data={}, headers={"Origin": "https://evil.example"})
    assert hostile.status_code == 403
    assert fill(owner, page, path=address, go="received", day="2026-01-09").status_code == 303
    assert ended(owner, only_run().id)["output"] == {"by": "owner@example.org", "day": "2026-01-09"}
    assert "On 2026-01-09" in owner.get(address).text
    assert client.get(address).status_code == 401 and "2026-01-09" not in client.get(address).text


def test_later_pages_and_results_of_a_form_with_a_password_ask_for_it(owner, client, make_flow):
    owner.post("/api/credentials", PASSWORD)
    make_flow(make_two_pages(access="password", credential="p"), status="active")
    known = {"Authorization": "Basic " + base64.b64encode(b"u:pass word").decode()}
    visitor = SimpleNamespace(
        get=lambda path: client.get(path, headers=known),
        post=lambda path, **more: client.post(path, headers=known, **more),
    )
    address = send(visitor, "/forms/contact", name="Ada").headers["Location"]
    assert client.get(address).status_code == 401 and "Basic" in client.get(address).headers["WWW-Authenticate"]
    page = visitor.get(address)
    assert fill(client, page, path=address, go="received", day="2026-01-09").status_code == 401
    assert fill(visitor, page, path=address, go="received", day="2026-01-09").status_code == 303
    assert ended(owner, only_run().id)["output"] == {"by": None, "day": "2026-01-09"}
    assert client.get(address).status_code == 401 and "On 2026-01-09" in visitor.get(address).text


def test_results_of_a_public_form_need_nothing(client, make_flow):
    make_flow(make_two_pages(), status="active")
    address = send(client, "/forms/contact", name="Ada").headers["Location"]
    assert send(client, address, go="received", day="2026-01-09").status_code == 303
    assert "On 2026-01-09" in client.get(address).text


def test_editors_alone_see_the_result_of_a_trial(owner, client, make_flow):
    flow = make_flow(make_two_pages(access="members"), status="active")
    assert owner.post(f"/api/workflows/{flow['id']}/test-call", {}).status_code == 201
    address = send(owner, f"/forms-test/{flow['id']}/contact", name="Ada").headers["Location"]
    assert "Delivery" in owner.get(address).text and client.get(address).status_code == 404
    real = send(owner, "/forms/contact", name="Ada").headers["Location"]
    around = real.replace("/forms/", f"/forms-test/{flow['id']}/")
    assert client.get(around).status_code == client.post(around).status_code == 404, "no way around the login"


@pytest.mark.slow
def test_a_member_goes_on_in_the_same_session_and_a_stranger_with_the_address_is_refused(tmp_path):
    with serving(tmp_path, WEB_CONCURRENCY=2) as server:
        server.add_flow(make_two_pages(access="members"))
        member, stranger = {"Cookie": server.session()["Cookie"]}, {}

        def ask(method, path, headers, page="", **texts):
            body = urlencode([*inputs_of(page), *texts.items()]) if method == "POST" else None
            kind = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            try:
                connection.request(method, path, body, {**headers, **kind})
                answer = connection.getresponse()
                return answer.status, answer.getheader("Location"), answer.read().decode()
            finally:
                connection.close()

        assert ask("GET", "/forms/contact", stranger)[0] == 401
        first = ask("GET", "/forms/contact", member)[2]
        status, address, _ = ask("POST", "/forms/contact", member, first, name="Ada", _go="send")
        assert status == 303 and ask("GET", address, stranger)[0] == 401
        second = ask("GET", address, member)[2]
        assert "Delivery" in second
        assert ask("POST", address, stranger, second, day="2026-01-09", _go="received")[0] == 401
        assert ask("POST", address, member, second, day="2026-01-10", _go="received")[0] == 303
        assert "On 2026-01-10" in ask("GET", address, member)[2]
        status, _, text = ask("GET", address, stranger)
        assert status == 401 and "2026-01-10" not in text
        (run,) = server.call("GET", "/api/runs")["items"]
        assert server.call("GET", f"/api/runs/{run['id']}")["output"]["by"] == "owner@localhost"
