"""The loop of an agent: recording and resuming with unusual models, tools and interruptions."""

import asyncio
import json
import threading
import time
from contextlib import asynccontextmanager, suppress

import orjson
import pytest
from agent_loops import SCHEMA, Cut, World, call, came_to, process, reply, story, tools, work
from pydantic_ai.messages import BinaryContent, FilePart, TextPart, ToolCallPart
from pydantic_ai.models.function import FunctionModel

from errors import NodeError
from nodes.credentials.keyring import Keyring
from packs.agents.model_choice import to_json
from packs.agents.runtime.journal import sum_seconds
from packs.agents.runtime.loop import CHECK_SECONDS, ThreadBridge, run_agent
from packs.agents.runtime.types import Done


class HandedBack(BaseException):
    """Stands for the dispatcher's exception that releases a run."""


def wrong_number(tool, arguments):
    return ["n: is wrong"] if arguments["n"] == 1 else []


def nothing_wrong(tool, arguments):
    return []


# Recorded steps


def test_a_recorded_refusal_of_arguments_is_repeated_even_if_the_tool_would_accept_them_now():
    world = World([call("act", 1)], [call("act", 2)])
    world.cut = 10
    with pytest.raises(Cut):
        process(world, wrong=wrong_number)
    assert world.statuses[:2] == [("test", "success"), ("act", "refused")]
    assert world.entries[1].request == {"n": 1} and world.entries[1].error_text == "n: is wrong"
    world.moments, world.cut = 0, None
    assert came_to(process(world, wrong=nothing_wrong))[0] == "done"
    assert [arguments for _, _, arguments in world.effects] == ['{"n": 2}']
    assert world.requests[-1][1][4]["parts"][0]["content"].startswith("n: is wrong")


def test_a_recorded_call_is_not_refused_even_if_the_tool_would_refuse_it_now():
    world = World([call("act", 1)])
    world.cut = 13
    with pytest.raises(Cut):
        process(world, wrong=nothing_wrong)
    assert world.statuses == [("test", "success"), ("act", "success")]
    world.moments, world.cut = 0, None
    assert came_to(process(world, wrong=wrong_number)) == ("done", '"The end."')
    assert len(world.effects) == 1


def test_the_approved_call_is_the_executed_call():
    """Even if a newer secret occurs in it and would be redacted now."""
    world = World([ToolCallPart("ask", '{"n": 1, "to": "kim"}')])
    waiting = process(world, wrong=nothing_wrong)
    world.given = reply(world, waiting)
    keyring = Keyring()
    keyring.hide("kim")
    process(world, wrong=nothing_wrong, clean=lambda value: orjson.loads(keyring.clean(to_json(value))))
    assert [arguments for _, _, arguments in world.effects] == ['{"n": 1, "to": "kim"}']


@pytest.mark.parametrize("word", ["text", "tool-call", "response", "3", "2", "parts", "kind", "content", "stop"])
def test_a_secret_equal_to_a_word_of_the_record_does_not_damage_it(word):
    keyring = Keyring()
    keyring.hide(word)
    world = World([TextPart(f"It is {word}!"), call("look", 1)], [TextPart(word)])
    clean = lambda value: orjson.loads(keyring.clean(to_json(value)))  # noqa: E731
    assert process(world, clean=clean) == Done("***")
    entries = world.entries
    assert [entry.status for entry in entries] == ["success"] * 3 and entries[0].input_tokens == 3
    again = World([TextPart("?")])
    again.disk = world.disk
    assert process(again, clean=clean) == Done("***") and again.requests == []


def test_parts_of_an_answer_other_than_text_survive_a_crash():
    picture = FilePart(BinaryContent(b"\xff\x00\x89", media_type="image/png"))
    turns = [picture, call("act", 1, tool_call_id="c")], [TextPart("A picture.")]
    world, whole = World(*turns), World(*turns)
    story(whole)
    story(world, [16])
    assert [said for number, said in world.requests if number == 1] == [whole.requests[1][1]] * 2


@pytest.mark.parametrize("ids", [["", "", ""], ["a", "a", "a"], ["a_2", "a", "a"], ["", "call_1", "call_1"]])
def test_calls_without_unique_ids_stay_separate(ids):
    world = World([call("act", number, tool_call_id=id_) for number, id_ in enumerate(ids)])
    assert came_to(story(world)) == ("done", '"The end."')
    parts = world.requests[1][1][4]["parts"]
    given = [part["tool_call_id"] for part in parts]
    assert len(set(given)) == 3 and all(given) and len(world.effects) == 3


def test_arguments_other_than_an_object_are_the_models_error():
    world = World([ToolCallPart("act", [1])])
    assert came_to(story(world)) == ("failed", "the model's answer cannot be recorded: its structure is invalid")
    assert world.statuses == [("test", "failed")]


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


def test_an_answer_nested_too_deeply_is_the_models_error():
    world = World([ToolCallPart("act", {"n": nested(300)})])
    outcome = story(world)
    assert "depth" in outcome.message and world.statuses == [("test", "failed")]


@pytest.mark.parametrize("result", [float("inf"), nested(300), nested(2000)])
def test_a_result_that_cannot_be_recorded_is_the_tools_error(result):
    world = World([call("act", 1)])
    made = [tool._replace(call=lambda arguments, key: result) for tool in tools(world)]
    assert came_to(process(world, tools=made)) == ("done", '"The end."')
    assert world.statuses[1] == ("act", "failed") and "JSON" in world.entries[1].error_text


# Time


@asynccontextmanager
async def stalling():
    """A model that never answers."""

    async def stall(messages, info):
        await asyncio.sleep(600)

    yield FunctionModel(stall)


def test_a_request_beyond_the_time_limit_is_recorded_as_failed():
    world = World()
    outcome = process(world, open_model=stalling, deadline=time.monotonic())
    assert outcome.permanent and "time limit of 60 s" in outcome.message and world.statuses == []
    outcome = process(world, open_model=stalling, deadline=time.monotonic() + 1.5)
    assert outcome.permanent and world.statuses == [("test", "failed")]
    (entry,) = world.entries
    assert entry.error_text == outcome.message and entry.finished_at and entry.duration_ms >= 100


def test_an_attempt_that_timed_out_can_be_resumed_by_another():
    world = World([call("act", 1)])
    begun = threading.Event()

    def slow(arguments, key):
        begun.set()
        time.sleep(1)
        return "done"

    made = [tool._replace(call=slow) if tool.name == "act" else tool for tool in tools(world)]
    outcome = process(world, tools=made, until=time.monotonic() + 1)
    assert isinstance(outcome, NodeError) and not outcome.permanent and "limit" not in outcome.message
    assert came_to(process(world)) == ("done", '"The end."')


def test_the_time_of_a_released_request_counts():
    world = World()
    ends = time.monotonic() + 1

    def stopped():
        if time.monotonic() > ends:
            raise HandedBack

    with pytest.raises(HandedBack):
        process(world, open_model=stalling, stopped=stopped)
    (entry,) = world.entries
    assert entry.status == "running" and entry.finished_at is None and 0.15 < sum_seconds(world.entries) < 15
    before = sum_seconds(world.entries)
    assert process(world) == Done("The end.") and sum_seconds(world.entries) >= before
    assert world.statuses == [("test", "success")]


def test_the_time_of_a_released_tool_call_counts_and_the_call_is_in_doubt():
    world = World([call("act", 1)])

    def act(arguments, key):
        time.sleep(0.05)
        raise HandedBack

    made = [tool._replace(call=act) if tool.name == "act" else tool for tool in tools(world)]
    with pytest.raises(HandedBack):
        process(world, tools=made)
    assert world.statuses[1] == ("act", "running") and world.entries[1].duration_ms >= 50
    assert process(world) == Done("The end.") and world.statuses[1] == ("act", "failed") and world.effects == []


def test_a_full_disk_does_not_prevent_the_release_of_a_run():
    world = World([call("act", 1)])

    def act(arguments, key):
        world.keep = full
        raise HandedBack

    def full(entry):
        raise OSError("the disk is full")

    made = [tool._replace(call=act) if tool.name == "act" else tool for tool in tools(world)]
    with pytest.raises(HandedBack):
        run_agent(work(world, tools=made))


# Threads and loops


def threads():
    return [thread.name for thread in threading.enumerate() if thread.name.endswith("-loop")]


@pytest.mark.parametrize("turn", [[call("act")], [call("burst")], [call("ask")], [call("flow")]])
def test_no_thread_is_left_after_any_end(turn):
    story(World(turn, schema=SCHEMA))
    story(World([ToolCallPart("act", [1])]))
    for cut in range(1, 8):
        world = World(turn)
        world.cut = cut
        with pytest.raises(Cut):
            process(world)
    assert threads() == []


@pytest.mark.parametrize("seconds", [0.0, 0.0002, 0.0004, 0.001])
def test_a_loop_that_ends_while_it_is_stopped_leaves_nothing_behind(seconds):
    async def work():
        await asyncio.sleep(CHECK_SECONDS + seconds)

    def check():
        raise HandedBack

    with suppress(HandedBack):  # whichever is first
        ThreadBridge().serve(work, check)
    assert threads() == []


def test_the_result_counts_even_if_the_loop_takes_long_to_close():
    """For example because a host name that is not needed any more is still being resolved."""
    closed = threading.Event()

    async def work():
        asyncio.get_running_loop().run_in_executor(None, closed.wait, 4 * CHECK_SECONDS)
        return "well"

    def check():
        raise HandedBack

    assert ThreadBridge().serve(work, check) == "well" and threads() == []


def test_a_cancelled_order_is_not_executed():
    desk, done, go_on = ThreadBridge(), [], threading.Event()

    async def work():
        first = asyncio.create_task(desk.do(go_on.wait))
        second = asyncio.create_task(desk.do(done.append, 1))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.sleep(0)
        go_on.set()
        return await first

    assert desk.serve(work, lambda: None) is True and done == []


def test_the_arguments_of_calls_are_always_json():
    world = World([ToolCallPart("act", json.dumps({"n": 10**40, "x": "\ud800"}))])
    assert came_to(story(world))[0] == "done"
