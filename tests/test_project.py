"""Files of the project, its version, and how its tests are run."""

import re
import shlex
import subprocess
import sys
import tomllib
import unicodedata
from pathlib import Path

import pytest
import yaml
from _pytest.assertion import rewrite
from click.testing import CliRunner
from compiling import compile_test, list_tests
from file_order import LONGEST, WAITING, ordered
from test_layers import sources

import cli
from cli import to_one_line
from constants import VERSION
from fields import JOINERS, OF_TEXTS, first_unseen, visible
from models import Run
from tools.weight import weigh

ROOT = Path(__file__).parent.parent
FILES = [".pre-commit-config.yaml", *(str(path.relative_to(ROOT)) for path in sorted(ROOT.glob(".github/**/*.yml")))]
# `pip install`, unless it is `python -m pip install`; or the script itself.
PIP_SCRIPT = re.compile(r"(?<!-m )(?<!uv )\bpip3? install|bin/pip\b")
COMMANDS = (
    "README.md",
    "CONTRIBUTING.md",
    "Makefile",
    ".pre-commit-config.yaml",
    "docs/**/*.md",
    "deploy/**/*",
    "web/*.sh",
)


def read(name):
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", FILES)
def test_each_is_yaml(name):
    assert isinstance(read(name), dict)


def test_ci_runs_the_check_on_every_python_that_the_readme_names():
    job = read(".github/workflows/ci.yml")["jobs"]["check"]
    named = re.search(r"You need Python (.*?), and", (ROOT / "README.md").read_text(encoding="utf-8"))[1]
    assert job["strategy"]["matrix"]["python"] == re.findall(r"3\.\d+", named)
    assert "make check" in [step.get("run") for step in job["steps"]]


def test_ci_runs_the_tests_that_the_readme_tells_newcomers_to_run():
    job = read(".github/workflows/ci.yml")["jobs"]["test"]
    assert job["timeout-minutes"] <= 12 and "make test" in [step.get("run") for step in job["steps"]]
    assert "```sh\nmake test\n```" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_dependabot_looks_where_packages_are_named():
    wanted = {
        "pip": "pyproject.toml",
        "npm": "package.json",
        "github-actions": ".github/workflows/*.yml",
        "docker": "Dockerfile",
    }
    for update in read(".github/dependabot.yml")["updates"]:
        for folder in update.get("directories", [update.get("directory")]):
            assert list((ROOT / folder.strip("/")).glob(wanted[update["package-ecosystem"]])), (update, folder)


def test_pip_is_always_called_by_its_python():
    """The script `pip` of a copied or moved folder installs into the folder where it was made."""
    written = [path for name in COMMANDS for path in ROOT.glob(name) if path.is_file()]
    paths = [*written, *(ROOT / path for path in sources() if not path.startswith("tests/"))]
    assert len(paths) > 300
    assert [str(path) for path in paths if PIP_SCRIPT.search(path.read_text(encoding="utf-8"))] == []


def test_pre_commit_applies_the_rules_of_make_lint():
    (repo,) = read(".pre-commit-config.yaml")["repos"]
    lint = re.search(r"^lint:.*?\n\n", (ROOT / "Makefile").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)[0]
    for hook in repo["hooks"]:
        tool, *arguments = shlex.split(hook["entry"])
        assert " ".join([f"$(BIN)/{Path(tool).name}", *arguments[:1]]) in lint


# The version is said in one place, and everything that tells it reads it there


@pytest.mark.slow
def test_a_plain_clone_that_is_not_installed_prints_its_version(tmp_path):
    command = [sys.executable, str(ROOT / "workflow_server.py"), "--version"]
    done = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"headrace {VERSION}\n", "")


def test_the_version_is_asked_for_without_a_database(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE_DATA_DIR", str(tmp_path / "none"))
    assert CliRunner().invoke(cli.main, ["--version"]).output == f"headrace {VERSION}\n"
    assert not list(tmp_path.iterdir())


def test_readiness_tells_the_version_and_health_stays_as_the_contract_says(client):
    assert client.get("/api/ready").json["version"] == VERSION
    assert set(client.get("/api/health").json) == {"ok", "ts"}


def test_the_openapi_document_has_the_version(client):
    assert client.get("/api/openapi.json").json["info"]["version"] == VERSION


def test_packaging_reads_the_version_from_its_one_place():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" in project["project"]["dynamic"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "constants.VERSION"}


def test_no_other_source_writes_the_version_out():
    wanted = re.compile(rf"""["']{re.escape(VERSION)}["']""")
    assert [path for path in sources() if wanted.search((ROOT / path).read_text(encoding="utf-8"))] == ["constants.py"]


def test_the_changelog_begins_with_this_version_and_dates_all_others():
    first, *released = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    dated = r"\d+\.\d+\.\d+ \(\d{4}-\d\d-\d\d\)"
    assert first == f"{VERSION} (unreleased)" or (first.split()[0] == VERSION and re.fullmatch(dated, first))
    assert all(re.fullmatch(dated, heading) for heading in released)


# Invisible and reordering characters: shown as escapes, refused in names, removed from terminal output


# One of each kind: a joiner, variation selectors, letters that look like spaces, reordering marks, tags.
HIDDEN = (
    "\u034f\ufe00\ufe0f\U000e0100\U000e01ef\u180b\u180f\u115f\u3164\u2800\u202e\u2066\u200b\ufeff\U000e0041\u00ad\x1b"
)


@pytest.mark.parametrize("letter", HIDDEN, ids=lambda letter: f"U+{ord(letter):04X}")
def test_invisible_characters_are_shown_as_json_escapes(letter):
    shown = visible(f"pay{letter}ment")
    assert shown.isascii() and "\\u" in shown and shown.startswith("pay") and shown.endswith("ment")
    assert first_unseen(f"pay{letter}ment") == f"U+{ord(letter):04X}"


def test_every_character_without_a_glyph_is_known():
    """Unicode's Default_Ignorable_Code_Point is in these categories, or among the listed letters and marks."""
    marks = ["\u034f", *map(chr, range(0xFE00, 0xFE10)), *map(chr, range(0xE0100, 0xE01F0)), "\u17b4", "\u17b5"]
    formats = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in ("Cc", "Cf", "Zl", "Zp")]
    assert [letter for letter in marks + formats if first_unseen(letter) is None] == []


@pytest.mark.parametrize("text", ["Zahlung für Ölß", "支払い", "دفع", "भुगतान", "paid ✓ 👍", "a b"])
def test_ordinary_text_stays_unchanged(text):
    assert visible(text) == text and first_unseen(text) is None


def test_scripts_and_emoji_keep_their_invisible_characters():
    text = "می‌خواهم 👩‍💻 ❤️\n"
    assert visible(text, but=OF_TEXTS) == text and first_unseen(text.strip(), but=JOINERS) is None


def test_a_terminal_gets_a_space_for_each():
    assert to_one_line(f"a{HIDDEN.replace(chr(0xFE0F), '')}b") == "a" + " " * (len(HIDDEN) - 1) + "b"


# Texts for people


@pytest.mark.parametrize("letter", ["\u202e", "\u034f", "\U000e0100", "\u3164", "\n", "\x1b"])
def test_a_name_cannot_have_invisible_characters(owner, letter, flow):
    name = f"Pay{letter}roll"
    for answer in (
        owner.post("/api/flows", {"name": name}),
        owner.put(f"/api/workflows/{flow['id']}", {"name": name}),
        owner.patch("/api/profile", {"name": name}),
        owner.patch(f"/api/workspaces/{owner.workspace.id}", {"name": name}),
        owner.post("/api/tokens", {"name": name}),
    ):
        assert answer.status_code == 400 and f"U+{ord(letter):04X}" in answer.json["error"], answer.text


def test_the_reason_of_a_wait_shows_the_whole_question(owner, make_flow):
    node = {"id": "ask", "type": "approval", "config": {"message": "{{ input.text }}"}}
    flow = make_flow({"nodes": [node]})
    text = "Pay 10\u202e00\U000e0100\u034f €?\nYes ❤️"
    run = owner.post(f"/api/workflows/{flow['id']}/run", {"input": {"text": text}}).json
    assert run["waiting"] == "approval: Pay 10\\u202e00\\udb40\\udd00\\u034f €?\nYes ❤️"
    assert Run.get().waiting == run["waiting"]


# Test files are compiled once, though several processes need them


@pytest.fixture
def folder(tmp_path):
    for path in ("test_a.py", "inner/test_b.py", "inner/other.py", "left_out/test_c.py"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("def test_it():\n    assert True\n")
    return tmp_path


def test_collected_files_are_compiled(folder, request, monkeypatch):
    monkeypatch.setattr(request.config.option, "ignore", [str(folder / "left_out")])
    found = list(list_tests(folder, request.config))
    assert found == [folder / "inner/test_b.py", folder / "test_a.py"]


def test_a_compiled_file_is_what_pytest_reads(folder, request):
    path = folder / "test_a.py"
    compile_test(path, request.config)
    (compiled,) = (folder / "__pycache__").iterdir()
    assert rewrite._read_pyc(path, compiled).co_filename == str(path)
    path.write_text("changed = True\n")
    assert rewrite._read_pyc(path, compiled) is None


# The order in which several processes take the files of long tests


FAULTS = ROOT / "tests" / "faults"


def test_the_files_that_take_longest_exist():
    assert all(any((ROOT / "tests" / folder / f"test_{name}.py").exists() for folder in WAITING) for name in LONGEST)


def test_files_of_browsers_run_beside_those_that_wait_and_the_longest_come_first():
    waiting = {FAULTS / f"test_{name}.py": 1 for name in ("clocks", "disks", "orders", "workers")}
    browsers = {ROOT / "tests" / "browser" / f"test_{name}.py": count for name, count in (("tables", 4), ("pages", 61))}
    names = [path.stem[5:] for path in ordered({path: [None] * n for path, n in {**waiting, **browsers}.items()})]
    assert names == ["workers", "pages", "orders", "clocks", "tables", "disks"]


def test_on_postgresql_the_files_that_kill_servers_are_spread_among_the_others():
    waiting = {FAULTS / f"test_{name}.py": [None] for name in ("doubts", "kills")}
    others = {ROOT / "tests" / "api" / f"test_{name}.py": [None] * count for name, count in (("runs", 8), ("flows", 9))}
    assert [path.stem[5:] for path in ordered({**others, **waiting})] == ["kills", "flows", "doubts", "runs"]


@pytest.mark.parametrize("folder", ["faults", "api"])
def test_the_order_of_one_kind_stays(folder):
    files = {ROOT / "tests" / folder / f"test_{name}.py": [None] for name in ("kills", "workers", "disks")}
    assert ordered(files) == list(files)


# The count of what shall become less


MODULE = '''
"""A docstring
of two lines."""
import pack.part  # a comment

class Shape:
    """A docstring."""

    def _once(self):
        return """text
# no comment"""

    def _twice(self):
        return self._once(), self._twice, self._twice
'''

VIEW = """
// a comment
const url = "https://example.com"; /* a comment
of two lines */
export const View = () => (
    <p>
        {/* a comment */}
    </p>
);
"""


def test_code_is_counted_without_blank_lines_comments_and_docstrings():
    texts = {
        "main.py": MODULE,
        "pack/__init__.py": "from . import part\nclass Shape: ...",
        "pack/part.py": "x = 1",
        "packs/mail/pack.py": "import main\nimport pack.part",
        "tests/test_main.py": "import main",
        "tools/count.py": "import main",
        "web/src/View.tsx": VIEW,
        "web/src/View.test.tsx": VIEW,
        "web/src/api/schema.d.ts": VIEW,
        ".github/ci.yml": "",
        "LICENSE": "",
    }
    assert list(weigh(texts).values()) == [
        *("10", "12", "2", "5"),
        "4 / 1",  # main
        "11; 5",
        "1",
        "50 %",
        "tests/test_webhook_path.py: at most ?",
    ]
