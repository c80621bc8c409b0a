"""The disk space of forms: limits on files that are staged, the quota of the workspace, and what is deleted."""

import http.client
import os
import time
from functools import partial
from multiprocessing import get_context
from types import SimpleNamespace

import pytest
from form_pages import CV, NAME, fill, inputs_of, make_definition, only_run, pdf, text_of
from servers import serving
from test_forms_in_runs import waiting  # noqa: F401  (a fixture)
from world import flow, node

from models import Run
from nodes.files import staged as limits
from nodes.files.files import NAME as USAGE
from nodes.files.files import OverQuota, WorkspaceFiles
from nodes.files.staged import LEAST, Crowded, UploadSource, count_staged, moving, remove_unsent, settle, staging

pytestmark = pytest.mark.usefixtures("shared_server")

LARGE = {**CV, "max_bytes": 100_000}
MANY = {"kind": "file", "name": "up", "title": "Files", "max": 5, "max_bytes": 10_000_000}
BOUNDARY = "a-boundary-of-parts"


@pytest.fixture
def active(make_flow, owner):
    """Return `active(*nodes, **config)`, which makes an active flow with a form of a name and a file."""
    return lambda *nodes, **config: make_flow(
        make_definition(*nodes, **{"fields": [NAME, LARGE], **config}), status="active"
    )


@pytest.fixture
def root(app, owner):
    """The files of the workspace."""
    return app.extensions["headrace"].dispatcher.resources.files_of(owner.workspace.id)


@pytest.fixture
def tight(monkeypatch):
    """Small forms may stage no more than many times their largest answer."""
    monkeypatch.setattr(limits, "FLOOR", 0)


def at(client, address):
    """Return the client with this network address."""
    return SimpleNamespace(post=partial(client.post, environ_base={"REMOTE_ADDR": address}))


def leave(client, address="203.0.113.1", path="/forms/contact", **texts):
    """Send a page with a file and without the required name, as a person who never goes on."""
    page = client.get(path)
    return fill(at(client, address), page, path=path, name="", files=[("cv", pdf())], **texts)


def on_disk(folder):
    return [path for path in folder.rglob("*") if path.is_file() and path.name != USAGE]


# Staged files


def test_one_network_stages_a_limited_number_of_bytes(client, active, root, tight):
    active(fields=[NAME, LARGE, {"kind": "text", "name": "more", "title": "More"}])
    most = limits.NETWORK_TIMES * 100_000 // LEAST
    assert {leave(client).status_code for _ in range(most)} == {422}
    before = count_staged(root)
    refused = leave(client, more="kept")
    assert refused.status_code == 429 and int(refused.headers["Retry-After"]) == 3600
    assert "Too many files of unfinished forms" in text_of(refused) and 'value="kept"' in refused.text
    assert count_staged(root) == before == most * 100 and not Run.select().count()
    assert leave(client, "203.0.113.2").status_code == 422, "other networks are not affected"


def test_one_form_stages_a_limited_number_of_bytes_and_others_are_not_affected(client, active, root, tight):
    active(rate_limit=1_000)
    active(path="other")
    most = limits.FORM_TIMES * 100_000 // LEAST
    assert {leave(client, f"203.0.113.{number}").status_code for number in range(most)} == {422}
    assert leave(client, "203.0.113.200").status_code == 429
    assert leave(client, "203.0.113.200", path="/forms/other").status_code == 422


def test_a_workspace_stages_a_limited_number_of_bytes(client, active, monkeypatch, tight):
    monkeypatch.setattr(limits, "MAX_STAGED", 3 * LEAST)
    for path in ("contact", "two", "three", "four"):
        active(path=path)
    sent = [leave(client, path=f"/forms/{path}").status_code for path in ("contact", "two", "three", "four")]
    assert sent == [422, 422, 422, 429]


def test_unfinished_pages_with_files_count_against_the_rate_limit(client, active, root):
    active(rate_limit=2)
    page = client.get("/forms/contact")
    assert {fill(client, page, name="").status_code for _ in range(3)} == {422}, "pages without files do not count"
    assert [leave(client).status_code for _ in range(3)] == [422, 422, 429]
    assert count_staged(root) == 200


def test_an_answer_with_a_file_counts_once(client, active):
    active(rate_limit=1)
    sent = fill(client, client.get("/forms/contact"), name="Ada", files=[("cv", pdf())])
    assert sent.status_code == 303


def test_a_staged_file_is_deleted_after_an_hour_unless_its_form_is_still_filled_in(client, active, root):
    active()
    again = leave(client)
    (key,) = [path for path in on_disk(root.root)]
    old = time.time() - 3_000
    os.utime(key, (old, old))
    again = fill(client, again, name="", files=[("cv", pdf("", 0))])
    assert key.stat().st_mtime > old + 2_000 and "cv.pdf" in again.text
    old = time.time() - 3_700
    os.utime(key, (old, old))
    leave(client)
    assert not key.exists() and count_staged(root) == 100, "another person's file makes room"
    late = fill(client, again, name="Ada", files=[("cv", pdf("", 0))])
    assert late.status_code == 422 and "Choose the files again" in late.text
    assert remove_unsent(root, lambda id_: True, time.time() + 3_700) == 1 and on_disk(root.root) == []


# The quota


def test_an_answer_counts_against_the_quota(owner, client, active, root, monkeypatch):
    monkeypatch.setattr(root, "quota", 1_000)
    active()
    unfinished = leave(client)
    usage = owner.get("/api/files-usage").json
    assert (usage["used"], usage["staged"], usage["quota"]) == (0, 100, 1_000)
    assert fill(client, unfinished, name="Ada", files=[("cv", pdf("", 0))]).status_code == 303
    usage = owner.get("/api/files-usage").json
    assert (usage["used"], usage["staged"]) == (100, 0)
    assert len(root.read(next(iter(root.find("forms/")))["path"])) == 100


def test_a_file_beyond_the_quota_leaves_nothing_and_what_was_entered_stays(client, active, root, monkeypatch):
    monkeypatch.setattr(root, "quota", 1_000)
    active()
    root.write("a", b"x" * 950)
    refused = fill(client, client.get("/forms/contact"), name="Ada", files=[("cv", pdf())])
    assert refused.status_code == 413 and 'value="Ada"' in refused.text
    assert "There is no space left for files here" in text_of(refused) and "950" not in text_of(refused)
    assert [path.name for path in on_disk(root.root)] == ["a"] and root.usage() == 950
    assert fill(client, refused, name="Ada", files=[("cv", pdf("", 0))]).status_code == 303
    assert only_run()


def test_a_quota_that_was_used_up_meanwhile_keeps_the_form_as_it_is(client, active, root, monkeypatch):
    monkeypatch.setattr(root, "quota", 1_000)
    active()
    unfinished = leave(client)
    root.write("a", b"x" * 950)
    refused = fill(client, unfinished, name="Ada", files=[("cv", pdf("", 0))])
    assert refused.status_code == 413 and "cv.pdf" in refused.text and root.find("forms/") == []
    assert root.usage() == 950 and count_staged(root) == 100 and not Run.select().count()
    root.delete("a")
    assert fill(client, refused, name="Ada", files=[("cv", pdf("", 0))]).status_code == 303
    assert root.usage() == 100


def test_a_question_takes_no_files_beyond_the_quota(client, waiting, root, monkeypatch):  # noqa: F811
    ask = node("ask", "callback", {"message": "Your CV?", "fields": [NAME, LARGE]})
    address = waiting(flow(node("start", "manual"), ask, edges=["start ask"]))["link"]
    monkeypatch.setattr(root, "quota", 50)
    refused = fill(client, client.get(address), path=address, go="received", name="Ada", files=[("cv", pdf())])
    assert refused.status_code == 413 and 'value="Ada"' in refused.text and on_disk(root.root) == []


def test_files_that_move_back_are_not_charged(tmp_path):
    files = WorkspaceFiles(tmp_path / "files", 1_000, 500)
    keys = {stage(files): "a", stage(files): "b"}
    run_id = "run_" + "0" * 26
    with pytest.raises(ZeroDivisionError), moving(files, run_id, keys):
        assert files.usage() == 200 and count_staged(files) == 0
        raise ZeroDivisionError
    assert files.usage() == 0 and count_staged(files) == 200
    files.write("c", b"x" * 350)
    with pytest.raises(OverQuota), moving(files, run_id, keys):
        raise AssertionError
    assert files.usage() == 350 and count_staged(files) == 200 and files.find("forms/") == []
    settle(files, run_id, keys)
    assert files.usage() == 450 and count_staged(files) == 100, "one of them has no room, and stays staged"


def stage(files, source=UploadSource("form", "network", 100), size=100):  # noqa: B008
    with staging(files, source, 1_000) as upload:
        upload.write(b"x" * size)
    return upload.name


@pytest.mark.parametrize("quota", [0, 10 * 2**30])
def test_the_limits_hold_with_and_without_a_quota(tmp_path, tight, quota):
    files, source = WorkspaceFiles(tmp_path / "files", 1_000, quota), UploadSource("form", "network", LEAST)
    for _ in range(limits.NETWORK_TIMES):
        stage(files, source)
    with pytest.raises(Crowded):
        stage(files, source)
    stage(files, UploadSource("form", None, LEAST))
    stage(files, UploadSource("form", "network", 20 * LEAST))


def stage_many(root, quota):
    files, kept = WorkspaceFiles(root, 3 * 2**20, quota), 0
    for _ in range(5):
        try:
            with staging(files, UploadSource("form", "network", 2**20), 2 * 2**20) as upload:
                for _ in range(32):
                    upload.write(b"x" * 2**15)
            kept += 1
        except (Crowded, OverQuota):
            continue
    return kept


@pytest.mark.parametrize(("quota", "most"), [(0, 4 * 2**20), (3 * 2**20 + 5, 3 * 2**20)])
def test_processes_together_stay_within_the_limits(tmp_path, tight, quota, most):
    with get_context("fork").Pool(4) as pool:
        kept = sum(pool.starmap(stage_many, [(tmp_path / "files", quota)] * 4, chunksize=1))
    assert 1 <= kept <= most / 2**20 and count_staged(WorkspaceFiles(tmp_path / "files", 1_000)) == kept * 2**20


# Real servers


def send(server, files):
    """Send a form without its required name: return the status."""
    page = ask(server, "GET")[1]
    (state,) = [value for name, value in inputs_of(page) if name == "_state"]
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'.encode()
        for name, text in {"_state": state, "_page": "0", "_go": "send", "name": files[0]}.items()
    ]
    for number in range(files[1]):
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="up"; filename="{number}.bin"\r\n\r\n'
        parts.append(head.encode() + b"x" * 9_900_000 + b"\r\n")
    return ask(server, "POST", b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()]))[0]


def ask(server, method, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request(
            method, "/forms/up", body, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"} if body else {}
        )
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.mark.slow
def test_strangers_fill_neither_the_disk_nor_the_quota_with_unfinished_forms(tmp_path):
    with serving(tmp_path, WEB_CONCURRENCY=2) as server:
        server.add_flow(make_definition(path="up", fields=[NAME, MANY]))
        assert [send(server, ("", 5)) for _ in range(5)] == [422, 422, 422, 422, 429]
        usage = server.call("GET", "/api/files-usage")
        assert usage["staged"] == 20 * 9_900_000 and usage["used"] == 0
        assert (usage["quota"], server.call("GET", "/api/runs")["items"]) == (10 * 2**30, [])


@pytest.mark.slow
def test_strangers_do_not_exceed_the_quota_of_files(tmp_path):
    with serving(tmp_path, WEB_CONCURRENCY=2, HEADRACE_FILES_QUOTA="1M") as server:
        server.add_flow(make_definition(path="up", fields=[NAME, MANY]))
        assert [send(server, ("Ada", 3)) for _ in range(3)] == [413, 413, 413]
        usage = server.call("GET", "/api/files-usage")
        assert (usage["used"], usage["staged"], usage["quota"]) == (0, 0, 2**20)
        assert on_disk(tmp_path / "files") == [] and server.call("GET", "/api/runs")["items"] == []
