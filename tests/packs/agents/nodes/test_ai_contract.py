"""The nodes that call a language model keep the contract of every node with effects."""

from types import SimpleNamespace

import pytest
from contract import Case, Contract
from llm_server import LlmServer, data, forever, say
from sites import silent

from packs.agents.definition import AgentDefinition, Limits
from packs.agents.model_choice import Models
from packs.agents.runtime.journal import sum_usage

KEY = "sk-test-0123456789abcdef"


class FakeRecord:
    """The record of one agent run, in memory."""

    id, start = "arun_1", None

    def __init__(self):
        self.entries, self._now = [], {}

    def begin(self, *about):
        self.begun = about

    def keep_start(self, start):
        self.start = start

    def write(self, entry):
        self._now[entry.seq] = entry

    note = write

    def usage(self):
        return sum_usage(list(self._now.values()))

    def calls(self):
        return []

    def end(self, status, output=None, error_text=None):
        self.ended = status, output, error_text


@pytest.fixture
def make_ctx(make_ctx):
    """`make_ctx()` returns the context of a run, with one agent and an empty record."""

    def make(**lent):
        ctx, lines = make_ctx(**lent)
        helper = AgentDefinition("helper", "Helper", "You help.", limits=Limits(steps=3, seconds=20))
        ctx.agents = SimpleNamespace(
            models=Models(),
            memory=None,
            definition={"helper": helper}.get,
            record=lambda node_id, index: FakeRecord(),
            find_model_credential=lambda name: None,
        )
        return ctx, lines

    return make


def case(answer, config, credential_config):
    """Yield the case of a node whose model answers with its own API key.

    `credential_config(name)` returns the config that names a credential.
    """
    listener, silent_url = silent()
    with listener, LlmServer(forever(answer), api_key=KEY) as server:
        data = {"base_url": server.openai_url, "api_key": KEY, "model": "gpt-4o-mini"}
        yield Case(
            config={**config, **credential_config("mine")},
            input={"text": "Hello."},
            credentials={"mine": ("llm", data), "never": ("llm", {**data, "base_url": silent_url})},
            secret=KEY,
            stalled=credential_config("never"),
            count=lambda: len(server.requests),
        )


@pytest.fixture
def case_llm():
    yield from case(say(f"The key is {KEY}."), {"prompt": "Which key is it?"}, lambda name: {"credential": name})


@pytest.fixture
def case_classify():
    chosen = data({"reason": f"The key is {KEY}.", "label": "b", "confidence": 1})
    yield from case(chosen, {"labels": ["a", "b"]}, lambda name: {"credential": name})


@pytest.fixture
def case_agent():
    config = {"agent_id": "helper", "task": "Which key is it?"}
    yield from case(say(f"The key is {KEY}."), config, lambda name: {"credentials": {"llm": name}})


class TestTheModelNodeKeepsTheContract(Contract):
    type_ = "llm"


class TestClassifyKeepsTheContract(Contract):
    type_ = "classify"


class TestTheAgentNodeKeepsTheContract(Contract):
    type_ = "agent"
