"""Examples for each field of the definition format, shown on the page /docs/definition and run by a test.

By part and field: `{definition, input, output}`, with the output of a run on that input, or `{definition, input,
error}`. An example without an output is only validated, because a run would wait or use the network.
"""

from __future__ import annotations

from typing import Any

START: dict[str, Any] = {"id": "start", "type": "manual"}


def _set(id_: str, values: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": id_, "type": "set", "config": {"values": values}, **more}


def _flow(*nodes: dict[str, Any], edges: list[Any] | None = None, **settings: Any) -> dict[str, Any]:
    """Return a definition with the nodes in a line, unless edges are given."""
    line = [[one["id"], next_["id"]] for one, next_ in zip((START, *nodes), nodes, strict=False)]
    made: dict[str, Any] = {"nodes": [START, *nodes], "edges": line if edges is None else edges}
    return made | ({"settings": settings} if settings else {})


def _run(definition: dict[str, Any], input: Any, output: Any) -> dict[str, Any]:
    return {"definition": definition, "input": input, "output": output}


def _pair(edge: dict[str, Any]) -> dict[str, Any]:
    """Return a definition of two nodes, joined by this edge."""
    return {"nodes": [START, {"id": "end", "type": "noop"}], "edges": [edge]}


def _noted(**note: Any) -> dict[str, Any]:
    """Return an example with a note, which has no effect."""
    return _run({"nodes": [START], "notes": [{"id": "why", **note}]}, 1, 1)


def _grouped(**group: Any) -> dict[str, Any]:
    """Return an example with a group of two nodes, which has no effect."""
    flow = _flow(_set("read", {"sum": 20}), _set("tax", {"tax": "{{ input.sum * 0.25 }}"}))
    return _run({**flow, "groups": [{"id": "prepare", "nodes": ["read", "tax"], **group}]}, None, {"tax": 5.0})


def _debounced(**debounce: Any) -> dict[str, Any]:
    """Return an example with a webhook that collects calls; a run outputs the call, or the list of them."""
    hook = {"id": "changed", "type": "webhook", "config": {"path": "changed"}, "debounce": debounce}
    return _run({"nodes": [hook]}, {"body": {"order": 7}}, {"body": {"order": 7}})


ORDERS = [{"sum": 10}, {"sum": 20}]
_HTTP: dict[str, Any] = {"id": "call", "type": "http", "config": {"url": "https://api.example.com/orders"}}
_STOP = {"id": "check", "type": "stop", "config": {"message": "No stock"}}
_SAY = _set("say", {"text": "{{ input.error }}"})
_IF = {"id": "large", "type": "if", "config": {"condition": "{{ input.sum > 100 }}"}}
_BRANCHED = (START, _IF, _set("ask", {"ask": True}), _set("pay", {"pay": True}))

EXAMPLES: dict[str, dict[str, dict[str, Any]]] = {
    "WorkflowDefinition": {
        "nodes": _run({"nodes": [START]}, {"id": 7}, {"id": 7}),
        "edges": _run(
            _flow(_set("a", {"a": 1}), _set("b", {"b": 2}), edges=[["start", "a"], ["start", "b"]]),
            None,
            {"a": {"a": 1}, "b": {"b": 2}},
        ),
        "settings": _run(
            _flow(_set("hello", {"text": "{{ vars.greeting }}, {{ input.name }}"}), vars={"greeting": "Hi"}),
            {"name": "Ada"},
            {"text": "Hi, Ada"},
        ),
        "notes": _noted(text="# Orders\n\nOne call for each order, see the [handbook](https://example.com/orders)."),
        "groups": _grouped(name="Prepare the order"),
    },
    "WorkflowNode": {
        "id": _run(
            _flow(
                _set("price", {"sum": "{{ input.price * input.count }}"}),
                _set("say", {"text": "It costs {{ steps.price.sum }}"}),
            ),
            {"price": 2, "count": 3},
            {"text": "It costs 6"},
        ),
        "type": _run(
            _flow({"id": "sorted", "type": "sort", "config": {"by": "sum"}}),
            [{"sum": 20}, {"sum": 10}],
            [{"sum": 10}, {"sum": 20}],
        ),
        "name": _run(_flow({"id": "pass", "type": "noop", "name": "Nothing to do yet"}), 1, 1),
        "config": _run(_flow({"id": "two", "type": "limit", "config": {"count": 2}}), [1, 2, 3], [1, 2]),
        "foreach": _run(
            _flow(_set("tax", {"tax": "{{ item.sum * 0.25 }}", "number": "{{ index }}"}, foreach="{{ input }}")),
            ORDERS,
            [{"tax": 2.5, "number": 0}, {"tax": 5.0, "number": 1}],
        ),
        "concurrency": {"definition": _flow({**_HTTP, "foreach": "{{ input }}", "concurrency": 5})},
        "delay": {"definition": _flow({**_HTTP, "foreach": "{{ input }}", "delay": 0.5})},
        "repeat": {
            "definition": _flow(
                {**_HTTP, "repeat": {"until": "{{ output.body.status == 'done' }}", "every": 30, "at_most": 100}}
            )
        },
        "debounce": _debounced(seconds=10, key="{{ input.body.order }}", keep="last"),
        "rate": {
            "definition": _flow(
                {**_HTTP, "foreach": "{{ input }}", "rate": {"calls": 60, "per": 60, "key": "api.example.com"}}
            )
        },
        "retry": {"definition": _flow({**_HTTP, "retry": {"attempts": 5, "delay": 2, "backoff": 3}})},
        "timeout": {"definition": _flow({**_HTTP, "timeout": 10})},
        "on_error": _run(
            _flow({**_STOP, "on_error": "branch"}, _SAY, edges=[["start", "check"], ["check", "say", "error"]]),
            None,
            {"text": "No stock"},
        ),
        "on_interrupt": {
            "definition": _flow(
                {**_HTTP, "config": {"url": "https://api.example.com/pay", "method": "POST"}, "on_interrupt": "fail"}
            )
        },
        "disabled": _run(
            _flow({**_STOP, "disabled": True}, _set("say", {"text": "{{ input.text }}, and on"})),
            {"text": "Passed by"},
            {"text": "Passed by, and on"},
        ),
        "position": _run(_flow({"id": "pass", "type": "noop", "position": {"x": 240, "y": 0}}), 1, 1),
        "notes": _run(_flow({"id": "pass", "type": "noop", "notes": "Later: send the invoice"}), 1, 1),
    },
    "WorkflowRetry": {
        "attempts": {
            "definition": _flow({**_STOP, "retry": {"attempts": 2, "delay": 0}}),
            "input": None,
            "error": "No stock",
        },
        "delay": {"definition": _flow({**_HTTP, "retry": {"delay": 30}})},
        "backoff": {"definition": _flow({**_HTTP, "retry": {"attempts": 4, "delay": 1, "backoff": 10}})},
    },
    "WorkflowRepeat": {
        "until": _run(
            _flow(_set("draw", {"from": "{{ input }}"}, repeat={"until": "{{ round >= 2 }}", "every": 0})),
            7,
            {"from": 7},
        ),
        "every": {"definition": _flow({**_HTTP, "repeat": {"until": "{{ output.body.done }}", "every": 60}})},
        "at_most": {
            "definition": _flow(
                _set("draw", {"done": False}, repeat={"until": "{{ output.done }}", "every": 0, "at_most": 3})
            ),
            "input": None,
            "error": "repeat: its condition was not met after 3 rounds (at_most)",
        },
        "for_at_most": {
            "definition": _flow({**_HTTP, "repeat": {"until": "{{ output.body.done }}", "for_at_most": 600}})
        },
    },
    "WorkflowRate": {
        "calls": {"definition": _flow({**_HTTP, "rate": {"calls": 10}})},
        "per": {"definition": _flow({**_HTTP, "rate": {"calls": 1, "per": 0.5}})},
        "key": {"definition": _flow({**_HTTP, "rate": {"calls": 100, "per": 3600, "key": "crm"}})},
    },
    "WorkflowDebounce": {
        "seconds": _debounced(seconds=10),
        "key": _debounced(seconds=10, key="{{ input.body.order }}"),
        "keep": _debounced(seconds=60, keep="all"),
    },
    "WorkflowPosition": {
        "x": _run({"nodes": [{**START, "position": {"x": -120, "y": 40}}]}, 1, 1),
        "y": _run({"nodes": [{**START, "position": {"x": 0, "y": 80.5}}]}, 1, 1),
    },
    "WorkflowEdge": {
        "from": _run(_pair({"from": "start", "to": "end"}), 1, 1),
        "to": _run(
            {
                "nodes": [START, _set("a", {"a": 1}), _set("b", {"b": 2}), {"id": "both", "type": "merge"}],
                "edges": [
                    {"from": "start", "to": "a"},
                    {"from": "start", "to": "b"},
                    {"from": "a", "to": "both"},
                    {"from": "b", "to": "both"},
                ],
            },
            None,
            {"a": {"a": 1}, "b": {"b": 2}},
        ),
        "branch": _run(
            {
                "nodes": [*_BRANCHED],
                "edges": [
                    {"from": "start", "to": "large"},
                    {"from": "large", "to": "ask", "branch": "true"},
                    {"from": "large", "to": "pay", "branch": "false"},
                ],
            },
            {"sum": 20},
            {"pay": True},
        ),
        "id": _run(_pair({"id": "e1", "from": "start", "to": "end"}), 1, 1),
    },
    "WorkflowShortEdge": {
        "": _run(
            {
                "nodes": [*_BRANCHED],
                "edges": [["start", "large"], ["large", "ask", "true"], ["large", "pay", "false"]],
            },
            {"sum": 200},
            {"ask": True},
        ),
    },
    "WorkflowSettings": {
        "timezone": {
            "definition": {
                "nodes": [{"id": "morning", "type": "schedule", "config": {"cron": "30 8 * * MON-FRI"}}],
                "settings": {"timezone": "Europe/Berlin"},
            },
        },
        "timeout": {"definition": _flow(_HTTP, timeout=120)},
        "max_concurrent_runs": {"definition": _flow(_HTTP, max_concurrent_runs=1)},
        "overlap": {"definition": _flow(_HTTP, max_concurrent_runs=1, overlap="skip")},
        "parallel": {
            "definition": _flow(
                _HTTP,
                {**_HTTP, "id": "stock", "config": {"url": "https://stock.example.com/all"}},
                edges=[["start", "call"], ["start", "stock"]],
                parallel=4,
            ),
        },
        "error_workflow_id": {"definition": _flow(_HTTP, error_workflow_id="wf_01J9ZQ4N5Y8S2T6V7W8X9YABCD")},
        "vars": _run(
            _flow(_set("price", {"gross": "{{ input.net * vars.rate }}"}), vars={"rate": 1.5}),
            {"net": 100},
            {"gross": 150.0},
        ),
        "description": {"definition": _flow(_HTTP, description="Asks the shop for its orders.")},
        "template": {"definition": _flow(_HTTP, template="daily-report")},
    },
    "WorkflowNote": {
        "id": _noted(),
        "text": _noted(text="Ask **sales** before changing this."),
        "position": _noted(text="Why", position={"x": 0, "y": -200}),
        "width": _noted(text="A wide note", width=480),
        "height": _noted(text="A high note", height=320),
        "color": _noted(text="Careful", color="red"),
    },
    "WorkflowGroup": {
        "id": _grouped(),
        "name": _grouped(name="Prepare"),
        "nodes": _grouped(),
        "folded": _grouped(name="Prepare", folded=True),
        "color": _grouped(color="green"),
    },
}
