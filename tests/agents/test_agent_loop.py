"""What the loop of an agent keeps and goes on from, where a model, a tool or a process does something unusual."""

import asyncio
import json
import threading
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import orjson
import pytest
from agent_loops import SCHEMA, Cut, World, call, came_to, process, reply, story, tools, work
from pydantic_ai.messages import BinaryContent, FilePart, TextPart, ToolCallPart
from pydantic_ai.models.function import FunctionModel

from agent.journal import sum_seconds
from agent.loop import execute
from agent.thread_bridge import CHECK_SECONDS, ThreadBridge
from agent.types import Done
from errors import NodeError
from nodes.ai.model_access import to_json
from nodes.credentials.keyring import Keyring


class HandedBack(BaseException):
    """As the dispatcher's."""


def wrong_number(tool, arguments):
    return ["n: is wrong"] if arguments["n"] == 1 else []


def nothing_wrong(tool, arguments):
    return []


# What is on record holds


def test_what_a_tool_refused_is_on_record_and_refused_again_though_the_tool_would_take_it_now():
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


def test_a_call_that_was_taken_is_not_refused_though_the_tool_would_refuse_it_now():
    world = World([call("act", 1)])
    world.cut = 13
    with pytest.raises(Cut):
        process(world, wrong=nothing_wrong)
    assert world.statuses == [("test", "success"), ("act", "success")]
    world.moments, world.cut = 0, None
    assert came_to(process(world, wrong=wrong_number)) == ("done", '"The end."')
    assert len(world.effects) == 1


def test_what_people_agreed_to_is_what_is_done():
    """Though a secret that came since happens to be in it, by which it would look otherwise."""
    world = World([ToolCallPart("ask", '{"n": 1, "to": "kim"}')])
    waiting = process(world, wrong=nothing_wrong)
    world.given = reply(world, waiting)
    keyring = Keyring()
    keyring.hide("kim")
    process(world, wrong=nothing_wrong, clean=lambda value: orjson.loads(keyring.clean(to_json(value))))
    assert [arguments for _, _, arguments in world.effects] == ['{"n": 1, "to": "kim"}']


@pytest.mark.parametrize("word", ["text", "tool-call", "response", "3", "2", "parts", "kind", "content", "stop"])
def test_a_secret_that_is_a_word_of_the_record_does_no_harm_to_it(word):
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


def test_what_is_no_text_in_an_answer_is_the_same_after_a_crash():
    picture = FilePart(BinaryContent(b"\xff\x00\x89", media_type="image/png"))
    turns = [picture, call("act", 1, tool_call_id="c")], [TextPart("A picture.")]
    world, whole = World(*turns), World(*turns)
    story(whole)
    story(world, [16])
    assert [said for number, said in world.requests if number == 1] == [whole.requests[1][1]] * 2


@pytest.mark.parametrize("ids", [["", "", ""], ["a", "a", "a"], ["a_2", "a", "a"], ["", "call_1", "call_1"]])
def test_calls_without_ids_of_their_own_are_told_apart(ids):
    world = World([call("act", number, tool_call_id=id_) for number, id_ in enumerate(ids)])
    assert came_to(story(world)) == ("done", '"The end."')
    parts = world.requests[1][1][4]["parts"]
    given = [part["tool_call_id"] for part in parts]
    assert len(set(given)) == 3 and all(given) and len(world.effects) == 3


def test_arguments_that_are_no_object_are_the_models_fault():
    world = World([ToolCallPart("act", [1])])
    assert came_to(story(world)) == ("failed", "the model's answer cannot be recorded: its structure is invalid")
    assert world.statuses == [("test", "failed")]


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


def test_an_answer_that_is_nested_too_deeply_is_the_models_fault():
    world = World([ToolCallPart("act", {"n": nested(300)})])
    outcome = story(world)
    assert "depth" in outcome.message and world.statuses == [("test", "failed")]


@pytest.mark.parametrize("result", [float("inf"), nested(300), nested(2000)])
def test_a_result_that_cannot_be_on_record_is_the_tools_fault(result):
    world = World([call("act", 1)])
    made = [replace(tool, call=lambda arguments, key: result) for tool in tools(world)]
    assert came_to(process(world, tools=made)) == ("done", '"The end."')
    assert world.statuses[1] == ("act", "failed") and "JSON" in world.entries[1].error_text


# Time


@asynccontextmanager
async def stalling():
    """A model that never answers."""

    async def stall(messages, info):
        await asyncio.sleep(600)

    yield FunctionModel(stall)


def test_a_request_that_the_time_is_too_short_for_has_failed_on_record():
    world = World()
    outcome = process(world, open_model=stalling, deadline=time.monotonic())
    assert outcome.permanent and "time limit of 60 s" in outcome.message and world.statuses == []
    outcome = process(world, open_model=stalling, deadline=time.monotonic() + 1.5)
    assert outcome.permanent and world.statuses == [("test", "failed")]
    (entry,) = world.entries
    assert entry.error_text == outcome.message and entry.finished_at and entry.duration_ms >= 100


def test_whose_attempt_is_out_of_time_may_have_another_and_goes_on():
    world = World([call("act", 1)])
    begun = threading.Event()

    def slow(arguments, key):
        begun.set()
        time.sleep(1)
        return "done"

    made = [replace(tool, call=slow) if tool.name == "act" else tool for tool in tools(world)]
    outcome = process(world, tools=made, until=time.monotonic() + 1)
    assert isinstance(outcome, NodeError) and not outcome.permanent and "limit" not in outcome.message
    assert came_to(process(world)) == ("done", '"The end."')


def test_the_time_of_what_was_handed_back_counts():
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


def test_the_time_of_a_tool_that_was_handed_back_counts_and_it_is_in_doubt():
    world = World([call("act", 1)])

    def act(arguments, key):
        time.sleep(0.05)
        raise HandedBack

    made = [replace(tool, call=act) if tool.name == "act" else tool for tool in tools(world)]
    with pytest.raises(HandedBack):
        process(world, tools=made)
    assert world.statuses[1] == ("act", "running") and world.entries[1].duration_ms >= 50
    assert process(world) == Done("The end.") and world.statuses[1] == ("act", "failed") and world.effects == []


def test_a_disk_that_refuses_the_time_of_what_is_handed_back_hinders_nothing():
    world = World([call("act", 1)])

    def act(arguments, key):
        world.keep = full
        raise HandedBack

    def full(entry):
        raise OSError("the disk is full")

    made = [replace(tool, call=act) if tool.name == "act" else tool for tool in tools(world)]
    with pytest.raises(HandedBack):
        execute(work(world, tools=made))


# Threads and loops


def threads():
    return [thread.name for thread in threading.enumerate() if thread.name.endswith("-loop")]


@pytest.mark.parametrize("turn", [[call("act")], [call("burst")], [call("ask")], [call("flow")]])
def test_no_thread_is_left_however_it_ends(turn):
    story(World(turn, schema=SCHEMA))
    story(World([ToolCallPart("act", [1])]))
    for cut in range(1, 8):
        world = World(turn)
        world.cut = cut
        with pytest.raises(Cut):
            process(world)
    assert threads() == []


@pytest.mark.parametrize("seconds", [0.0, 0.0002, 0.0004, 0.001])
def test_a_loop_that_comes_to_its_end_just_when_it_is_ended_leaves_nothing_behind(seconds):
    async def work():
        await asyncio.sleep(CHECK_SECONDS + seconds)

    def check():
        raise HandedBack

    with suppress(HandedBack):  # whichever is first
        ThreadBridge().serve(work, check)
    assert threads() == []


def test_what_it_came_to_counts_though_the_loop_takes_long_to_close():
    """As where the name of a server is still being looked up that was not needed in the end."""
    closed = threading.Event()

    async def work():
        asyncio.get_running_loop().run_in_executor(None, closed.wait, 4 * CHECK_SECONDS)
        return "well"

    def check():
        raise HandedBack

    assert ThreadBridge().serve(work, check) == "well" and threads() == []


def test_an_order_that_nobody_waits_for_any_more_is_not_carried_out():
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


def test_the_arguments_of_calls_are_json_whatever_is_in_them():
    world = World([ToolCallPart("act", json.dumps({"n": 10**40, "x": "\ud800"}))])
    assert came_to(story(world))[0] == "done"
