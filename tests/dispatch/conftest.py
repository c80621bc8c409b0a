"""Dispatchers with a database of their own, and node types that the tests control."""

from contextlib import ExitStack

import pytest
from world import Gate, Types, fresh_database, process

from errors import NodeError
from nodes.base import Branch, Suspend


@pytest.fixture(autouse=True)
def path(tmp_path):
    with fresh_database(tmp_path) as path:
        yield path


@pytest.fixture(autouse=True)
def types():
    """Node types of `world.Types`, and `ask` and `choose`, which wait for an answer, optionally until a time."""

    def resume(self, config, input, answer):
        if answer.name == "no":
            raise NodeError("no")
        return {"answer": answer.name, "value": answer.value, "by": answer.by}

    def ask(config, input, ctx):
        return Suspend(config.get("value"), f"an answer for {ctx.node_id}")

    with Types() as types:
        types.offer("ask", ask, suspends=True, answers=("yes", "no"), resume=resume)
        types.offer(
            "choose",
            ask,
            suspends=True,
            answers=("yes",),
            branches=("yes", "time"),
            resume=lambda self, config, input, answer: Branch(answer.name, answer.value),
        )
        yield types


@pytest.fixture
def gate(types):
    """The node type `gate`, which blocks a run until the test sets `gate.opened`."""
    gate = Gate()
    types.offer("gate", gate)
    return gate


@pytest.fixture
def start(tmp_path, gate):
    """`start(inline=…, run_threads=…)` returns a dispatcher that acts as a process of its own."""
    with ExitStack() as stack:

        def begin(**settings):
            return stack.enter_context(process(tmp_path, **settings))

        yield begin
        gate.opened.set()


@pytest.fixture
def dispatcher(start):
    return start()


@pytest.fixture
def inline(start):
    """A dispatcher that executes runs in the test's thread."""
    return start(inline=True)
