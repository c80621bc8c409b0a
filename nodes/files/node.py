"""File node: reads and writes the files of the workspace."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from errors import NodeError
from fields import Schema
from nodes.base import Context, Node
from nodes.fields import anything, choice
from nodes.fields import path as field_of_path
from nodes.files.files import MAX_READ, WorkspaceFiles, describe_file, parse_content, split_path, to_bytes


class FileNode(Node):
    """Reads, writes, copies, moves, lists and deletes files of the workspace, which are stored in the server's data
    folder.
    """

    type = "file"
    category = "storage"
    title = "File"
    icon = "file"
    also = ("read write files from disk", "upload", "download", "binary")
    pure = False
    examples = (
        {
            "config": {"operation": "write", "path": "reports/today.txt", "data": "{{ input.text }}"},
            "input": {"text": "All is well"},
            "output": {"path": "reports/today.txt", "name": "today.txt", "size": 11, "content_type": "text/plain"},
        },
        {
            "config": {"operation": "list", "path": "reports"},
            "input": None,
            "output": [
                {
                    "path": "reports/today.txt",
                    "name": "today.txt",
                    "type": "file",
                    "size": 11,
                    "modified_at": "2026-01-05T07:20:00.000Z",
                }
            ],
        },
    )

    class Config(Schema):
        operation = choice(
            "The operation on the file",
            {
                "read": "Read",
                "write": "Write",
                "append": "Append",
                "copy": "Copy",
                "move": "Move",
                "list": "List",
                "delete": "Delete",
            },
            required=True,
            title="Operation",
        )
        path = field_of_path(
            "The path of the file: reports/today.csv. For list: the folder", load_default="", title="Path"
        )
        to = field_of_path(
            "For copy and move: the target path. With a slash at the end, the target folder",
            names="folder",
            title="Target path",
        )
        data = anything(
            "The data to write: text as it is, other values as JSON. Default: the input", lines="", title="Data"
        )
        encoding = choice(
            "How to read and write the content: as text, as JSON, or as bytes that the data contains in base64",
            {"text": "Text", "json": "JSON", "base64": "Bytes (base64)"},
            load_default="text",
            title="Encoding",
        )

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        files, path, operation = ctx.need_files(), config["path"], config["operation"]
        check_secrets(ctx, [path])
        if operation == "list":
            return files.list(path)
        if operation == "delete":
            return {"deleted": files.delete(path)}
        if operation == "read":
            if files.size(path) > MAX_READ:
                raise NodeError(f"{path!r} has more than {MAX_READ:,} bytes, the limit for reading", permanent=True)
            return parse_content(files.read(path), path, config["encoding"])
        if operation in ("copy", "move"):
            return self.put(files, path, config.get("to", ""), operation)
        data = to_bytes(config.get("data", input), config["encoding"])
        check_secrets(ctx, [data.decode("utf-8", "replace")])
        size = files.write(path, data) if operation == "write" else files.append(path, data)
        return describe_file(path, size)

    def put(self, files: WorkspaceFiles, path: str, to: str, operation: str) -> dict[str, Any]:
        """Copy or move a file; return the file object at its new path."""
        if not to:
            raise NodeError(f"to: is required to {operation} a file", permanent=True)
        to = to + path.rpartition("/")[2] if to.endswith("/") else to
        if split_path(to) == split_path(path):
            raise NodeError(f"to: must differ from the path {path!r}", permanent=True)
        return describe_file(to, files.copy(path, to) if operation == "copy" else files.move(path, to))


def check_secrets(ctx: Context, texts: Iterable[str]) -> None:
    """Raise NodeError if the texts to store contain a secret from an expression: other runs could read it."""
    ctx.check_secrets("a file of the workspace", texts)
