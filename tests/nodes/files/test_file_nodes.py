"""The workspace's files: valid paths, access outside the folder, and the `file` node."""

import errno
import os

import pytest
from contract import Case, Contract

from errors import NodeError
from nodes.files.files import WorkspaceFiles


@pytest.fixture
def files(tmp_path):
    return WorkspaceFiles(tmp_path / "files", max_bytes=1_000)


@pytest.fixture
def outside(tmp_path):
    """Return a folder with a file outside the workspace's files."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.txt").write_text("hunter2")
    return tmp_path / "outside"


def test_a_written_file_can_be_read(files):
    assert files.write("reports/2026/may.txt", b"All is well") == 11
    assert files.read("reports/2026/may.txt") == b"All is well"
    assert files.size("./reports//2026/may.txt") == 11


def test_writing_replaces_and_appending_adds(files):
    files.write("a", b"one")
    files.write("a", b"two")
    assert files.append("a", b"!") == 4
    assert files.append("b/new", b"x") == 1
    assert files.read("a") == b"two!"


def test_an_interrupted_write_keeps_the_old_content_and_leaves_no_draft(files):
    files.write("a", b"old")
    with pytest.raises(RuntimeError), files.writing("a") as file:
        file.write(b"half of the n")
        raise RuntimeError
    assert files.read("a") == b"old"
    assert [entry["name"] for entry in files.list()] == ["a"]
    assert [path.name for path in files.root.iterdir()] == ["a"]


def test_the_entries_of_a_folder_are_listed_by_name(files):
    assert files.list() == []
    files.write("b.txt", b"12")
    files.write("a/c", b"")
    folder, file = files.list()
    assert (folder["name"], folder["type"], file["path"], file["size"]) == ("a", "folder", "b.txt", 2)
    assert [entry["path"] for entry in files.list("a")] == ["a/c"]


def test_delete_returns_whether_the_file_existed(files):
    files.write("a/b", b"")
    assert files.delete("a/b") and not files.delete("a/b")
    assert files.delete("a") and not files.delete("no/such")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/etc/passwd", "not a valid path of the workspace"),
        ("../other/x", "leads out"),
        ("a/../../x", "leads out"),
        ("a\\b", "not a valid path"),
        ("a\0b", "not a valid path"),
        ("a\nb", "not a valid path"),
        ("", "must name a file"),
        (".", "must name a file"),
        ("x/" * 30 + "y", "too long or too deep"),
        ("x" * 300, "too long or too deep"),
        (".draft-1", "are reserved"),
    ],
)
def test_an_invalid_path_is_refused_by_every_operation(files, path, message):
    for attempt in (
        files.read,
        files.delete,
        lambda path: files.write(path, b""),
        lambda path: files.append(path, b""),
    ):
        with pytest.raises(NodeError, match=message) as caught:
            attempt(path)
        assert caught.value.permanent


def test_a_link_to_a_file_is_never_followed(files, outside):
    files.write("x", b"")
    (files.root / "link").symlink_to(outside / "secret.txt")
    for attempt in (files.read, files.size, files.real_path, lambda path: files.append(path, b"!")):
        with pytest.raises(NodeError, match="link"):
            attempt("link")
    assert "link" not in [entry["name"] for entry in files.list()]
    files.write("link", b"own")
    assert (outside / "secret.txt").read_text() == "hunter2" and files.read("link") == b"own"


def test_a_link_to_a_folder_is_never_followed(files, outside):
    files.write("x", b"")
    (files.root / "link").symlink_to(outside, target_is_directory=True)
    for attempt in (files.read, files.delete, files.real_path, lambda path: files.write(path, b"")):
        with pytest.raises(NodeError, match="link"):
            attempt("link/secret.txt")
    with pytest.raises(NodeError, match="link"):
        files.list("link")
    assert [path.name for path in outside.iterdir()] == ["secret.txt"]


def test_a_hard_link_to_a_file_outside_is_not_read(files, outside):
    files.write("x", b"")
    os.link(outside / "secret.txt", files.root / "hard")
    with pytest.raises(NodeError, match="not a regular file"):
        files.read("hard")


def test_a_named_pipe_does_not_block(files):
    files.write("x", b"")
    os.mkfifo(files.root / "pipe")
    with pytest.raises(NodeError):
        files.read("pipe")
    with pytest.raises(NodeError):
        files.append("pipe", b"x")


def test_a_file_cannot_exceed_the_size_limit(files):
    with pytest.raises(NodeError, match="exceed the limit|has more than"):
        files.write("a", b"x" * 1_001)
    files.write("a", b"x" * 900)
    with pytest.raises(NodeError, match="exceed the limit|has more than"):
        files.append("a", b"x" * 101)
    with pytest.raises(NodeError, match="exceed the limit|has more than"), files.writing("b") as file:
        for _ in range(11):
            file.write(b"x" * 100)
    assert files.size("a") == 900 and [entry["name"] for entry in files.list()] == ["a"]
    (files.root / "big").write_bytes(b"x" * 2_000)
    with pytest.raises(NodeError, match="more than 1,000 bytes"):
        files.read("big")


def test_a_full_disk_is_reported_and_not_permanent(files, monkeypatch):
    def full(fd):
        raise OSError(errno.ENOSPC, "No space left on device")

    files.write("a", b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NodeError, match="the disk is full") as caught:
        files.write("a", b"new")
    assert not caught.value.permanent and files.read("a") == b"old"


# The node


def test_the_node_writes_text_unchanged_and_other_values_as_json(run):
    done = run("file", {"operation": "write", "path": "out/a.json", "data": {"b": [1, "ü"]}})
    assert done == {"path": "out/a.json", "name": "a.json", "size": 14, "content_type": "application/json"}
    assert run("file", {"operation": "read", "path": "out/a.json"}) == '{"b":[1,"ü"]}'
    assert run("file", {"operation": "read", "path": "out/a.json", "encoding": "json"}) == {"b": [1, "ü"]}
    run("file", {"operation": "append", "path": "log.txt", "data": "one\n"})
    run("file", {"operation": "append", "path": "log.txt"}, "two\n")
    assert run("file", {"operation": "read", "path": "log.txt"}) == "one\ntwo\n"


def test_the_node_reads_and_writes_binary_data_as_base64(run):
    run("file", {"operation": "write", "path": "a.bin", "data": "AP+A", "encoding": "base64"})
    assert run("file", {"operation": "read", "path": "a.bin", "encoding": "base64"}) == "AP+A"
    with pytest.raises(NodeError, match="not UTF-8 text"):
        run("file", {"operation": "read", "path": "a.bin"})
    with pytest.raises(NodeError, match="must be base64"):
        run("file", {"operation": "write", "path": "a.bin", "data": "%%", "encoding": "base64"})


def test_the_node_lists_and_deletes(run):
    run("file", {"operation": "write", "path": "in/a.txt", "data": "x"})
    assert [entry["path"] for entry in run("file", {"operation": "list", "path": "in"})] == ["in/a.txt"]
    assert run("file", {"operation": "delete", "path": "in/a.txt"}) == {"deleted": True}
    assert run("file", {"operation": "delete", "path": "in/a.txt"}) == {"deleted": False}
    with pytest.raises(NodeError, match="the file does not exist"):
        run("file", {"operation": "read", "path": "in/a.txt"})


def test_the_node_copies_and_moves(run, make_ctx):
    ctx, _ = make_ctx()
    run("file", {"operation": "write", "path": "in/a.txt", "data": "hello"}, ctx=ctx)
    run("file", {"operation": "write", "path": "old.txt", "data": "what was there"}, ctx=ctx)
    copied = run("file", {"operation": "copy", "path": "in/a.txt", "to": "old.txt"}, ctx=ctx)
    assert (copied["path"], copied["size"], ctx.files.read("old.txt")) == ("old.txt", 5, b"hello")
    moved = run("file", {"operation": "move", "path": "in/a.txt", "to": "done/2026/"}, ctx=ctx)
    assert (moved["path"], ctx.files.read("done/2026/a.txt")) == ("done/2026/a.txt", b"hello")
    assert ctx.files.list("in") == []


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"path": "a", "to": "../b"}, "leads out"),
        ({"path": "../a", "to": "b"}, "leads out"),
        ({"path": "a"}, "to: is required to"),
        ({"path": "a", "to": "./a"}, "to: must differ from the path 'a'"),
        ({"path": "no", "to": "b"}, "the file does not exist"),
        ({"path": "link", "to": "b"}, "link"),
        ({"path": "a", "to": "folder"}, "is a folder"),
    ],
)
@pytest.mark.parametrize("operation", ["copy", "move"])
def test_a_refused_copy_or_move_changes_nothing(run, make_ctx, outside, operation, config, message):
    ctx, _ = make_ctx()
    ctx.files.write("a", b"hello")
    ctx.files.write("folder/x", b"")
    (ctx.files.root / "link").symlink_to(outside / "secret.txt")
    with pytest.raises(NodeError, match=message):
        run("file", {"operation": operation, **config}, ctx=ctx)
    assert ctx.files.read("a") == b"hello" and [entry["name"] for entry in ctx.files.list()] == ["a", "folder"]


def test_the_node_names_the_line_of_invalid_json(run):
    run("file", {"operation": "write", "path": "a.json", "data": '{\n"a": }'})
    with pytest.raises(NodeError, match=r"'a.json' is not JSON: .* \(line 2\)"):
        run("file", {"operation": "read", "path": "a.json", "encoding": "json"})


@pytest.mark.parametrize(
    ("type_", "config"),
    [
        ("file", {"operation": "write", "path": "a.txt", "data": "the key is hunter2"}),
        ("file", {"operation": "write", "path": "hunter2.txt", "data": "hello"}),
        ("file", {"operation": "append", "path": "a.txt", "data": {"key": "hunter2"}}),
        ("file", {"operation": "write", "path": "a.txt", "data": "aHVudGVyMg==", "encoding": "base64"}),
        ("http", {"url": "http://127.0.0.1:1/", "response": "file", "save_to": "hunter2/"}),
    ],
)
def test_a_secret_from_an_expression_is_not_written_to_a_file(run, make_ctx, type_, config):
    ctx, _ = make_ctx(credentials={"key": ("secret", {"value": "hunter2"}, ["example.com"])})
    assert ctx.keyring["key"] == "hunter2"
    with pytest.raises(NodeError, match="the credential 'key' may not be sent to a file of the workspace") as caught:
        run(type_, config, ctx=ctx)
    assert caught.value.permanent and ctx.files.list() == []


@pytest.fixture
def case_file():
    return Case(config={"operation": "write", "path": "a/b.txt", "data": "hello"})


class TestTheFileNodeKeepsTheContract(Contract):
    type_ = "file"
