"""The contract of every node type with effects outside of the run: one set of tests for all of them.

The test file of a node family defines a case for each type, and inherits the tests:

    @pytest.fixture
    def case_email(smtp_server):
        return Case(config={…}, credentials={…}, secret="…", stalled={…}, count=lambda: len(smtp_server.messages))

    class TestEmailKeepsTheContract(Contract):
        type_ = "email"
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

import engine
from nodes.credentials.keyring import Keyring

PATIENCE = 60  # seconds; a node with a deadline of a fifth of a second that takes longer is stuck


@dataclass
class Case:
    """A working example of a node. `config` and `input` succeed, and the peer repeats the `secret` if it can.

    `credentials` are `{"name": (type, data)}` or `(type, data, hosts)`. `stalled` is a config (or part of one) whose
    peer never answers, or None if the node waits for no peer. `count()` is the number of times that the peer did it.
    """

    config: dict[str, Any]
    input: Any = None
    credentials: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    secret: str = ""
    stalled: dict[str, Any] | None = None
    count: Callable[[], int] | None = None


class Contract:
    """Tests of the type `type_`, whose case is the fixture `case_<type>`."""

    type_ = ""

    @pytest.fixture
    def case(self, request):
        return request.getfixturevalue(f"case_{self.type_}")

    @pytest.fixture
    def execute(self, case, make_ctx):
        """Return `execute(config, timeout, **job)`, which returns the outcome of a run, its steps and its log."""

        def execute(config=None, timeout=None, **job):
            ctx, lines = make_ctx(credentials=case.credentials)
            node = {"id": "it", "type": self.type_, "config": {**case.config, **(config or {})}}
            definition = {"nodes": [node | ({"timeout": timeout} if timeout else {})]}
            steps = []
            job = {
                "on_step": steps.append,
                "log": lambda *entry: lines.append(entry),
                "keyring": ctx.keyring,
                "services": ctx.services,
                "files": ctx.files,
                "store": ctx.store,
                "agents": ctx.agents,
                **job,
            }
            outcome = engine.run(engine.plan(definition), engine.Job("run_1", case.input, **job))
            return outcome, steps, lines

        return execute

    def test_the_node_succeeds_and_returns_json(self, case, execute):
        before = case.count() if case.count else 0
        outcome, steps, _ = execute()
        assert (outcome.status, outcome.error_text) == ("success", None)
        assert [step.status for step in steps] == ["running", "success"]
        assert orjson.loads(steps[-1].output) == outcome.output
        assert case.count is None or case.count() == before + 1

    def test_no_secret_is_recorded(self, case, execute):
        if not case.secret:
            pytest.skip("the node has no credential")
        assert case.secret not in repr(execute())
        outcome, *record = execute(keyring=Keyring())
        assert outcome.status == "failed" and "there is no credential" in outcome.error_text
        assert case.secret not in repr((outcome, record))

    def test_the_deadline_is_enforced(self, case, execute):
        if case.stalled is None:
            pytest.skip("the node waits for no peer")
        began = time.monotonic()
        outcome, steps, lines = execute(case.stalled, timeout=0.2)
        assert time.monotonic() - began < PATIENCE
        assert outcome.status == "failed" and outcome.error_node_id == "it"
        assert not case.secret or case.secret not in repr((outcome, steps, lines))

    def test_after_a_crash_the_step_is_repeated_once_with_the_same_key(self, case, execute):
        """The process died between the start and the end of the step, so the outcome is unknown."""
        _, steps, _ = execute()
        before = case.count() if case.count else 0
        outcome, again, _ = execute(tried={("it", None): 1}, first_seq=1)
        assert outcome.status == "success" and again[-1].attempt == 2
        assert case.count is None or case.count() == before + 1

    def test_a_recorded_step_is_not_repeated(self, case, execute):
        outcome, steps, _ = execute()
        before = case.count() if case.count else 0
        settled = {("it", None): engine.Settled(orjson.loads(steps[-1].output))}
        resumed, again, _ = execute(settled=settled, first_seq=2)
        assert (resumed.output, again) == (outcome.output, [])
        assert case.count is None or case.count() == before
