"""Any agent that is interrupted and resumed from its journal reaches the same result as without interruption."""

import json
import os

import pytest
from agent_loops import SCHEMA, World, call, came_to, story
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from properties import examples, sample
from pydantic_ai.messages import TextPart, ThinkingPart, ToolCallPart

from packs.agents.runtime.journal import sum_usage
from packs.agents.runtime.loop import INTERRUPTED

pytestmark = pytest.mark.slow

EXAMPLES = 60 + 4 * int(os.environ.get("HEADRACE_SOAK_SECONDS") or 0)

NAMES = ["look", "maybe", "act", "act", "fail", "burst", "flow", "ask", "ask", "ask_look", "ask_flow"]
GOOD = st.integers(0, 3).map(lambda number: json.dumps({"n": number}))
WRONG = st.sampled_from(['{"n": "no"}', "{", "{}", "[]", '{"n": 1, "x": 2}'])
ARGUMENTS = st.one_of(GOOD, GOOD, GOOD, WRONG)
CALLS = st.builds(
    lambda name, arguments, as_data: (name, json.loads(arguments) if as_data and arguments[-1] == "}" else arguments),
    st.sampled_from([*NAMES, "nothing_like_it"]),
    ARGUMENTS,
    st.booleans(),
)
RESULTS = st.tuples(st.just("final_result"), st.sampled_from(['{"n": 1}', '{"n": "x"}', "{", "{}"]))
IDS = {
    "none": lambda number: "",
    "each": lambda number: f"call_{number}",
    "one": lambda number: "call_0",
    "clash": lambda number: ("a", "", "a_2", "a")[number],
}


def parts(calls, ids, text, thinking):
    """An answer: thoughts, text and calls. Servers give calls ids of all kinds, or none."""
    made = [ThinkingPart("Hm.", signature="s")] if thinking else []
    made += [TextPart(text)] if text is not None else []
    return made + [
        ToolCallPart(name, arguments, tool_call_id=IDS[ids](at)) for at, (name, arguments) in enumerate(calls)
    ]


def scripts(call):
    turn = st.builds(
        parts,
        st.lists(call, max_size=4),
        st.sampled_from(list(IDS)),
        st.sampled_from([None, None, "I will see.", ""]),
        st.booleans(),
    )
    return st.lists(turn, max_size=4)


CASES = st.one_of(
    st.tuples(scripts(CALLS), st.none()), st.tuples(scripts(st.one_of(CALLS, CALLS, RESULTS)), st.just(SCHEMA))
)


@settings(max_examples=examples(EXAMPLES), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CASES, st.sets(st.integers(1, 6)), st.lists(st.integers(0, 10**6), min_size=1, max_size=5))
def test_an_agent_interrupted_anywhere_reaches_the_same_result(case, refusing, numbers):
    turns, schema = case
    whole = World(*turns, schema=schema, refusing=refusing)
    expected = story(whole)
    cuts = [number % max(whole.lengths) + 1 for number in numbers]
    note(f"{turns}, {schema}, refused: {refusing}, cut at: {cuts}")
    cut = World(*turns, schema=schema, refusing=refusing)
    check(cut, story(cut, cuts), whole, expected)


LONG = (
    [call("act"), call("maybe", 1), call("maybe", 2), call("look")],
    [TextPart("Now I ask."), call("ask", 1), call("ask", 2), call("flow")],
    [call("fail"), ToolCallPart("act", '{"n": "no"}'), call("ask_flow"), call("burst")],
    [call("final_result", "no"), call("ask", 3)],
    [call("act"), call("final_result", 7)],
)


def test_an_agent_with_every_feature_reaches_the_same_result_wherever_it_is_interrupted():
    whole = World(*LONG, schema=SCHEMA, refusing={2})
    expected = story(whole)
    assert came_to(expected) == ("done", '{"n": 7}') and len(whole.lengths) == 7 and len(whole.questions) == 4
    places = [(at, number) for at, length in enumerate(whole.lengths) for number in range(1, length + 1)]
    for at, number in sample(places):
        cut = World(*LONG, schema=SCHEMA, refusing={2})
        # The earlier processes reach their wait; the next one is interrupted, and so is its successor.
        check(cut, story(cut, [None] * at + [number, 2]), whole, expected)


def check(cut, outcome, whole, expected):
    """Check that both worlds reached the same result by the same steps."""
    assert came_to(outcome) == came_to(expected)
    # Each step is recorded as without interruption, except calls in doubt, which the model was told about.
    in_doubt = {entry.seq for entry in cut.entries if entry.error_text == INTERRUPTED}
    for one, other in zip(shown(cut), shown(whole), strict=True):
        assert one == other or (one[0] in in_doubt and one[:3] == other[:3])
    assert done(cut, in_doubt) == done(whole, in_doubt)
    assert cut.questions == whole.questions and cut.children == whole.children
    assert sum_usage(cut.entries) == sum_usage(whole.entries)
    check_requests(cut, whole, in_doubt)


def shown(world):
    """Return the parts of each entry that do not depend on clocks; its number, kind and name first."""
    return [
        (entry.seq, entry.kind, entry.name, entry.status, json.dumps(entry.request), result(entry), entry.error_text)
        for entry in world.entries
    ]


def result(entry):
    made = entry.result
    return json.dumps({**made, "timestamp": None} if entry.kind == "model" and made else made)


def done(world, in_doubt):
    """Return the effects of calls that were never in doubt. Only repeatable calls were made twice."""
    repeatable = {entry.seq for entry in world.entries if entry.kind == "tool" and is_repeatable(entry)}
    effects = [(int(key.rpartition(":")[2]), tool, arguments) for key, tool, arguments in world.effects]
    once = [seq for seq, _, _ in effects if seq not in repeatable]
    assert len(once) == len(set(once)), "done twice"
    return {effect for effect in effects if effect[0] not in in_doubt}


def is_repeatable(entry):
    return "look" in entry.name or (entry.name == "maybe" and (entry.request or {}).get("n") in (0, 2))


def check_requests(cut, whole, in_doubt):
    """Check that the model got identical requests for each turn."""
    by_turn = {}
    for number, messages in cut.requests:
        assert by_turn.setdefault(number, messages) == messages
    if not in_doubt:
        assert list(by_turn.items()) == whole.requests
