"""BigQuery: queries, which may take longer than a request, with their rows as objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any

from errors import NodeError
from nodes.fields import text_of
from packs.connectors.operation import ConnectorExchange

PAGE = 1_000
WAIT = 30_000  # milliseconds that the service waits for the result
NUMBERS = {"INTEGER": int, "INT64": int, "FLOAT": float, "FLOAT64": float}
RECORDS = {"RECORD", "STRUCT"}


def run_query(x: ConnectorExchange) -> list[dict[str, Any]]:
    """Run a query and return its rows; of a dry run, none."""
    given, most = x.inputs, x.config["max_items"]
    body: dict[str, Any] = {
        "query": given["query"], "useLegacySql": False, "timeoutMs": WAIT, "maxResults": min(PAGE, max(most, 1)),
    }  # fmt: skip
    if "parameters" in given:
        body |= {
            "parameterMode": "NAMED",
            "queryParameters": [
                {"name": name, "parameterType": _type(value), "parameterValue": _value(value)}
                for name, value in given["parameters"].items()
            ],
        }
    if "location" in given:
        body["location"] = given["location"]
    if "dataset" in given:
        body["defaultDataset"] = {"projectId": given["project"], "datasetId": given["dataset"]}
    if "max_bytes" in given:
        body["maximumBytesBilled"] = str(given["max_bytes"])
    if given.get("dry_run"):
        body["dryRun"] = True
    found = x.read(x.send("POST", "/projects/{project}/queries", body=body))
    if given.get("dry_run"):
        return []
    return [row for page in _pages(x, found, most) for row in page][:most]


def _pages(x: ConnectorExchange, found: dict[str, Any], most: int) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of each page, until there are enough."""
    job, count = found["jobReference"], 0
    path = x.url("/projects/{project}/queries/{job}", {"project": job["projectId"], "job": job["jobId"]})
    query: dict[str, Any] = {"maxResults": min(PAGE, most), "timeoutMs": WAIT}
    query |= {"location": job["location"]} if job.get("location") else {}
    while True:
        if found.get("jobComplete"):
            rows = [_row(found.get("schema", {}).get("fields", []), row) for row in found.get("rows", [])]
            count += len(rows)
            yield rows
            if count >= most or not found.get("pageToken"):
                return
            query["pageToken"] = found["pageToken"]
        x.ctx.pause(0)
        found = x.read(x.send("GET", path, query=query))


def _type(value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        return {"type": "ARRAY", "arrayType": _type(value[0]) if value else {"type": "STRING"}}
    kinds = ((bool, "BOOL"), (int, "INT64"), (float, "FLOAT64"), (datetime, "TIMESTAMP"), (date, "DATE"))
    return {"type": next((name for kind, name in kinds if isinstance(value, kind)), "STRING")}


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        return {"arrayValues": [_value(each) for each in value]}
    return {"value": None if value is None else text_of(value)}


def _row(columns: list[Mapping[str, Any]], row: Mapping[str, Any]) -> dict[str, Any]:
    cells = zip(columns, row.get("f", []), strict=False)
    return {column["name"]: _cell(column, cell.get("v")) for column, cell in cells}


def _cell(column: Mapping[str, Any], value: Any) -> Any:
    if value is None:
        return None
    if column.get("mode") == "REPEATED":
        single = {**column, "mode": "NULLABLE"}
        return [_cell(single, each.get("v")) for each in value]
    type_ = column.get("type", "")
    if type_ in RECORDS:
        return _row(column.get("fields", []), value)
    if type_ in ("BOOLEAN", "BOOL"):
        return value == "true"
    try:
        return NUMBERS[type_](value) if type_ in NUMBERS else value
    except ValueError:
        raise NodeError(f"BigQuery answered with {value!r} in a column of numbers") from None
