"""Former modules: plugins that import them by their old names work until version 0.3, with a warning."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

FORMER = {
    "nodes.answers": "nodes.http.response",
    "nodes.apart": "nodes.plugin_runner",
    "nodes.bodies": "nodes.http.body",
    "nodes.bounds": "nodes.limits",
    "nodes.calls": "nodes.http.client",
    "nodes.credential_types": "nodes.credentials.types",
    "nodes.egress": "net.egress",
    "nodes.guard": "net.egress_guard",
    "nodes.keyring": "nodes.credentials.keyring",
    "nodes.kinds": "nodes.fields",
    "nodes.logic": "nodes.core.logic",
    "nodes.loops": "net.async_deadline",
    "nodes.own": "nodes.plugins",
    "nodes.pages": "nodes.http.pagination",
    "nodes.tokens": "nodes.http.oauth2",
    "nodes.waits": "nodes.core.waits",
}


class FormerModules(MetaPathFinder, Loader):
    """Finds and loads a module of FORMER, as a copy of the present module's names."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec if the name is a former one, else None."""
        return ModuleSpec(fullname, self) if fullname in FORMER else None

    def exec_module(self, module: ModuleType) -> None:
        """Fill the former module, and emit a warning."""
        present = FORMER[module.__name__]
        own = set(vars(module))
        found = vars(importlib.import_module(present))
        vars(module).update({name: value for name, value in found.items() if name not in own})
        message = f"{module.__name__} is now {present}, and will be removed in version 0.3; import from nodes.sdk"
        warnings.warn(message, FutureWarning, stacklevel=2)  # Python shows this one by default


sys.meta_path.append(FormerModules())
