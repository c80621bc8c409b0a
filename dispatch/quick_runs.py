"""Runs of quick flows, executed by the thread that asks for them, and written as wholes, many in one unit.

Such a run is in memory until it has ended: its nodes are pure, so nobody misses one that a crash takes away before it
was answered. Whatever does not fit is given up without a trace, and the run is made anew in the usual way: a node that
asks for a credential, a file or the store; a value that is too large for a row; more time than QUICK_SECONDS.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import engine
from dispatch.payloads import Kept, Payloads
from dispatch.recorder import Turn
from engine import Job, Outcome, Plan
from errors import NodeError
from models import Fired, HeldUp, Run, is_held_up, new_id, now_ms
from nodes.credentials.keyring import Keyring
from parsers.process import refuse_to_wait

from .dispatcher import Dispatcher
from .executor import encode_output
from .input_validation import check_input
from .resources import Flow
from .run_record import RunRecord

QUICK_SECONDS = 0.002  # by the clock, and then once more of processor time: the machine may have other work
SLOW_RUNS = 2  # in succession, after which a flow goes the usual way: one may just have met Python's collector
SLOW_SECONDS = 60.0  # for which it does
MOST_SLOW = 1_000  # flows that are remembered as slow
MOST_NODES = 50
LONGEST_DEFINITION = 16 * 1024  # characters; to plan a longer one takes its time
LARGEST_TURN = 32  # runs of one unit

Version: TypeAlias = tuple[str, int | None]  # a flow's id and version
# Called once the run is on the disk, with how it ended, its output as JSON text, and None; else with what went wrong.
Told: TypeAlias = Callable[[Run, Outcome, bytes | None, BaseException | None], None]


class NotQuick(BaseException):
    """The run does something that takes its time. No handler of a node's errors may take it for one."""


def _refuse(*args: Any, **options: Any) -> Any:
    raise NotQuick


class _Elsewhere:
    """Stands for what a quick run has not at hand."""

    __getattr__ = _refuse


_ELSEWHERE: Any = _Elsewhere()


class _Patience:
    """Ends a run that is not quick. To ask for the processor time costs more than a node, so that comes second."""

    def __init__(self, began: float, is_suspect: bool) -> None:
        """`is_suspect`: the flow's last run may not have been quick, so this one is measured from its start."""
        self.ends = began + QUICK_SECONDS
        self.used = time.thread_time() if is_suspect else None

    def check(self) -> None:
        """Raise NotQuick if the run takes too long; to be called between two nodes."""
        if time.perf_counter() < self.ends:
            return
        used = time.thread_time()
        if self.used is None:
            self.used = used
        elif used - self.used > QUICK_SECONDS:
            raise NotQuick

    def is_over(self) -> bool:
        """Return True if the run, which has ended, took too long: that of a suspect; another may have."""
        if time.perf_counter() < self.ends:
            return False
        return self.used is None or time.thread_time() - self.used > QUICK_SECONDS


class Slowness(NamedTuple):
    """How many runs of a flow in succession were not quick, and until when that counts (seconds of the clock)."""

    runs: int
    until: float


class _Rows(Payloads):
    """Values of rows alone."""

    def __init__(self, inline_bytes: int) -> None:
        self.inline_bytes = inline_bytes

    def keep(self, run_id: str, name: str, value: bytes | None, claims: int = 1) -> Kept:
        """The value as the row holds it. Raises NotQuick if it is too large for one."""
        if value is None:
            return Kept(None)
        if len(value) > self.inline_bytes:
            raise NotQuick
        return Kept(value.decode())


class QuickRuns:
    """Executes them for one thread, which calls `end_turn` when it has no more at hand.

    The runs since the last call are one unit, or several of LARGEST_TURN.
    """

    def __init__(self, dispatcher: Dispatcher, clock: Callable[[], float] = time.monotonic) -> None:
        self.dispatcher, self.recorder, self.clock = dispatcher, dispatcher.recorder, clock
        self.resources = dispatcher.resources
        self.rows = _Rows(dispatcher.config.inline_value_bytes)
        self._turn = Turn(self.recorder)
        self._given: deque[Turn] = deque()  # that are not over yet, the oldest first
        self._slow: dict[Version, Slowness] = {}

    def may_run(self, plan: Plan) -> bool:
        """Return True if runs of this plan can be quick, as far as it says."""
        settings = plan.settings
        return (
            plan.is_quick
            and len(plan.nodes) <= MOST_NODES
            and not (plan.suspends or plan.answerable)
            and not (settings.max_concurrent_runs or settings.error_workflow_id)
            and self.dispatcher.executor.on_step is None
        )

    def plan_of(self, flow: Fired) -> Plan | None:
        """Return the flow's plan; None if its runs are not quick, as far as the plan says, or it takes long to make.

        Raises: DefinitionError if the definition is not valid.
        """
        plan = self.resources.plans.known(flow.id, flow.version)
        if plan is None:
            if len(flow.definition_json) > LONGEST_DEFINITION:
                return None
            refuse_to_wait(_refuse)
            try:
                plan = self.resources.plan_of(flow)
            except NotQuick:
                return None
            finally:
                refuse_to_wait(None)
        return plan if self.may_run(plan) else None

    def start(
        self, flow: Flow, plan: Plan, trigger_node: str | None, input: Any, triggered_by: str, told: Told
    ) -> bool:
        """Execute a run, provided that it is a quick one; `told` is called once it is on the disk.

        Return False if it is none, or cannot be recorded soon: then nothing has begun. Raises the same errors as
        `Dispatcher.submit`, before anything has begun.
        """
        version = flow.id, flow.version
        if (self._slow and self._is_slow(version)) or is_held_up():
            return False
        self.dispatcher.check_open()
        refuse_to_wait(_refuse)
        try:
            check_input(plan, trigger_node, lambda: input)
            was_quick = self._execute(flow, plan, trigger_node, input, triggered_by, told)
        except NotQuick:
            self._note_slow(version)
            return False
        except NodeError:
            return False  # the input is larger than a value may be
        finally:
            refuse_to_wait(None)
        if not was_quick:
            self._note_slow(version)  # its last node took long, after which there was nothing to give up
        elif self._slow:
            self._slow.pop(version, None)
        if len(self._turn.runs) >= LARGEST_TURN:
            self._submit()
        return True

    def end_turn(self) -> None:
        """Hand what was executed to the recorder, and take back what has waited for the disk for too long."""
        if self._turn.runs:
            self._submit()
        given = self._given
        while given and given[0].is_over:
            given.popleft()
        if given and (now := self.clock()) - given[0].given_at > self.resources.config.write_wait:
            for turn in given:
                if now - turn.given_at > self.resources.config.write_wait:
                    turn.revoke(HeldUp())

    def _submit(self) -> None:
        turn, self._turn = self._turn, Turn(self.recorder)
        turn.given_at = self.clock()
        self._given.append(turn)
        turn.submit()

    def _is_slow(self, version: Version) -> bool:
        found = self._slow.get(version)
        return found is not None and found.runs >= SLOW_RUNS and self.clock() < found.until

    def _note_slow(self, version: Version) -> None:
        now = self.clock()
        found = self._slow.pop(version, None)
        runs = 1 if found is None or now >= found.until else found.runs + 1
        if len(self._slow) >= MOST_SLOW:
            self._slow.clear()
        self._slow[version] = Slowness(runs, now + SLOW_SECONDS)

    def _execute(
        self, flow: Flow, plan: Plan, trigger_node: str | None, input: Any, triggered_by: str, told: Told
    ) -> bool:
        """Execute the run and add it to the turn. Return True if it was quick. Raises NotQuick if it is given up."""
        began = time.perf_counter()
        patience = _Patience(began, bool(self._slow) and (flow.id, flow.version) in self._slow)
        encoded = engine.encode(input, self.resources.config.max_value_bytes)
        id_ = new_id("run")
        run = Run.accept(
            flow, id=id_, input=self.rows.keep(id_, "input", encoded).text, triggered_by=triggered_by,
            trigger_node=trigger_node, status="running", claims=1, started_at=now_ms(), nodes_total=len(plan.nodes),
        )  # fmt: skip
        record = RunRecord(_ELSEWHERE, self.rows, run)
        job = self._job(run, record, input, encoded, patience.check)
        text, outcome = encode_output(engine.run(plan, job), job.keyring, self.resources.config.max_value_bytes)
        run.end_whole(
            outcome.status, (time.perf_counter() - began) * 1000, output=self.rows.keep(id_, "output", text).text,
            error_text=outcome.error_text, error_node_id=outcome.error_node_id, nodes_done=record.done,
        )  # fmt: skip
        self._turn.add(record.whole(), lambda error: told(run, outcome, text, error))
        return not patience.is_over()

    def _job(self, run: Run, record: RunRecord, input: Any, encoded: bytes, stop: Callable[[], None]) -> Job:
        config = self.resources.config
        return Job(
            run_id=str(run.id), input=input, encoded_input=encoded, trigger_node=run.trigger_node,
            scope=self.resources.scope_of(run), on_step=record.step, stop=stop, sleep=_refuse, log=record.log,
            store=_ELSEWHERE, services=_ELSEWHERE, keyring=Keyring(_refuse), files=_ELSEWHERE, agents=_ELSEWHERE,
            timeout=config.run_timeout, max_steps=config.max_steps, max_items=config.max_items,
            max_value_bytes=config.max_value_bytes,
        )  # fmt: skip
