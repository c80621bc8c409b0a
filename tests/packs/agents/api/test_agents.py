"""Agent runs over HTTP."""

import pytest


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"task": "x"}, "agent_id"),
        ({"agent_id": "researcher"}, "task"),
        ({"agent_id": "nobody", "task": "x"}, "agent_id"),
        ({"agent_id": "researcher", "task": ""}, "task"),
        ({"agent_id": "researcher", "task": 1}, "task"),
        ({"agent_id": "researcher", "task": "x" * 100_001}, "task"),
        ({"agent_id": "researcher", "task": "x", "model": 1}, "model"),
        ({"agent_id": "../x", "task": "x"}, "agent_id"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_wrong_task_is_400_names_the_field_and_leaves_nothing(owner, count_rows, body, field):
    before = count_rows()
    answer = owner.post("/api/agent/run", body)
    assert answer.status_code == 400 and answer.json["error"].startswith(f"{field}: ")
    assert count_rows() == before


def test_without_a_model_a_task_is_503_that_names_the_setting(owner, count_rows):
    before = count_rows()
    answer = owner.post("/api/agent/run", {"agent_id": "researcher", "task": "look"})
    assert answer.status_code == 503 and "HEADRACE_LLM_MODEL" in answer.json["error"]
    assert count_rows() == before
