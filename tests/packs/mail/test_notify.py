"""The notify node (Apprise), with real servers on this machine: messages, errors, and limits on service URLs."""

import importlib
import logging
import os
import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from contract import Case, Contract
from marshmallow import ValidationError
from sites import Site
from werkzeug import Response

from errors import NodeError
from net.egress import MAX_BYTES, Rule
from nodes.credentials.types import CHECKS, TYPES, Untested
from packs.mail.apprise_client import Notice, _apprise, _Throttle, send
from packs.mail.servers import LOCAL_SERVICES

PASSWORD = "hunter2hunter2"
PUBLIC_ONLY = Rule([])


@pytest.fixture
def hook(httpserver):
    """A server that accepts POST requests to `/hook`; `hook.log` has them, `hook.place` is its host and port."""
    httpserver.expect_request("/hook").respond_with_data("taken")
    place = f"127.0.0.1:{httpserver.port}"
    return SimpleNamespace(log=httpserver.log, place=place, url=f"json://{place}/hook", server=httpserver)


@pytest.fixture
def notify(run, make_ctx, hook):
    """`notify(**config)` sends to the hook or to the service at `url`; `context` changes the context of the node."""

    def notify(url=hook.url, message="Hello", context=(), **config):
        ctx, notify.lines = make_ctx(credentials={"chat": ("service_url", {"url": url})}, **dict(context))
        return run("notify", {"credential": "chat", "message": message, **config}, ctx=ctx)

    return notify


@pytest.fixture
def silent():
    """A server that accepts connections and sends nothing, or sends `silent.drops` repeatedly."""
    listener, over, threads = socket.create_server(("127.0.0.1", 0)), threading.Event(), []

    def serve(connection):
        with connection:
            try:
                while not over.wait(0.02):
                    connection.sendall(found.drops)
            except OSError:
                return

    def accept():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=serve, args=(connection,)))
            threads[-1].start()

    found = SimpleNamespace(place=f"127.0.0.1:{listener.getsockname()[1]}", drops=b"")
    threads.append(threading.Thread(target=accept))
    threads[0].start()
    yield found
    over.set()
    listener.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join(60)
    listener.close()


def failure(notify, permanent=True, **config):
    with pytest.raises(NodeError) as caught:
        notify(**config)
    assert caught.value.permanent is permanent
    return caught.value.message


# Messages


def test_a_message_arrives_with_its_title_and_level(notify, hook):
    assert notify(title="Backup", message="It failed", level="failure") == {"service": "JSON"}
    sent = hook.log[-1][0].get_json()
    assert (sent["title"], sent["message"], sent["type"], sent["attachments"]) == ("Backup", "It failed", "failure", [])


def test_markup_is_converted_to_the_format_of_the_service(notify, hook):
    notify(message="A **bold** word", format="markdown", url=hook.url + "?format=html")
    assert "<strong>bold</strong>" in hook.log[-1][0].get_json()["message"]
    notify(message="<p>A <b>bold</b> word</p>", format="html", url=hook.url + "?format=text")
    assert hook.log[-1][0].get_json()["message"].strip() == "A bold word"
    notify(message="<b>as it is</b>")
    assert hook.log[-1][0].get_json()["message"] == "<b>as it is</b>"


def test_a_message_that_is_too_long_is_split(notify, hook):
    notify(message="word " * 14_000)
    parts = [request.get_json()["message"] for request, _ in hook.log]
    assert len(parts) == 3 and sum(part.count("word") for part in parts) == 14_000
    notify(message="word " * 14_000, url=hook.url + "?overflow=truncate")
    assert len(hook.log) == 4


def test_lone_surrogates_are_replaced(notify, hook):
    notify(title="a\ud800b", message="c\ud800d")
    assert hook.log[-1][0].get_json()["message"] == "c?d"


def test_attachments_are_sent(notify, hook, make_ctx):
    ctx, _ = make_ctx()
    ctx.files.write("reports/today.csv", b"a,b\n")
    attachments = ["reports/today.csv", {"name": "../note.txt", "content": "Hällo"}]
    notify(url=f"form://{hook.place}/hook", attachments=attachments)
    files = hook.log[-1][0].files
    got = [(each.filename, each.content_type, each.read()) for each in files.values()]
    assert got == [("today.csv", "text/csv", b"a,b\n"), ("note.txt", "text/plain", "Hällo".encode())]
    for each in files.values():
        each.close()


def test_too_many_or_unsupported_attachments_are_an_error(notify, hook):
    message = failure(notify, url="mmost://127.0.0.1:1/abcdefgh", attachments=[{"name": "a", "content": "b"}] * 51)
    assert message == "attachments: there are 51; the limit is 50"
    message = failure(notify, url="prowl://" + "a" * 40, attachments=[{"name": "a", "content": "b"}])
    assert message == "Prowl does not support attachments; remove them"


def test_an_attachment_outside_the_workspace_is_refused(notify, hook, tmp_path):
    (tmp_path / "files").mkdir()
    (tmp_path / "key").write_text("secret")
    (tmp_path / "files" / "link").symlink_to(tmp_path / "key")
    assert "'link': is a symbolic link" in failure(notify, attachments=["link"])
    assert "leads out of the workspace's files" in failure(notify, attachments=["../key"])
    assert not hook.log


# Errors


@pytest.mark.parametrize(
    ("status", "permanent"), [(400, True), (401, True), (404, True), (408, False), (429, False), (500, False)]
)
def test_a_bad_status_is_an_error_with_its_reason(notify, hook, status, permanent):
    hook.server.expect_request("/no").respond_with_data("no", status=status)
    message = failure(notify, permanent, url=f"json://{hook.place}/no")
    assert message.startswith(f"JSON (status {status}): Failed to send JSON POST notification")


def test_the_error_for_a_closed_port_names_it(notify):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    message = failure(notify, False, url=f"json://127.0.0.1:{port}/?password={PASSWORD}")
    assert message == f"JSON: 127.0.0.1:{port}: Connection refused"


def test_the_error_for_an_unknown_host_names_it(notify):
    message = failure(notify, False, url=f"json://nowhere.invalid/?password={PASSWORD}")
    assert message.startswith("JSON: nowhere.invalid cannot be resolved") and PASSWORD not in message


def test_the_error_for_a_tls_scheme_at_a_plain_server_explains_it(notify, hook):
    message = failure(notify, False, url=f"jsons://{hook.place}/hook")
    assert message.startswith(f"JSON: {hook.place} does not speak TLS: check the scheme")


def test_the_error_for_a_plain_scheme_at_a_tls_server_explains_it(notify, authority):
    with Site("127.0.0.1", ssl_context=authority.server("127.0.0.1")) as server:
        place = f"127.0.0.1:{server.port}"
        message = failure(notify, False, url=f"json://{place}/hook")
    assert message == f"JSON: {place} closed the connection without a response: it may require TLS, or not speak HTTP"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("slack://bad", "the service URL is not valid"),
        ("nosuch://abc", "the service URL is not of a supported service"),
        ("https://example.com/hook", "the service URL is not of a supported service"),
        ("json://", "an Apprise URL"),
        ("just text", "an Apprise URL"),
    ],
)
def test_an_invalid_service_url_is_refused(notify, url, words, monkeypatch):
    monkeypatch.setattr(TYPES["service_url"], "load", dict)
    assert words in failure(notify, url=url)


def test_the_url_cannot_make_apprise_retry_or_ignore_a_failure(notify, hook):
    hook.server.expect_request("/no").respond_with_data("no", status=503)
    failure(notify, False, url=f"json://{hook.place}/no?retry=5&wait=1&optional=yes")
    assert len(hook.log) == 1


def test_concurrent_failures_keep_their_own_reasons(make_ctx, hook):
    for status in (401, 403, 404, 500):
        hook.server.expect_request(f"/{status}").respond_with_data("no", status=status)
    found = {}

    def tell(status):
        ctx, _ = make_ctx(credentials={"chat": ("service_url", {"url": f"json://{hook.place}/{status}"})})
        for _ in range(5):
            with pytest.raises(NodeError) as caught:
                send(ctx.credential("chat"), Notice("Hello"), ctx, 10)
            found.setdefault(status, set()).add(caught.value.message)

    threads = [threading.Thread(target=tell, args=(status,)) for status in (401, 403, 404, 500)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for status, messages in found.items():
        assert len(messages) == 1 and f"status {status}" in messages.pop()
    assert len(found) == 4


# Timeouts


@pytest.mark.parametrize("drops", [b"", b"H", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 500 No\r\nX: y\r\n"])
def test_a_slow_or_silent_server_does_not_extend_the_deadline(notify, silent, drops):
    silent.drops, began = drops, time.monotonic()
    failure(notify, False, url=f"json://{silent.place}/?rto=60&cto=60", context={"seconds": 0.4})
    assert time.monotonic() - began < 15


def test_the_error_of_a_timeout_has_its_duration(notify, silent):
    message = failure(notify, False, url=f"json://{silent.place}/?rto=60", context={"seconds": 0.4})
    assert message == "JSON: timed out after 0.4 s"


def test_the_pause_of_a_service_is_kept_unless_it_exceeds_the_deadline():
    throttle = _Throttle(0.05, time.monotonic() + 30)
    began = time.monotonic()
    throttle()
    throttle()
    throttle(wait=0.05)
    assert 0.1 <= time.monotonic() - began < 15 and not throttle.is_short
    for wait in (None, 60.0):
        throttle = _Throttle(60.0, time.monotonic() + 30)
        throttle.latest = time.monotonic()
        with pytest.raises(TimeoutError):
            throttle(wait=wait)
        assert throttle.is_short


def test_the_size_of_a_response_is_limited(notify, hook):
    hook.server.expect_request("/big").respond_with_data("x" * (MAX_BYTES + 1))
    assert "JSON: the response has more than" in failure(notify, False, url=f"json://{hook.place}/big")


# What a service URL can reach


@pytest.mark.parametrize(
    "url",
    [
        "json://127.0.0.1:{}/hook",
        "xml://127.0.0.1:{}/hook",
        "ntfy://127.0.0.1:{}/hook",
        "mailto://me:password@example.com:{}?smtp=127.0.0.1&to=a@example.com",
        "ircs://127.0.0.1:{}/channel",
    ],
)
def test_a_host_outside_the_egress_rule_is_refused(notify, hook, url):
    message = failure(notify, url=url.format(hook.server.port), context={"rule": PUBLIC_ONLY})
    assert message == "127.0.0.1 may not be reached; HEADRACE_EGRESS_ALLOW can permit it"
    assert not hook.log


def test_a_redirect_to_a_host_outside_the_egress_rule_is_refused(notify, hook):
    hook.server.expect_request("/away").respond_with_response(
        Response(status=307, headers={"Location": f"http://127.0.0.2:{hook.server.port}/hook"})
    )
    message = failure(notify, url=f"json://{hook.place}/away")
    assert message.startswith("127.0.0.2 may not be reached")
    assert [request.path for request, _ in hook.log] == ["/away"]


@pytest.mark.parametrize("scheme", sorted(LOCAL_SERVICES | {"SYSLOG", "GNOME"}))
def test_a_credential_for_a_local_service_is_refused(scheme):
    for url in (f"{scheme}://", f"{scheme}://localhost/x"):
        with pytest.raises(ValidationError, match="is not supported"):
            TYPES["service_url"].load({"url": url})


def test_the_local_services_of_apprise_are_all_listed():
    """The other services use HTTP requests or sockets, which the egress rule checks."""
    _apprise()
    from apprise.manager_plugins import NotificationManager

    manager = NotificationManager()
    words = ("subprocess", "syslog.openlog", "ctypes", "dbus", "win32", "gi.repository", "hid", "loop_start", "Thread(")
    found = set()
    for schema in manager.schemas():
        module = manager[schema].__module__
        source = "".join(path.read_text() for path in files_of(module))
        if "requests." not in source and any(word in source for word in words):
            found.add(schema)
    assert found and found <= LOCAL_SERVICES


def files_of(module):
    path = Path(importlib.import_module(module).__file__)
    return path.parent.glob("*.py") if path.parent.name != "plugins" else [path]


@pytest.mark.parametrize(
    "url",
    [
        "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js/?template={}",
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FV/?template={}",
        "tgram://123456789:abcdefg_hijklmnop/12315544/?template={}",
        "fcm://project/device?mode=oauth2&keyfile={}",
    ],
)
def test_a_service_url_cannot_make_the_server_read_a_file(notify, tmp_path, url):
    key, other = tmp_path / "headrace.key", tmp_path / "other"
    for path in (key, other):
        path.write_text("{}")
        os.utime(path, (0, time.time()))
    other.read_text()
    if other.stat().st_atime == 0:
        pytest.skip("this file system does not record when a file was read")
    with pytest.raises(NodeError):
        notify(url=url.format(key), context={"rule": PUBLIC_ONLY})
    assert key.stat().st_atime == 0


def test_netrc_and_proxy_variables_are_ignored(notify, hook, monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password hunter2hunter2\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    notify()
    assert "Authorization" not in hook.log[-1][0].headers and len(hook.log) == 1


def test_apprise_does_not_change_requests_for_other_code(hook, monkeypatch):
    import requests

    _apprise()
    assert requests.Session().trust_env is True
    assert requests.post(f"http://{hook.place}/hook", timeout=5).text == "taken"


def test_a_certificate_is_trusted_only_with_its_ca_file(notify, authority):
    with Site("127.0.0.1", ssl_context=authority.server("127.0.0.1")) as server:
        server.expect_request("/hook").respond_with_data("taken")
        url = f"jsons://127.0.0.1:{server.port}/hook"
        assert "certificate verify failed" in failure(notify, False, url=url)
        assert notify(url=url, context={"ca_file": authority.file}) == {"service": "JSON"}


def test_no_service_url_is_logged(notify, hook):
    class Kept(logging.Handler):
        def emit(self, record):
            if record.name.startswith(("apprise", "urllib3", "requests", "headrace")):
                kept.append(record.getMessage())

    kept, handler, root = [], Kept(), logging.getLogger()
    hook.server.expect_request("/no").respond_with_data("no", status=500)
    _apprise()
    root.addHandler(handler)
    level = root.level
    root.setLevel(logging.DEBUG)
    try:
        notify(url=f"json://me:{PASSWORD}@{hook.place}/hook?+X-Key=key12345key")
        failure(notify, False, url=f"json://me:{PASSWORD}@{hook.place}/no?+X-Key=key12345key")
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
    assert kept == []


# Secrets


@pytest.mark.parametrize(
    ("url", "secret", "open_"),
    [
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FV/#general", "TIiajkdnlazkcOXrIdevi7FV", "general"),
        ("https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazk", "TIiajkdnlazk", "hooks.slack.com"),
        ("tgram://123456789:abcdefg_hijklmnop/12315544", "123456789:abcdefg_hijklmnop", "tgram"),
        ("mailtos://jane:pw12@gmail.com?to=bob@example.org", "pw12", "bob@example.org"),
        ("json://me:pass%20word@chat.example.com/hooks/a1b2c3d4e5", "pass word", "chat.example.com"),
        ("matrixs://sometoken@matrix.example.com/#room", "sometoken", "matrix.example.com"),
        ("ntfy://alerts-of-mine?format=markdown", "alerts-of-mine", "markdown"),
        ("json://chat.example.com/?+X-Key=a1b2c3d4e5", "a1b2c3d4e5", "chat.example.com"),
    ],
)
def test_keys_in_a_service_url_are_redacted(make_ctx, url, secret, open_):
    ctx, _ = make_ctx(credentials={"chat": ("service_url", {"url": url})})
    ctx.credential("chat")
    assert secret not in ctx.keyring.clean_text(f"told {secret} all")
    assert url not in ctx.keyring.clean_text(f"at {url}")
    assert ctx.keyring.clean_data({"a": f"the {open_} one", "b": secret})["a"] == f"the {open_} one"


def test_a_secret_from_an_expression_is_not_sent_to_a_service(notify, run, make_ctx, hook):
    known = {"chat": ("service_url", {"url": hook.url}), "key": ("secret", {"value": PASSWORD})}
    for leak in ({"message": f"it is {PASSWORD}"}, {"title": PASSWORD, "message": "a"}):
        ctx, _ = make_ctx(credentials=known)
        assert ctx.keyring["key"] == PASSWORD
        with pytest.raises(NodeError, match="'key' may not be sent to 127.0.0.1"):
            run("notify", {"credential": "chat", **leak}, ctx=ctx)
    slack = {"url": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FV"}
    ctx, _ = make_ctx(credentials={**known, "chat": ("service_url", slack)})
    assert ctx.keyring["key"] == PASSWORD
    with pytest.raises(NodeError, match="'key' may not be sent to slack:"):
        run("notify", {"credential": "chat", "message": PASSWORD}, ctx=ctx)
    assert not hook.log


# Credential check


def test_the_credential_check_sends_a_message_only_on_request(make_ctx, hook):
    known = {"good": ("service_url", {"url": hook.url}), "bad": ("service_url", {"url": "slack://bad"})}
    ctx, _ = make_ctx(credentials=known)
    check = CHECKS["service_url"]
    with pytest.raises(Untested, match="The URL is valid for JSON"):
        check(ctx.credential("good"), ctx, {})
    assert not hook.log
    assert check(ctx.credential("good"), ctx, {"send": True}) == "JSON accepted the test message"
    assert len(hook.log) == 1
    for asked in ({}, {"send": True}):
        with pytest.raises(NodeError, match="is not valid"):
            check(ctx.credential("bad"), ctx, asked)


# The contract


@pytest.fixture
def case_notify(hook, silent):
    def url(place):
        return {"url": f"json://me:{PASSWORD}@{place}/hook"}

    return Case(
        config={"credential": "chat", "title": "Hello", "message": "Hello"},
        credentials={"chat": ("service_url", url(hook.place)), "slow": ("service_url", url(silent.place))},
        secret=PASSWORD,
        stalled={"credential": "slow"},
        count=lambda: len(hook.log),
    )


class TestNotifyKeepsTheContract(Contract):
    type_ = "notify"
