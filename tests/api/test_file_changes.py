"""Files over HTTP: folders in pages, moving, deleting many, previews, parts of a file, and the quota."""

import os
from multiprocessing import get_context

import pytest
from error_shape import check_shape
from test_files_api import paths, upload

from nodes.files.files import NAME, OverQuota, WorkspaceFiles

pytestmark = pytest.mark.usefixtures("shared_server")


@pytest.fixture
def files(server, owner):
    """The files of the first workspace."""
    return server.dispatcher.resources.files_of(owner.workspace.id)


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
