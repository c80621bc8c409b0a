"""The execution of one run: claimed, resumed from what is done of it, recorded, suspended, ended, or given up."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import orjson

import engine
from agent.model_choice import Models
from config import Config
from dispatch.payloads import Kept, Payloads
from dispatch.recorder import Recorder, RunRecord, RunTaken
from engine import Job, Outcome, Plan
from errors import Conflict, HeadraceError, NodeError
from models import (
    Fired,
    Run,
    RunOptions,
    Step,
    Workflow,
    WorkflowVersion,
    WorkspaceStore,
    Write,
)
from net.egress import Rule, make_client
from nodes.base import Once, Services
from nodes.credentials.keyring import Credential, Keyring
from nodes.data.python_sandbox import Sandbox
from nodes.files.files import Files

from .active_run import Active, HandedBack
from .agents.services import AgentServices
from .agents.task import Task, is_task
from .plan_cache import Plans
from .resume_links import Links
from .resume_state import History
from .run_options import Options
from .subflows import Starter, failure_writes, remains_of

log = logging.getLogger("headrace.dispatch")
Flow: TypeAlias = Workflow | Fired | Task  # a row, or as much of one as it takes to run it
# Opens a credential of a workspace, by the workspace's id and the credential's name or id.
FindCredential: TypeAlias = Callable[[str, str], Credential | None]
MAX_DEATHS = 3
MOST_WAITING = 500  # characters of what a run says that it waits for


def make_services(config: Config) -> Services:
    """What this process lends to its nodes."""
    rule = Rule(config.egress_allow)
    client = Once(lambda: make_client(rule, config.http_max_bytes, config.ca_file))
    return Services(client, Once(Sandbox), rule, config.ca_file)


def no_credential(workspace_id: str, name: str) -> Credential | None:
    """Where nobody keeps credentials."""
    return None


@lru_cache(100)
def _files_of(folder: Path | None, data_dir: Path, workspace_id: str, max_bytes: int) -> Files:
    return Files(folder or data_dir / "files" / workspace_id, max_bytes)


class Executor:
    """Executes runs in the thread that calls it, in the name of one process (`owner`)."""

    def __init__(
        self,
        config: Config,
        recorder: Recorder,
        services: Services,
        links: Links | None = None,
        find_credential: FindCredential = no_credential,
    ) -> None:
        self.config, self.recorder, self.services, self.links = config, recorder, services, links
        self.find_credential = find_credential
        self.files_folder: Path | None = None  # of all flows, where there is but one workspace
        self.payloads = Payloads(config.data_dir / "values", config.inline_value_bytes)
        self.plans = Plans(config.max_nodes)
        self.models = Models.of(config)
        self.owner = ""
        self.on_step: Callable[[Run, engine.Step], None] | None = None
        self._unrecorded: dict[str, tuple[Active, Outcome, list[Write]]] = {}
        self._hand_back = threading.Event()

    def files_of(self, workspace_id: str) -> Files:
        """The files of a workspace."""
        return _files_of(self.files_folder, self.config.data_dir, workspace_id, self.config.file_max_bytes)

    def plan_of(self, flow: Flow) -> Plan:
        """The plan of the flow as it is; DefinitionError where it is not valid."""
        if isinstance(flow, Task):
            return flow.plan()
        return self.plans.get(flow.id, flow.version, lambda: str(flow.definition_json))

    def attempt(self, active: Active) -> bool:
        """Execute it where it is ours; whether something else may start now."""
        try:
            try:
                if self._hand_back.is_set():
                    raise HandedBack
                if active.begin(self.owner) or self._claim(active):
                    return self._perform(active, self._record_of(active))
                # It may have been let out of the queue again while it was still in hand here.
                return bool(active.plan.settings.max_concurrent_runs)
            except HandedBack:
                if not active.let_go:
                    active.flush([Run.release(active.run.id, self.owner)]).result()
        except RunTaken:
            log.warning("run %s is no longer ours; it is let go of", active.run.id)
            self._present(active.run)
        except Exception as error:
            self._give_up(active, error)
        return False

    def _record_of(self, active: Active) -> RunRecord:
        run = active.run
        return RunRecord(active.flush, self.payloads, run, active.whole, lambda: self.check_lease(run))

    def check_lease(self, run: Run) -> None:
        """Raise if others may have taken this process for dead, and the run with it; see `Dispatcher`."""

    def tidy(self, active: Active) -> None:
        """Delete the files of runs that were never started, since what was to start them is not on record."""
        if active.inputs:
            self.recorder.commit([])  # what was handed over before is on the disk now, or will never be
        for id_ in active.inputs:
            if Run.find(id_) is None:
                self.payloads.remove(id_)

    def _present(self, run: Run) -> Run | None:
        """The run as others have left it. Of one that they deleted, the files go too that were written since."""
        present = Run.find(run.id)
        if present is None:
            self.payloads.remove(run.id)
        return present

    def _give_up(self, active: Active, error: BaseException) -> None:
        """The disk refuses this run's record: it has failed, which is written as soon as the disk takes it."""
        log.error("run %s could not be recorded", active.run.id, exc_info=error)
        if active.refuse(error):
            self.payloads.remove(active.run.id)
            return
        run, text = active.run, f"could not be recorded: {error}"
        closed = Step.close_the_running(run.id, run.claims)
        ending = [closed, *run.finish(self.owner, "failed", waits=True, error_text=text)]
        self._unrecorded[run.id] = active, Outcome("failed", None, text), ending
        run.finished_at = None

    def _claim(self, active: Active) -> bool:
        """Become the one that executes a pending run, unless another process or a cancellation was first."""
        active.durable()
        limit = active.plan.settings.max_concurrent_runs
        if not self.recorder.commit(Run.claim(active.run.id, self.owner, limit))[0]:
            return False
        claimed = Run.get_by_id(active.run.id)
        if claimed.lease_owner != self.owner:
            # Asleep since the claim, and taken meanwhile: the number of claims in the row is somebody else's.
            raise RunTaken
        active.run = claimed
        active.is_claimed, active.is_new = True, False
        return True

    def _perform(self, active: Active, record: RunRecord) -> bool:
        """Execute it; whether something else may start now: what it called, what waited for it or for its place."""
        run, plan = active.run, active.plan
        began = time.perf_counter()
        outcome = self._outcome(active, record)
        if outcome.status == "waiting":
            return self._suspend(active, record, outcome)
        encoded, outcome = self.output_of(outcome, active.keyring)
        kept = self.payloads.keep(run.id, "output", encoded, run.claims)
        told = failure_writes(self, active, outcome) if plan.settings.error_workflow_id else []
        # A run that was resumed has taken as long as the clock on the wall says; another is measured finely.
        duration = (time.perf_counter() - began) * 1000 if run.claims == 1 else None
        ending = run.finish(
            self.owner, outcome.status, waits=plan.suspends, duration_ms=duration, output=kept.text,
            output_bytes=kept.size, error_text=outcome.error_text, error_node_id=outcome.error_node_id,
            nodes_done=record.done, nodes_total=len(plan.nodes),
        )  # fmt: skip
        if not record.finish([*told, *ending], whole=not told and not plan.suspends)[-1]:
            # Cancelled meanwhile, or taken from a process that seemed dead: the row as it is counts.
            active.run = self._present(run) or run.deleted()
        else:
            active.response = outcome.response
        return plan.suspends or run.parent_node_id is not None or bool(plan.settings.max_concurrent_runs or told)

    def output_of(self, outcome: Outcome, keyring: Keyring) -> tuple[bytes | None, Outcome]:
        """The output of a run that has ended, as JSON text, and how it ended: an output may be too large."""
        if outcome.status != "success":
            return None, outcome
        try:
            # Each step is clean already; but not what a node has put into its input, or got before it was a secret.
            return keyring.clean(outcome.text or engine.encode(outcome.output, self.config.max_value_bytes)), outcome
        except NodeError as error:
            return None, Outcome("failed", None, error.message, response=outcome.response)

    def _outcome(self, active: Active, record: RunRecord) -> Outcome:
        run = active.run
        history = History() if active.is_new else History.of(run, self.value)
        record.done = history.done
        run.nodes_total = len(active.plan.nodes)
        if history.running:
            # With what comes next, be it the end: until then a step in doubt must be in doubt to who takes up the run.
            record.add(Step.close_the_running(run.id, run.claims))
        if run.deaths >= MAX_DEATHS:
            text = f"given up: {MAX_DEATHS} processes died while they executed this run"
            return Outcome("failed", None, text)
        return history.end(active.plan) or engine.run(active.plan, self._job(active, record, history))

    def _suspend(self, active: Active, record: RunRecord, outcome: Outcome) -> bool:
        run, waits = active.run, outcome.waits
        reason = "; ".join(waits.values())
        reason = reason if len(reason) <= MOST_WAITING else f"{reason[:MOST_WAITING]}… (cut)"
        record.finish(run.suspend(self.owner, reason, len(waits), record.done))
        active.run = Run.find(run.id) or run
        return True

    def _job(self, active: Active, record: RunRecord, history: History) -> Job:
        run, plan, config = active.run, active.plan, self.config
        keyring = active.keyring = Keyring(lambda name: self.find_credential(run.workspace_id, name))

        def on_step(step: engine.Step) -> None:
            if active.let_go:
                raise HandedBack
            answers = step.status == "success" and step.item_index is None and plan.by_id[step.node_id].node.responds
            record.step(step, answers)
            if answers and step.node_id in plan.responding:
                active.respond(orjson.loads(step.output or b"null"), record.flush())
            if self.on_step is not None:
                self.on_step(run, step)

        def stop() -> str | None:
            if self._hand_back.is_set():
                raise HandedBack
            return active.stop_reason

        return Job(
            run_id=run.id,
            input=self.value(run.id, "input", Kept(run.input, run.input_bytes)),
            trigger_node=run.trigger_node,
            scope=self.scope_of(run),
            on_step=on_step,
            settled=history.settled,
            tried=history.tried,
            waiting=history.waiting,
            answers=history.answers,
            first_seq=history.next_seq,
            stop=stop,
            sleep=lambda seconds: self._pause(active, seconds),
            log=record.log,
            store=WorkspaceStore(run.workspace_id, keyring.clean),
            services=self.services,
            flows=Starter(self, active, record, keyring) if plan.suspends else None,
            links=self.links_for(run, plan),
            keyring=keyring,
            files=self.files_of(run.workspace_id),
            agents=AgentServices(self, run, record, keyring),
            timeout=config.run_timeout,
            max_steps=config.max_steps,
            max_items=config.max_items,
            max_value_bytes=config.max_value_bytes,
        )

    def scope_of(self, run: Run) -> dict[str, Any]:
        """Return the parts of the run and of its flow that expressions see."""
        row = run.__data__
        return {
            "run": {"id": row["id"], "triggered_by": row["triggered_by"], "started_at": row["started_at"]},
            "workflow": {
                "id": row["workflow_id"], "name": row["workflow_name"], "version": row["workflow_version"],
            },
        }  # fmt: skip

    def links_for(self, run: Run, plan: Plan) -> Callable[..., dict[str, str]] | None:
        """What gives the addresses at which nodes of the run can be answered; None where there are none."""
        links = self.links
        if links is None or not (plan.suspends or plan.answerable):
            return None

        def links_of(node_id: str, question: str | None = None) -> dict[str, str]:
            node = plan.answerable.get(node_id) or plan.by_id[node_id].node
            return links.of(run.id, node_id, node, question)

        return links_of

    def _pause(self, active: Active, seconds: float) -> None:
        """Sleep before another attempt; a cancellation or the process's end cuts it short."""
        end = time.monotonic() + seconds
        while active.stop_reason is None and (left := end - time.monotonic()) > 0:
            if self._hand_back.wait(min(left, 0.5)):
                return

    def value(self, run_id: str, name: str, kept: Kept) -> Any:
        """A recorded value as JSON data."""
        text = self.payloads.load(run_id, name, kept)
        return None if text is None else orjson.loads(text)

    def plan_of_run(self, run: Run) -> Plan | None:
        """The plan of the version that the run began with; a run for which there is none any more fails."""
        try:
            return self.plan_of_version(run)
        except HeadraceError as error:
            outcome = Outcome("failed", None, error.message)
        if self.recorder.commit(Run.claim(run.id, self.owner))[0]:
            claimed = Run.get_by_id(run.id)
            left = remains_of(self.definition_of(run) or {"nodes": []}, run)
            active = Active(claimed, left, self.recorder)
            told = failure_writes(self, active, outcome)
            ending = claimed.finish(self.owner, "failed", waits=True, error_text=outcome.error_text)
            self.recorder.commit([*told, *ending])
            self.tidy(active)
        return None

    def definition_of(self, run: Run) -> dict[str, Any] | None:
        """The definition that the run began with, valid or not; None where there is none any more."""
        try:
            options = self.options_of(run)
        except Conflict:
            return None
        if options is not None and options.definition is not None:
            found: dict[str, Any] = orjson.loads(options.definition)
            return found
        version = WorkflowVersion.get_or_none(workflow_id=run.workflow_id, version=run.workflow_version)
        return orjson.loads(version.definition_json) if version else None

    def options_of(self, run: Run) -> Options | None:
        """What the run was started with beside its input; None for one that was started with nothing else.

        Conflict where it is lost: without it, nodes would be executed that were not to be.
        """
        if run.options is None:
            return None
        row = RunOptions.find(run.id)
        try:
            text = None if row is None else self.payloads.load(run.id, "options", Kept(row.value, row.value_bytes))
        except FileNotFoundError:
            text = None
        if text is None:
            raise Conflict("what the run was started with is not kept any more")
        return Options.of(text)

    def plan_of_version(self, run: Run) -> Plan:
        """The plan that the run began with: of a version of the flow, or of a part of it, or of its own definition.

        Conflict where that version is not there any more.
        """
        options = self.options_of(run)
        if options is not None:
            return options.plan(lambda: self._plan_of_version(run), self.config.max_nodes)
        return self._plan_of_version(run)

    def _plan_of_version(self, run: Run) -> Plan:
        if is_task(run):
            return Task(run.workspace_id, run.workflow_name, self._task_of(run)).plan()
        version = int(run.workflow_version or 0)

        def kept() -> str:
            row = WorkflowVersion.get_or_none(workflow_id=run.workflow_id, version=version)
            if row is None:
                raise Conflict("the flow was deleted before the run could start")
            return str(row.definition_json)

        return self.plans.get(run.workflow_id, version, kept)

    def _task_of(self, run: Run) -> dict[str, Any]:
        try:
            body: dict[str, Any] = self.value(run.id, "input", Kept(run.input, run.input_bytes))
        except FileNotFoundError:
            raise Conflict("the task of the run is not kept any more") from None
        return body

    def record_the_rest(self) -> None:
        """Try once more to write the ends of runs that the disk refused."""
        for id_, unrecorded in list(self._unrecorded.items()):
            active, outcome, ending = unrecorded
            try:
                self.recorder.commit([*failure_writes(self, active, outcome), *ending])
                if self._unrecorded[id_] is unrecorded:  # else it was claimed and refused once more meanwhile
                    del self._unrecorded[id_]
                self.tidy(active)
            except Exception as error:
                log.error("the end of run %s can still not be recorded: %s", id_, error)
