"""Files of a workspace, changes of them, and free disk space."""

import os
import resource
import sys
from io import BytesIO
from multiprocessing import get_context
from urllib.parse import quote

import pytest
from strict_answers import check_shape
from world import at_once

from dispatch.dispatcher import FreeSpace
from models import AuditEntry, Run
from nodes.files.files import NAME, OverQuota, WorkspaceFiles
from scheduler import Scheduler

pytestmark = pytest.mark.usefixtures("shared_server")


@pytest.fixture
def files(server, owner):
    """The files of the first workspace."""
    return server.dispatcher.resources.files_of(owner.workspace.id)


def upload(client, content=b"a,b", name="may.csv", **form):
    return client.post("/api/files", data={"file": (BytesIO(content), name), **form})


def paths(client, query=""):
    return [item["path"] for item in client.get(f"/api/files{query}").json["items"]]


# Coming in


def test_an_upload_is_kept_listed_sent_again_and_deleted(owner, files):
    made = upload(owner, path="reports/2026/", content=b"name,total\nAda,3\n")
    assert made.status_code == 201, made.text
    shown = {"path": "reports/2026/may.csv", "name": "may.csv", "type": "file", "size": 17, "content_type": "text/csv"}
    assert {**shown, "modified_at": made.json["modified_at"]} == made.json
    assert owner.get("/api/files").json == {"items": [made.json], "next_cursor": None}
    answer = owner.get("/api/files/reports/2026/may.csv")
    assert (answer.status_code, answer.data) == (200, b"name,total\nAda,3\n")
    assert answer.headers["Content-Length"] == "17"
    assert owner.delete("/api/files/reports/2026/may.csv").status_code == 204
    assert paths(owner) == []
    check_shape(owner.get("/api/files/reports/2026/may.csv"), 404)
    check_shape(owner.delete("/api/files/reports/2026/may.csv"), 404)


@pytest.mark.parametrize(
    ("given", "path"),
    [({}, "may.csv"), ({"path": ""}, "may.csv"), ({"path": "a/"}, "a/may.csv"), ({"path": "a/b.txt"}, "a/b.txt")],
)
def test_a_path_is_a_file_or_a_folder_by_its_slash(owner, given, path):
    assert upload(owner, **given).json["path"] == path


def test_only_the_last_part_of_an_uploads_name_counts(owner):
    assert upload(owner, name="../../etc/passwd").json["path"] == "passwd"
    assert upload(owner, name="/home/ada/Größe.txt").json["path"] == "Größe.txt"


def test_an_existing_file_is_replaced_only_with_overwrite(owner, files):
    upload(owner, b"old")
    assert "overwrite=true" in check_shape(upload(owner, b"new"), 409)
    assert files.read("may.csv") == b"old"
    assert upload(owner, b"newer", overwrite="true").status_code == 201
    assert files.read("may.csv") == b"newer"


def test_a_file_may_be_larger_than_other_bodies_and_takes_no_memory(owner, server, files):
    size = 12 * server.config.max_body_bytes
    assert size <= server.config.file_max_bytes
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer = send(owner, Form(size))
    assert answer.status_code == 201, answer.text
    assert files.size("large.bin") == size
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < size / 2


def test_a_long_text_is_kept_whatever_the_length_of_its_lines(owner, files):
    for length in (1, 30, 70, 1_000, 65_535, 65_536):
        content = (b"x" * length + b"\r\n") * (300_000 // (length + 2))
        answer = upload(owner, content, overwrite="true")
        assert answer.status_code in (200, 201), (length, answer.text)
        assert files.read("may.csv") == content


def send(client, form):
    """Upload the form."""
    environ = {"wsgi.input": form, "CONTENT_LENGTH": form.length, "CONTENT_TYPE": "multipart/form-data; boundary=edge"}
    return client.post("/api/files", environ_overrides=environ)


class Form:
    """A form with one file of `size` zeros, generated while it is read; it ends `cut` bytes early."""

    def __init__(self, size, cut=0):
        head = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="large.bin"\r\n\r\n'
        self.parts = [(head, 1), (b"\0", size), (b"\r\n--edge--\r\n", 1)]
        whole = sum(len(piece) * times for piece, times in self.parts)
        self.length, self.left = str(whole), whole - cut

    def read(self, most=-1):
        while self.parts and self.parts[0][1] == 0:
            self.parts.pop(0)
        if not self.parts or not self.left:
            return b""
        piece, times = self.parts[0]
        wanted = self.left if most < 0 else min(most, self.left)
        if len(piece) == 1:
            taken = min(times, wanted)
            self.parts[0] = (piece, times - taken)
            data = piece * taken
        else:
            data, rest = piece[:wanted], piece[wanted:]
            self.parts[0] = (rest, 1 if rest else 0)
        self.left -= len(data)
        return data


def refused_upload(client, files, status, **form):
    """Return the error of a refused upload, and check that it left no file."""
    text = check_shape(upload(client, **form), status)
    assert files.find() == [] and left_over(files) == []
    return text


def left_over(files):
    """Return the remaining unfinished uploads."""
    folder = files.root / ".draft-uploads"
    return list(folder.iterdir()) if folder.exists() else []


def test_a_file_beyond_the_bound_is_refused_and_leaves_nothing(owner, server, files, monkeypatch):
    monkeypatch.setattr(server.dispatcher.resources, "files_of", lambda id_: type(files)(files.root, 1_000))
    assert upload(owner, b"x" * 1_000).status_code == 201
    files.delete("may.csv")
    assert "1,000" in refused_upload(owner, files, 413, content=b"x" * 1_001)
    check_shape(send(owner, Form(10**9)), 413)


def test_an_upload_that_is_cut_off_leaves_nothing(owner, files):
    check_shape(send(owner, Form(200_000, cut=50_000)), 400)
    assert files.find() == [] and left_over(files) == []


def test_an_upload_leaves_the_disk_some_room(owner, server, files, monkeypatch):
    monkeypatch.setattr(server.dispatcher.free_space, "floor", 2**60)
    assert "disk" in refused_upload(owner, files, 503)


def test_old_unfinished_uploads_are_removed_by_a_later_upload(owner, files):
    upload(owner)
    folder = files.root / ".draft-uploads"
    (folder / "old").write_bytes(b"half")
    (folder / "young").write_bytes(b"half")
    os.utime(folder / "old", (1, 1))
    upload(owner, name="june.csv")
    assert [path.name for path in left_over(files)] == ["young"]
    assert paths(owner) == ["june.csv", "may.csv"]


@pytest.mark.parametrize(
    "path",
    ["../x", "/etc/x", "a/../../x", "a\\b", ".draft-x", "a/.draft-x/b", "x.db-journal", "x\x01", "a/" * 30 + "x"],
)
def test_no_path_leads_anywhere_else(owner, files, path):
    refused_upload(owner, files, 400, path=path)
    assert not [entry for entry in files.root.parent.rglob("*") if entry.is_file() and entry.name == "x"]


@pytest.mark.parametrize("path", ["%2e%2e/%2e%2e/secret.key", "..%2f..%2fsecret.key", "a/..%2f..%2f..%2fsecret.key"])
def test_no_address_leads_out_of_the_files(owner, files, path):
    files.write("a/b", b"x")
    for method in ("GET", "DELETE"):
        assert owner.open(f"/api/files/{path}", method=method).status_code in (400, 404)
    assert files.root.parent.parent.joinpath("secret.key").exists()


def test_links_are_neither_listed_nor_sent_nor_written_through(owner, files, tmp_path):
    files.write("a/plain", b"x")
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_bytes(b"hunter2")
    (files.root / "link").symlink_to(secret)
    (files.root / "a" / "key").symlink_to(secret / "key")
    os.link(secret / "key", files.root / "hard")
    assert paths(owner) == ["a/plain"]
    for path in ("link/key", "a/key", "hard"):
        answer = owner.get(f"/api/files/{path}")
        assert answer.status_code == 400 and "hunter2" not in answer.text
    check_shape(upload(owner, path="link/new"), 400)
    assert upload(owner, b"new", path="a/key", overwrite="true").status_code == 201
    assert (secret / "key").read_bytes() == b"hunter2" and not (secret / "new").exists()


def test_a_folder_cannot_be_replaced_and_only_deleted_when_empty(owner, files):
    files.write("a/b", b"x")
    check_shape(upload(owner, path="a", overwrite="true"), 400)
    check_shape(upload(owner, path="a/b/c"), 400)
    check_shape(owner.delete("/api/files/a"), 400)
    assert files.read("a/b") == b"x"
    assert owner.delete("/api/files/a/b").status_code == owner.delete("/api/files/a").status_code == 204


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ({"body": {"path": "x"}}, 415, "multipart/form-data"),
        ({"data": {"path": "x"}, "content_type": "multipart/form-data"}, 400, "file"),
        ({"data": {"file": "text"}, "content_type": "multipart/form-data"}, 400, "file"),
        ({"data": {"other": (BytesIO(b"x"), "x")}}, 400, "file"),
        ({"data": {"file": [(BytesIO(b"x"), "x"), (BytesIO(b"y"), "y")]}}, 400, "one file"),
        ({"data": {"file": (BytesIO(b"x"), "x"), "paht": "y"}}, 400, "paht"),
        ({"data": {"file": (BytesIO(b"x"), "x"), "overwrite": "perhaps"}}, 400, "overwrite"),
        ({"data": {"file": (BytesIO(b"x"), "x"), "path": "y" * 100_000}}, 413, "large"),
        ({"data": b"nothing", "content_type": "multipart/form-data"}, 400, "form"),
        ({"data": b"nothing", "content_type": "multipart/form-data; boundary=edge"}, 400, "form"),
    ],
)
def test_another_body_is_refused_and_leaves_nothing(owner, files, options, status, words):
    assert words in check_shape(owner.post("/api/files", **options), status)
    assert files.find() == [] and left_over(files) == []


def test_a_page_of_another_site_uploads_nothing(owner, files):
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = owner.post("/api/files", data={"file": (BytesIO(b"x"), "x")}, headers=headers)
        check_shape(answer, 403)
    assert files.find() == []


def test_two_uploads_of_one_path_leave_one_of_them_whole(app, owner, files):
    def send(number):
        client = app.test_client()
        client.set_cookie("headrace_session", owner.get_cookie("headrace_session").value)
        return upload(client, b"abc"[number : number + 1] * 300_000, overwrite="true").status_code

    answers = at_once(3, send)
    content = files.read("may.csv")
    assert answers == [201] * 3 and len(content) == 300_000 and len(set(content)) == 1 and left_over(files) == []


# Listing


def test_files_are_listed_in_pages_by_their_paths(owner, files):
    names = ["a-b", "a/b", "a/b-c/d", "a/b/../z", "ab", "b/1", "b/10", "b/2", "ä", "c"]
    for name in names:
        if ".." not in name:
            files.write(name + ".txt", b"x")
    expected = sorted(name + ".txt" for name in names if ".." not in name)
    assert paths(owner) == expected
    found, cursor = [], ""
    while cursor is not None:
        page = owner.get("/api/files", query_string={"limit": 2, **({"cursor": cursor} if cursor else {})}).json
        assert len(page["items"]) <= 2
        found += [item["path"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert found == expected


def test_a_prefix_is_the_beginning_of_a_path(owner, files):
    for name in ("reports/may.csv", "reports/june.csv", "reports-old/may.csv", "other"):
        files.write(name, b"x")
    assert paths(owner, "?prefix=reports/") == ["reports/june.csv", "reports/may.csv"]
    assert paths(owner, "?prefix=reports/m") == ["reports/may.csv"]
    assert paths(owner, "?prefix=rep") == ["reports-old/may.csv", "reports/june.csv", "reports/may.csv"]
    assert paths(owner, "?prefix=../") == paths(owner, "?prefix=/") == []


def test_a_folder_of_very_many_files_is_listed_some_at_a_time(owner, files, monkeypatch):
    monkeypatch.setattr(sys.modules["nodes.files.files"], "SORTED_AT_ONCE", 3)
    for number in range(10):
        files.write(f"many/{number}", b"")
    assert paths(owner) == [f"many/{number}" for number in range(10)]


# Going out


@pytest.mark.parametrize("name", ["page.html", "picture.svg", "script.js", "Größe „1“.txt", "data.json"])
def test_a_file_is_saved_and_never_shown_as_a_page_of_this_server(owner, files, name):
    content = b"<script>alert(1)</script>"
    files.write(f"a/{name}", content)
    answer = owner.get(f"/api/files/a/{name}")
    assert answer.data == content
    assert answer.headers["Content-Disposition"] == f"attachment; filename*=UTF-8''{quote(name)}"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store" and "Content-Encoding" not in answer.headers


def test_a_download_has_the_content_at_the_time_of_the_request(app, owner, files):
    files.write("log.txt", b"x" * 200_000)
    client = app.test_client()
    client.set_cookie("headrace_session", owner.get_cookie("headrace_session").value)
    answer = super(type(client), client).open("/api/files/log.txt")
    pieces = answer.iter_encoded()
    first = next(pieces)
    files.append("log.txt", b"y" * 100_000)
    assert len(first) < 200_000 and first + b"".join(pieces) == b"x" * 200_000
    answer.close()


# Who may


def test_viewers_list_files_and_cannot_download_them(owner, member, files):
    files.write("a", b"token=secret")
    viewer, operator = member("viewer"), member("operator")
    assert paths(viewer) == ["a"]
    check_shape(viewer.get("/api/files/a"), 403)
    assert operator.get("/api/files/a").data == b"token=secret"
    check_shape(upload(operator, path="b"), 403)
    check_shape(operator.delete("/api/files/a"), 403)
    assert paths(owner) == ["a"]


def test_each_workspace_has_its_own_files(owner, other, files):
    upload(owner, b"mine")
    assert paths(other) == [] and other.get("/api/files/may.csv").status_code == 404
    for way in (
        {"headers": {"X-Workspace-Id": owner.workspace.id}},
        {"query_string": {"workspace_id": owner.workspace.id}},
    ):
        check_shape(other.get("/api/files/may.csv", **way), 403)


def test_the_audit_log_has_the_file_without_its_content(owner, files):
    upload(owner, b"hunter2", path="a/b.txt")
    owner.delete("/api/files/a/b.txt")
    told = [(row.action, row.target_type, row.target_name, row.changes) for row in AuditEntry.select()]
    assert told[-2:] == [
        ("file.uploaded", "file", "a/b.txt", '{"size":7}'),
        ("file.deleted", "file", "a/b.txt", "{}"),
    ]


def test_a_refused_upload_leaves_no_entry(owner, files):
    upload(owner)
    before = AuditEntry.select().count()
    upload(owner)
    owner.delete("/api/files/nothing")
    assert AuditEntry.select().count() == before


# Files over HTTP: folders in pages, moving, deleting many, previews, parts of a file, and the quota


def test_a_folder_is_listed_with_its_folders_in_pages(owner, files):
    for path in ("a/x.txt", "a/b/y.txt", "a/b/c/z.txt", "a/c.txt", "top.txt"):
        files.write(path, b"1")
    found, cursor = [], ""
    while cursor is not None:
        page = owner.get(f"/api/files?folder=a&limit=1&cursor={cursor}").json
        found, cursor = [*found, *page["items"]], page["next_cursor"]
    assert [(one["path"], one["type"]) for one in found] == [
        ("a/b/", "folder"),
        ("a/c.txt", "file"),
        ("a/x.txt", "file"),
    ]
    assert paths(owner, "?folder=") == ["a/", "top.txt"]
    assert paths(owner, "?folder=none") == []
    check_shape(owner.get("/api/files?folder=top.txt"), 400)
    check_shape(owner.get("/api/files?folder=../x"), 400)


def test_files_and_folders_are_moved(owner, files):
    files.write("a/x.txt", b"1")
    files.write("b.txt", b"2")
    assert owner.post("/api/files-move", {"path": "a/x.txt", "to": "new/deep/x.txt"}).status_code == 204
    assert owner.post("/api/files-move", {"path": "new", "to": "old"}).status_code == 204
    assert paths(owner) == ["b.txt", "old/deep/x.txt"]
    check_shape(owner.post("/api/files-move", {"path": "b.txt", "to": "old/deep/x.txt"}), 409)
    check_shape(owner.post("/api/files-move", {"path": "old", "to": "old/deep/in"}), 400)
    check_shape(owner.post("/api/files-move", {"path": "none", "to": "x"}), 404)
    check_shape(owner.post("/api/files-move", {"path": "b.txt", "to": "../x"}), 400)


def test_several_files_and_folders_are_deleted(owner, files):
    for path in ("a/x.txt", "a/b/y.txt", "b.txt", "c.txt"):
        files.write(path, b"1")
    answer = owner.post("/api/files-delete", {"paths": ["a/", "b.txt", "none.txt", "none/"]})
    assert answer.json == {"deleted": 3}, answer.text
    assert paths(owner, "?folder=") == ["c.txt"]


def test_a_link_in_a_deleted_folder_leads_nowhere(owner, files, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept.txt").write_text("kept")
    files.write("a/x.txt", b"1")
    (files.root / "a" / "link").symlink_to(outside)
    assert owner.post("/api/files-delete", {"paths": ["a/"]}).json == {"deleted": 1}
    assert (outside / "kept.txt").read_text() == "kept"


@pytest.mark.parametrize(
    ("name", "type_", "how"),
    [
        ("a.html", "text/plain; charset=utf-8", "inline"),
        ("a.json", "text/plain; charset=utf-8", "inline"),
        ("a.png", "image/png", "inline"),
        ("a.pdf", "application/pdf", "inline"),
        ("a.svg", "image/svg+xml", "attachment"),
        ("a.bin", "application/octet-stream", "attachment"),
    ],
)
def test_a_preview_is_inert(owner, files, name, type_, how):
    files.write(name, b"<script>alert(1)</script>")
    answer = owner.get(f"/api/files/{name}?inline=true")
    assert answer.headers["Content-Type"] == type_
    assert answer.headers["Content-Disposition"].startswith(how)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert ("sandbox" in answer.headers["Content-Security-Policy"]) == (name != "a.pdf")
    assert owner.get(f"/api/files/{name}").headers["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize(
    ("wanted", "status", "data"),
    [
        ("bytes=2-4", 206, b"234"),
        ("bytes=7-", 206, b"789"),
        ("bytes=-2", 206, b"89"),
        ("bytes=0-9", 200, b"0123456789"),
        ("bytes=50-", 200, b"0123456789"),
        ("bytes=0-1,3-4", 200, b"0123456789"),
        ("lines=1-2", 200, b"0123456789"),
    ],
)
def test_a_part_of_a_file_is_sent_on_request(owner, files, wanted, status, data):
    files.write("a.txt", b"0123456789")
    answer = owner.get("/api/files/a.txt", headers={"Range": wanted})
    assert (answer.status_code, answer.data) == (status, data)
    assert answer.headers["Content-Length"] == str(len(data))
    assert ("Content-Range" in answer.headers) == (status == 206)


# The quota


@pytest.fixture
def small(tmp_path):
    """Files with a quota of 100 bytes."""
    return WorkspaceFiles(tmp_path / "files", 1_000, 100)


def test_every_way_to_write_counts(small):
    small.write("a", b"x" * 60)
    with pytest.raises(OverQuota, match="160 bytes, more than their quota of 100"):
        small.write("b", b"x" * 100)
    small.write("a", b"x" * 90)
    with pytest.raises(OverQuota):
        small.append("a", b"x" * 11)
    with pytest.raises(OverQuota):
        small.copy("a", "b")
    assert small.append("a", b"x" * 10) == 100
    with small.uploading() as uploaded, pytest.raises(OverQuota):
        uploaded.write(b"x")
        uploaded.keep("c")
    with pytest.raises(OverQuota):
        small.real_path("new.db", make=True)
    small.move("a", "d")
    assert small.usage() == 100
    small.delete("d")
    assert small.usage() == 0
    small.write("deep/a", b"x" * 100)
    assert small.delete_folder("deep") == 1
    small.write("b", b"x" * 100)


def test_what_something_else_changed_is_counted_again(small):
    small.write("a", b"x" * 10)
    (small.root / "b").write_bytes(b"x" * 50)
    assert small.usage() == 10
    os.truncate(small.root / NAME, 3)  # as a crash may leave it
    assert small.usage() == 60


def write_many(root, folder):
    files, written = WorkspaceFiles(root, 1_000, 100), 0
    for number in range(20):
        try:
            files.write(f"{folder}/{number}", b"x" * 10)
            written += 1
        except OverQuota:
            continue
    return written


def test_processes_together_stay_within_the_quota(tmp_path):
    with get_context("fork").Pool(4) as pool:
        assert sum(pool.starmap(write_many, [(tmp_path / "files", each) for each in "abcd"], chunksize=1)) == 10
    assert sum(file["size"] for file in WorkspaceFiles(tmp_path / "files", 1_000).find()) == 100


def test_an_upload_beyond_the_quota_is_refused_and_the_usage_shown(owner, files, monkeypatch):
    monkeypatch.setattr(files, "quota", 100)
    assert upload(owner, b"x" * 80).status_code == 201
    assert "quota of 100" in check_shape(upload(owner, b"x" * 30, name="b.csv"), 413)
    usage = owner.get("/api/files-usage").json
    assert usage == {"used": 80, "staged": 0, "quota": 100, "max_file_bytes": files.max_bytes}


# Free disk space: the space that calls leave free, and the server's behaviour with a nearly full disk


PATH = "/api/webhooks/orders"


@pytest.fixture
def hook(make_flow):
    """`hook(**config)` makes an active flow that responds to its calls."""

    def make(**config):
        node = {"id": "hook", "type": "webhook", "config": {"path": "orders", **config}}
        return make_flow({"nodes": [node], "edges": []}, status="active")

    return make


@pytest.mark.sqlite_only("PostgreSQL has values in rows")
def test_a_large_call_is_on_the_disk_once(client, hook, server):
    hook(respond="last")
    # Each character takes six as JSON: the input, the output of the trigger and the output of the run are 1.8 MB each.
    answer = client.open(PATH, method="POST", data="\x01" * 300_000)
    assert answer.status_code == 200 and answer.json["body"] == "\x01" * 300_000
    (run,) = Run.select()
    files = [path.stat() for path in (server.config.data_dir / "values" / run.id).iterdir()]
    assert len(files) == 3 and len({file.st_ino for file in files}) == 1
    assert 1_800_000 < server.dispatcher.resources.payloads.size_of(run.id) < 1_900_000


@pytest.fixture
def nearly_full(server, monkeypatch):
    """Require more free space than any disk has."""
    monkeypatch.setattr(server.dispatcher, "free_space", FreeSpace([server.config.data_dir], 2**62))


def test_with_a_nearly_full_disk_calls_are_refused_and_the_server_is_not_ready(client, owner, flow, hook, nearly_full):
    hook()
    answer = client.post(PATH)
    assert answer.status_code == 503 and int(answer.headers["Retry-After"]) > 0
    told = owner.post(f"/api/workflows/{flow['id']}/run", {})
    assert told.status_code == 503 and "HEADRACE_MIN_FREE_BYTES" in told.json["error"]
    ready = client.get("/api/ready")
    assert ready.status_code == 503 and "HEADRACE_MIN_FREE_BYTES" in ready.json["error"]
    assert client.get("/api/health").status_code == 200 and Run.select().count() == 0


def test_a_run_under_way_ends_though_the_disk_is_nearly_full(owner, make_flow, gate, server, monkeypatch):
    flow = make_flow({"nodes": [{"id": "a", "type": "gate"}, {"id": "b", "type": "noop"}], "edges": [["a", "b"]]})
    run = owner.post(f"/api/workflows/{flow['id']}/run?wait=0", {}).json
    monkeypatch.setattr(server.dispatcher, "free_space", FreeSpace([server.config.data_dir], 2**62))
    gate.set()
    ticket = server.dispatcher.ticket_of(Run.get_by_id(run["id"]))
    assert server.dispatcher.waiting.wait(ticket, 10).status == "success"


def test_the_disk_is_looked_at_once_a_second(tmp_path):
    now = [0.0]
    space = FreeSpace([tmp_path], 2**62, lambda: now[0])
    assert space.is_low()
    space.floor = 0
    assert space.is_low()
    now[0] = 1.0
    assert not space.is_low()


def test_an_unreadable_folder_does_not_count_as_a_full_disk(tmp_path):
    assert not FreeSpace([tmp_path / "gone"], 2**62).is_low()


def test_nothing_that_is_due_starts_until_there_is_room_again(server):
    scheduler, ticks = Scheduler(server.dispatcher), []
    tick = scheduler.with_room(lambda: ticks.append(1))
    now = [0.0]
    server.dispatcher.free_space = FreeSpace([server.config.data_dir], 2**62, lambda: now[0])
    tick()
    server.dispatcher.free_space.floor, now[0] = 0, 1.0
    assert not ticks
    tick()
    assert ticks == [1]
