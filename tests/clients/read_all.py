"""Call every GET operation of the generated client with nothing but the parameters of its path.

`read_all.py URL COOKIE DOCUMENT PARTS`: DOCUMENT is the file of the description, PARTS the values of path parameters as
JSON, by name or by operation id and name. Prints a line of JSON for each operation.
"""

import importlib
import json
import re
import sys
from pathlib import Path
from typing import Any

from headrace_client import Client
from headrace_client.types import File


def main(url: str, cookie: str, document: str, parts: str) -> None:
    values: dict[str, Any] = json.loads(parts)
    paths = json.loads(Path(document).read_text())["paths"]
    with Client(base_url=url, headers={"Cookie": cookie}) as client:
        for path, item in paths.items():
            if "get" not in item:
                continue
            tag, name = item["get"]["tags"][0], item["get"]["operationId"]
            call = importlib.import_module(f"headrace_client.api.{tag}.{name}").sync_detailed
            given = {part: values.get(f"{name} {part}", values[part]) for part in re.findall(r"{(\w+)}", path)}
            answer = call(*given.values(), client=client)
            line = {
                "operation": name,
                "path": path.format(**given),
                "status": answer.status_code,
                "body": answer.content.decode(),
                "parsed": as_json(answer.parsed),
            }
            print(json.dumps(line))  # noqa: T201


def as_json(parsed: Any) -> Any:
    """Return what the client made of an answer: an object as the JSON that it stands for, a file as its text."""
    if isinstance(parsed, File):
        return parsed.payload.read().decode()
    return parsed.to_dict() if hasattr(parsed, "to_dict") else parsed


if __name__ == "__main__":
    main(*sys.argv[1:])
