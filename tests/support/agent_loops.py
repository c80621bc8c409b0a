"""The loop of an agent over a journal in memory, with a scripted model and tools that record their effects.

The journal stands for the disk: data outside of it is lost when a process is interrupted. A process can be interrupted
before and after each write, each request to the model and each effect of a tool.
"""

import copy
import json
import time
from contextlib import asynccontextmanager
from dataclasses import asdict

import orjson
from pydantic_ai.messages import ModelMessagesTypeAdapter, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.usage import RequestUsage

from errors import NodeError
from packs.agents.model_choice import to_json
from packs.agents.runtime.journal import Entry
from packs.agents.runtime.loop import run_agent
from packs.agents.runtime.types import AgentWait, AgentWork, Done, PendingResult, Tool, WaitOutcome
from parsers.json_schema import issues_of

STEPS = 8
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
# Parts of a message that a model does not get.
ABOUT = ("timestamp", "run_id", "conversation_id", "provider_details", "usage")


class Cut(BaseException):
    """The process ends at this point."""


class World:
    """The persistent state: the journal on disk, the effects of tools, and the requests to the model.

    `turns` has the parts of each of the model's answers. `moments` counts the events in a process; the process ends at
    the event with the number `cut`. `refusing` are the numbers of the waits that are rejected or fail.
    """

    def __init__(self, *turns, schema=None, refusing=(), answer=None):
        self.turns, self.schema, self.refusing = turns, schema, set(refusing)
        self.scripted = answer or (lambda number: turns[number] if number < len(turns) else [TextPart("The end.")])
        self.disk, self.noted = {}, []
        self.effects, self.requests, self.questions, self.children = [], [], [], []
        self.given = None  # the outcome of the last wait
        self.moments, self.cut = 0, None
        self.lengths = []  # the number of moments of each process

    def moment(self):
        """Count a moment. Raises: Cut at the end of the process."""
        self.moments += 1
        if self.moments == self.cut:
            raise Cut

    def act(self, tool, arguments, key):
        self.moment()
        self.effects.append((key, tool, json.dumps(arguments)))
        self.moment()

    def answer(self, messages, info):
        """Return the model's next turn, by the number of turns so far."""
        number = sum(isinstance(message, ModelResponse) for message in messages) - 1  # one of them is from the history
        self.moment()
        self.requests.append((number, said(messages)))
        self.moment()
        parts = [copy.deepcopy(part) for part in self.scripted(number)]
        return ModelResponse(parts, usage=RequestUsage(input_tokens=3, output_tokens=2))

    def keep(self, entry):
        self.disk[entry.seq] = orjson.dumps(asdict(entry))

    @property
    def entries(self):
        """Return the recorded entries."""
        return [Entry(**orjson.loads(row)) for _, row in sorted(self.disk.items())]

    @property
    def statuses(self):
        return [(entry.name, entry.status) for entry in self.entries]


class Journal:
    """The journal of one process, which reads the disk once."""

    def __init__(self, world):
        self.world, self.entries = world, world.entries
        world.noted = []

    def write(self, entry):
        self.world.moment()
        for each in (*self.world.noted, entry):
            self.world.keep(each)
        self.world.noted = []
        self.world.moment()

    def note(self, entry):
        self.world.noted.append(copy.deepcopy(entry))


def said(messages):
    """Return the messages as the model gets them."""
    dumped = ModelMessagesTypeAdapter.dump_python(messages, mode="json")
    for message in dumped:
        for part in (message, *message["parts"]):
            for name in ABOUT:
                part.pop(name, None)
    return dumped


def call(name, n=1, **more):
    """Return a call of a tool, as a part of an answer."""
    return ToolCallPart(name, json.dumps({"n": n}), **more)


# Tools


def tools(world):
    """Return the tools. `look` is repeatable, `maybe` for even numbers; `ask…` need approval; `…flow` starts a run."""

    def look(arguments, key):
        world.act("look", arguments, key)
        return {"seen": arguments.get("n")}

    def act(arguments, key):
        world.act("act", arguments, key)
        return "done"

    def fail(arguments, key):
        world.act("fail", arguments, key)
        raise NodeError("it is out of order")

    def burst(arguments, key):
        world.act("burst", arguments, key)
        raise ValueError("a fault of the tool")

    def flow(arguments, key):
        world.moment()
        return PendingResult(f"the run of {arguments['n']}", f"run_{key}")

    def bring(ended):
        if ended["status"] != "success":
            raise NodeError(f"the run failed: {ended['error_text']}")
        return ended["output"]

    def made(name, call, **more):
        return Tool(name, f"The tool {name}.", SCHEMA, call, **more)

    return [
        made("look", look, repeatable=True),
        made("maybe", act, repeatable=lambda arguments: arguments["n"] % 2 == 0),
        made("act", act),
        made("fail", fail),
        made("burst", burst),
        made("flow", flow, repeatable=True, resume=bring),
        made("ask", act, approval=True),
        made("ask_look", look, approval=True, repeatable=True),
        made("ask_flow", flow, approval=True, repeatable=True, resume=bring),
    ]


def work(world, **more):
    """Return the work of one process in this world."""

    @asynccontextmanager
    async def opened():
        yield FunctionModel(world.answer)

    limits = {"steps": STEPS, "tokens": 10_000, "seconds": 60}
    agent = {"id": "a", "name": "A", "limits": limits, "output_schema": world.schema}
    texts = {"instructions": "Do.", "prompt": "Now.", "history": [["x", "y"]], "mark": "m"}
    usual = {
        "key": "run:node:0",
        "journal": Journal(world),
        "start": {"agent": agent, "model": "test", **texts},
        "tools": tools(world),
        "open_model": opened,
        "wrong": lambda tool, arguments: [issue["message"] for issue in issues_of(tool.parameters, arguments)],
        "wrong_output": lambda data: [issue["message"] for issue in issues_of(world.schema, data)],
        "deadline": time.monotonic() + 60,
        "clean": lambda value: orjson.loads(to_json(value)),
        "given": world.given,
        "cost_of": lambda response: 0.5,
    }
    return AgentWork(**usual | more)


# Processes


def process(world, **more):
    """Run one process from the end of the journal to the answer or a wait. Raises: Cut if it is interrupted."""
    try:
        outcome = run_agent(work(world, **more))
    except NodeError as error:
        outcome = error
    if isinstance(outcome, AgentWait):
        world.moment()
    # One transaction: the notes, the started run, and the wait or the end of this run.
    for entry in world.noted:
        world.keep(entry)
    if isinstance(outcome, AgentWait):
        (world.children if outcome.question is None else world.questions).append(outcome)
        world.given = None
        world.moment()
    return outcome


def reply(world, waiting):
    """Return the outcome of a wait, which is always the same."""
    number = len(world.questions) + len(world.children)
    if waiting.question is not None:
        return WaitOutcome(waiting.question, "rejected" if number in world.refusing else "approved", "because", "kim")
    status = "failed" if number in world.refusing else "success"
    ended = {"run_id": waiting.run_id, "status": status, "output": [number], "error_text": "it burnt"}
    return WaitOutcome(None, "ended", ended)


def story(world, cuts=()):
    """Run processes until the agent ends, and return its outcome.

    The first processes are interrupted after the numbers of moments in `cuts`, the following ones are not.
    """
    cuts, outcome = list(cuts), None
    while outcome is None or isinstance(outcome, AgentWait):
        world.moments, world.cut = 0, cuts.pop(0) if cuts else None
        before, at = finished(world), len(world.effects)
        try:
            outcome = process(world)
        except Cut:
            outcome = None
        world.lengths.append(world.moments)
        assert not before & {key for key, _, _ in world.effects[at:]}, "a recorded call was repeated"
        waits = [*world.questions, *world.children] if world.given is None else []
        left = next((wait for wait in waits if is_open(world, wait)), None)
        if left is not None:
            # It may have been interrupted just after recording the wait: the answer still arrives.
            world.given = reply(world, left)
    return outcome


def is_open(world, wait):
    return any(
        (entry.status == "asking" and wait.question == f"call {entry.seq}")
        or (entry.status == "waiting" and wait.run_id == entry.result["run_id"])
        for entry in world.entries
    )


def finished(world):
    """Return the keys of calls that are recorded as finished."""
    done = [entry for entry in world.entries if entry.kind == "tool" and entry.status in ("success", "failed")]
    return {f"run:node:0:{entry.seq}" for entry in done}


def came_to(outcome):
    return ("done", json.dumps(outcome.output)) if isinstance(outcome, Done) else ("failed", outcome.message)
