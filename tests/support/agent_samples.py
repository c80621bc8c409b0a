"""Agent definitions for tests: a minimal one, a full one, and the ids of the built-in ones."""

LEAST = {"id": "good", "name": "Good", "instructions": "Do good."}
FULL = {
    **LEAST,
    "description": "Does good.",
    "model": "openai:gpt-5",
    "credential": "key",
    "tools": [
        "code",
        {"type": "http", "hosts": ["API.example.com", "*.example.org"], "methods": ["get", "POST"], "approval": True},
        {"type": "store", "write": False},
        {"type": "run_flow", "workflows": ["wf_1"], "approval": ["flow_pay"]},
        {"type": "sql"},
        {"type": "mcp", "credential": "tickets", "tools": ["find", "find"]},
        {"type": "mcp", "credential": "wiki"},
        {"type": "memory", "approval": ["memory_write"]},
    ],
    "memory": True,
    "output_schema": {"type": "object", "properties": {"a": {"type": "string"}}},
    "limits": {"steps": 3, "tokens": 1_000, "seconds": 30.5, "cost": 0.25},
    "approval": {"notify": "chat", "timeout": 3_600},
}

EXPECTED = {
    *("researcher", "data-analyst", "mail-triage", "summarizer", "sql-answerer", "incident-explainer"),
    *("flow-builder", "translator", "meeting-preparer", "support-answerer", "operator"),
}
