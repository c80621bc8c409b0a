"""What GitHub and pre-commit read is well formed, and names what is there."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from test_layers import sources

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
