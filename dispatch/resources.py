"""Resources that a process gives to its runs: settings, payloads, plans, services, credentials, files, links.

Nothing here changes the state of a run.
"""

from __future__ import annotations

import hmac
import importlib
import pkgutil
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlencode

import orjson

import definition as definitions
import engine
from config import Config
from database.base import Write
from database.queries import waits
from database.queries.webhooks import Fired
from database.queries.workspace_variables import find_variables
from definition import Pin
from engine import Plan
from errors import BadInput, ConfigError, Conflict, NodeError
from models import Run, RunOptions, Workflow, WorkflowVersion
from net.egress import HttpClient, Rule
from nodes.base import Node, Once, Services
from nodes.credentials.keyring import DecryptedCredential, Keyring
from nodes.data.python_sandbox import Sandbox
from nodes.files.files import NoFiles, WorkspaceFiles
from registry import explain_off, registry

from .payloads import Kept, PayloadRows, Payloads

# Signing of resume links: URLs that answer a waiting run without an account. `api/resume_links.py` takes the answers.
#
# A link consists of the run, the node and a signature of both, so it needs no row and exists from the start of the
# run. The row of the wait limits it to a single use and to the time of the wait.

PURPOSE = "resume"


class Links:
    """Makes and checks links. `sign(*parts)` returns a signature; `base` is the server's URL without a final slash."""

    def __init__(self, sign: Callable[..., str], base: str) -> None:
        self._sign = sign
        self._base = base

    def of(self, run_id: str, node_id: str, node: Node, question: str | None = None) -> dict[str, str]:
        """Return `{"url"}`, and for a node with several answers also one URL for each: `approved_url`.

        Links for a `question` are valid for that question only.
        """
        asked = {} if question is None else {"question": question}
        query = {"node": node_id, **asked, "token": self._sign(PURPOSE, run_id, node_id, *asked.values())}
        url = f"{self._base}/api/runs/{run_id}/resume?{urlencode(query)}"
        each = node.answers if len(node.answers) > 1 else ()
        return {"url": url, **{f"{name}_url": f"{url}&answer={name}" for name in each}}

    def is_good(self, token: str, run_id: str, node_id: str, question: str | None = None) -> bool:
        """Return True if the token is the signature of this link."""
        asked = () if question is None else (question,)
        return hmac.compare_digest(self._sign(PURPOSE, run_id, node_id, *asked).encode(), token.encode())


# Cache of plans: each version of a flow is planned once per process.

MAX_PLANS = 256


class Plans:
    """The MAX_PLANS most recently used plans, by flow and version. Thread-safe."""

    def __init__(self, max_nodes: int) -> None:
        self.max_nodes = max_nodes
        self._kept: OrderedDict[tuple[str, int], Plan] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, workflow_id: str, version: int, definition_json: Callable[[], str]) -> Plan:
        """Return the plan; `definition_json` is called if it is not in the cache. Raises: DefinitionError."""
        plan = self.known(workflow_id, version)
        if plan is not None:
            return plan
        plan = engine.plan(orjson.loads(definition_json()), self.max_nodes)
        with self._lock:
            self._kept[workflow_id, version] = plan
            if len(self._kept) > MAX_PLANS:
                self._kept.popitem(last=False)
        return plan

    def known(self, workflow_id: str, version: int) -> Plan | None:
        """Return the plan if it is in the cache, else None."""
        key = (workflow_id, version)
        with self._lock:
            plan = self._kept.get(key)
            if plan is not None:
                self._kept.move_to_end(key)
            return plan


# Tasks: runs of no stored flow. A pack makes the flow of each from the input of its run (`registry.tasks`).
#
# So a task has the guarantees of a run: it is accepted once on the disk, survives a crash, can wait and be cancelled.


class Task(ABC):
    """The flow of a task, with the attributes of a `Workflow` needed to run it.

    The `id` is the type of the task, a colon, and what it is about: `agent:researcher`.
    """

    status = "active"
    version = None

    def __init__(self, id: str, workspace_id: str, name: str) -> None:
        self.id, self.workspace_id, self.name = id, workspace_id, name

    @abstractmethod
    def plan(self) -> Plan:
        """Return the plan."""

    def record(self, run: Run) -> list[Write]:
        """Return writes to be committed together with the run."""
        return []


def is_task(workflow_id: str) -> bool:
    """Return True if a run with this id of a flow is a task."""
    return ":" in workflow_id


def make_task(run: Run, input: Any) -> Task:
    """Return the task of a run with this input. Raises: Conflict if the pack that has such tasks is off."""
    type_ = run.workflow_id.partition(":")[0]
    if type_ not in registry.tasks:
        raise Conflict(f"tasks of the type {type_!r} are not available{explain_off()}")
    task: Task = pkgutil.resolve_name(registry.tasks[type_])(run.workspace_id, run.workflow_name, input)
    return task


class StartOptions(NamedTuple):
    """What a run has beside the input, to test a flow while building it: stored with the run, so every process that
    resumes it makes the same plan.

    `definition` is JSON text used in place of the flow's, `until` is a node id, `pinned` has outputs by node id.

    `only` is the id of the only node to be executed, `kept` those of nodes whose steps were copied from another run.
    """

    definition: str | None = None
    until: str | None = None
    pinned: Mapping[str, Pin] = {}
    only: str | None = None
    kept: Sequence[str] = ()

    @classmethod
    def of(cls, text: bytes) -> StartOptions:
        """Return the options from the text made by `encoded`."""
        found = orjson.loads(text)
        pinned = {id_: Pin(**pin) for id_, pin in found["pinned"].items()}
        return cls(found["definition"], found["until"], pinned, found.get("only"), found.get("kept", ()))

    def encoded(self) -> bytes:
        """Return the options as JSON text."""
        pinned = {id_: pin._asdict() for id_, pin in self.pinned.items()}
        given = {"definition": self.definition, "until": self.until, "pinned": pinned}
        return orjson.dumps(given if self.only is None else {**given, "only": self.only, "kept": self.kept})

    def columns(self, version: int | None) -> dict[str, Any]:
        """Return the values of the run's columns, given the number of the flow's version."""
        draft = self.definition is not None
        told = {"draft": draft, "until": self.until, "pinned": list(self.pinned), "only": self.only}
        return {"options": orjson.dumps(told).decode(), "workflow_version": None if draft else version}

    def check(self, max_bytes: int) -> None:
        """Check the total size of the pinned outputs. Raises: BadInput if it is over the limit of an input."""
        try:
            engine.encode([pin.output for pin in self.pinned.values()], max_bytes)
        except NodeError as error:
            raise BadInput(f"pinned: {error.message}") from None

    def plan(self, saved: Callable[[], Plan], max_nodes: int) -> Plan:
        """Return the plan of the run; `saved` returns the flow's. Raises: BadInput if the options do not fit it."""
        text, until, pinned = self.definition, self.until, self.pinned
        if self.only is not None:
            if text is not None:
                return definitions.plan_one(orjson.loads(text), self.only, pinned, self.kept, max_nodes)
            return definitions.select_one(saved(), self.only, pinned, self.kept)
        if text is not None:
            return definitions.plan_part(orjson.loads(text), until, pinned, max_nodes)
        return saved() if until is None and not pinned else definitions.select_part(saved(), until, pinned)


Flow: TypeAlias = Workflow | Fired | Task  # a row, or the columns of it that a run needs


class NoTracing:
    """Is told of runs and steps, and does nothing. The pack `tracing` has a subclass that sends them as spans.

    No method raises or waits. A `place` is that of a run in a trace.
    """

    def find_place(self, run: Run) -> Any:
        """Return the place of a run that begins; None if it has none."""
        return None

    def see_step(self, place: Any, run: Run, step: engine.StepRecord) -> None:
        """See a step begin or end."""

    def see_end(self, place: Any, run: Run) -> None:
        """See a run end."""

    def see_unexecuted_end(self, run_id: str) -> None:
        """See a run end that was cancelled, or whose definition is not valid any more."""

    def watch_steps(self, record: Callable[[engine.StepRecord], None]) -> tuple[Any, Collection[Any]]:
        """Return the function that records each step of a quick run, and the steps for `see_quick_run`."""
        return record, ()

    def see_quick_run(self, run: Run, given: Any, steps: Collection[Any]) -> None:
        """See a quick run end, with this input."""

    def stop(self) -> None:
        """Send what is left: the process ends."""


# Opens a credential of a workspace, by the workspace's id and the credential's name or id.
FindCredential: TypeAlias = Callable[[str, str], DecryptedCredential | None]


NO_FILES = NoFiles(
    "this server has no files of workspaces: HEADRACE_FILES_DIR, a folder that all of its machines share, is not set"
)


def make_services(config: Config) -> Services:
    """Return the services of this process for its nodes: HTTP client, sandbox, egress rule."""
    rule = Rule(config.egress_allow)
    client = Once(lambda: HttpClient(rule, config.http_max_bytes, config.ca_file))
    return Services(client, Once(Sandbox), rule, config.ca_file)


def no_credential(workspace_id: str, name: str) -> DecryptedCredential | None:
    """Find no credential, for a process without stored credentials."""
    return None


@lru_cache(100)
def _files_of(folder: Path, max_bytes: int, quota: int) -> WorkspaceFiles:
    return WorkspaceFiles(folder, max_bytes, quota)


def find_value_store() -> Any:
    """Return the module that `registry.value_store` names. Raises: ConfigError if no pack has named one."""
    if not registry.value_store:
        raise ConfigError(
            "HEADRACE_VALUES_URL is set, but the store of large values is part of the pack s3, which HEADRACE_PACKS "
            "leaves out; add s3 to it, or remove HEADRACE_VALUES_URL"
        )
    return importlib.import_module(registry.value_store)


class Resources:
    """The resources that the runs of this process share."""

    def __init__(
        self,
        config: Config,
        services: Services,
        links: Links | None = None,
        find_credential: FindCredential = no_credential,
        files_folder: Path | None = None,
    ) -> None:
        """`files_folder` holds the files of all flows if there is only one workspace, as on the command line."""
        self.config, self.services, self.links = config, services, links
        self.find_credential, self.files_folder = find_credential, files_folder
        self.payloads: Payloads
        if config.values_url:
            self.payloads = find_value_store().open_payloads(config, config.inline_value_bytes)
        elif config.is_postgres:
            self.payloads = PayloadRows(config.inline_value_bytes)
        else:
            self.payloads = Payloads(config.data_dir / "values", config.inline_value_bytes)
        self.plans = Plans(config.max_nodes)

    def files_of(self, workspace_id: str) -> WorkspaceFiles:
        """Return the files of a workspace."""
        config = self.config
        if config.is_postgres and config.files_dir is None:
            return NO_FILES
        if self.files_folder is not None:
            return _files_of(self.files_folder, config.file_max_bytes, 0)
        folder = (config.files_dir or config.data_dir / "files") / workspace_id
        return _files_of(folder, config.file_max_bytes, config.files_quota)

    def keyring_of(self, workspace_id: str) -> Keyring:
        """Return a new keyring, which opens the credentials of the workspace."""
        return Keyring(lambda name: self.find_credential(workspace_id, name))

    def value(self, run_id: str, name: str, kept: Kept) -> Any:
        """Return a recorded value as JSON data."""
        text = self.payloads.load(run_id, name, kept)
        return None if text is None else orjson.loads(text)

    def input_of(self, run: Run) -> Any:
        """Return the input of a run as JSON data."""
        return self.value(run.id, "input", Kept(run.input, run.input_bytes))

    def scope_of(self, run: Run) -> dict[str, Any]:
        """Return the parts of the run and of its flow that expressions see."""
        row = run.__data__
        return {
            # Of the workspace; those of the flow are in its plan.
            "vars": find_variables(row["workspace_id"], row["id"]),
            "run": {"id": row["id"], "triggered_by": row["triggered_by"], "started_at": row["started_at"]},
            "workflow": {
                "id": row["workflow_id"], "name": row["workflow_name"], "version": row["workflow_version"],
            },
        }  # fmt: skip

    def links_for(self, run: Run, plan: Plan) -> Callable[..., dict[str, str]] | None:
        """Return a function that gives the addresses at which a node can be answered; None if the run has none."""
        links = self.links
        if links is None or not (plan.suspends or plan.answerable):
            return None

        def links_of(node_id: str, question: str | None = None) -> dict[str, str]:
            node = plan.answerable.get(node_id) or plan.by_id[waits.node_of(node_id)].node
            return links.of(run.id, node_id, node, question)

        return links_of

    # Plans

    def plan_of(self, flow: Flow) -> Plan:
        """Return the plan of the flow as it is now.

        Raises: DefinitionError if its definition is not valid.
        """
        if isinstance(flow, Task):
            return flow.plan()
        return self.plans.get(flow.id, flow.version, lambda: str(flow.definition_json))

    def plan_with(self, options: StartOptions | None, flow: Flow) -> Plan:
        """Return the plan of the flow as the options change it.

        Raises: DefinitionError if the definition is not valid, BadInput if the options do not fit it.
        """
        if options is not None:
            options.check(self.config.max_value_bytes)
        return self.apply_options(options, lambda: self.plan_of(flow))

    def apply_options(self, options: StartOptions | None, saved: Callable[[], Plan]) -> Plan:
        """Return the plan of a run with these options; `saved` returns the plan of the flow."""
        return saved() if options is None else options.plan(saved, self.config.max_nodes)

    def plan_of_run(self, run: Run) -> Plan:
        """Return the plan with which the run began: of a version of its flow, a part of it, or its own definition.

        Raises: Conflict if that version was deleted, DefinitionError if it is not valid any more.
        """
        return self.apply_options(self.options_of(run), lambda: self._plan_of_version(run))

    def _plan_of_version(self, run: Run) -> Plan:
        if is_task(run.workflow_id):
            try:
                task: Task = make_task(run, self.input_of(run))
            except FileNotFoundError:
                raise Conflict("the task of the run is no longer stored; give the task again") from None
            return task.plan()

        def load() -> str:
            row = find_version(run.workflow_id, run.workflow_version)
            if row is None:
                raise Conflict("the flow was deleted before the run could start")
            return str(row.definition_json)

        return self.plans.get(run.workflow_id, int(run.workflow_version or 0), load)

    def definition_of(self, run: Run) -> dict[str, Any] | None:
        """Return the definition with which the run began, valid or not; None if it was deleted."""
        try:
            options = self.options_of(run)
        except Conflict:
            return None
        if options is not None and options.definition is not None:
            found: dict[str, Any] = orjson.loads(options.definition)
            return found
        version = find_version(run.workflow_id, run.workflow_version)
        return orjson.loads(version.definition_json) if version else None

    def options_of(self, run: Run) -> StartOptions | None:
        """Return the options with which the run was started; None if it was started with its input alone.

        Raises: Conflict if they are lost: without them, nodes would be executed that were not to be.
        """
        if run.options is None:
            return None
        row = RunOptions.find(run.id)
        try:
            text = None if row is None else self.payloads.load(run.id, "options", Kept(row.value, row.value_bytes))
        except FileNotFoundError:
            text = None
        if text is None:
            raise Conflict("the options of the run are no longer stored; start a new run")
        return StartOptions.of(text)


def find_version(workflow_id: str, version: int | None) -> WorkflowVersion | None:
    """Return a version of a flow, or None."""
    found: WorkflowVersion | None = WorkflowVersion.get_or_none(workflow_id=workflow_id, version=version)
    return found
