"""What holds for every node type that does something outside the run: one set of tests for all of them.

A family's test file says with what to try its types out, and takes the tests over:

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

PATIENCE = 60  # seconds after which whatever has a deadline of half a second is stuck


@dataclass
class Case:
    """A node at work. `config` and `input` succeed, and the peer shows the `secret` again where it can.

    `credentials` are `{"name": (type, data)}` or `(type, data, hosts)`. `stalled` is a config (or part of one) whose
    peer never answers, None where the node waits for nobody. `count()` is how often the peer was asked to do it.
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
        """`execute(config, timeout, **job)`: its outcome in a run, and everything that the run puts on record."""

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

    def test_it_does_its_work_and_gives_json(self, case, execute):
        before = case.count() if case.count else 0
        outcome, steps, _ = execute()
        assert (outcome.status, outcome.error_text) == ("success", None)
        assert [step.status for step in steps] == ["running", "success"]
        assert orjson.loads(steps[-1].output) == outcome.output
        assert case.count is None or case.count() == before + 1

    def test_no_secret_is_on_record(self, case, execute):
        if not case.secret:
            pytest.skip("it takes no credential")
        assert case.secret not in repr(execute())
        outcome, *record = execute(keyring=Keyring())
        assert outcome.status == "failed" and "there is no credential" in outcome.error_text
        assert case.secret not in repr((outcome, record))

    def test_its_deadline_holds(self, case, execute):
        if case.stalled is None:
            pytest.skip("it waits for nobody")
        began = time.monotonic()
        outcome, steps, lines = execute(case.stalled, timeout=0.5)
        assert time.monotonic() - began < PATIENCE
        assert outcome.status == "failed" and outcome.error_node_id == "it"
        assert not case.secret or case.secret not in repr((outcome, steps, lines))

    def test_after_a_crash_it_is_done_once_more_under_the_same_key(self, case, execute):
        """The process died between the start of the step and its end: nobody knows whether it was done."""
        _, steps, _ = execute()
        before = case.count() if case.count else 0
        outcome, again, _ = execute(tried={("it", None): 1}, first_seq=1)
        assert outcome.status == "success" and again[-1].attempt == 2
        assert case.count is None or case.count() == before + 1

    def test_what_is_on_record_is_not_done_again(self, case, execute):
        outcome, steps, _ = execute()
        before = case.count() if case.count else 0
        settled = {("it", None): engine.Settled(orjson.loads(steps[-1].output))}
        resumed, again, _ = execute(settled=settled, first_seq=2)
        assert (resumed.output, again) == (outcome.output, [])
        assert case.count is None or case.count() == before
