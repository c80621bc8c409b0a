"""Google Analytics: reports as rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from packs.connectors.operation import ConnectorExchange

PAGE = 10_000
WHOLE = {"TYPE_INTEGER", "TYPE_MILLISECONDS"}

Row = dict[str, Any]


def run_report(x: ConnectorExchange) -> list[Row]:
    """Return the rows of a report by the names of dimensions and metrics."""
    given, most = x.inputs, x.config["max_items"]
    body: dict[str, Any] = {"dateRanges": [{"startDate": given["start"], "endDate": given["end"]}], **_columns(x)}
    for ours, theirs in {"filter": "dimensionFilter", "metric_filter": "metricFilter"}.items():
        if ours in given:
            body[theirs] = given[ours]
    if "order" in given:
        name = given["order"]
        bare = name.removeprefix("-")
        by = {"metric": {"metricName": bare}} if bare in given["metrics"] else {"dimension": {"dimensionName": bare}}
        body["orderBys"] = [{**by, "desc": name != bare}]
    if "empty_rows" in given:
        body["keepEmptyRows"] = given["empty_rows"]
    rows: list[Row] = []
    while len(rows) < most:
        x.ctx.pause(0)
        size = min(PAGE, most - len(rows))
        page = {**body, "limit": str(size), "offset": str(len(rows))}
        found = list(_rows(x.read(x.send("POST", _path(x, "runReport"), body=page, part=f":{len(rows)}"))))
        rows += found
        if len(found) < size:
            break
    return rows


def run_realtime_report(x: ConnectorExchange) -> list[Row]:
    """Return the rows of a report of the last 30 minutes."""
    body = {**_columns(x), "limit": str(min(PAGE, x.config["max_items"]))}
    return list(_rows(x.read(x.send("POST", _path(x, "runRealtimeReport"), body=body))))


def _path(x: ConnectorExchange, report: str) -> str:
    return x.url(f"/properties/{{number}}:{report}", {"number": x.inputs["property"].removeprefix("properties/")})


def _columns(x: ConnectorExchange) -> dict[str, Any]:
    return {kind: [{"name": name} for name in x.inputs[kind]] for kind in ("metrics", "dimensions") if kind in x.inputs}


def _rows(answer: dict[str, Any]) -> Iterator[Row]:
    dimensions = [header["name"] for header in answer.get("dimensionHeaders", [])]
    metrics = [(header["name"], header.get("type")) for header in answer.get("metricHeaders", [])]
    for row in answer.get("rows", []):
        texts = [value.get("value") for value in row.get("dimensionValues", [])]
        numbers = [value.get("value") for value in row.get("metricValues", [])]
        yield {
            **dict(zip(dimensions, texts, strict=False)),
            **{name: _number(value, type_) for (name, type_), value in zip(metrics, numbers, strict=False)},
        }


def _number(value: Any, type_: Any) -> Any:
    try:
        return int(value) if type_ in WHOLE else float(value)
    except (TypeError, ValueError):
        return value
