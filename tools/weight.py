"""The weight of the code: count what shall become less, and print it beside the figures of commit e7cfe816.

Usage: python -m tools.weight [FOLDER OF ANOTHER CHECKOUT]

Only files that Git tracks are counted. Real lines have code: no blank lines, comments and docstrings. Speed, start and
memory are measured by tools/benchmarks/.
"""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
NOT_PRODUCTION = {"tests", "benchmarks", "tools", "deploy", "web"}
TESTS = {"tests", "benchmarks", "tools"}
NOT_MODULES = {"migrations", "docs"}  # production that no module imports by name

# The figures of e7cfe816, and the aims.
THEN_AND_AIM = {
    "core (production outside packs/), real lines": ("56,037", "≤ 31,000"),
    "production, real lines": ("56,037", "≤ 51,000"),
    "tests, benchmarks and tools, real lines": ("81,628", "≤ 70,000"),
    "web/src, written by hand, real lines": ("40,872", "≤ 38,500"),
    "production modules / of them with one importer": ("482 / 164", "≤ 320 / ≤ 70"),
    "tracked files; folders in the root": ("2,058; 26", "≤ 1,600; ≤ 17"),
    "class names in more than one module": ("87", "0"),
    "private functions that are used once": ("57 %", "≤ 45 %"),
    "files that a webhook passes through (quick; by the view)": ("44; 59", "≤ 30; ≤ 40"),
}

NO_CODE = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
    *(tokenize.ENCODING, tokenize.ENDMARKER),
}
# A comment of TypeScript, also in JSX, or a string, which may look like one inside.
TYPESCRIPT = re.compile(
    r"""(?P<comment>\{\s*/\*(?:(?!\*/).)*\*/\s*\}|//[^\n]*|/\*.*?\*/)"""
    r"""|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`""",
    re.DOTALL,
)


class Module(NamedTuple):
    """A Python file: its path, its real lines and its syntax tree."""

    path: str
    lines: int
    tree: ast.Module


def module(path: str, source: str) -> Module:
    """Return the Module of a file."""
    tree = ast.parse(source, path)
    return Module(path, real_lines(source, tree), tree)


def module_name(path: str) -> str:
    """Return the dotted name of a module: `api/http/auth.py` is api.http.auth, `api/__init__.py` is api."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def real_lines(source: str, tree: ast.Module) -> int:
    """Count the lines with code."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = {line for one in tokens if one.type not in NO_CODE for line in range(one.start[0], one.end[0] + 1)}
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in (one for one in ast.walk(tree) if isinstance(one, documented)):
        if ast.get_docstring(node, clean=False) is not None:
            lines.difference_update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return len(lines)


def typescript_lines(source: str) -> int:
    """Count the lines with code of a TypeScript file."""
    code = TYPESCRIPT.sub(lambda found: re.sub(r"[^\n]", "", found[0]) if found["comment"] else found[0], source)
    return sum(bool(line.strip()) for line in code.splitlines())


def imported(path: str, nodes: Iterable[ast.AST], names: set[str]) -> Iterator[str]:
    """Yield those of the named modules that these nodes of the file at `path` import."""
    package = module_name(path) if path.endswith("__init__.py") else module_name(path).rpartition(".")[0]
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield from {full if full in names else base} & names


def with_one_importer(modules: Iterable[Module]) -> int:
    """Count the modules that exactly one other module imports."""
    trees = {one.path: one.tree for one in modules}
    names = set(map(module_name, trees))
    imports = {path: set(imported(path, ast.walk(tree), names)) for path, tree in trees.items()}
    importers = Counter(name for path, found in imports.items() for name in found - {module_name(path)})
    return sum(count == 1 for count in importers.values())


def repeated_classes(modules: Iterable[Module]) -> list[str]:
    """Return the names of classes that several modules define at their top."""
    found = Counter(name for one in modules for name in {x.name for x in one.tree.body if isinstance(x, ast.ClassDef)})
    return sorted(name for name, count in found.items() if count > 1 and name != "Config")  # the config of a node


def private_functions(modules: Iterable[Module]) -> tuple[int, int]:
    """Count the private functions and methods, and those of them whose name is used once in their module."""
    total = once = 0
    for one in modules:
        nodes = list(ast.walk(one.tree))
        used = Counter(node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load))
        used.update(node.attr for node in nodes if isinstance(node, ast.Attribute))
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and re.match("_(?!_)", node.name):
                total, once = total + 1, once + (used[node.name] == 1)
    return total, once


def top(path: str) -> str:
    """Return the first part of a path."""
    return path.split("/")[0]


def is_app(path: str) -> bool:
    """Return True if this is a file of the browser app that is written by hand, and neither a test nor data of one."""
    by_hand = path.startswith("web/src/") and path.endswith((".ts", ".tsx")) and not path.endswith("/schema.d.ts")
    return by_hand and not re.search(r"\.(test|fixture)\.", path)


def weigh(texts: dict[str, str]) -> dict[str, str]:
    """Return today's figures, by the rows of the table, of these files: texts by path; other files may be empty."""
    python = {path: module(path, text) for path, text in texts.items() if path.endswith(".py")}
    production = {path: one for path, one in python.items() if top(path) not in NOT_PRODUCTION}
    modules = [one for path, one in production.items() if not NOT_MODULES & set(path.split("/"))]
    private, once = private_functions(production.values())
    folders = {top(path) for path in texts if "/" in path and not path.startswith(".")}
    limits = re.findall(r"^MAX(?:_VIEW)?_FILES = (\d+)", texts.get("tests/test_webhook_path.py", ""), re.M)
    figures = (
        f"{sum(one.lines for path, one in production.items() if top(path) != 'packs'):,}",
        f"{sum(one.lines for one in production.values()):,}",
        f"{sum(one.lines for path, one in python.items() if top(path) in TESTS):,}",
        f"{sum(typescript_lines(text) for path, text in texts.items() if is_app(path)):,}",
        f"{len(modules)} / {with_one_importer(modules)}",
        f"{len(texts):,}; {len(folders)}",
        f"{len(repeated_classes(modules))}",
        f"{round(100 * once / max(private, 1))} %",
        f"tests/test_webhook_path.py: at most {'; '.join(limits) or '?'}",
    )
    return dict(zip(THEN_AND_AIM, figures, strict=True))


def tracked(root: Path) -> dict[str, str]:
    """Return the texts of all files that Git tracks, by path; files that are not counted by lines are empty."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True, text=True).stdout
    paths = [path for path in listed.split("\0") if path and (root / path).exists()]
    return {path: (root / path).read_text("utf-8") if path.endswith((".py", ".ts", ".tsx")) else "" for path in paths}


def main(root: Path = ROOT) -> None:
    """Print the table, in Markdown."""
    print("| | e7cfe816 | today | aim |\n|---|---|---|---|")
    for row, today in weigh(tracked(root)).items():
        then, aim = THEN_AND_AIM[row]
        print(f"| {row} | {then} | {today} | {aim} |")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
