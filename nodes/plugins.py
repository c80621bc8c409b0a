"""Plugins: a team's own node types and packs, read once at the start of a process.

In the folder HEADRACE_NODES_DIR, every `*.py` has node types, and every folder with a `pack.py` is a pack. A file is a
module of the package `headrace_nodes`, whose path is the folder, so that it can import helper modules, whose names
start with `_`. Packs that are installed with pip come by the entry point `headrace.packs`. What cannot be loaded is
reported and leaves nothing behind; the others work.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import logging
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import orjson
from marshmallow import Schema, missing

from config import Config
from errors import NodeError
from nodes import entry_of, plugin_runner
from nodes.base import REGISTRY, Node
from nodes.plugin_runner import PACKAGE
from registry import Registry, registry

log = logging.getLogger("headrace.nodes")
TYPE = re.compile(r"[a-z][a-z0-9_]{0,63}")
# The literal `type` of a class, for files that Python cannot parse.
DECLARED = re.compile(r"""^[ \t]+type\b[^=\n]*=[ \t]*["']([^"'\n]*)["']""", re.MULTILINE)
MAX_REASON = 300


class BrokenPlugin(NamedTuple):
    """A file that could not be loaded, the reason in one line, and its intended node types (None: unknown)."""

    file: str
    reason: str
    types: frozenset[str] | None


class InvalidNode(Exception):
    """A file or a class that is not a valid node type; `line` is its position."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


BROKEN: list[BrokenPlugin] = []
INSTALLED: list[BrokenPlugin] = []  # of the packs that are installed with pip, which are loaded once


def prepare(config: Config) -> None:
    """Load the packs, the node types of HEADRACE_NODES_DIR, and what packs load by settings.

    Raises: ConfigError if HEADRACE_PACKS names packs that cannot be loaded.
    """
    load_packs(config.packs)
    load(config.nodes_dir)
    for prepare_pack in registry.preparations:
        prepare_pack(config)


def load_packs(wanted: Collection[str] | None) -> None:
    """Load the packs that HEADRACE_PACKS names, None for all, and those that are installed with pip, once a process.

    Raises: ConfigError if one cannot be loaded.
    """
    if not registry.is_loaded:
        registry.load(wanted)
        INSTALLED.extend(broken for one in registry.installed if (broken := _load_installed(one)) is not None)


def load(folder: Path | None) -> list[BrokenPlugin]:
    """Replace this process's plugins by those in the folder (None: remove them); return the files that failed."""
    for type_ in [type_ for type_, node in REGISTRY.items() if type(node).__module__.startswith(f"{PACKAGE}.")]:
        del REGISTRY[type_]
    for name in _list_modules():
        registry.take_back(name)
        del sys.modules[name]
    entry_of.cache_clear()
    BROKEN[:] = INSTALLED
    if folder is not None:
        BROKEN.extend(_load_all(folder))
        for broken in BROKEN[len(INSTALLED) :]:
            log.error("Could not load %s: %s", folder / broken.file, broken.reason)
    return list(BROKEN)


def explain_missing(type_: str) -> str:
    """Return why a node type may be missing, to append to a sentence; empty if nothing is known."""
    for broken in BROKEN:
        if broken.types is None:
            return f"; the folder of HEADRACE_NODES_DIR could not be loaded: {broken.reason}"
        if type_ in broken.types:
            return f"; the file {broken.file} in HEADRACE_NODES_DIR could not be loaded: {broken.reason}"
    return ""


def _list_modules() -> set[str]:
    return {name for name in sys.modules if name == PACKAGE or name.startswith(f"{PACKAGE}.")}


def _load_all(folder: Path) -> list[BrokenPlugin]:
    log.info("Loading the node types in %s", folder)
    try:
        found = [path for path in folder.iterdir() if path.name[0] not in "_."]
        files = sorted(
            path for path in found if (path / "pack.py").is_file() or path.suffix == ".py" and not path.is_dir()
        )
    except OSError as error:
        return [BrokenPlugin(str(folder), f"it cannot be read: {error.strerror}", None)]
    spec = ModuleSpec(PACKAGE, None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    sys.modules[PACKAGE] = importlib.util.module_from_spec(spec)
    importlib.invalidate_caches()
    return [broken for broken in map(_load, files) if broken is not None]


def _load_installed(entry: EntryPoint) -> BrokenPlugin | None:
    """Load a pack that is installed with pip; return None if it is valid."""
    path = Path(entry.name) / "pack.py"
    broken = _load(path, lambda: entry.load())
    if broken is not None:
        broken = broken._replace(file=f"the installed pack {entry.name}", types=frozenset())
        log.error("Could not load %s: %s", broken.file, broken.reason)
    return broken


def _load(path: Path, find: Callable[[], ModuleType] | None = None) -> BrokenPlugin | None:
    """Load one file or pack; return None if it is valid. Otherwise, undo everything that it has added.

    `find` imports the module of an installed pack.
    """
    types, modules = dict(REGISTRY), _list_modules()
    try:
        _import(path, types, find)
    except BaseException as error:
        for type_ in REGISTRY.keys() - types.keys():
            del REGISTRY[type_]
        REGISTRY.update(types)
        for name in _list_modules() - modules:
            del sys.modules[name]
            # Otherwise `from headrace_nodes import …` would still find it.
            vars(sys.modules[PACKAGE]).pop(name.removeprefix(f"{PACKAGE}."), None)
        if isinstance(error, KeyboardInterrupt):
            raise
        try:
            text = path.read_bytes().decode("utf-8", "replace")
        except OSError:
            text = ""
        return BrokenPlugin(path.name, _describe(error, path), frozenset({path.stem, *DECLARED.findall(text)}))
    return None


def _import(path: Path, before: Mapping[str, Node], find: Callable[[], ModuleType] | None) -> None:
    """Import the file or pack. Raises: InvalidNode if it adds nothing valid to the node types `before`."""
    name = f"{PACKAGE}.{path.stem}"
    if find is None and not path.stem.isidentifier():
        raise InvalidNode("its name must consist of letters, digits and _, such as my_node.py")
    if find is None and not path.is_dir():
        importlib.import_module(name)
        _check_types(name, before, needs_type=True)
        return
    own = Registry()
    module = importlib.import_module(f"{name}.pack") if find is None else find()
    module.setup(own)
    _check_types(name, before, needs_type=False)
    registry.merge(path.parent.name if find else path.name, own, name)


def _check_types(name: str, before: Mapping[str, Node], needs_type: bool) -> None:
    """Check what a module has added to the node types `before`. Raises: InvalidNode."""
    for type_, node in before.items():
        if REGISTRY.get(type_) is not node:
            raise InvalidNode(f"it replaces or removes the node type {type_!r}")
    new = [(type_, node) for type_, node in REGISTRY.items() if type_ not in before]
    # Another file may have imported it before.
    if needs_type and not new and all(type(node).__module__ != name for node in REGISTRY.values()):
        raise InvalidNode("it has no node type: define a class derived from Node with a type")
    for type_, node in new:
        cls: Any = type(node)
        if cls.__dict__.get("type") != type_:
            raise InvalidNode(f"{cls.__qualname__}: it must not be added to the registry manually")
        cls.own = True
        # Runs of quick nodes execute within the request that starts them, which must not block on foreign code.
        cls.quick = False
        try:
            for issue in _find_issues(cls):
                raise InvalidNode(f"{cls.__qualname__}: {issue}", _line_of(cls))
            _check_config(cls)
            plugin_runner.branches(node, {})
            with plugin_runner.contain_errors(f"{cls.__qualname__}: its entry in the catalogue"):
                orjson.dumps(entry_of(cls))
        except NodeError as error:
            raise InvalidNode(error.message, _line_of(cls)) from error


# Validation of node types


def _find_issues(cls: Any) -> Iterator[str]:
    if not isinstance(cls.type, str) or not TYPE.fullmatch(cls.type):
        yield f"type must have at most 64 lower-case letters, digits and _, such as fetch_rates; it is {cls.type!r:.80}"
    if (cls.trigger, cls.category == "trigger") != (cls.polls, cls.polls):
        yield "a trigger must set category = 'trigger', trigger = True and polls = True, and have a method poll"
    if cls.listens:
        yield "it must not set listens = True: a node type of your own can poll, but not listen"
    for name in ("pure", "responds", "suspends", "polls"):
        if not isinstance(getattr(cls, name), bool):
            yield f"{name} must be True or False"
    if not isinstance(cls.title, str) or not isinstance(cls.icon, str):
        yield "title and icon must be text"
    if not isinstance(cls.also, tuple) or not all(isinstance(words, str) for words in cls.also):
        yield "also must be a tuple of texts"
    if not isinstance(cls.answers, tuple) or not all(isinstance(name, str) and name for name in cls.answers):
        yield "answers must be a tuple of names"
    if cls.answers and not cls.suspends:
        yield "it has answers, so it must set suspends = True"
    if not isinstance(cls.examples, tuple) or not all(isinstance(example, dict) for example in cls.examples):
        yield "examples must be a tuple of dicts"
    if not isinstance(cls.source, tuple) or not all(name in cls.Config._declared_fields for name in cls.source):
        yield "source must be a tuple of keys of its Config"
    yield from _find_method_issues(cls, "run", "input, ctx")
    if cls.suspends:
        yield from _find_method_issues(cls, "resume", "input, answer")
    if cls.polls:
        yield from _find_method_issues(cls, "poll", "state, ctx")


def _find_method_issues(cls: Any, name: str, takes: str) -> Iterator[str]:
    """Yield the issues of a method that takes the config and two more arguments."""
    method = getattr(cls, name)
    if method is getattr(Node, name):
        yield f"it has no method {name}"
    elif not inspect.isfunction(method):
        yield f"{name} must be a method"
    elif inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
        yield f"{name} must be a plain method, not an async one"
    elif inspect.isgeneratorfunction(method):
        yield f"{name} must return its result, not yield"
    else:
        try:
            inspect.signature(method).bind(None, {}, None, None)
        except TypeError as error:
            yield f"{name} must take (self, config, {takes}): {error}"


def _check_config(cls: Any) -> None:
    if not isinstance(cls.Config, type) or not issubclass(cls.Config, Schema):
        raise InvalidNode(f"{cls.__qualname__}: Config must be a marshmallow Schema", _line_of(cls))
    with plugin_runner.contain_errors(f"{cls.__qualname__}.Config"):
        fields = cls.Config().fields
    for key, field in fields.items():
        where = f"{cls.__qualname__}.Config: {key}"
        if field.data_key not in (None, key) or field.attribute not in (None, key):
            raise InvalidNode(
                f"{where} must be stored under its own name, without data_key or attribute", _line_of(cls)
            )
        with plugin_runner.contain_errors(f"{where}: its load_default"):
            default = field.load_default() if callable(field.load_default) else field.load_default
            orjson.dumps(None if default is missing else default)


# Reasons


def _line_of(cls: Any) -> int:
    try:
        return inspect.getsourcelines(cls)[1]
    except (OSError, TypeError):
        return 0


def _describe(error: BaseException, path: Path) -> str:
    """Return the place and the reason in one line."""
    place = plugin_runner.find_place(error)
    if isinstance(error, InvalidNode):
        place, text = f"line {error.line}" if error.line else "", str(error)
    elif isinstance(error, SyntaxError) and error.filename:
        place, text = f"{Path(error.filename).name}, line {error.lineno}", f"{type(error).__name__}: {error.msg}"
    else:
        text = plugin_runner.describe_error(error)
    text = " ".join(f"{place.removeprefix(f'{path.name}, ')}: {text}".removeprefix(": ").split())
    return text if len(text) <= MAX_REASON else text[:MAX_REASON] + "…"
