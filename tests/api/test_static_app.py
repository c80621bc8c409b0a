"""The browser app: files as built, a policy against other scripts, and addresses that can be reloaded."""

import base64
import gzip
import hashlib
import os
import re
import shutil
import zlib

import pytest
from strict_answers import check_shape

import workflow_server
from api.http import static_app

pytestmark = pytest.mark.usefixtures("shared_server")

PAGE = '<html><head><meta name="csp-nonce" content="__CSP_NONCE__"></head><body><script src="/assets/a-1.js"></script>'
SCRIPT = b"console.log('of the app')\n" * 100
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def build(folder, script=SCRIPT, name="a-1.js"):
    """A folder as made by `npm run build`."""
    assets = folder / "assets"
    assets.mkdir(parents=True, exist_ok=True)
    (assets / name).write_bytes(script)
    (assets / f"{name}.gz").write_bytes(gzip.compress(script))
    # What is in a compressed file is nothing to the server.
    (assets / f"{name}.br").write_bytes(b"brotli")
    (assets / "font-1.woff2").write_bytes(b"wOF2")
    (folder / "favicon.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (folder / "index.html").write_text(PAGE.replace("a-1.js", name))
    return folder


@pytest.fixture
def dist(tmp_path, app, monkeypatch):
    """The folder that the app serves, with a build."""
    folder = build(tmp_path / "dist")
    made = static_app.Build(folder)
    made.refresh()
    monkeypatch.setitem(app.extensions, "headrace_browser_app", made)
    return folder


@pytest.fixture
def browser(client, dist):
    """A client of the server with the build."""
    return client


# The page


@pytest.mark.parametrize("path", ["/", "/flows", "/flows/wf_x", "/runs/run_y/steps", "/agents/a.b", "/apis", "/%C3%A9"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_address_of_the_app_answers_its_page(browser, method, path):
    answer = browser.open(path, method=method, headers=HTML)
    assert answer.status_code == 200 and answer.mimetype == "text/html"
    assert answer.headers["Cache-Control"] == "private, no-cache" and answer.headers["Vary"] == "Accept"
    assert answer.text.startswith("<html>") if method == "GET" else answer.data == b""


def test_the_page_has_a_nonce_that_its_policy_allows_and_no_other_answer_has(browser):
    nonces = set()
    for _ in range(3):
        answer = browser.get("/", headers=HTML)
        nonce = re.search(r'content="([\w-]{24})"', answer.text)[1]
        assert f"style-src 'self' 'nonce-{nonce}';" in answer.headers["Content-Security-Policy"]
        nonces.add(nonce)
    assert len(nonces) == 3 and "__CSP_NONCE__" not in answer.text


def test_the_page_names_the_user_who_is_logged_in(browser, dist, owner):
    (dist / "index.html").write_text('<meta name="user" content="__USER_ID__">')
    assert browser.get("/").text == '<meta name="user" content="">'
    browser.set_cookie("headrace_session", "nobody's")
    assert browser.get("/").text == '<meta name="user" content="">'
    assert owner.get("/").text == f'<meta name="user" content="{owner.user.id}">'


def test_the_policy_allows_the_inline_script_of_the_build_by_its_hash(browser, dist):
    (dist / "index.html").write_text("<script>start()</script><script src='/assets/a-1.js'></script>")
    digest = base64.b64encode(hashlib.sha256(b"start()").digest()).decode()
    policy = browser.get("/").headers["Content-Security-Policy"]
    assert f"script-src 'self' 'sha256-{digest}';" in policy and "unsafe" not in policy


def test_the_policy_lets_nothing_run_but_the_files_of_the_app(browser):
    policy = re.sub(r"nonce-[\w-]+", "nonce-N", browser.get("/").headers["Content-Security-Policy"])
    assert policy == (
        "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-N'; img-src 'self' data: blob:; "
        "font-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    )


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html;q=0, */*", "text/*", None])
def test_requests_that_accept_no_page_get_none_except_at_the_root(browser, accept):
    headers = {} if accept is None else {"Accept": accept}
    check_shape(browser.get("/flows/wf_x", headers=headers), 404)
    assert browser.get("/", headers=headers).mimetype == "text/html"


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/nothing", "/api/flows/", "/assets", "/assets/", "/mcp/x", "/metrics/x"]
)
def test_an_unknown_address_that_is_not_the_apps_is_404_for_a_browser_too(browser, path):
    check_shape(browser.get("/", headers=HTML, environ_overrides={"PATH_INFO": path}), 404)


@pytest.mark.parametrize("path", ["/", "/flows/wf_x", "/favicon.svg", "/assets/a-1.js"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PROPFIND"])
def test_the_app_is_only_read(browser, method, path):
    answer = browser.open(path, method=method, headers=HTML)
    assert method in check_shape(answer, 405)
    assert {"GET", "HEAD"} <= set(answer.headers["Allow"].split(", "))


def test_views_of_the_api_answer_browsers_and_programs_alike(browser, owner, dist):
    check_shape(browser.get("/api/flows", headers=HTML), 401)
    check_shape(browser.get("/api/auth/login", headers=HTML), 405)
    assert owner.get("/api/flows", headers=HTML).mimetype == "application/json"


# The files


@pytest.mark.parametrize(
    ("path", "type_"),
    [
        ("/assets/a-1.js", "text/javascript; charset=utf-8"),
        ("/assets/font-1.woff2", "font/woff2"),
        ("/favicon.svg", "image/svg+xml; charset=utf-8"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_file_has_its_type_and_is_not_sniffed(browser, method, path, type_):
    answer = browser.open(path, method=method)
    assert answer.status_code == 200 and answer.headers["Content-Type"] == type_
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert bool(answer.data) == (method == "GET") and int(answer.headers["Content-Length"]) > 0


def test_a_hashed_file_is_kept_for_ever_and_others_are_asked_for_again(browser):
    assert browser.get("/assets/a-1.js").headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert browser.get("/favicon.svg").headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    ("accept", "encoding", "data"),
    [
        ("gzip, deflate, br, zstd", "br", b"brotli"),
        ("gzip", "gzip", SCRIPT),
        ("br;q=0.5, gzip", "gzip", SCRIPT),
        ("br;q=0, gzip;q=0", None, SCRIPT),
        ("identity", None, SCRIPT),
        ("", None, SCRIPT),
    ],
)
def test_a_file_is_sent_in_an_encoding_that_the_client_accepts(browser, accept, encoding, data):
    answer = browser.get("/assets/a-1.js", headers={"Accept-Encoding": accept})
    assert answer.headers.get("Content-Encoding") == encoding and answer.headers["Vary"] == "Accept-Encoding"
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert (zlib.decompress(answer.data, 31) if encoding == "gzip" else answer.data) == data


def test_a_file_without_compressed_forms_is_sent_as_it_is(browser):
    answer = browser.get("/assets/font-1.woff2", headers={"Accept-Encoding": "gzip, br"})
    assert answer.data == b"wOF2" and "Vary" not in answer.headers and "Content-Encoding" not in answer.headers


def test_a_file_that_the_client_has_is_not_sent_again_and_each_form_has_a_tag(browser):
    tags = set()
    for accept in ("br", "gzip", "identity"):
        headers = {"Accept-Encoding": accept}
        tag = browser.get("/assets/a-1.js", headers=headers).headers["ETag"]
        again = browser.get("/assets/a-1.js", headers={**headers, "If-None-Match": tag})
        assert again.status_code == 304 and again.data == b"" and again.headers["Vary"] == "Accept-Encoding"
        tags.add(tag)
    assert len(tags) == 3


@pytest.mark.parametrize(
    "path",
    [
        *("nothing.js", "a-1.js.gz", "a-1.js.br", "a-1.js/", "", ".", "..", "/a-1.js", "A-1.JS", "a%00b", "%ff"),
        *("../index.html", "..%2findex.html", "%2e%2e/%2e%2e/secret", "..%5cindex.html", "//etc/passwd", ".hidden"),
        *("outside.js", "elsewhere/secret.js"),
    ],
)
def test_nothing_but_files_of_the_build_is_sent(browser, dist, tmp_path, path):
    (tmp_path / "secret.js").write_text("secret")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret.js").write_text("secret")
    (dist / "assets" / "outside.js").symlink_to(tmp_path / "secret.js")
    (dist / "assets" / "elsewhere").symlink_to(tmp_path / "elsewhere")
    (dist / "assets" / ".hidden").write_text("secret")
    for headers in (HTML, {}):
        check_shape(browser.get(f"/assets/{path}", headers=headers), 404)


def test_a_file_in_a_subfolder_is_sent(browser, dist):
    (dist / "assets" / "fonts").mkdir()
    (dist / "assets" / "fonts" / "b-1.woff2").write_bytes(b"wOF2")
    assert browser.get("/assets/fonts/b-1.woff2").data == b"wOF2"


# Another build while the server runs


def test_a_new_build_is_served_at_once_and_the_old_files_are_gone(browser, dist):
    assert "a-1.js" in browser.get("/").text
    shutil.rmtree(dist)
    check_shape(browser.get("/assets/a-1.js"), 404)
    assert "a-1.js" in browser.get("/").text, "the page stays while there is no other"
    build(dist, b"new", "a-2.js")
    assert browser.get("/assets/a-2.js").data == b"new"
    assert "a-2.js" in browser.get("/").text
    check_shape(browser.get("/assets/a-1.js"), 404)


def test_a_file_that_came_after_the_page_is_found(browser, dist):
    browser.get("/")
    (dist / "assets" / "late-1.js").write_text("late")
    assert browser.get("/assets/late-1.js").data == b"late"


def test_compressed_forms_that_came_after_the_page_are_sent(browser, dist):
    browser.get("/")
    (dist / "assets" / "font-1.woff2.gz").write_bytes(b"gz")
    os.utime(dist / "index.html")
    browser.get("/")
    answer = browser.get("/assets/font-1.woff2", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"


# Without a build


def test_without_a_build_the_root_has_instructions_to_build(client):
    answer = client.get("/", headers=HTML)
    assert answer.status_code == 200 and answer.headers["Cache-Control"] == "no-store"
    assert "make web" in answer.text and "npm ci &amp;&amp; npm run build" in answer.text
    assert 'href="/api/docs/"' in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-") and "unsafe" not in policy


@pytest.mark.parametrize("path", ["/flows/wf_x", "/assets/a-1.js", "/favicon.svg", "/nothing"])
def test_without_a_build_other_addresses_are_404(client, path):
    check_shape(client.get(path, headers=HTML), 404)


def test_a_build_after_the_start_is_served_without_a_restart(client, app, tmp_path, monkeypatch):
    monkeypatch.setitem(app.extensions, "headrace_browser_app", static_app.Build(tmp_path / "dist"))
    assert "make web" in client.get("/").text
    build(tmp_path / "dist")
    assert "a-1.js" in client.get("/").text
    assert client.get("/flows", headers=HTML).status_code == 200


def test_the_folder_is_a_setting(config, tmp_path):
    """Needs a process without a server, since it has one database open at a time."""
    folder = build(tmp_path / "dist")
    other = workflow_server.create_app(config.__class__(data_dir=config.data_dir, web_dir=folder))
    assert other.extensions["headrace_browser_app"].folder == folder
