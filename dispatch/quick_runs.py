"""Quick runs: runs of quick flows, executed in the calling thread and written whole, many in one commit.

Such a run stays in memory until it ends. Its nodes are pure, so a crash before the response loses nothing: the caller
has got no answer yet. A run that does not qualify is discarded without a trace, and starts again as a normal run: a
node needs a credential, a file or the store; a value is too large for a row; the run takes longer than QUICK_SECONDS.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import engine
from database import LockTimeout, get_clock, is_write_blocked
from database.base import new_id, now_ms
from database.queries import runs as run_queries
from database.queries.webhooks import Fired
from dispatch.payloads import RowPayloads
from dispatch.recorder import LoopTurn
from engine import Job, Outcome, Plan
from errors import NodeError
from models import Run
from nodes.credentials.keyring import Keyring
from parsers.process import refuse_to_wait

from .acceptance import Start, check_input
from .dispatcher import Dispatcher
from .process_limits import TimeLimit
from .run_record import RunRecord

QUICK_SECONDS = 0.002  # by the clock, then as much again of processor time, since the machine may be busy
SLOW_RUNS = 2  # in succession, after which a flow's runs are normal runs; garbage collection may slow a single one
SLOW_SECONDS = 60.0  # until such a flow is tried again
MAX_SLOW = 1_000  # flows remembered as slow
MAX_NODES = 50
MAX_DEFINITION = 16 * 1024  # characters; planning a longer definition takes too long
MAX_TURN = 32  # runs of one unit

Version: TypeAlias = tuple[str, int | None]  # a flow's id and version
# Called with the run, its outcome, its output as JSON text, and None once it is on the disk, or else the error.
Told: TypeAlias = Callable[[Run, Outcome, bytes | None, BaseException | None], None]


class NotQuick(BaseException):
    """The run is not quick. A BaseException, so that no handler of node errors catches it."""


def _refuse(*args: Any, **options: Any) -> Any:
    raise NotQuick


class _Elsewhere:
    """Stands for a service that quick runs do not have: any use of it raises NotQuick."""

    __getattr__ = _refuse


_ELSEWHERE: Any = _Elsewhere()


class Slowness(NamedTuple):
    """The number of successive runs of a flow that were not quick, valid until a time (seconds of the clock)."""

    runs: int
    until: float


class QuickRuns:
    """Executes quick runs for one thread, which calls `end_turn` when it has no more requests.

    The runs since the last call are written together, at most MAX_TURN in one turn.
    """

    def __init__(self, dispatcher: Dispatcher, clock: Callable[[], float] = time.monotonic) -> None:
        self.dispatcher, self.recorder, self.clock = dispatcher, dispatcher.recorder, clock
        self.resources = dispatcher.resources
        self.rows = RowPayloads(dispatcher.config.inline_value_bytes, _refuse)
        self._turn = LoopTurn(self.recorder)
        self._given: deque[LoopTurn] = deque()  # submitted and not over yet, oldest first
        self._slow: dict[Version, Slowness] = {}

    def own_thread(self) -> None:
        """Let the calling thread execute only quick runs: they end at a value that needs a parser's process."""
        refuse_to_wait(_refuse)

    def may_run(self, plan: Plan) -> bool:
        """Return True if the plan does not rule out quick runs."""
        settings = plan.settings
        return (
            plan.is_quick
            and len(plan.nodes) <= MAX_NODES
            and not (plan.suspends or plan.answerable)
            and not (settings.max_concurrent_runs or settings.error_workflow_id)
            and self.dispatcher.executor.on_step is None
        )

    def plan_of(self, flow: Fired) -> Plan | None:
        """Return the flow's plan; None if it rules out quick runs, or takes too long to make.

        Raises: DefinitionError if the definition is not valid.
        """
        plan = self.resources.plans.known(flow.id, flow.version)
        if plan is None:
            if len(flow.definition_json) > MAX_DEFINITION:
                return None
            try:
                plan = self.resources.plan_of(flow)
            except NotQuick:
                return None
        return plan if self.may_run(plan) else None

    def start(self, start: Start, plan: Plan, told: Told) -> bool:
        """Execute the run if it is quick; `told` is called once it is on the disk.

        Return False if it is not quick or cannot be recorded soon. Then, and after an error, it leaves no trace.
        Raises: the errors of `Dispatcher.submit`.
        """
        version = start.flow.id, start.flow.version
        if (self._slow and self._is_slow(version)) or is_write_blocked():
            return False
        self.dispatcher.check_open()
        try:
            if plan.checks_input:
                check_input(plan, start.trigger_node, lambda: start.input, start.flow.workspace_id)
            was_quick = self._execute(start, plan, told)
        except NotQuick:
            self._note_slow(version)
            return False
        except NodeError:
            return False  # the input is larger than the limit of a value
        if not was_quick:
            self._note_slow(version)  # its last node was slow, when the run was already complete
        elif self._slow:
            self._slow.pop(version, None)
        if len(self._turn.runs) >= MAX_TURN:
            self._submit()
        return True

    def end_turn(self) -> None:
        """Hand the executed runs to the recorder, and revoke turns that have waited too long for the disk."""
        if self._turn.runs:
            self._submit()
        given = self._given
        while given and given[0].is_over:
            given.popleft()
        if given and (now := self.clock()) - given[0].given_at > self.resources.config.write_wait:
            for turn in given:
                if now - turn.given_at > self.resources.config.write_wait:
                    turn.revoke(LockTimeout())

    def _submit(self) -> None:
        turn, self._turn = self._turn, LoopTurn(self.recorder)
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
        if len(self._slow) >= MAX_SLOW:
            self._slow.clear()
        self._slow[version] = Slowness(runs, now + SLOW_SECONDS)

    def _execute(self, start: Start, plan: Plan, told: Told) -> bool:
        """Execute the run and add it to the turn. Return True if it was quick. Raises: NotQuick if it is discarded."""
        began = time.perf_counter()
        flow, input, triggered_by, trigger_node, *_ = start
        time_limit = TimeLimit(
            QUICK_SECONDS, began, bool(self._slow) and (flow.id, flow.version) in self._slow, _refuse
        )
        encoded = engine.encode(input, self.resources.config.max_value_bytes)
        id_ = new_id("run")
        run = run_queries.accept(
            flow, id=id_, input=self.rows.keep(id_, "input", encoded).text, triggered_by=triggered_by,
            trigger_node=trigger_node, status="running", claims=1, started_at=now_ms(), nodes_total=len(plan.nodes),
        )  # fmt: skip
        record = RunRecord(_ELSEWHERE, self.rows, run)
        job = self._job(run, record, input, encoded, time_limit.check)
        tracing = self.dispatcher.executor.tracing
        job.on_step, steps = tracing.watch_steps(record.step)
        text, outcome = engine.encode_output(engine.run(plan, job), job.keyring, self.resources.config.max_value_bytes)
        run_queries.end_unsaved(run,
            outcome.status, (time.perf_counter() - began) * 1000, output=self.rows.keep(id_, "output", text).text,
            error_text=outcome.error_text, error_node_id=outcome.error_node_id, error_kind=outcome.error_kind,
            nodes_done=record.done,
        )  # fmt: skip
        self._turn.add(record.whole(), partial(told, run, outcome, text))  # a closure would be six objects
        tracing.see_quick_run(run, input, steps)
        return not time_limit.is_over()

    def _job(self, run: Run, record: RunRecord, input: Any, encoded: bytes, stop: Callable[[], None]) -> Job:
        config = self.resources.config
        return Job(
            run_id=str(run.id), input=input, encoded_input=encoded, trigger_node=run.trigger_node,
            scope=self.resources.scope_of(run), on_step=record.step, stop=stop, sleep=_refuse, log=record.log,
            store=_ELSEWHERE, services=_ELSEWHERE, keyring=Keyring(_refuse), files=_ELSEWHERE, agents=_ELSEWHERE,
            timeout=config.run_timeout, max_steps=config.max_steps, max_items=config.max_items,
            max_value_bytes=config.max_value_bytes, workspace_id=run.__data__["workspace_id"], clock=get_clock(),
        )  # fmt: skip
