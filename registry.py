"""Registry: what packs add to the core, and which packs this process has loaded.

A pack is a folder in packs/ with a `pack.py`, whose `setup(registry)` adds what the pack has. Its `NEEDS` are the packs
whose modules it imports; its `EXTENDS` are packs for which it has modules that only these load, if they are on. The
core reads the lists here where it needs them; it never imports a pack.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from types import ModuleType
from typing import Any

from config import Config
from errors import ConfigError, NodeError

FOLDER = Path(__file__).parent / "packs"


class ByType(dict[str, Any]):
    """What the core and its packs have, by a type's name. A type of a pack that is off raises NodeError."""

    def __missing__(self, type_: str) -> Any:
        raise NodeError(f"there is no type {type_!r} here{explain_off()}", permanent=True)


@dataclass
class Registry:
    """What the packs of this process have added, in the order of the packs' names.

    `node_modules`: modules that define node types, in the order of the catalogue.
    `credential_types`: the types of credentials by name, with those of the core.
    `agent_tools`: families of tools for agents, by the type in an agent's `tools`: "module:function" of each.
    `blueprints`: resources of the API, each a blueprint.
    `preparations`: called with the settings when they are known, and again with others in tests.
    `packs` are the loaded ones, and what each is, in a line; `off` are those that are here and not loaded.
    """

    packs: dict[str, str] = field(default_factory=dict)
    off: list[str] = field(default_factory=list)
    is_loaded: bool = False
    node_modules: list[ModuleType] = field(default_factory=list)
    credential_types: dict[str, Any] = field(default_factory=ByType)
    agent_tools: dict[str, str] = field(default_factory=dict)
    blueprints: list[Any] = field(default_factory=list)
    preparations: list[Callable[[Config], object]] = field(default_factory=list)

    def load(self, wanted: Collection[str] | None = None) -> None:
        """Set up these packs, None for all; the first call in a process decides.

        Raises: ConfigError for an unknown pack, or one without another that it needs.
        """
        if self.is_loaded:
            return
        known = available()
        names = known if wanted is None else sorted(set(wanted))
        if unknown := [name for name in names if name not in known]:
            raise ConfigError(f"HEADRACE_PACKS names {', '.join(unknown)}; the packs are {', '.join(known)}")
        modules = {name: importlib.import_module(f"packs.{name}.pack") for name in names}
        order = in_order(modules)
        self.is_loaded = True
        self.off = [name for name in known if name not in names]
        for name in order:
            modules[name].setup(self)
            self.packs[name] = (inspect.getdoc(modules[name]) or "").partition("\n")[0]

    def add_nodes(self, *modules: ModuleType) -> None:
        """Add the node types that these modules define."""
        self.node_modules.extend(modules)

    def add_credential_types(self, **types: Any) -> None:
        """Add types of credentials, each an instance of `nodes.credentials.base.CredentialType`, by name."""
        self.credential_types.update(types)

    def add_api(self, *blueprints: Any) -> None:
        """Add resources of the API."""
        self.blueprints.extend(blueprints)


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


def explain_off() -> str:
    """Return a clause that names the packs that are off, to append to a sentence about something missing."""
    return f"; packs that HEADRACE_PACKS leaves out: {', '.join(registry.off)}" if registry.off else ""


registry = Registry()
