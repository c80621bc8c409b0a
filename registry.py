"""Registry: what packs add to the core, and which packs this process has loaded.

A pack is a folder in packs/ with a `pack.py`, whose `setup(registry)` adds what the pack has. Its `NEEDS` are the packs
whose modules it imports; its `EXTENDS` are packs for which it has modules that only these load, if they are on. The
core reads the lists here where it needs them; it never imports a pack.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Protocol

from config import Config
from errors import ConfigError, DefinitionError, Issue, NodeError

GROUP = "headrace.packs"  # the entry point of packs that are installed with pip
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
MIN_SECONDS = 1.0  # between two calls of a job of somebody's own pack
FOLDER = Path(__file__).parent / "packs"


class ByType(dict[str, Any]):
    """What the core and its packs have, by a type's name. A type of a pack that is off raises NodeError."""

    def __missing__(self, type_: str) -> Any:
        raise NodeError(f"there is no type {type_!r} here{explain_off()}", permanent=True)


class PackJob(NamedTuple):
    """A function that is called every few seconds. `everywhere`: in each process, first at its start."""

    call: Callable[[], object]
    seconds: float
    everywhere: bool = False


class NodeFinder(Protocol):
    """Node types that are made from files, each at its first use. A module may be one."""

    def find(self, type_: str) -> Any:
        """Return the node type (`nodes.base.Node`) of this name, None if it is not one of these."""

    def types(self) -> Collection[str]:
        """Return the names of all, without making them."""

    def list_entries(self) -> Sequence[dict[str, Any]]:
        """Return their entries in the catalogue, as `nodes.catalogue` describes them."""

    def describe(self, type_: str) -> dict[str, Any] | None:
        """Return more about a type than its entry has, None if there is no more."""

    def list_broken(self) -> Sequence[Any]:
        """Return the files that could not be read: `file`, and the `reason` in one line."""


class Referrer(NamedTuple):
    """Something other than a flow that names credentials, and flows that it can call."""

    type: str
    id: str
    name: str
    credentials: frozenset[str]
    flows: frozenset[str]


class AccountKeeper:
    """Keeps the tokens of credentials that change while they are used, such as those of connected accounts.

    This one keeps none, as in a server without such a pack. `kept` is the server's `security.credentials.Credentials`,
    a `row` a `models.Credential` of any type.
    """

    def open(self, kept: Any, row: Any, made: Any) -> Any:
        """Return the `DecryptedCredential` that was made of the row, with its tokens."""
        return made

    def describe(self, kept: Any, rows: Sequence[Any]) -> dict[str, dict[str, Any]]:
        """Return how credentials are connected, by id, for the API. One without tokens of its own has no entry."""
        return {}

    def find_problems(self, rows: Sequence[Any]) -> dict[str, str]:
        """Return why the accounts of credentials cannot be used, by id."""
        return {}

    def change(self, kept: Any, row: Any, values: Mapping[str, Any]) -> None:
        """Delete the tokens if they are not those of the new values. Called in the transaction of the change."""

    def begin_removal(self, kept: Any, services: Any, row: Any) -> Callable[[], object]:
        """Return the function that revokes the tokens, if possible, to call once the credential has been deleted."""
        return lambda: None


class PollKeeper:
    """Polls triggers, which look for new entries of a source. This one polls none, as in a server without such a pack.

    Its rows are those of `models.Poll`; a `flow` is a `models.Workflow`.
    """

    def describe(self, node: Any, plan: Any) -> dict[str, Any]:
        """Return what `sync` registers for a node of a plan that polls. Raises: DefinitionError if it cannot poll."""
        issue = Issue(f"nodes ({node.id}).type", "a trigger that polls needs the pack polls" + explain_off(), node.id)
        raise DefinitionError([issue])

    def sync(self, flow: Any, wanted: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """Poll exactly these triggers of a flow: node id and what `describe` returned. Called in the transaction."""

    def take_over(self, owner: str, now: int) -> None:
        """Continue the polls of the former leader: this process, `owner`, leads from now on."""

    def prune(self, now: int) -> None:
        """Delete what is known of triggers that are not polled any more."""

    def make_poller(self, dispatcher: Any, owner: str, leads: Callable[[], bool]) -> Any:
        """Return the poller of a process, with `tick` and `stop`; None if nothing polls."""


@dataclass
class Registry:
    """What the packs of this process have added, in the order of the packs' names.

    `node_modules`: modules that define node types, in the order of the catalogue.
    `node_finders`: node types made from files.
    `credential_types`: the types of credentials by name, with those of the core.
    `accounts`: keeps the tokens of accounts of credentials.
    `polls`: polls triggers.
    `agents`: the services of agents in a run, `Context.agents`: "module:class".
    `agent_tools`: families of tools for agents, by the type in an agent's `tools`: "module:function" of each.
    `blueprints`: resources of the API, each a blueprint, or "module:blueprint", which only a server loads.
    `value_store`: the module, imported at first use, of the store of large values by HEADRACE_VALUES_URL. Its
    `check_values(config)` raises ConfigError if the store cannot be used, and its `open_payloads(config, inline_bytes)`
    returns the `dispatch.payloads.Payloads` in it.
    `parts`: modules that have a part of the server, loaded if a setting asks for it, by the name of the pack, or by
    this name, a dot and another.
    `pages`: functions that add other addresses to the app, "module:function" of each; it is called with the app.
    `question_pages`: the module with the pages of questions that have fields, for api/resume_links.py.
    `tables`: the class of `ctx.store.tables`, "module:class"; it gets a workspace's id and the function that redacts.
    `commands`: modules whose import adds commands to the command line, or replaces one of the core.
    `server_jobs`: functions that get the `Server`, and return functions that each of its processes calls, with the
    seconds between their calls.
    `templates`: functions that return templates as `api.catalogue.read_templates` does, "module:function" of each.
    `reference_pages`: names of modules that write pages of the documentation: see `packs/reference/reference.py`.
    `tasks`: runs of no stored flow, by the type before the colon of its id: "module:class", a
    `dispatch.resources.Task`.
    `referrers`: functions that yield, for a workspace's id, each `Referrer` of the pack: "module:function".
    `names`: functions that return the name of something built in by its id, or None: "module:function".
    `send_notice`: "module:function", called as `(credential, message, title, ctx, seconds)` with one of the type
    service_url; raises NodeError if the service did not accept the message.
    `send_mail`: "module:function", called as `(config, services, to, subject, body, key)`, for mail of the server
    itself by the mail server in the settings; returns True if it was accepted.
    `preparations`: called with the settings when they are known, and again with others in tests.
    `jobs`: functions without arguments and the seconds between their calls, which one process at a time makes, or each.
    `packs` are the loaded ones, and what each is, in a line; `off` are those that are here and not loaded; `installed`
    are the entry points of wanted packs that are installed with pip, which nodes/plugins.py loads.
    """

    packs: dict[str, str] = field(default_factory=dict)
    off: list[str] = field(default_factory=list)
    is_loaded: bool = False
    node_modules: list[ModuleType] = field(default_factory=list)
    node_finders: list[NodeFinder] = field(default_factory=list)
    credential_types: dict[str, Any] = field(default_factory=ByType)
    accounts: AccountKeeper = field(default_factory=AccountKeeper)
    polls: PollKeeper = field(default_factory=PollKeeper)
    agents: str = ""
    agent_tools: dict[str, str] = field(default_factory=dict)
    blueprints: list[Any] = field(default_factory=list)
    value_store: str = ""
    parts: dict[str, str] = field(default_factory=dict)
    pages: list[str] = field(default_factory=list)
    question_pages: str = ""
    tables: str = ""
    commands: list[str] = field(default_factory=list)
    server_jobs: list[Callable[[Any], Mapping[Callable[[], object], float]]] = field(default_factory=list)
    templates: list[str] = field(default_factory=list)
    reference_pages: list[str] = field(default_factory=list)
    tasks: dict[str, str] = field(default_factory=dict)
    referrers: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    send_notice: str = ""
    send_mail: str = ""
    preparations: list[Callable[[Config], object]] = field(default_factory=list)
    jobs: list[PackJob] = field(default_factory=list)
    installed: list[EntryPoint] = field(default_factory=list)
    _merged: dict[str, tuple[str, Registry]] = field(default_factory=dict)

    def load(self, wanted: Collection[str] | None = None) -> None:
        """Set up these packs, None for all; the first call in a process decides.

        Raises: ConfigError for an unknown pack, or one without another that it needs.
        """
        if self.is_loaded:
            return
        known, by_pip = available(), {one.name: one for one in entry_points(group=GROUP)}
        every = [*known, *sorted(by_pip.keys() - set(known))]
        named = every if wanted is None else sorted(set(wanted))
        if unknown := [name for name in named if name not in every]:
            raise ConfigError(f"HEADRACE_PACKS names {', '.join(unknown)}; the packs are {', '.join(every)}")
        self.installed = [by_pip[name] for name in named if name not in known]
        names = [name for name in named if name in known]
        modules = {name: importlib.import_module(f"packs.{name}.pack") for name in names}
        order = in_order(modules)
        self.is_loaded = True
        self.off = [name for name in every if name not in named]
        for name in order:
            modules[name].setup(self)
            self.packs[name] = (inspect.getdoc(modules[name]) or "").partition("\n")[0]

    def add_nodes(self, *modules: ModuleType) -> None:
        """Add the node types that these modules define."""
        self.node_modules.extend(modules)

    def add_credential_types(self, **types: Any) -> None:
        """Add types of credentials, each an instance of `nodes.credentials.base.CredentialType`, by name."""
        self.credential_types.update(types)

    def list_referrers(self, workspace_id: str) -> Iterator[Referrer]:
        """Yield what the packs have in this workspace that names credentials or flows."""
        for name in self.referrers:
            yield from pkgutil.resolve_name(name)(workspace_id)

    def find_name(self, id_: str) -> str | None:
        """Return the name of something that is built into a pack, or None."""
        names = (pkgutil.resolve_name(function)(id_) for function in self.names)
        return next((name for name in names if name is not None), None)

    def add_api(self, *blueprints: Any) -> None:
        """Add resources of the API, each an `api.http.json_io.Resource`, or "module:name" of one.

        Those of somebody's own pack are below its name.
        """
        self.blueprints.extend(blueprints)

    def add_job(self, job: Callable[[], object], seconds: float, everywhere: bool = False) -> None:
        """Call a function every few seconds, in one process of the server at a time.

        `everywhere`: in each process, first at its start, also while the server is paused.
        """
        self.jobs.append(PackJob(job, seconds, everywhere))

    def merge(self, name: str, own: Registry, module: str) -> None:
        """Add what somebody's own pack has added to a registry of its own. Raises: ConfigError for what may not be."""
        if not NAME.fullmatch(name) or name in self.packs:
            raise ConfigError(f"the pack {name!r} needs a name of its own: lower-case letters, digits and _")
        types = sorted(self.credential_types.keys() & own.credential_types.keys())
        if taken := types + sorted(self.agent_tools.keys() & own.agent_tools.keys()):
            raise ConfigError(f"{taken[0]!r} exists already")
        if any(job.seconds < MIN_SECONDS for job in own.jobs):
            raise ConfigError(f"a job cannot be called more often than every {MIN_SECONDS:g} seconds")
        for blueprint in own.blueprints:
            blueprint.url_prefix, blueprint.name = f"/api/packs/{name}", f"{name}_{blueprint.name}"
        self.credential_types.update(own.credential_types)
        self.agent_tools.update(own.agent_tools)
        for mine, more in self._lists(own):
            mine.extend(more)
        self.packs[name], self._merged[module] = "", (name, own)

    def take_back(self, module: str) -> None:
        """Remove what `merge` added for the pack in this module, if it did."""
        name, own = self._merged.pop(module, ("", Registry()))
        self.packs.pop(name, None)
        for key in own.credential_types:
            del self.credential_types[key]
        for key in own.agent_tools:
            del self.agent_tools[key]
        for mine, more in self._lists(own):
            for one in more:
                mine.remove(one)

    def _lists(self, own: Registry) -> list[tuple[list[Any], list[Any]]]:
        """Return the lists that `merge` extends, each with that of the pack."""
        return [
            (self.node_modules, own.node_modules), (self.blueprints, own.blueprints), (self.templates, own.templates),
            (self.preparations, own.preparations), (self.node_finders, own.node_finders), (self.jobs, own.jobs),
            (self.server_jobs, own.server_jobs), (self.reference_pages, own.reference_pages),
        ]  # fmt: skip

    def find_part(self, name: str, setting: str) -> Any:
        """Return the module of a part that this setting or command needs. Raises: ConfigError if its pack is off."""
        if name not in self.parts:
            pack = name.partition(".")[0]
            raise ConfigError(
                f"{setting} needs the pack {pack}, which HEADRACE_PACKS leaves out; name it there, or do without "
                f"{setting}"
            )
        return importlib.import_module(self.parts[name])


def available() -> list[str]:
    """Return the names of the packs that are here."""
    return sorted(path.parent.name for path in FOLDER.glob("*/pack.py"))


def in_order(modules: Mapping[str, ModuleType]) -> list[str]:
    """Return the names of packs, each after those that it needs. Raises: ConfigError if one of these is off."""
    needs = {name: getattr(module, "NEEDS", ()) for name, module in modules.items()}
    for name, needed in needs.items():
        if missing := [one for one in needed if one not in modules]:
            raise ConfigError(
                f"HEADRACE_PACKS names {name} without {', '.join(missing)}, which it needs; name both or neither"
            )
    return list(TopologicalSorter(needs).static_order())


def explain_off(begin: str = "; packs") -> str:
    """Return a clause that names the packs that are off, to append to a text about something missing."""
    return f"{begin} that HEADRACE_PACKS leaves out: {', '.join(registry.off)}" if registry.off else ""


registry = Registry()
