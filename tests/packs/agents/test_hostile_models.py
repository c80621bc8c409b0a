"""Malicious and broken servers of models: whatever they answer, a run ends in time with a readable error."""

import dataclasses
import json
import threading
import time

import pytest
from each import for_each
from llm_server import call, raw, say, status

from packs.agents.model_choice import Models

ABOUT = {"id": "a", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}
SMALL = b'{"id":"a","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":%s}]}'


def chunk(delta=None, finish=None, **more):
    return {**ABOUT, "choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish}], **more}


def stream(*events):
    """Return a stream of these events, JSON or bytes."""
    written = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    return raw(b"".join(b"data: %b\n\n" % event for event in written) + b"data: [DONE]\n\n", "text/event-stream")


def counted(tokens_in, tokens_out, **more):
    """Return an answer with this token usage."""
    usage = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": 1, **more}
    return stream(chunk({"content": "hi"}, "stop"), {**ABOUT, "choices": [], "usage": usage})


def tool(arguments, name="store_get", id_="c1"):
    """Return a call with these arguments, as text."""
    function = {"name": name, "arguments": arguments}
    called = {"index": 0, "id": id_, "type": "function", "function": function}
    return stream(chunk({"tool_calls": [called]}, "tool_calls"))


def block(arguments):
    """Return a call in Anthropic's format, with arguments of any shape."""
    about = {"id": "m", "type": "message", "role": "assistant", "model": "claude-opus-5", "content": []}
    message = {**about, "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 5, "output_tokens": 1}}
    used = {"type": "tool_use", "id": "t1", "name": "store_get", "input": arguments}
    events = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": used},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    ]
    return raw(
        b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events),
        "text/event-stream",
    )


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


def flood(event, size=8 * 2**20 - 1000):
    """Return as many small events as fit into an answer; `event(number)` makes each."""
    made, length = [], 0
    while length < size:
        made.append(event(len(made)))
        length += len(made[-1]) + 8
    return stream(*made)


@pytest.fixture
def anthropic(server, llm, monkeypatch):
    """Make a model of Anthropic the server's default."""
    models = dataclasses.replace(
        Models.of(server.config),
        default="anthropic:claude-opus-5",
        base_urls={"anthropic": llm.anthropic_url},
    )
    monkeypatch.setattr(Models, "of", lambda config: models)


@pytest.fixture
def tell(add_agent, owner, llm, caplog, monkeypatch):
    """`tell(turn)` returns the end of a task whose model first answers with this turn, and then sensibly.

    Each call has an agent of its own. Failed requests are retried without a pause.
    """
    monkeypatch.setattr("packs.agents.runtime.model_client.FIRST_PAUSE", 0.0)
    told = []

    def give(*turns, **limits):
        id_ = f"helper{len(told)}"
        add_agent(id=id_, tools=["store"], limits={"steps": 3, "seconds": 20, **limits})
        llm.start_over(*turns, say("Done.", tokens=(3, 3)))
        earlier = len(caplog.records)
        answer = owner.post("/api/agent/run", {"agent_id": id_, "task": "x", "wait": 60})
        assert answer.status_code == 200, answer.text
        told.append(answer.json["id"])
        log, *earlier_logs = owner.get("/api/agent/logs?limit=100").json["items"]
        assert log["id"] == told[-1] and len(earlier_logs) == len(told) - 1
        assert len(owner.get(f"/api/agent/runs/{log['id']}").json["steps"]) == len(log["steps"])
        assert owner.get(f"/api/runs/{log['run_id']}/steps").status_code == 200
        broken = [record.getMessage() for record in caplog.records[earlier:] if record.levelname == "ERROR"]
        assert not broken, "something broke"
        return answer.json

    return give


# Numbers


@for_each("count", [2**63, 10**30])
def test_absurd_token_counts_use_up_the_limits(tell, count):
    answer = tell(counted(count, 5))
    assert answer["status"] == "failed" and "limits" in answer["error_text"]
    assert answer["usage"]["input_tokens"] == 10**12 and answer["usage"]["cost"] > 1_000


@for_each("count", [-5, -(10**30), 1.5, 1e300, "many", [1], {"a": 1}, None, True])
def test_negative_token_counts_are_ignored(tell, count):
    answer = tell(counted(count, count))
    assert answer["status"] == "success" and answer["usage"]["input_tokens"] > 0 < answer["usage"]["output_tokens"]
    assert answer["usage"]["cost"] is None or answer["usage"]["cost"] > 0


def test_other_numbers_of_a_server_are_ignored(tell):
    details = {f"x{number}": 10**30 for number in range(1000)} | {"reasoning_tokens": 10**30}
    answer = tell(counted(5, 5, completion_tokens_details=details))
    assert answer["text"] == "hi" and answer["usage"]["input_tokens"] == 5


def test_tokens_are_estimated_for_a_server_that_does_not_count(tell):
    answer = tell(tool('{"key": "a"}'), tokens=5_000)
    assert answer["text"] == "Done." and answer["usage"]["input_tokens"] > 100 and answer["usage"]["cost"] > 0


# Shapes


@for_each("depth", [100, 190, 240, 252, 400, 900, 100_000])
def test_arguments_may_be_nested_very_deeply(tell, depth):
    assert tell(tool('{"key":' + "[" * depth + "]" * depth + "}"), tokens=1_000_000)["text"] == "Done."


@pytest.mark.slow
@for_each("arguments", [5, "x", [1], None, {"key": nested(150)}, {"key": nested(240)}, nested(400)])
def test_arguments_of_any_shape_end_in_a_readable_error(tell, anthropic, arguments):
    answer = tell(block(arguments))
    assert answer["text"] == "Done." or "cannot be recorded" in answer["error_text"]


@for_each("arguments", ["", "null", "[1]", "1e999999", '{"key": NaN}', '{"key": 1e999}', '{"key": ' + "9" * 5000 + "}"])
def test_the_model_is_told_of_invalid_arguments(tell, arguments):
    answer = tell(tool(arguments))
    assert answer["text"] == "Done." and answer["tool_calls"] == []


@for_each("name", ["store_get\x1b[31m\n\0", "n" * 50_000, "", "final_result", "\u202etes_erots"])
def test_the_model_is_told_of_an_unknown_tool(tell, name):
    answer = tell(tool('{"key": "a"}', name), tokens=1_000_000)
    assert answer["status"] == "success" and answer["tool_calls"] == []


@for_each("id_", ["id\0\x1b\n" * 500, "", None])
def test_the_id_of_a_call_can_be_any_text(tell, id_):
    assert tell(tool('{"key": "a"}', id_=id_))["status"] == "success"


@for_each(
    "event",
    [
        b'{"id":"a","object":"x","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"a\\ud800b"},'
        b'"finish_reason":"stop"}]}',
        b'{"choices":[{"index":0,"delta":{"content":"\xff\xfe"},"finish_reason":"stop"}]}',
        {**chunk({"content": "x"}, "stop"), "created": 10**30},
        {**chunk({"content": "x"}, "stop"), "created": -(10**15)},
        {**chunk({"content": "x"}, "stop"), "model": "m" * 100_000},
        {**chunk({"content": "x"}, "stop"), "model": {"a": 1}},
        {**chunk({"content": "x"}, "stop"), "id": 10**30},
        {**chunk(), "choices": None},
        {**chunk(), "choices": [1, "2"]},
        chunk({"content": {"a": 1}}, "stop"),
        chunk({"content": 10**30}, "stop"),
        chunk({"content": "x"}, {"a": 1}),
        chunk({"content": "x"}, "s" * 100_000),
        chunk({"tool_calls": [{"index": 10**30, "function": {"name": "store_get", "arguments": "{}"}}]}, "tool_calls"),
        chunk({"tool_calls": [{"index": -1, "function": {"name": "store_get", "arguments": "{}"}}]}, "tool_calls"),
        chunk({"audio": {"id": "x", "data": "AAAA"}}, "stop"),
        b"[" * 100_000,
        b'{"id":"a","x":' + b"[" * 900 + b"]" * 900 + b',"choices":[]}',
        {"error": {"message": "boom " * 10_000}},
    ],
)
def test_an_event_of_any_shape_ends_in_a_readable_error(tell, event):
    answer = tell(stream(event))
    assert answer["status"] == "success", answer["error_text"]


def test_control_characters_in_an_answer_are_text(tell):
    assert tell(stream(chunk({"content": "a\0b\x1b[31m"}, "stop")))["text"] == "a\0b\x1b[31m"


@for_each("depth", [100, 300, 900])
def test_an_error_of_any_depth_is_reported_in_one_line(tell, depth):
    answer = tell(raw(b'{"error":' * depth + b"1" + b"}" * depth, "application/json", status=400))
    assert answer["status"] == "failed" and "answered 400" in answer["error_text"] and len(answer["error_text"]) < 500


# Sizes and times


def test_a_thousand_calls_at_once_are_refused_before_they_are_read(tell):
    function = b'{"index":%d,"id":"c%d","function":{"name":"store_get","arguments":"{}"}}'
    answer = tell(flood(lambda number: SMALL % (b'{"tool_calls":[' + function % (number, number) + b"]}")))
    assert answer["status"] == "failed" and "200 parts" in answer["error_text"] and answer["duration_ms"] < 5_000


@for_each("size", [3 * 2**20, 7 * 2**20])
def test_one_large_piece_is_not_parsed(tell, size):
    answer = tell(stream(chunk({"content": "x" * size}, "stop")))
    assert answer["status"] == "failed" and "too large" in answer["error_text"]


def test_a_stream_of_other_data_than_json_ends_at_its_first_line(tell):
    made = raw(b"data:x\n" * 2**20, "text/event-stream")
    answer = tell(made, made, made)
    assert answer["status"] == "failed" and "cannot be parsed (JSONDecodeError)" in answer["error_text"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "turn",
    [
        pytest.param(lambda: flood(lambda number: SMALL % b'{"content":"x"}'), id="texts"),
        pytest.param(lambda: flood(lambda number: SMALL % b"{}"), id="nothing"),
        pytest.param(lambda: raw(b"\n" * (8 * 2**20 - 100), "text/event-stream"), id="lines"),
        pytest.param(lambda: raw(b":\n" * (4 * 2**20 - 100), "text/event-stream"), id="comments"),
    ],
)
def test_an_answer_that_takes_long_to_parse_ends_at_the_agents_time_limit(tell, turn):
    """The answer arrives at once, so no await gives way to other tasks."""
    made = turn()
    began = time.monotonic()
    answer = tell(made, made, made, seconds=1)
    assert answer["status"] == "failed" and "1 s" in answer["error_text"]
    assert time.monotonic() - began < 10
    assert not [thread.name for thread in threading.enumerate() if thread.name.endswith("-loop")]


def test_the_size_of_a_prompt_is_bounded_whatever_the_server_counts(tell, monkeypatch):
    from packs.agents.runtime import loop

    monkeypatch.setattr(loop, "MAX_PROMPT", 50_000)
    large = call("store_set", {"key": "a", "value": "x" * 40_000}, tokens=(1, 1))
    answer = tell(large, large, steps=10, tokens=1_000_000)
    assert answer["status"] == "failed" and "the prompt has grown" in answer["error_text"]


def test_a_prompt_that_exceeds_the_limit_by_itself_is_not_sent(add_agent, ask, llm):
    add_agent(limits={"tokens": 2_000})
    answer = ask("x" * 30_000)
    assert answer["status"] == "failed" and "limits.tokens is 2,000" in answer["error_text"] and llm.requests == []


PAUSES = ["nan", "-5", "inf", "1e999", "9" * 400, "x", "", "Fri, 31 Dec 9999 23:59:59 GMT", "0x10"]


@for_each("header", ["retry-after", "retry-after-ms", "x-ratelimit-reset-requests"])
def test_an_invalid_retry_after_of_a_server_is_ignored(tell, header):
    for pause in PAUSES:
        began = time.monotonic()
        answer = tell(*[status(429, {header: pause})] * 3, seconds=60)
        assert answer["status"] == "failed" and "429" in answer["error_text"], pause
        assert time.monotonic() - began < 20, pause
